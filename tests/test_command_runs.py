"""Runs with agents that use a tool: what is recorded, what survives a kill, who may run what, and real tools."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Checkout
from endpoint import SUMMARY, endpoint

_TOOL = """summary = "A shell script"
proposer = "command"
command = ["sh", "-c", '''{script}''']
prompt_by = "stdin"
model = "some-model"
selection = "greedy"
"""
_RAISES = """cat > {told}; echo x >> {count}
awk '/^A/ {{ print "A = " $3 + 0.5; next }} {{ print }}' knobs.py > new && mv new knobs.py
echo "# $(wc -l < {count})" >> knobs.py
echo '{{"type":"result","result":"Summary: Raise A a bit","total_cost_usd":0.25,"usage":{{"input_tokens":3}}}}'
"""


@pytest.fixture
def tool(toy: Checkout, tmp_path: Path) -> Callable[[str], Path]:
    """What makes a shell script the tool of the agent `script`; returns a folder outside that is filled in."""

    def make(script: str) -> Path:
        filled = script.format(told=tmp_path / "told", count=tmp_path / "count")
        (toy.path / ".evogit" / "agents").mkdir(parents=True, exist_ok=True)
        (toy.path / ".evogit" / "agents" / "script.toml").write_text(_TOOL.format(script=filled))
        return tmp_path

    return make


def _log(repo: Checkout) -> list[dict[str, Any]]:
    return list(json.loads(repo.evogit("log", "--all", "--json").stdout)["log"])


def _proposals(repo: Checkout) -> list[dict[str, Any]]:
    refs = repo.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit").splitlines()
    lines = [
        line for ref in refs for line in repo.git("grep", "-h", '"kind":"proposal"', ref, check=False).splitlines()
    ]
    return sorted((json.loads(line) for line in lines), key=lambda record: int(record["seq"]))


def test_a_run_with_a_tool(toy: Checkout, tool: Callable[[str], Path]) -> None:
    """The candidate says which model had part in it, the record what it cost, and the next one is told of it."""
    outside = tool(_RAISES)
    toy.evogit("run", "--agent", "script", "--evals", "4", "--run", "r")
    made = _proposals(toy)
    assert [record["calls"][0]["usd"] for record in made] == [0.25] * 3
    call = {**made[0]["calls"][0], "seconds": 0}
    assert call == {"model": "some-model", "outcome": "ok", "seconds": 0, "tokens_in": 3, "usd": 0.25}
    best = toy.evogit("best", "-q").stdout.strip()
    assert toy.git("log", "-1", "--format=%s", best) == "Raise A a bit"
    trailers = toy.git("log", "-1", "--format=%(trailers:only)", best)
    assert "Evogit-Model: some-model" in trailers
    assert "Assisted-by: script:some-model" in trailers
    assert toy.git("show", f"{best}:knobs.py").startswith("A = 2.5\n")
    assert "asked    some-model: ok, 3 tokens in, 0.2500 USD, " in toy.evogit("show", best).stdout
    told = (outside / "told").read_text()
    assert "Raise the value" in told
    assert "higher is better" in told
    assert "This version scores -18.25; the first one scored -22.25." in told
    assert "`knobs.py`" in told
    assert toy.evogit("doctor", expect=0).returncode == 0


def test_what_was_tried_is_told(toy: Checkout, tool: Callable[[str], Path]) -> None:
    worse = "cat > {told}; echo \"A = -$(wc -l < {count}).5\" >> knobs.py; echo x >> {count}; echo 'Summary: Lower A'"
    outside = tool(worse)
    (outside / "count").write_text("")
    toy.evogit("run", "--agent", "script", "--evals", "3", "--run", "r")
    told = (outside / "told").read_text()
    assert "- Lower A: -32" in told


@pytest.mark.heavy
def test_a_proposal_is_kept_before_it_is_scored(toy: Checkout, tool: Callable[[str], Path]) -> None:
    """Killed while its candidate is measured, the agent scores that when it is back, and asks the tool for nothing."""
    outside = tool(_RAISES)
    hangs = (
        f"import os, pathlib, time\nif knobs.A > 1 and not os.path.exists('{outside / 'go'}'):\n    time.sleep(90)\n"
    )
    bench = (toy.path / "bench.py").read_text()
    (toy.path / "bench.py").write_text(bench.replace("with open", f"{hangs}with open", 1))
    text = (toy.path / "evogit.toml").read_text()
    (toy.path / "evogit.toml").write_text(text.replace("timeout_s = 20", "timeout_s = 100"))
    toy.commit("hangs")
    toy.evogit("run", "--agent", "script", "--evals", "1", "--run", "r")
    agent = toy.start("agent", "script", "--run", "r", "--evals", "2")
    try:
        for _ in range(600):
            if _proposals(toy):
                break
            time.sleep(0.1)
        assert len(_proposals(toy)) == 1
    finally:
        agent.send_signal(signal.SIGKILL)
        agent.communicate()
    assert [row["subject"] for row in _log(toy) if row["value"] is not None] == ["(the base)"]
    (outside / "go").touch()
    toy.evogit("agent", "script", "--run", "r", "--evals", "1")
    assert [row["value"] for row in _log(toy)].count(-20.0) == 1
    assert (outside / "count").read_text() == "x\n"
    assert len(_proposals(toy)) == 1


def test_an_agent_whose_tool_only_fails_ends_soon(toy: Checkout, tool: Callable[[str], Path]) -> None:
    outside = tool("echo x >> {count}; echo no such model >&2; exit 7")
    done = toy.evogit("run", "--agent", "script", "--evals", "9", "--run", "r", expect=1)
    why = "failed: sh ended with exit code 7: no such model"
    assert f"its proposals came to nothing 5 times in a row, the last: {why}" in done.stderr
    made = _proposals(toy)
    assert [(record["outcome"], record["why"], record["calls"][0]["outcome"]) for record in made] == [
        ("useless", why, "failed")
    ] * 5
    assert (outside / "count").read_text() == "x\n" * 5


def test_what_a_tool_costs_counts_for_the_budget(toy: Checkout, tool: Callable[[str], Path]) -> None:
    outside = tool(_RAISES)
    toy.evogit("run", "--agent", "script", "--run", "r", "--budget-usd", "0.6", expect=3)
    assert (outside / "count").read_text() == "x\n" * 3
    status = json.loads(toy.evogit("status", "--run", "r", "--json").stdout)
    assert status["spent"] == {"usd": 0.75, "calls": 3, "unknown": 0}


def test_what_was_paid_stays_known_when_candidates_are_dropped(toy: Checkout, tool: Callable[[str], Path]) -> None:
    cost = """echo '{{"type":"result","result":"Summary: Lower A","total_cost_usd":0.25}}'"""
    tool(f'echo x >> {{count}}; echo "A = -$(wc -l < {{count}}).5" >> knobs.py; {cost}')
    toy.evogit("run", "--agent", "script", "--evals", "4", "--run", "r")
    before = json.loads(toy.evogit("status", "--run", "r", "--json").stdout)
    assert before["spent"] == {"usd": 0.75, "calls": 3, "unknown": 0}
    toy.evogit("clean", "--run", "r", "--keep", "best", "--yes")
    after = json.loads(toy.evogit("status", "--run", "r", "--json").stdout)
    assert (after["spent"], after["dropped"]) == (before["spent"], 3)


def test_no_budget_holds_for_a_tool_that_says_nothing_of_cost(toy: Checkout, tool: Callable[[str], Path]) -> None:
    outside = tool("echo x >> {count}; echo A = 2.0 >> knobs.py")
    done = toy.evogit("run", "--agent", "script", "--run", "r", "--budget-usd", "9", expect=1)
    assert "sh does not say what its calls cost, so no budget can hold" in done.stderr
    assert (outside / "count").read_text() == "x\n"
    assert [record["outcome"] for record in _proposals(toy)] == ["useless"]


def test_an_agent_ends_when_it_is_told_while_its_tool_works(toy: Checkout, tool: Callable[[str], Path]) -> None:
    outside = tool("echo x >> {count}; sleep 100")
    toy.evogit("run", "--agent", "tuner", "--evals", "1", "--run", "r")
    agent = toy.start("agent", ".evogit/agents/script.toml", "--run", "r")
    for _ in range(600):
        if (outside / "count").exists():
            break
        time.sleep(0.1)
    agent.send_signal(signal.SIGINT)
    assert agent.communicate(timeout=60) is not None
    assert agent.returncode == 130
    assert _proposals(toy) == []


def test_somebody_elses_tool_runs_only_when_it_is_trusted(
    toy: Checkout, tool: Callable[[str], Path], new_checkout: Callable[..., Checkout]
) -> None:
    """To trust the evaluator of a run is not to trust the tools of its agents, which get keys and network."""
    # Never the same files twice, whatever a tuner finds.
    outside = tool(_RAISES + 'echo "# $(wc -l < {count})" >> knobs.py\n')
    definition = toy.path / ".evogit" / "agents" / "script.toml"
    definition.write_text(definition.read_text() + 'keys = ["A_KEY"]\nnetwork = true\n')
    toy.environment["A_KEY"] = "long-enough-to-be-one"
    toy.evogit("run", "--agent", "script", "--evals", "2", "--run", "r")
    other = new_checkout("other", commit=False)
    other.git("fetch", "-q", "--update-head-ok", str(toy.path), "refs/*:refs/*")
    other.environment = {**toy.environment}
    other.evogit("agent", "tuner", "--trust", "--evals", "1")
    said = other.evogit("agent", "script", "--evals", "1", expect=5).stderr
    assert "the agent definition 'script' came from elsewhere; it would run `sh -c" in said
    assert "with A_KEY of your environment, and network: look at it" in said
    assert (outside / "count").read_text() == "x\n"
    other.evogit("agent", "script", "--trust", "--evals", "1")
    assert (outside / "count").read_text() == "x\nx\n"
    other.evogit("agent", "script", "--evals", "1")


def test_check_says_what_is_there_and_starts_nothing(toy: Checkout, tool: Callable[[str], Path]) -> None:
    outside = tool("echo x >> {count}; sed -i 's/$/, world/' greeting.txt; echo 'Summary: Greet the world'")
    said = toy.evogit("agents", "check", "script").stdout
    assert said.splitlines()[0] == f"program  {shutil.which('sh')}"
    assert said.splitlines()[2:] == ["keys     none set", "model    some-model", "script can be used here"]
    assert not (outside / "count").exists()
    done = json.loads(toy.evogit("agents", "check", "script", "--try", "--json").stdout)
    assert (done["ok"], done["said"]["edit"], done["said"]["usd"]) == (True, "Greet the world", None)
    assert (outside / "count").read_text() == "x\n"
    tool("true")
    said = toy.evogit("agents", "check", "script", "--try", expect=1).stdout
    assert "script: no change: sh changed nothing that may be changed\n" in said
    assert "it asks no model and runs no tool" in toy.evogit("agents", "check", "tuner", "--try", expect=1).stdout


def test_a_tool_that_is_not_there_or_has_no_key_is_refused_before_anything_is_scored(toy: Checkout) -> None:
    folder = toy.path / ".evogit" / "agents"
    folder.mkdir(parents=True)
    (folder / "script.toml").write_text(_TOOL.format(script="true").replace('"sh"', '"no-such-tool"'))
    missing = "'no-such-tool' is not installed, or not on your PATH"
    assert f"script: {missing}\n" in toy.evogit("agents", "check", "script", expect=1).stdout
    done = toy.evogit("run", "--agent", "script", "--evals", "3", "--run", "r", expect=2)
    assert missing in done.stderr
    (folder / "script.toml").write_text(_TOOL.format(script="true") + 'keys = ["A_KEY", "B_KEY"]\n')
    said = toy.evogit("agents", "check", "script", expect=1).stdout
    assert "script: none of its keys is set: export A_KEY or B_KEY\n" in said
    shown = toy.evogit("agents", "show", "script").stdout
    assert "time_limit_s" in shown
    assert "time_limit_s" not in toy.evogit("agents", "show", "tuner").stdout


_REAL = ("aider", "claude", "codex", "gemini", "mini", "opencode", "qwen")
_TOOLS = os.environ.get("EVOGIT_TEST_TOOLS", "")


@pytest.mark.heavy
@pytest.mark.timeout(1100)
@pytest.mark.parametrize("name", _REAL)
def test_a_real_tool_makes_a_candidate(toy: Checkout, name: str) -> None:
    """The tool itself, with the definition that ships, talks to an endpoint of this test through the sandbox.

    EVOGIT_TEST_TOOLS names folders where it may be installed, beside those of PATH.
    """
    path = os.pathsep.join((_TOOLS, os.environ["PATH"]))
    if shutil.which(name, path=path) is None:
        pytest.skip(f"{name} is not installed")
    content = "A = 3.0\nB = 30\n\n\ndef value():\n    return -((A - 3.5) ** 2) - ((B - 40) / 10) ** 2\n"
    with endpoint("knobs.py", content) as served:
        toy.environment |= {"PATH": path, **served.environment("canary-of-a-key-0123456789"), "EVOGIT_SANDBOX": "auto"}
        toy.environment.pop("EVOGIT_I_TRUST_THIS_CODE")
        toy.evogit("run", "--agent", name, "--evals", "2", "--run", "r", timeout=1000)
        assert served.keys == {"canary-of-a-key-0123456789"}
        best = toy.evogit("best", "-q").stdout.strip()
        assert toy.git("diff", "--name-only", "main", best) == "knobs.py"
        assert toy.git("show", f"{best}:knobs.py") == content.strip()
        assert toy.git("log", "-1", "--format=%s", best) == SUMMARY.removeprefix("Summary: ")
        (made,) = _proposals(toy)
        if name != "mini":  # it says nothing of tokens
            assert (made["calls"][0]["tokens_in"], made["calls"][0]["tokens_out"]) in ((100, 20), (200, 40))
        everything = toy.git("cat-file", "--batch", "--batch-all-objects", "--unordered")
        assert "canary-of-a-key" not in everything
