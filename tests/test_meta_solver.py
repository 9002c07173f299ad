"""The example whose candidates ask a model themselves: who may ask, how often, and what becomes of the answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cage import why_not
from conftest import Checkout
from model_server import KEY, ModelServer, Say
from proofs import EXAMPLES, run_readme
from proposals import document

_NEXT_FIT = """def solve(sizes, capacity):
    bins, used, room = [], -1, 0
    for size in sizes:
        if size > room:
            used, room = used + 1, capacity
        room -= size
        bins.append(used)
    return bins
"""
_FIRST_FIT = """def solve(sizes, capacity, order=None):
    bins, rooms = [0] * len(sizes), []
    for item in order or range(len(sizes)):
        at = next((n for n, room in enumerate(rooms) if room >= sizes[item]), len(rooms))
        if at == len(rooms):
            rooms.append(capacity)
        rooms[at] -= sizes[item]
        bins[item] = at
    return bins
"""
_DECREASING = _FIRST_FIT.replace("range(len(sizes))", "sorted(range(len(sizes)), key=lambda item: -sizes[item])")
_TOO_FULL = "def solve(sizes, capacity):\n    return [0] * len(sizes)\n"


def _solver(prompt: str) -> str:
    """Return what a model of modest wit answers to a designer's prompt."""
    if "sort the items by size" in prompt:
        return _DECREASING
    return _FIRST_FIT if "every bin that is open" in prompt else _NEXT_FIT


_STEPS = ("Look at every bin that is open.", "First of all sort the items by size, the largest first.")
_END = "Give the function in one fence, with nothing but the standard library.\n"


