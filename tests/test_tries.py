"""Tools that have their files scored while they work: what they are told, what is recorded, what they cannot do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cage import run_as_nobody
from conftest import Checkout
from fingerprint import fingerprint
from workshops import TOOL, Workshops, table

from evogit.model import Edit, RepoPath
from evogit.proposers.protocol import Answer
from evogit.sandbox import Cancelled, Launcher

_TOOL = """summary = "A shell script"
proposer = "command"
command = ["sh", "-c", '''{script}''']
prompt_by = "stdin"
model = "some-model"
selection = "greedy"
tries = {tries}
"""
_KINDS = ("none", "bwrap", "landlock")
_SET = "sed -i 's/^A = .*/A = {}/' knobs.py; "
_SAYS = """echo '{"type":"result","result":"Summary: In the end","total_cost_usd":0.25}'; """
Run = Callable[..., Answer]


@pytest.fixture
def run(toy: Checkout, tmp_path: Path) -> Iterator[Run]:
    """What runs a shell script as the tool on HEAD, whose tries `score` measures; returns the answer."""
    shops = Workshops(tmp_path / "shop" / "tool")

    def run(
        script: str, score: Callable[[Edit, Launcher], Mapping[str, object]], kind: str = "none",
        cancelled: Callable[[], bool] = lambda: False, **keys: object,
    ) -> Answer:  # fmt: skip
        tool = {"command": ["sh", "-c", script], "prompt_by": "stdin", "tries": 2}
        return shops.run(toy, table({**TOOL, **tool, **keys}), kind, score=score, cancelled=cancelled)

    yield run
    shops.close()


def _told(answer: Answer) -> list[dict[str, Any]]:
    """Return the JSON documents a tool left in `knobs.py`, behind a mark."""
    assert answer.edit is not None, answer.why
    text, found = (answer.edit.files[RepoPath("knobs.py")] or b"").decode().partition("#said\n")[2], []
    while text.strip():
        one, end = json.JSONDecoder().raw_decode(text.lstrip())
        found.append(one)
        text = text.lstrip()[end:]
    return found


@pytest.mark.parametrize("kind", _KINDS)
def test_a_tool_hears_what_its_files_score_as_often_as_it_may(run: Run, kind: str) -> None:
    """It asks three times and has two tries; each sees the files of its moment, and what it committed by then."""
    seen: list[Edit] = []

    def score(edit: Edit, _: Launcher) -> Mapping[str, object]:
        seen.append(edit)
        return {"score": len(seen) / 2, "feedback": 'a "word"\nand one more'}

    script = (
        _SET.format(2.0) + "evogit try > ../tmp/1 || exit 3; "
        + _SET.format(3.0) + "git commit -qam 'Raise A more'; evogit try > ../tmp/2 || exit 4; "
        "evogit try 2> ../tmp/why && exit 5; evogit run 2> ../tmp/usage; test $? = 2 || exit 6; "
        "{ echo '#said'; cat ../tmp/1 ../tmp/2; } >> knobs.py; cat ../tmp/why"
    )  # fmt: skip
    answer = run(script, score, kind)
    assert _told(answer) == [
        {"score": 0.5, "feedback": 'a "word"\nand one more', "tries_left": 1},
        {"score": 1.0, "feedback": 'a "word"\nand one more', "tries_left": 0},
    ]
    assert [(edit.files[RepoPath("knobs.py")] or b"")[:8] for edit in seen] == [b"A = 2.0\n", b"A = 3.0\n"]
    assert [edit.subject for edit in seen] == ["Change knobs.py (try 1)", "Raise A more"]


def test_what_cannot_become_a_candidate_is_a_try_with_a_reason(run: Run) -> None:
    script = (
        "evogit try > ../tmp/1; echo x > new; evogit try > ../tmp/2; { echo '#said'; cat ../tmp/[12]; } >> knobs.py"
    )
    first, second = _told(run(script, lambda _edit, _: pytest.fail("nothing to be measured")))
    assert (first["status"], first["score"], first["tries_left"]) == ("refused", None, 1)
    assert first["feedback"] == "no change: sh changed nothing that may be changed"
    assert "left out new" in second["feedback"]


@pytest.mark.heavy
@pytest.mark.parametrize("kind", _KINDS)
def test_the_evaluation_does_not_count_as_the_tools_time(run: Run, tmp_path: Path, kind: str) -> None:
    """It is longer than all the tool has; what the tool starts meanwhile stays, and is heard."""

    def score(_: Edit, launcher: Launcher) -> Mapping[str, object]:
        ended = time.monotonic() + 9
        while time.monotonic() < ended:
            launcher.stop_if_cancelled()
            time.sleep(0.1)
        return {"score": 1.0}

    # More than a pipe holds is said while nobody but the evaluation is waited for.
    chatty = "(sleep 1; yes | head -c 300000) & "
    answer = run(chatty + _SET.format(2.0) + "evogit try > ../tmp/1; wait", score, kind, time_limit_s=8)
    assert answer.edit is not None, answer.why


@pytest.mark.parametrize("kind", [pytest.param("none", marks=pytest.mark.heavy), "bwrap", "landlock"])
def test_a_tool_is_ended_while_it_is_measured_if_it_takes_too_much(run: Run, kind: str) -> None:
    """The evaluation goes on to its end: what it says is worth as much as before."""
    ended: list[bool] = []

    def score(_: Edit, launcher: Launcher) -> Mapping[str, object]:
        last = time.monotonic() + 20
        while time.monotonic() < last and not ended:
            launcher.stop_if_cancelled()
            ended.extend([True] if not _is_running(mark) else [])
            time.sleep(0.1)
        return {"score": 1.0}

    mark = f"evogit-test-{os.getpid()}-{kind}"
    hog = f"python3 -c 'import time; time.sleep(1); x = bytearray(300 << 20); time.sleep(90)' {mark}"
    answer = run(f"{hog} & {_SET.format(2.0)} evogit try; wait", score, kind, memory_mb=200)
    assert ended
    assert answer.why == "stopped: memory: its processes use more than 200 MB together"
    assert answer.calls[0].outcome == "stopped"


def _is_running(mark: str) -> bool:
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("kind", _KINDS)
def test_who_wants_to_stop_is_heard_while_a_try_is_measured(run: Run, kind: str) -> None:
    wanted: list[bool] = []

    def score(_: Edit, launcher: Launcher) -> Mapping[str, object]:
        wanted.append(True)
        launcher.stop_if_cancelled()
        return {}

    mark = f"evogit-test-{os.getpid()}-{kind}-stop"
    with pytest.raises(Cancelled):
        run(f"sh -c 'sleep 90; true' {mark} & {_SET.format(2.0)} evogit try", score, kind, lambda: bool(wanted))
    assert not _is_running(mark)


_HOSTILE = {
    "a pipe": "mkfifo $ASKED/1",
    "a link to the repository": "ln -s {repo} $ASKED/1",
    "a folder": "mkdir -p $ASKED/1/2/3",
    "all at once, and again": "for i in 1 2 3 4 5 6 7 8 9 -1 0 x; do echo x > $ASKED/$i; done; "
    "(while :; do rm -rf $ASKED/1; echo > $ASKED/1; done) & sleep 12",
    "files without end": "(while :; do i=$((i + 1)); : > lib$i; done) & : > $ASKED/1; sleep 12",
}


_SLOW = ("all at once, and again", "files without end")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.heavy) if name in _SLOW else name for name in _HOSTILE]
)
def test_no_question_hangs_the_agent_or_is_answered_more_often_than_allowed(
    run: Run, toy: Checkout, tmp_path: Path, name: str
) -> None:
    """What it makes in the place of a question is a question at most."""
    asked: list[Edit] = []
    before = toy.git("status", "--porcelain", "--ignored")

    def score(edit: Edit, _: Launcher) -> Mapping[str, object]:
        asked.append(edit)
        return {"score": 1.0}

    script = f"ASKED={tmp_path}/shop/tool/asked; " + _SET.format(2.0) + _HOSTILE[name].format(repo=toy.path)
    answer = run(
        f"{script}; n=0; while [ ! -e ../desk/1.json ] && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done", score
    )
    if name == "files without end" and answer.edit is None:
        assert "it left more than" in answer.why  # a quick machine makes more of them than are looked at
    else:
        assert answer.edit is not None, answer.why
        assert set(answer.edit.files) == {"knobs.py"}
        assert asked
    assert len(asked) <= 2
    assert toy.git("status", "--porcelain", "--ignored") == before


@pytest.mark.parametrize("kind", ["bwrap", "landlock"])
def test_a_tool_cannot_write_its_own_answer(run: Run, kind: str) -> None:
    script = "echo forged > ../desk/1.json; rm -f ../desk/evogit; echo '#'$(cd ../desk; echo *) >> knobs.py"
    edit = run(script, lambda _edit, _: {}, kind).edit
    assert edit is not None
    assert (edit.files[RepoPath("knobs.py")] or b"").endswith(b"#evogit\n")


@pytest.fixture
def tool(toy: Checkout, tmp_path: Path) -> Callable[..., Path]:
    """What makes a shell script the tool of the agent `script`; returns a folder outside that is filled in."""

    def make(script: str, tries: int = 3) -> Path:
        (toy.path / ".evogit" / "agents").mkdir(parents=True, exist_ok=True)
        text = _TOOL.format(script=script.replace("OUTSIDE", str(tmp_path)), tries=tries)
        (toy.path / ".evogit" / "agents" / "script.toml").write_text(text)
        return tmp_path

    return make


def _log(repo: Checkout) -> list[tuple[str, float | None]]:
    rows = json.loads(repo.evogit("log", "--all", "--json").stdout)["log"]
    return [(row["subject"], row["value"]) for row in reversed(rows)]


@pytest.mark.heavy
def test_tries_are_candidates_and_the_last_of_them_is_not_measured_again(
    toy: Checkout, tool: Callable[..., Path]
) -> None:
    """Each tree is measured once, whichever way it comes up again; the cost stands where the tool ended."""
    outside = tool(
        "cat > OUTSIDE/told; " + _SET.format(2.0) + "evogit try > OUTSIDE/1; evogit try > OUTSIDE/2; "
        + _SET.format(3.0) + 'git commit -qam "Raise A more"; evogit try > OUTSIDE/3; ' + _SAYS
    )  # fmt: skip
    bench = (toy.path / "bench.py").read_text()
    counts = f"open({str(outside / 'count')!r}, 'a').write('x')\n"
    (toy.path / "bench.py").write_text(bench.replace("with open", f"{counts}with open", 1))
    toy.commit("counts")
    toy.evogit("run", "--agent", "script", "--budget-usd", "0.2", "--run", "r", expect=3)
    assert _log(toy) == [("(the base)", -22.25), ("Change knobs.py (try 1)", -18.25), ("Raise A more", -16.25)]
    assert (outside / "count").read_text() == "xxx"
    first, again, last = (json.loads((outside / name).read_text()) for name in "123")
    assert first == {"status": "ok", "score": -18.25, "better": True, "metrics": {}, "instances": {}, "feedback": "",
                     "tries_left": 2}  # fmt: skip
    assert (again["score"], again["tries_left"], last["score"], last["tries_left"]) == (-18.25, 1, -16.25, 0)
    shown = json.loads(toy.evogit("show", "best", "--json").stdout)
    assert shown["subject"] == "Raise A more"
    assert [(call["model"], call["outcome"], call["usd"]) for call in shown["calls"]] == [("some-model", "ok", 0.25)]
    assert "Assisted-by: script:some-model" in toy.git("log", "-1", "--format=%(trailers:only)", shown["commit"])
    told = (outside / "told").read_text()
    assert "`evogit try` (where that is not found: `" in told
    assert "3 times at most" in told
    toy.evogit("plan", "--replay", shown["commit"])  # what it was told of its tries was no part of the plan


@pytest.mark.heavy
def test_tries_count_as_evaluations_and_the_last_of_those_is_for_what_is_left(
    toy: Checkout, tool: Callable[..., Path]
) -> None:
    """A tool that was refused, or failed after it tried, has not worked in vain: what it tried is there."""
    outside = tool(
        _SET.format(2.0) + "evogit try > OUTSIDE/1; " + _SET.format(2.5) + "evogit try > OUTSIDE/2; " + _SET.format(3.0)
    )
    toy.evogit("run", "--agent", "script", "--evals", "3", "--run", "r")
    assert [value for _, value in _log(toy)] == [-22.25, -18.25, -16.25]
    said = json.loads((outside / "2").read_text())
    assert (said["status"], said["score"]) == ("refused", None)
    assert said["feedback"] == "one evaluation is left, and that is for what is there in the end"


@pytest.mark.heavy
def test_a_tool_that_ends_badly_leaves_what_it_tried(toy: Checkout, tool: Callable[..., Path]) -> None:
    outside = tool('echo x >> OUTSIDE/count; echo "C = $(wc -l < OUTSIDE/count)" >> knobs.py; evogit try; exit 7', 1)
    toy.evogit("run", "--agent", "script", "--evals", "8", "--run", "r", expect=1)
    # Five runs of it that came to nothing would have ended the agent; so they do when it may try no more.
    assert [subject for subject, _ in _log(toy)][1:] == ["Change knobs.py (try 1)"] * 6
    assert len((outside / "count").read_text().split()) == 11


@pytest.mark.heavy
def test_a_tool_that_may_not_try_is_told_nothing_of_it(toy: Checkout, tool: Callable[..., Path]) -> None:
    outside = tool("cat > OUTSIDE/told; echo $PATH > OUTSIDE/path; " + _SET.format(2.0), tries=0)
    toy.evogit("run", "--agent", "script", "--evals", "2", "--run", "r")
    assert "try" not in (outside / "told").read_text().replace("Try something else", "")
    assert "desk" not in (outside / "path").read_text()


def test_a_person_has_their_work_tree_measured(toy: Checkout) -> None:
    """As it is, uncommitted; only what an agent may change counts, and nothing is recorded or touched."""
    toy.evogit("run", "-n", "1", "--evals", "1", "--run", "r")
    (toy.path / "knobs.py").write_text((toy.path / "knobs.py").read_text().replace("1.0", "3.0"))
    (toy.path / "bench.py").write_text("raise SystemExit(1)\n")  # that of the run judges
    before = fingerprint(toy.path, toy.environment)
    said = json.loads(toy.evogit("try", "--json").stdout)
    assert (said["status"], said["value"]) == ("ok", -16.25)
    assert fingerprint(toy.path, toy.environment) == before
    (toy.path / "knobs.py").write_text("A = 1\nraise SystemExit(3)\n")
    assert "work tree  failed" in toy.evogit("try", expect=1).stdout
    toy.git("config", "core.bare", "true")
    bare = Checkout(toy.path / ".git", toy.environment)
    why = "this repository has no work tree; `evogit evaluate REV` measures a commit"
    assert why in bare.evogit("try", expect=2).stderr


@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs these tests already")
def test_the_same_holds_for_an_ordinary_user() -> None:
    done = run_as_nobody(["test_tries.py"], "-k", "bwrap or landlock", "-m", "heavy or not heavy")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert " passed" in done.stdout
