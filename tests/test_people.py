"""People take part with plain git and a few commands: commits on a run's branches, verdicts, goals, pause and stop."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIG, Checkout

from evogit.errors import UsageError
from evogit.model import CommitId, RunName
from evogit.people import Person
from evogit.store import amendments, leaks, repository, task
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import State

_SCORE = 'sleep 0.1; read -r _ _ level < knob.txt; echo "{\\"score\\": $level}" > "$EVOGIT_RESULT"\n'
_TREE = "100644 blob {}\t{}\n"


@pytest.fixture
def slow(new_checkout: Callable[..., Checkout]) -> Checkout:
    """A repository whose evaluation takes a tenth of a second, so that agents do not flood the machine."""
    config = CONFIG.replace("python bench.py", "sh score.sh").replace("knobs.py", "*.txt").replace("evals = 20", "")
    return new_checkout("slow", {"score.sh": _SCORE, "knob.txt": "level = 3\n", "evogit.toml": config})


@pytest.fixture
def start(slow: Checkout) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start evogit in the background; what still runs at the end of the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        started.append(slow.start(*words))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that processes do in their own time."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"this never came to be: {what}")


def show(checkout: Checkout, revision: str) -> dict[str, Any]:
    """Return what `evogit show` says of a commit."""
    return dict(json.loads(checkout.evogit("show", checkout.git("rev-parse", revision), "--json").stdout))


def is_candidate(checkout: Checkout, commit: str) -> bool:
    """Return whether a commit has a proposal."""
    return show(checkout, commit)["proposal"] is not None


def status(checkout: Checkout) -> dict[str, Any]:
    """Return what `evogit status` says."""
    return dict(json.loads(checkout.evogit("status", "--json").stdout))


def begin_run(checkout: Checkout, evals: int = 1) -> str:
    """Make a run with a scored base, and return the base."""
    checkout.evogit("run", "-n", "1", "--evals", str(evals), "--run", "r")
    return checkout.git("rev-parse", "HEAD")


def commit_knob(checkout: Checkout, level: int, message: str) -> str:
    """Commit another level on the branch that is checked out."""
    (checkout.path / "knob.txt").write_text(f"level = {level}\n")
    return checkout.commit(message)


def commit_tree(checkout: Checkout, tree: str, parent: str, message: str = "by hand") -> str:
    """Write a commit with plumbing, as somebody with bad intentions would."""
    return checkout.git("commit-tree", tree, "-p", parent, "-m", message)


def blob(checkout: Checkout, content: str) -> str:
    """Write a blob."""
    return checkout.git("hash-object", "-w", "--stdin", stdin=content.encode())


def raw_tree(checkout: Checkout, mode: str, name: str, oid: str) -> str:
    """Write a tree that git itself would refuse to make."""
    data = f"{mode} {name}\0".encode() + bytes.fromhex(oid)
    return checkout.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=data)


def journals(checkout: Checkout) -> str:
    """Return all commits that the journals keep."""
    refs = checkout.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit/").split()
    return checkout.git("rev-list", *refs)


@pytest.mark.heavy
def test_running_agents_score_what_people_commit(slow: Checkout, start: Callable[..., subprocess.Popen[str]]) -> None:
    running = start("run", "-n", "2", "--run", "r", "--minutes", "3")
    until(lambda: slow.git("branch", "--list", "evogit/r/tuner-*"), "a branch of an agent")
    slow.git("checkout", "-q", "-b", "evogit/r/ada")
    first = commit_knob(slow, 1001, "A thousand and one")
    (slow.path / "extra.txt").write_text("1\n")
    second = slow.commit("A file that nobody reads")
    agent = slow.git("branch", "--list", "evogit/r/tuner-*", "--format=%(refname:short)").split()[0]
    slow.git("merge", "-q", "-X", "ours", "-m", "Take over what an agent found", agent)
    merge = slow.git("rev-parse", "HEAD")
    slow.git("checkout", "-q", "main")
    outside = commit_knob(slow, 5, "on main")
    for commit, operator in ((first, "human"), (second, "human"), (merge, "merge")):
        until(partial(is_candidate, slow, commit), f"{commit} is a candidate")
        found = show(slow, commit)
        assert (found["proposal"]["operator"], found["proposal"]["use"]) == (operator, "person")
        assert [score["status"] for score in found["scores"]] == ["ok"] * len(found["scores"])
    assert show(slow, first)["value"] == 1001
    slow.evogit("stop", "--run", "r")
    assert running.wait(60) == 0
    assert show(slow, outside)["proposal"] is None
    once, *same = (len(show(slow, commit)["scores"]) for commit in (first, second, merge))
    assert once == 1, "one of two agents scores it"
    assert set(same) <= {0, 1}, "and what has the files of another may have that one's score"
    assert sum(same) >= len({slow.git("rev-parse", f"{commit}^{{tree}}") for commit in (second, merge)})
    assert status(slow)["problems"] == {}
    # No agent takes a person's branch or candidate for its own.
    assert slow.git("rev-parse", "evogit/r/ada") == merge
    slow.git("fsck", "--strict")


@pytest.mark.heavy
def test_files_measured_before_are_not_measured_again(slow: Checkout) -> None:
    begin_run(slow)
    slow.git("branch", "evogit/r/ada")
    slow.git("checkout", "-q", "evogit/r/ada")
    empty = slow.git("commit", "--allow-empty", "-q", "-m", "Nothing new") or slow.git("rev-parse", "HEAD")
    slow.git("checkout", "-q", "main")
    slow.evogit("run", "-n", "1", "--evals", "12", "--run", "r")
    found = show(slow, empty)
    assert found["proposal"]["operator"] == "human"
    assert found["scores"] == []
    base = slow.git("rev-parse", "main")[:12]
    assert f"its files are those of {base}, which scored 3\n" in slow.evogit("show", empty).stdout


@pytest.mark.heavy
def test_a_candidate_that_a_person_amends_is_theirs(slow: Checkout) -> None:
    begin_run(slow, 8)
    best = slow.git("rev-parse", slow.evogit("best", "-q").stdout.strip())
    slow.git("checkout", "-q", "-b", "evogit/r/ada", best)
    (slow.path / "knob.txt").write_text("level = 77\n")
    slow.git("commit", "-q", "--amend", "-a", "--no-edit")  # author and trailers stay the agent's
    slow.git("checkout", "-q", "main")
    slow.evogit("run", "-n", "1", "--evals", "15", "--run", "r")
    assert show(slow, "evogit/r/ada")["value"] == 77
    assert show(slow, "evogit/r/ada")["proposal"]["use"] == "person"


@pytest.mark.heavy
def test_what_a_server_would_refuse_never_enters_a_journal(slow: Checkout) -> None:
    base = begin_run(slow)
    content = blob(slow, "x")
    inner = slow.git("mktree", stdin=_TREE.format(content, "config").encode())
    key = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(slow.path / "k")], check=False)
    secret = (slow.path / "k").read_text() if key.returncode == 0 else "ghp_" + "a1B2" * 9
    trees = {
        "dotgit": raw_tree(slow, "40000", ".git", inner),
        "dotdot": raw_tree(slow, "40000", "..", inner),
        "modules": slow.git(
            "mktree",
            stdin=_TREE.format(blob(slow, '[submodule "x"]\n\tpath = x\n\turl = -u./evil\n'), ".gitmodules").encode(),
        ),
        "secret": slow.git("mktree", stdin=_TREE.format(blob(slow, secret), "id").encode()),
        "huge": slow.git("mktree", stdin=_TREE.format(blob(slow, "0" * (33 << 20)), "id").encode()),
    }
    refused = {name: commit_tree(slow, tree, base) for name, tree in trees.items()}
    # A clean commit on top would bring the unsafe one along.
    refused["above"] = commit_tree(slow, slow.git("rev-parse", f"{base}^{{tree}}"), refused["dotgit"])
    refused["elsewhere"] = slow.git("commit-tree", inner, "-m", "no base")
    for name, commit in refused.items():
        slow.git("update-ref", f"refs/heads/evogit/r/{name}", commit)
    done = slow.evogit("run", "-n", "2", "--evals", "60", "--run", "r")
    assert "60 evaluations" in done.stdout or "61 evaluations" in done.stdout
    kept = journals(slow)
    for name, commit in refused.items():
        assert commit not in kept, name
    found = status(slow)
    assert found["waiting"] == []
    problems = found["problems"]
    said = {
        "dotgit": "'.git/config': it names a .git folder",
        "dotdot": "'../config': it has an empty or dot part '..'",
        "modules": "gitmodulesUrl: disallowed submodule url",
        "secret": "'id' looks as if it holds a",
        "huge": "'id' has 34603008 bytes; at most 33554432 are taken",
        "above": "hasDotgit: contains '.git'",
    }
    for name, words in said.items():
        assert words in problems[refused[name]], name
        assert problems[refused[name]].endswith("amend it (git commit --amend), or drop it")
    assert "do not descend from the base" in problems["refs/heads/evogit/r/elsewhere"]
    assert subprocess.run(["git", "init", "-q", "--bare", "hub"], cwd=slow.path, env=slow.environment).returncode == 0
    slow.git("-C", "hub", "config", "receive.fsckObjects", "true")
    slow.git("push", "-q", "hub", "refs/notes/evogit/*:refs/notes/evogit/*")


def test_secrets_are_told_from_what_looks_like_them() -> None:
    assert leaks.found(b'key = "AKIAIOSFODNN7EXAMPLE"') is None
    assert leaks.found(b'key = "AKIA' + b"Q7ZT" * 4 + b'"') == "an AWS access key"
    assert leaks.found(b"-----BEGIN RSA PRIVATE KEY-----\n") is None  # a program that looks for keys names this, too
    assert leaks.found(b"-----BEGIN RSA PRIVATE KEY-----\n" + b"Ab3/" * 16 + b"\n") == "a private key"
    assert leaks.found(b"ghp_" + b"a1B2" * 9, b"known before: ghp_" + b"a1B2" * 9) is None


def test_verdicts_are_records_of_the_person(slow: Checkout) -> None:
    begin_run(slow, 6)
    best = slow.evogit("best", "-q").stdout.strip()
    before = slow.git("for-each-ref")
    slow.evogit("verdict", "best", "prune", "--dry-run")
    assert slow.git("for-each-ref") == before
    slow.evogit("verdict", "best", "promote", "worth\nlooking\x1b[2J at")
    slow.evogit("verdict", best[:10], "comment", "a second thought")
    repo = open_repository(slow.path)
    chosen = task.read(repo, RunName("r"))
    snapshot = Snapshot(repo, chosen.run, chosen.definition.evaluator, chosen.definition.config.direction)
    snapshot.refresh()
    found = snapshot.candidates[CommitId(best)]
    assert (found.is_promoted, found.is_pruned) == (True, False)
    assert [verdict.text for verdict in found.verdicts] == ["worth\nlooking[2J at", "a second thought"]
    said = json.loads(slow.evogit("verdict", "best", "prune", "--json").stdout)
    snapshot.refresh()
    assert (found.is_promoted, found.is_pruned) == (False, True)
    assert said["agent"].startswith("u-ada-")
    assert found.verdicts[-1].agent == said["agent"]
    assert [row["verdict"] for row in show(slow, best)["verdicts"]] == ["promote", "comment", "prune"]
    assert f"by {said['agent']}: worth\n  | looking[2J at\n" in slow.evogit("show", best).stdout
    assert snapshot.problems == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing", "prune"], "'nothing' is no commit here"),
        (["best", "comment"], "a comment needs its TEXT"),
        (["best", "comment", " \n"], "a comment needs its TEXT"),
        (["best", "promote", "x" * 4097], "the text has 4097 characters; at most 4096 are kept"),
        (["best", "promote", "ghp_" + "a1B2" * 9], "the text looks as if it holds a GitHub token"),
        (["base", "prune"], "is the base: all candidates come of it"),
        (["main~1", "comment", "x"], "is no candidate of run r and does not come of its base"),
        (["best", "praise"], "'praise' is not one of"),
    ],
)
def test_verdicts_that_cannot_be(words: list[str], said: str, slow: Checkout) -> None:
    commit_knob(slow, 4, "second")
    begin_run(slow)
    before = slow.git("for-each-ref")
    done = slow.evogit("verdict", *words, expect=2)
    assert said in done.stderr
    assert slow.git("for-each-ref") == before


@pytest.mark.heavy
def test_a_person_writes_in_many_terminals_at_once(slow: Checkout) -> None:
    begin_run(slow)
    writers = [slow.start("verdict", "base", "comment", f"word {number}") for number in range(6)]
    assert [writer.wait(120) for writer in writers] == [0] * 6
    for writer in writers:
        writer.communicate()
    verdicts = show(slow, "main")["verdicts"]
    assert sorted(verdict["text"] for verdict in verdicts) == [f"word {number}" for number in range(6)]
    assert len({verdict["agent"] for verdict in verdicts}) == 1
    assert len({verdict["seq"] for verdict in verdicts}) == 6


def test_names_of_people_are_safe_names() -> None:
    def slug(name: str, email: str = "mail@example.invalid") -> str:
        return Person(name=name, email=email, host="h", session="s", now=None, sleep=None).slug  # type: ignore[arg-type]

    assert slug("Ada Lovelace") == "ada-lovelace"
    assert slug("Émile  Zola ☕") == "emile-zola"
    assert slug("../../x; rm -rf") == "x-rm-rf"
    assert slug("王小明") == "mail"
    assert slug("王小明", "@") == "person"
    assert len(slug("x" * 100)) == 30


def test_no_definition_of_agents_can_write_a_persons_journal(slow: Checkout) -> None:
    for name in ("u-ada", "u", "person"):
        (slow.path / "evogit.toml").write_text(CONFIG.replace('use = "tuner"', f'use = "{name}"'))
        assert f"agents[0].use is {name!r}" in slow.evogit("run", expect=2).stderr.replace('"', "'")


@pytest.mark.heavy
def test_a_goal_is_amended_while_agents_work(slow: Checkout, start: Callable[..., subprocess.Popen[str]]) -> None:
    running = start("run", "-n", "1", "--run", "r", "--minutes", "3")
    until(lambda: slow.git("branch", "--list", "evogit/r/*"), "a branch of an agent")
    first = slow.git("rev-parse", "refs/evogit/r/task")
    started = json.loads(slow.evogit("runs", "--json").stdout)["runs"][0]["started"]
    assert slow.evogit("goal", "--run", "r").stdout == "Raise the value\n"
    slow.evogit("goal", "edit", "Raise it\nmore", "--dry-run")
    assert slow.git("rev-parse", "refs/evogit/r/task") == first
    slow.evogit("goal", "edit", "Raise it\nmore")
    assert slow.evogit("goal", "edit", "Raise it\nmore").stdout == "that is the goal of run r already\n"
    assert slow.git("rev-parse", "refs/evogit/r/task^1") == first
    assert slow.git("diff", "--name-only", first, "refs/evogit/r/task") == "task.json"
    assert slow.git("log", "-1", "--format=%an %cn: %s", "refs/evogit/r/task") == (
        "Ada Ada: evogit: another goal for run r"
    )
    (slow.path / "goal.md").write_text("From a file\n")
    slow.evogit("goal", "edit", "-F", "goal.md")
    assert json.loads(slow.evogit("goal", "--json").stdout) == {
        "schema": 1,
        "run": "r",
        "goal": "From a file",
        "frozen_goal": "Raise the value",
    }
    assert status(slow)["goal"] == "From a file"
    assert json.loads(slow.evogit("runs", "--json").stdout)["runs"][0]["started"] == started
    assert running.poll() is None
    slow.evogit("stop")
    assert running.wait(60) == 0
    slow.evogit("resume")
    # The frozen definition is what makes it one run: it goes on without being named.
    assert slow.evogit("run", "-n", "1", "--evals", "1").stdout.startswith("run r: ")
    for words in (["goal", "edit"], ["goal", "edit", " "], ["goal", "show", "x"], ["goal", "edit", "x" * 20_001]):
        slow.evogit(*words, expect=2)


@pytest.mark.heavy
def test_stop_ends_the_agents_of_all_launchers(slow: Checkout, start: Callable[..., subprocess.Popen[str]]) -> None:
    begin_run(slow)
    launchers = [start("run", "-n", "1", "--run", "r", "--minutes", "3") for _ in range(2)]
    launchers.append(start("agent", "tuner", "--run", "r", "--minutes", "3"))
    until(lambda: sum(row["alive"] for row in status(slow)["agents"]) == 3, "three agents live")
    assert slow.evogit("stop", "--run", "r").stdout == "run r is stopped; evogit resume --run r lets it go on\n"
    for launcher in launchers:
        assert launcher.wait(60) == 0
        assert "the run was stopped (evogit resume --run r goes on)" in launcher.communicate()[1]
    tip = slow.git("rev-parse", "refs/evogit/r/task")
    assert slow.evogit("stop").stdout == "run r is stopped already\n"
    assert slow.evogit("pause").stdout == "run r is stopped, so nothing is left to pause\n"
    assert slow.git("rev-parse", "refs/evogit/r/task") == tip
    for words in (["run"], ["run", "--run", "r"], ["agent", "tuner"]):
        assert "let it go on with `evogit resume --run r`" in slow.evogit(*words, expect=2).stderr
    assert slow.evogit("resume").stdout == "run r may go on: evogit run --run r\n"
    assert slow.evogit("resume").stdout == "run r is running already\n"
    slow.evogit("run", "--run", "r", "-n", "1", "--evals", "1")


@pytest.mark.heavy
def test_a_paused_run_waits_and_goes_on(slow: Checkout, start: Callable[..., subprocess.Popen[str]]) -> None:
    begin_run(slow)
    assert slow.evogit("pause").stdout == "run r is paused; evogit resume --run r lets it go on\n"
    assert slow.evogit("pause").stdout == "run r is paused already\n"
    done = status(slow)["evaluations"]
    running = start("run", "-n", "2", "--run", "r", "--minutes", "3")
    until(lambda: sum(row["alive"] for row in status(slow)["agents"]) >= 1, "an agent lives")
    time.sleep(1)
    assert status(slow)["evaluations"] == done
    assert status(slow)["state"] == "paused"
    slow.evogit("resume")
    until(lambda: status(slow)["evaluations"] > done, "the agents go on")
    slow.evogit("pause")
    running.terminate()  # a pause keeps nobody from ending them
    assert running.wait(60) == 143
    said = running.communicate()[1]
    assert "run r is paused; evogit resume --run r lets it go on\n" in said
    assert "run r goes on\n" in said
    assert slow.evogit("run", "--run", "r", "-n", "1", "--minutes", "0.02").returncode == 0  # nor a limit of time


@pytest.mark.heavy
def test_people_who_amend_at_once_all_land(slow: Checkout) -> None:
    begin_run(slow)
    first = slow.git("rev-parse", "refs/evogit/r/task")
    people = [slow.start("goal", "edit", f"goal {number}") for number in range(5)]
    people.append(slow.start("pause"))
    assert [person.wait(120) for person in people] == [0] * 6
    for person in people:
        person.communicate()
    assert slow.git("rev-list", "--first-parent", "--count", f"{first}..refs/evogit/r/task") == "6"
    assert status(slow)["state"] == "paused"  # no amendment undoes another one's
    assert slow.evogit("goal").stdout.startswith("goal ")


def amended_by_hand(checkout: Checkout, content: str) -> None:
    """Put a task commit on top that says `content`."""
    old = checkout.git("rev-parse", "refs/evogit/r/task")
    entries = checkout.git("ls-tree", old).splitlines()
    kept = [line for line in entries if not line.endswith("\ttask.json")]
    lines = [*kept, f"100644 blob {blob(checkout, content)}\ttask.json"]
    tree = checkout.git("mktree", stdin="".join(f"{line}\n" for line in lines).encode())
    checkout.git("update-ref", "refs/evogit/r/task", commit_tree(checkout, tree, old), old)


@pytest.mark.heavy
def test_a_damaged_amendment_stops_nobody(slow: Checkout, start: Callable[..., subprocess.Popen[str]]) -> None:
    begin_run(slow)
    slow.evogit("goal", "edit", "the last good one")
    agent = start("agent", "tuner", "--run", "r", "--evals", "25")
    until(lambda: any(row["alive"] for row in status(slow)["agents"]), "an agent lives")
    amended_by_hand(slow, '{"v":1,"run":"r"')
    assert agent.wait(60) == 0
    assert "25 evaluations are done" in agent.communicate()[1]
    assert "the task of run r is damaged" in status(slow)["problems"]["task"]
    assert slow.evogit("goal").stdout == "the last good one\n"
    slow.evogit("pause")  # an amendment on top mends it
    assert status(slow)["problems"] == {}
    assert (status(slow)["goal"], status(slow)["state"]) == ("the last good one", "paused")


def test_a_newer_evogits_amendment_is_left_to_it(slow: Checkout) -> None:
    begin_run(slow)
    amended_by_hand(slow, '{"v":2,"run":"r","state":"resting"}\n')
    tip = slow.git("rev-parse", "refs/evogit/r/task")
    assert slow.evogit("goal").stdout == "Raise the value\n"
    assert "is of version 2; this evogit reads version 1; update evogit" in slow.evogit("stop", expect=2).stderr
    assert slow.git("rev-parse", "refs/evogit/r/task") == tip


def test_agents_keep_the_definition_they_began_with(slow: Checkout, tmp_path: Path) -> None:
    begin_run(slow)
    repo = open_repository(slow.path)
    known = task.read(repo, RunName("r"))
    assert amendments.follow(repo, known) is known
    described = json.loads(slow.git("show", "refs/evogit/r/task:task.json"))
    amended_by_hand(slow, json.dumps({**described, "editable": ["*"], "state": "stopped"}))
    heard = amendments.follow(repo, known)
    assert (heard.definition, heard.state) == (known.definition, State.RUNNING)
    assert "the definition of run r was changed" in heard.problem
    slow.git("update-ref", "refs/evogit/r/task", known.tip)
    signature = repository.signature("Bob", "bob@example.invalid", datetime.now(UTC))
    amendments.amend(repo, known.run, signature, message="x\n", state=State.STOPPED)
    heard = amendments.follow(repo, heard)
    assert (heard.state, heard.problem) == (State.STOPPED, "")
    slow.git("update-ref", "refs/evogit/r/task", known.tip)  # what another clone said instead is put in its place
    amendments.amend(repo, known.run, signature, message="x\n", state=State.PAUSED)
    heard = amendments.follow(repo, heard)
    assert (heard.state, heard.problem) == (State.PAUSED, "")
    slow.git("update-ref", "-d", "refs/evogit/r/task")
    assert amendments.follow(repo, heard).problem == "refs/evogit/r/task was deleted"
    with pytest.raises(UsageError, match="there is no run 'r'"):
        task.read(repo, RunName("r"))


@pytest.mark.heavy
def test_what_waits_when_an_agent_starts_is_scored_first(slow: Checkout) -> None:
    begin_run(slow)
    slow.git("checkout", "-q", "-b", "evogit/r/ada")
    for level in (50, 51):
        commit_knob(slow, level, f"level {level}")
    slow.git("checkout", "-q", "main")
    assert status(slow)["waiting"] == slow.git("rev-list", "--reverse", "main..evogit/r/ada").split()
    assert "waiting  " in slow.evogit("status").stdout
    slow.evogit("run", "-n", "1", "--evals", "2", "--run", "r")
    assert [show(slow, revision)["value"] for revision in ("evogit/r/ada~1", "evogit/r/ada")] == [50, 51]
    assert status(slow)["waiting"] == []


@pytest.mark.heavy
def test_a_branch_that_leads_past_the_base(slow: Checkout) -> None:
    """Of a branch that began before the base only what came after a merge with it can be compared."""
    slow.git("branch", "evogit/r/old")
    commit_knob(slow, 4, "The base")
    base = begin_run(slow)
    slow.git("checkout", "-q", "evogit/r/old")
    (slow.path / "old.txt").write_text("1\n")
    before = slow.commit("Before")
    slow.git("merge", "-q", "-m", "Come along", base)
    merge = slow.git("rev-parse", "HEAD")
    (slow.path / "old.txt").write_text("2\n")
    after = slow.commit("After")
    slow.git("checkout", "-q", "main")
    slow.evogit("run", "-n", "1", "--evals", "4", "--run", "r")
    assert [show(slow, commit)["value"] for commit in (before, merge, after)] == [None, 4, 4]
    assert [show(slow, commit)["proposal"] is None for commit in (before, merge, after)] == [True, False, False]
    assert status(slow)["problems"] == {}


def test_a_lock_that_a_killed_command_left_is_removed(slow: Checkout) -> None:
    begin_run(slow)
    lock = slow.path / ".git" / "refs" / "evogit" / "r" / "task.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    assert slow.evogit("pause").stdout.startswith("run r is paused;")


@pytest.mark.heavy
def test_an_evaluator_that_breaks_on_a_persons_commit_is_tried_again(slow: Checkout) -> None:
    (slow.path / "score.sh").write_text("grep -qx 'level = 987654' knob.txt && exit 125\n" + _SCORE)
    slow.commit("An evaluator that cannot test one level")
    slow.evogit("run", "--new", "--run", "s", "-n", "1", "--evals", "1")
    slow.git("checkout", "-q", "-b", "evogit/s/ada")
    head = commit_knob(slow, 987_654, "A level no agent tries")
    slow.git("checkout", "-q", "main")
    slow.evogit("run", "-n", "1", "--evals", "60", "--run", "s")
    found = show(slow, head)
    assert found["proposal"]["use"] == "person"
    assert [score["status"] for score in found["scores"]] == ["error"] * 3  # and the agent goes on all the same
    assert status(slow)["waiting"] == []


@pytest.mark.heavy
def test_run_on_a_branch_of_a_run_goes_on_with_it(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "5", "--run", "r", "--seed", "3")
    toy.git("switch", "-q", "-c", "evogit/r/ada", toy.evogit("best", "-q").stdout.strip())
    toy.git("commit", "-q", "--allow-empty", "-m", "think")
    assert "going on with run r" in toy.evogit("run", "-n", "1", "--evals", "3").stderr
    assert "going on with run r" in toy.evogit("run", "-n", "1", "--evals", "3", "--run", "r").stderr
    toy.git("switch", "-q", "--detach", "evogit/r/ada")
    assert "another definition (base)" in toy.evogit("run", "--evals", "3", "--run", "r", expect=2).stderr


@pytest.mark.heavy
def test_a_commit_below_one_that_is_known_is_found(slow: Checkout) -> None:
    """A hook scores the newest commit only; the older ones of the branch wait for an agent."""
    begin_run(slow)
    slow.git("switch", "-q", "-c", "evogit/r/ada")
    older = commit_knob(slow, 40, "Forty")
    newest = commit_knob(slow, 41, "Forty-one")
    slow.git("switch", "-q", "main")
    slow.evogit("hook", "score", "r", newest)
    assert status(slow)["waiting"] == [older]
    slow.evogit("agent", "tuner", "--run", "r", "--evals", "3")
    assert show(slow, older)["value"] == 40
    assert show(slow, newest)["value"] == 41