class _Model:
    """Writes solvers as prompts say, and designers that prompt better each time they are asked for."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, number: int, messages: list[dict[str, Any]]) -> Say:
        said = messages[-1]["content"]
        if len(messages) == 1:
            self.prompts.append(said)
            return Say(f"Here you are.\n```python\n{_solver(said)}```\n")
        shown = messages[1]["content"]
        step = next((step for step in _STEPS if step not in shown[shown.rindex("# The files") :]), f"Hint {number}.")
        block = f"<<<<<<< SEARCH\n{_END}=======\n{step} # {number}\n{_END}>>>>>>> REPLACE\n"
        return Say(f"Subject: Say how\nThe model is told too little.\n\n### `designer.py`\n{block}")


@pytest.fixture
def meta(new_checkout: Callable[..., Checkout]) -> Checkout:
    """A repository of the example."""
    made = new_checkout("meta", commit=False)
    shutil.copytree(
        EXAMPLES / "meta_solver", made.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "model")
    )
    made.commit("A first designer")
    return made


def _asked(here: Checkout, server: ModelServer, *, key: str = KEY, calls: int = 500) -> dict[str, Any]:
    """Evaluate HEAD while the relay runs and return what came of it."""
    relay = [sys.executable, "relay.py", "--url", server.base, "--model", "solver", "--calls", str(calls)]
    done = subprocess.run(
        [*relay, *here.command("evaluate", "HEAD", "--json")], cwd=here.path,
        env={**here.environment, "OPENAI_API_KEY": key}, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert KEY not in done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def _with(here: Checkout, body: str) -> Checkout:
    """Commit another designer."""
    (here.path / "designer.py").write_text(f"from trying import complaint\n\n\ndef design(task):\n{body}")
    here.commit("Another designer")
    return here


def test_a_better_prompt_gets_a_better_solver(meta: Checkout) -> None:
    model = _Model()
    with ModelServer(model) as server:
        plain = _asked(meta, server)
        designer = meta.path / "designer.py"
        designer.write_text(designer.read_text().replace("Return a list", f"{_STEPS[1]} Return a list"))
        meta.commit("Sort")
        better = _asked(meta, server)
    assert plain["value"] > better["value"] > 0
    assert plain["metrics"] == {"calls": 1}
    assert [len(model.prompts), server.keys] == [2, [f"Bearer {KEY}"] * 2]
    held = [float(one["artifacts"]["held_back"]["text"].split()[0]) for one in (plain, better)]
    assert held[0] > held[1]


def test_a_designer_may_try_an_answer_and_ask_again(meta: Checkout) -> None:
    def script(number: int, _: list[dict[str, Any]]) -> Say:
        return Say(_TOO_FULL if number == 0 else _NEXT_FIT)

    again = "    first = yield 'Pack'\n    second = yield complaint(first, task)\n    return second\n"
    with ModelServer(script) as server:
        found = _asked(_with(meta, again), server)
    assert found["metrics"] == {"calls": 2}
    assert server.asked[1]["messages"] == [{"role": "user", "content": "bin 0 holds 200, and 150 fit in"}]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    for _ in range(4):\n        answer = yield 'Pack'\n    return answer\n", "asks more than 3 times"),
        (f"    yield 'Pack'\n    return {_FIRST_FIT!r}\n", "the model is to write it, not the designer"),
        ("    answer = yield 'x' * 5000\n    return answer\n", "a prompt has 5000 characters; 4000 are allowed"),
        ("    answer = yield 'Pack'\n    return answer[:30]\n", "trying:load: IndentationError"),
        ("    answer = yield 'Pack'\n    raise OSError('tired')\n", "OSError: tired"),
    ],
    ids=("too often", "its own", "too long", "broken", "raises"),
)
def test_a_designer_that_keeps_to_no_rule_has_failed(body: str, said: str, meta: Checkout) -> None:
    with ModelServer(lambda *_: Say(_NEXT_FIT)) as server:
        found = _asked(_with(meta, body), server)
    assert found["status"] == "failed", found
    assert said in found["feedback"]


@pytest.mark.heavy
def test_a_solver_that_packs_wrongly_has_failed_and_the_answer_is_shown(meta: Checkout) -> None:
    with ModelServer(lambda *_: Say(_TOO_FULL)) as server:
        found = _asked(_with(meta, "    answer = yield 'Pack'\n    return answer\n"), server)
    assert found["status"] == "failed"
    assert "packs wrongly: bin 0 holds" in found["feedback"]
    assert _TOO_FULL.strip() in found["feedback"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("key", "calls", "said"), [("sk-wrong", 500, "HTTP Error 401"), (KEY, 0, "the relay's --calls are used up")]
)
def test_a_model_that_does_not_answer_is_no_candidates_fault(key: str, calls: int, said: str, meta: Checkout) -> None:
    with ModelServer(_Model()) as server:
        found = _asked(meta, server, key=key, calls=calls)
    assert found["status"] == "error", found
    assert said in found["feedback"]


@pytest.mark.heavy
def test_without_a_relay_nothing_is_held_against_a_candidate(meta: Checkout) -> None:
    (meta.path / "model").mkdir()
    found = json.loads(meta.evogit("evaluate", "HEAD", "--json", expect=125).stdout)
    assert found["status"] == "error"
    assert "does relay.py run?" in found["feedback"]


_SNOOPS = """    import glob, os, socket
    found = [*glob.glob("model/*"), *glob.glob({work!r} + "/*"), *glob.glob("/tmp/**/socket", recursive=True)]
    found += [name for name in os.environ if "KEY" in name]
    try:
        socket.create_connection(("127.0.0.1", {port}), 2)
        found.append("the server")
    except OSError:
        pass
    raise RuntimeError(f"found {{found}}")
    yield
"""


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_in_a_sandbox_the_scorer_reaches_the_model_and_the_designer_does_not(meta: Checkout) -> None:
    confined = Checkout(meta.path, {**meta.environment, "EVOGIT_SANDBOX": "bwrap", "EVOGIT_I_TRUST_THIS_CODE": ""})
    with ModelServer(_Model()) as server:
        assert _asked(confined, server)["status"] == "ok"
        port = server.base.split(":")[2].removesuffix("/v1")
        found = _asked(_with(confined, _SNOOPS.format(work=str(meta.path), port=port)), server)
    assert found["status"] == "failed"
    assert "RuntimeError: found []" in found["feedback"]


@pytest.mark.heavy
@pytest.mark.timeout(1500)
def test_agents_improve_the_designer_as_the_readme_says(new_checkout: Callable[..., Checkout]) -> None:
    here = new_checkout("meta", commit=False)
    with ModelServer(_Model()) as server:
        keyed = {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": server.base, "MODEL": "scripted"}
        said = run_readme("meta_solver", here.path, {**here.environment, **keyed})
    status = document(here, "status")
    assert status["best_value"] < status["base_value"]
    assert "% over the bound" in said
    assert f"+{_STEPS[0]}" in said
    assert KEY not in said + here.git("cat-file", "--batch-all-objects", "--batch", "--buffer")
