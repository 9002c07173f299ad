"""Tools that are talked to by the Agent Client Protocol: a scripted one, hostile ones, and real ones."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from cage import run_as_nobody
from conftest import Checkout
from endpoint import SUMMARY, endpoint
from workshops import TOOL, Workshops, table

from evogit.model import Edit, RepoPath
from evogit.proposers.protocol import Answer
from evogit.sandbox import Cancelled

_TOOLS = os.environ.get("EVOGIT_TEST_TOOLS", "")
_AGENT = Path(__file__).with_name("acp_agent.py").read_text()
_PROGRAMS = {"claude": "claude-agent-acp", "codex": "codex-acp"}
_KINDS = ("none", "bwrap", "landlock")
Run = Callable[..., Answer]


@pytest.fixture
def run(toy: Checkout, tmp_path: Path) -> Iterator[Run]:
    """What runs the scripted tool on HEAD, told by a word how to be, and returns the answer."""
    shops = Workshops(tmp_path / "shop" / "tool")

    def run(
        how: str, kind: str = "none", score: Callable[[Edit], Mapping[str, object]] | None = None,
        cancelled: Callable[[], bool] = lambda: False, **keys: object,
    ) -> Answer:  # fmt: skip
        tool = {"prompt_by": "acp", "command": [sys.executable, "-c", _AGENT, how], "tries": 2 if score else 0}
        measured = (lambda edit, _: score(edit)) if score else None
        return shops.run(toy, table({**TOOL, **tool, **keys}), kind, score=measured, cancelled=cancelled)

    yield run
    shops.close()


@pytest.mark.parametrize("kind", _KINDS)
def test_it_is_given_its_task_allowed_what_it_asks_for_and_ended(run: Run, kind: str) -> None:
    """It checks by itself what it hears; what it says last is the subject, and it says what it cost."""
    answer = run("does it", kind)
    assert answer.edit is not None, answer.why
    content = (answer.edit.files[RepoPath("knobs.py")] or b"").decode()
    assert content.startswith("A = 3.0\n")
    assert content.endswith("# The task\n")
    assert answer.edit.subject == "Raise A"
    (call,) = answer.calls
    assert (call.outcome, call.tokens_in, call.tokens_out, call.usd) == ("ok", 30, 4, 0.5)


def test_what_it_counts_in_its_own_way_is_read(run: Run) -> None:
    (call,) = run("counts in its own way").calls
    assert (call.tokens_in, call.tokens_out) == (7, 2)


@pytest.mark.parametrize("kind", ["none", "bwrap"])
def test_it_can_try(run: Run, kind: str) -> None:
    answer = run("tries", kind, lambda _: {"score": 0.75})
    assert answer.edit is not None, answer.why
    assert (answer.edit.files[RepoPath("knobs.py")] or b"").endswith(b"# 0.75\n")


_NAME = os.path.basename(sys.executable)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("ends early", f"failed: {_NAME} ended before it was done: no more money"),
        ("error", f"failed: {_NAME} refused session/prompt: Internal error no quota"),
        ("no session", f"failed: {_NAME} opened no session"),
        ("refuses", f"failed: {_NAME} stopped for the reason 'refusal'"),
        ("one line", f"refused: {_NAME} said more than 8388608 bytes in one line"),
        ("asks and does not listen", f"refused: {_NAME} asks and does not listen"),
        ("silent", f"timeout: {_NAME} was not done after 3 s"),
        pytest.param("lines", f"timeout: {_NAME} was not done after 3 s", marks=pytest.mark.heavy),
    ],
)
def test_what_comes_to_nothing_says_why_and_hangs_nobody(run: Run, how: str, why: str) -> None:
    answer = run(how, time_limit_s=3 if why.startswith("timeout") else 100)
    assert answer.edit is None
    assert answer.why == why
    assert answer.calls[0].outcome == why.partition(":")[0]


def test_it_is_ended_when_somebody_wants_to_stop(run: Run) -> None:
    asked: list[bool] = []

    def is_wanted() -> bool:
        asked.append(True)
        return len(asked) > 20

    with pytest.raises(Cancelled):
        run("silent", cancelled=is_wanted)


@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs these tests already")
def test_the_same_holds_for_an_ordinary_user() -> None:
    done = run_as_nobody(["test_acp.py"], "-k", "bwrap or landlock")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert " passed" in done.stdout


@pytest.mark.heavy
@pytest.mark.timeout(1100)
@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode", "qwen"])
def test_a_real_tool_makes_a_candidate(toy: Checkout, name: str) -> None:
    """The tool itself, with the definition that ships, talks to an endpoint of this test through the sandbox.

    EVOGIT_TEST_TOOLS names folders where it may be installed, beside those of PATH.
    """
    path = os.pathsep.join((_TOOLS, os.environ["PATH"]))
    if shutil.which(program := _PROGRAMS.get(name, name), path=path) is None:
        pytest.skip(f"{program} is not installed")
    content = "A = 3.0\nB = 30\n\n\ndef value():\n    return -((A - 3.5) ** 2) - ((B - 40) / 10) ** 2\n"
    with endpoint("knobs.py", content) as served:
        toy.environment |= {"PATH": path, **served.environment("canary-of-a-key-0123456789"), "EVOGIT_SANDBOX": "auto"}
        toy.environment.pop("EVOGIT_I_TRUST_THIS_CODE")
        toy.evogit("run", "--agent", f"{name}-acp", "--evals", "2", "--run", "r", timeout=1000)
        assert served.keys == {"canary-of-a-key-0123456789"}
    best = toy.evogit("best", "-q").stdout.strip()
    assert toy.git("diff", "--name-only", "main", best) == "knobs.py"
    assert toy.git("show", f"{best}:knobs.py") == content.strip()
    assert toy.git("log", "-1", "--format=%s", best) == SUMMARY.removeprefix("Summary: ")
    (call,) = json.loads(toy.evogit("show", "best", "--json").stdout)["calls"]
    if name != "codex":  # it says how full its context is, and nothing of tokens
        assert call["tokens_in"] >= 100
