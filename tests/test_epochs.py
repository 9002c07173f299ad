"""Another evaluator within a run: agents turn to it, measure the best of before again, and never mix the two."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clones
import evidence
import pytest
from clones import World
from conftest import CONFIG, Checkout
from family import Family

from evogit.errors import UsageError
from evogit.model import CommitId, RunName
from evogit.phylogeny import Phylogeny, to_measure_again
from evogit.store import amendments, epochs, freeze, repository, task
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

RUN = RunName("r")
SCORE = 'sleep 0.05; read -r _ _ level < knob.txt; echo "{\\"score\\": $level}" > "$EVOGIT_RESULT"\n'
_NEGATIVE = "case $level in -*) level=${level#-};; *) level=-$level;; esac"
TURNED = SCORE.replace("; echo", f"; {_NEGATIVE}; echo")


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test(tmp_path: Path, world: dict[str, str]) -> Iterator[None]:
    yield
    evidence.kill_all([tmp_path, Path(world["HOME"])])


@pytest.fixture
def repo(new_checkout: Callable[..., Checkout]) -> Checkout:
    """A repository whose score is a number in a file; `turn` makes it the negative of that."""
    config = CONFIG.replace("python bench.py", "sh score.sh").replace("knobs.py", "*.txt").replace("evals = 20", "")
    return new_checkout("repo", {"score.sh": SCORE, "knob.txt": "level = 3\n", "evogit.toml": config})


def turn(checkout: Checkout, script: str = TURNED, run: str = "r") -> None:
    """Let another script judge from now on."""
    (checkout.path / "score.sh").write_text(script)
    checkout.evogit("evaluator", "update", "--run", run)


def document(checkout: Checkout, *words: str) -> dict[str, Any]:
    """Return what a command prints as JSON."""
    return dict(json.loads(checkout.evogit(*words, "--json").stdout))


def scores(checkout: Checkout) -> list[dict[str, Any]]:
    """Return all scores in the order they were given, each with its commit and the level it measured."""
    found = [record for record in evidence.records(checkout, "r") if record["kind"] == "score"]
    files = evidence.blobs(checkout, [f"{record['commit']}:knob.txt" for record in found])
    for record, content in zip(found, files, strict=True):
        record["level"] = float(content.split()[-1])
    return sorted(found, key=lambda record: (record["at"], record["seq"]))


def by_epoch(checkout: Checkout) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the scores of epoch 1 and of epoch 2."""
    first, second = (epoch["evaluator"] for epoch in document(checkout, "evaluator")["epochs"])
    found = scores(checkout)
    assert {record["evaluator"] for record in found} <= {first, second}
    return tuple([r for r in found if r["evaluator"] == one] for one in (first, second))  # type: ignore[return-value]


def check_order(checkout: Checkout) -> None:
    """Check that no score has the wrong evaluator, and what came first in epoch 2."""
    before, after = by_epoch(checkout)
    assert all(record["value"] == record["level"] for record in before)
    assert all(record["value"] == -record["level"] for record in after)
    old = {record["commit"] for record in before}
    assert after[0]["commit"] == checkout.git("rev-parse", "main")
    again = [record["commit"] for record in after if record["commit"] in old]
    new = [record for record in after if record["commit"] not in old]
    # Before anything new; but for what an agent still had in hand when the other one looked and passed it over.
    late = len(again) - sum(record["commit"] in old for record in after[: len(again)])
    assert late <= 2
    assert {record["commit"] for record in after[: len(again) - 2]} <= old
    assert new
    known = {record["commit"]: record["at"] for record in after[::-1]}
    for record in new:  # built on nothing that epoch 2 has not scored
        for parent in checkout.git("log", "-1", "--format=%P", record["commit"]).split():
            assert known[parent] < record["at"]


def best_of(checkout: Checkout, found: list[dict[str, Any]], count: int) -> list[str]:
    """Return the trees of the best scores, the base's left out."""
    base = checkout.git("rev-parse", "main^{tree}")
    ranked = sorted((-record["value"], record["commit"], record["tree"]) for record in found)
    return list(dict.fromkeys(tree for _, _, tree in ranked if tree != base))[:count]


@pytest.mark.heavy
def test_agents_at_work_turn_to_another_evaluator(repo: Checkout) -> None:
    launcher = repo.start("run", "-n", "2", "--run", "r", "--evals", "100000")
    evidence.wait_for(lambda: len(evidence.journals(repo, "r")) == 2, "two agents")
    evidence.wait_for(lambda: evidence.scores(repo, "r") > 20, "twenty scores")
    chosen = task.read(open_repository(repo.path), RUN)
    following = Snapshot(
        open_repository(repo.path), RUN, chosen.definition.evaluator, chosen.definition.config.direction
    )
    following.refresh()
    turn(repo)
    now = document(repo, "evaluator")["evaluator"]
    evidence.wait_for(
        lambda: sum(r.get("evaluator") == now for r in evidence.records(repo, "r")) > 25, "scores of the new epoch"
    )
    launcher.send_signal(signal.SIGINT)
    _, said = launcher.communicate(timeout=120)
    assert f"run r is in epoch 2, measured by evaluator {now[:12]}" in said
    check_order(repo)
    before, after = by_epoch(repo)
    measured = {record["tree"] for record in after}
    # What an agent still had in hand when the other one looked is chosen by the first agent that knows of it.
    assert len(measured & set(best_of(repo, before, 10))) >= 8
    shown = document(repo, "status")
    assert (shown["epoch"], shown["scores_not_compared"]) == (2, len(before))
    assert shown["to_measure_again"] == []
    assert shown["best_value"] == max(record["value"] for record in after)
    assert "scores of epoch 1 are not compared" in repo.evogit("status").stdout
    log = repo.evogit("log", "--all").stdout.splitlines()
    assert sum(line.endswith("(epoch 1)") for line in log) == len(before)
    best = [agent["best_value"] for agent in shown["agents"]]
    assert max(value for value in best if value is not None) == shown["best_value"]
    assert evidence.fsck(repo) == []
    following.refresh()
    following.judge_by(now)
    _is_like_a_fresh_one(repo, following)


def _is_like_a_fresh_one(checkout: Checkout, following: Snapshot) -> None:
    opened = open_repository(checkout.path)
    chosen = task.read(opened, RUN)
    fresh = Snapshot(opened, RUN, chosen.definition.evaluator, chosen.definition.config.direction)
    fresh.refresh()
    graphs = []
    for snapshot in (following, fresh):
        graph = Phylogeny(opened, snapshot, chosen.definition.base)
        graph.refresh()
        graphs.append(
            (
                graph.field.ids, graph.field.leaders, graph.gains.ids, {c: graph.value(c) for c in graph.ancestry},
                graph.best(),
            )
        )  # fmt: skip
    assert graphs[0] == graphs[1]
    assert (following.leaders(), following.evaluations) == (fresh.leaders(), fresh.evaluations)


@pytest.mark.heavy
def test_what_a_killed_agent_claimed_is_measured_by_another(repo: Checkout) -> None:
    toml = repo.path / "evogit.toml"
    toml.write_text(toml.read_text().replace("timeout_s = 20", "timeout_s = 90000"))  # a claim outlasts the test
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "14")
    turn(repo, TURNED.replace("sleep 0.05", f"sleep 0.05; while [ -e {repo.path}.shut ]; do sleep 0.02; done"))
    shut = Path(f"{repo.path}.shut")
    base = repo.git("rev-parse", "main")
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "1")
    shut.touch()
    agents = [repo.start("agent", "tuner", "--run", "r") for _ in range(2)]
    now = document(repo, "evaluator")["evaluator"]

    def claims() -> int:
        found = evidence.records(repo, "r")
        return sum(r["kind"] == "lease" and r["commit"] != base for r in found)

    evidence.wait_for(lambda: claims() >= 2, "two claims")
    for agent in agents:
        agent.kill()
        agent.communicate()
    shut.unlink()
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "25")
    check_order(repo)
    before, after = by_epoch(repo)
    assert set(best_of(repo, before, 10)) <= {record["tree"] for record in after if record["evaluator"] == now}
    assert len({record["commit"] for record in after}) == len(after)  # nothing twice


@pytest.mark.heavy
def test_an_evaluator_that_is_gone_back_to_has_its_scores_again(repo: Checkout) -> None:
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "8")
    first = document(repo, "best")
    turn(repo)
    assert "measures the best of before again first" in repo.evogit("best", expect=2).stderr
    assert "  -" in repo.evogit("show", first["commit"]).stdout.splitlines()[2]
    assert "of epoch 1, not comparable" in repo.evogit("show", first["commit"]).stdout
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "14")
    assert document(repo, "best")["value"] == 3 or document(repo, "best")["commit"] != first["commit"]
    done = evidence.scores(repo, "r")
    (repo.path / "score.sh").write_text(SCORE)
    said = repo.evogit("evaluator", "update").stdout
    assert "run r is now in epoch 3" in said
    assert "scores   of epoch 1 count again" in said
    assert document(repo, "best") == first  # at once
    assert evidence.scores(repo, "r") == done
    rows = document(repo, "evaluator")["epochs"]
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert rows[0]["evaluator"] == rows[2]["evaluator"] != rows[1]["evaluator"]
    waiting = document(repo, "status")["to_measure_again"]
    assert 0 < len(waiting) <= 10  # what epoch 2 found, and nothing of epoch 1
    known = {record["commit"] for record in scores(repo) if record["evaluator"] == rows[0]["evaluator"]}
    assert not known & set(waiting)


@pytest.mark.heavy
def test_plans_of_an_earlier_epoch_can_be_made_again(repo: Checkout) -> None:
    repo.evogit("run", "-n", "2", "--run", "r", "--evals", "16")
    best = document(repo, "best")["commit"]
    turn(repo)
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "13")
    assert document(repo, "plan", "--replay", best)["same"] is True
    newest = document(repo, "log", "-n", "1")["log"][0]["commit"]
    assert document(repo, "plan", "--replay", newest)["same"] is True


@pytest.mark.heavy
def test_measuring_again_is_no_stagnation_and_counts_as_evaluations(repo: Checkout) -> None:
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "14")
    turn(repo, 'echo "{\\"score\\": 1}" > "$EVOGIT_RESULT"\n')
    said = repo.evogit("agent", "tuner", "--run", "r", "--stagnation", "4", "--target", "2", "--evals", "300").stderr
    assert "stopped: no better candidate in 4 evaluations" in said
    assert evidence.scores(repo, "r") == 14 + 1 + 10 + 4


@pytest.mark.heavy
def test_a_base_that_the_new_evaluator_fails_stops_nobody(repo: Checkout) -> None:
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "12")
    turn(repo, "grep -qx 'level = 3' knob.txt && exit 1\n" + SCORE)
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "14")
    shown = document(repo, "status")
    assert shown["base_value"] is None
    assert shown["best_value"] > 3


@pytest.mark.heavy
def test_run_says_how_to_open_an_epoch(repo: Checkout) -> None:
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "3")
    tip = repo.git("rev-parse", "refs/evogit/r/task")
    (repo.path / "score.sh").write_text(TURNED)
    (repo.path / "evogit.toml").write_text((repo.path / "evogit.toml").read_text().replace("sh score", "sh  score"))
    said = repo.evogit("run", "--run", "r", expect=2).stderr
    assert said == (
        "evogit: the evaluator of run 'r' is another than that of this work tree (evaluator.command, score.sh): "
        "`evogit evaluator update --run r` opens an epoch with this one, --new begins another run\n"
    )
    repo.commit("another evaluator")
    assert repo.evogit("run", "--run", "r", expect=2).stderr == said
    users = evidence.users_own(repo)
    assert "would be in epoch 2" in repo.evogit("evaluator", "update", "--dry-run").stdout
    assert repo.git("rev-parse", "refs/evogit/r/task") == tip
    repo.evogit("goal", "edit", "Another goal")
    done = repo.evogit("evaluator", "update").stdout
    assert "changed  evaluator.command, score.sh" in done
    assert evidence.users_own(repo) == users
    assert repo.git("rev-parse", "refs/evogit/r/task~2") == tip
    assert repo.evogit("goal").stdout == "Another goal\n"
    assert repo.evogit("evaluator", "update").stdout == "run r is measured by the evaluator of this work tree already\n"
    # HEAD has moved on, but by nothing that candidates do not have anyway.
    assert "going on with run r" in repo.evogit("run", "-n", "1", "--evals", "4").stderr
    repo.git("switch", "-q", "--detach", "HEAD~1")
    said = repo.evogit("run", "--run", "r", expect=2).stderr
    assert "is in epoch 2 with a newer evaluator, and this work tree has that of epoch 1" in said
    assert "run r has another evaluator, so this is a run of its own" in repo.evogit("run", "--evals", "1").stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("maximize", "minimize", "direction is another, which stays for a whole run"),
        ("*.txt", "knob.*", "editable is another, which stays for a whole run"),
        ("stop =", 'protected = ["nothing/**"]\nstop =', "only patterns of `protected` differ"),
    ],
)
def test_what_stays_for_a_whole_run(old: str, new: str, said: str, repo: Checkout) -> None:
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "1")
    before = repo.git("for-each-ref")
    (repo.path / "evogit.toml").write_text((repo.path / "evogit.toml").read_text().replace(old, new))
    message = repo.evogit("evaluator", "update", expect=2).stderr
    assert said in message
    assert "begin another with `evogit run --new`" in message
    assert repo.git("for-each-ref") == before


@pytest.mark.heavy
def test_of_two_people_at_once_one_hears_of_the_other(repo: Checkout, tmp_path: Path) -> None:
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "1")
    opened = open_repository(repo.path)
    known = task.read(opened, RUN)
    signature = repository.signature("Bob", "bob@example.invalid", datetime.now(UTC))
    (repo.path / "score.sh").write_text(TURNED)
    mine = freeze.freeze(opened).definition
    repo.evogit("goal", "edit", "meanwhile")  # takes nothing away from an evaluator
    after, written = amendments.change_evaluator(opened, known, mine, signature, message="x\n")
    assert (written, after.goal, after.definition.evaluator) == (True, "meanwhile", mine.evaluator)
    (repo.path / "score.sh").write_text(TURNED + "# theirs\n")
    theirs = freeze.freeze(opened).definition
    with pytest.raises(UsageError, match="somebody changed the evaluator of run r at the same time"):
        amendments.change_evaluator(opened, known, theirs, signature, message="x\n")
    trees = [repo]
    for number in range(3):
        path = tmp_path / f"work-{number}"
        repo.git("worktree", "add", "-q", "--detach", str(path))
        (path / "score.sh").write_text(f"{TURNED}# {number}\n")
        trees.append(Checkout(path, repo.environment))
    people = [tree.start("evaluator", "update", "--run", "r") for tree in trees]
    said = [(person.communicate(timeout=120)[1], person.returncode) for person in people]
    assert all(code == 0 or (code == 2 and "at the same time" in words) for words, code in said)
    landed = sum(code == 0 for _, code in said)
    assert landed >= 1
    assert len(document(repo, "evaluator")["epochs"]) == 2 + landed


@pytest.mark.heavy
def test_two_clones_end_in_the_same_epoch_and_trust_is_asked_again(tmp_path: Path, world: dict[str, str]) -> None:
    both = clones.make(tmp_path, world)
    one, two = both.one.checkout, both.two.checkout
    both.two_begins()
    two.git("pull", "-q", "origin", "main")
    words = ("run", "-n", "1", "--run", "r", "--remote", "origin", "--evals", "100000")
    first, second = one.start(*words), two.start(*words)
    evidence.wait_for(lambda: len(evidence.journals(one, "r")) == 2 or None, "both journals here")
    ran = tmp_path / "ran"
    turn(one, TURNED + f"pwd >> {ran}\n")
    _, said = second.communicate(timeout=120)
    assert second.returncode == 5  # no line of the new script ran there
    assert "the definition of run r came from elsewhere; it would run `sh score.sh` as you" in said
    assert "Traceback" not in said
    evidence.wait_for(lambda: ran.exists() or None, "the new script ran here")
    assert "say --trust" in two.evogit("agent", "tuner", "--run", "r", "--evals", "1", expect=5).stderr
    two.evogit("agent", "tuner", "--run", "r", "--remote", "origin", "--evals", "5", "--trust")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    for checkout in (one, two, one):
        checkout.evogit("sync")
    assert document(one, "evaluator")["epochs"] == document(two, "evaluator")["epochs"]
    assert len(document(one, "evaluator")["epochs"]) == 2
    assert evidence.lines(one, "r") == evidence.lines(two, "r")
    assert document(one, "best") == document(two, "best")
    for checkout in (one, two):
        before, after = by_epoch(checkout)
        assert all(record["value"] == record["level"] for record in before)
        assert all(record["value"] == -record["level"] for record in after)
        assert evidence.fsck(checkout) == []


@pytest.mark.heavy
def test_epochs_changed_in_two_clones_are_for_people_to_settle(tmp_path: Path, world: dict[str, str]) -> None:
    both: World = clones.make(tmp_path, world)
    one, two = both.one.checkout, both.two.checkout
    both.two_begins()
    two.git("pull", "-q", "origin", "main")
    turn(one)
    turn(two, TURNED + "# another\n")
    both.one.sync()
    said = two.evogit("sync", expect=6).stdout
    assert "the task was changed here and there; look at both" in said
    two.git("update-ref", "refs/evogit/r/task", said.partition("refs/evogit/r/task ")[2].split()[0])
    assert len(document(two, "evaluator")["epochs"]) == 2
    turn(two, TURNED + "# another\n")
    two.evogit("sync")
    one.evogit("sync")
    assert [row["evaluator"] for row in document(one, "evaluator")["epochs"]] == [
        row["evaluator"] for row in document(two, "evaluator")["epochs"]
    ]


def test_which_candidates_are_measured_again(toy: Checkout) -> None:
    old, new = Family(toy.path), Family(toy.path, evaluator="f" * 64)
    old.score(old.base, 1)
    made = [old.child(old.base, value=float(number)) for number in range(2, 16)]
    twin = old.child(made[-1], value=15.5, files={"own/13.txt": b"13\n"})  # equal files, measured anew by chance
    pruned = old.child(made[-1], value=99.0)
    old.say(pruned, "prune")
    old.say(made[0], "promote")
    opened = open_repository(toy.path)

    def again(*earlier: str) -> list[CommitId]:
        return to_measure_again(opened, new.graph(), earlier)

    best = [twin, *made[:-1][::-1]][:10]
    assert again("e" * 64) == [*best, made[0]]
    assert again() == []
    new.score(new.base, 5, by="b-1-000000")
    new.score(best[0], 6, by="b-1-000000")
    new.score(best[1], None, by="b-1-000000")  # failed: measured all the same
    assert again("e" * 64) == [*best[2:], made[0]]
    third = Family(toy.path, evaluator="d" * 64)
    found = to_measure_again(opened, third.graph(), ["f" * 64, "e" * 64])
    assert found[0] == best[0]  # the latest epoch comes first, and the one before makes up the number
    assert set(found) == {*best, made[0]}
    for one in (old, new, third):
        one.close()


def test_epochs_are_read_from_the_history_of_the_task(repo: Checkout) -> None:
    repo.evogit("run", "-n", "1", "--run", "r", "--evals", "1")
    repo.evogit("goal", "edit", "x")
    turn(repo)
    repo.evogit("pause")
    opened = open_repository(repo.path)
    found = epochs.of(opened, task.read(opened, RUN))
    assert [one.number for one in found] == [1, 2]
    assert found[1].commit == repo.git("rev-parse", "refs/evogit/r/task~1")
    assert found[0].commit == repo.git("rev-parse", "refs/evogit/r/task~3")
    assert found[1].by == "Ada"
    assert epochs.before(found) == [found[0].evaluator]
    assert repo.git("show", "refs/evogit/r/task:protected/score.sh") == TURNED.strip()
    assert subprocess.run(["git", "fsck", "--strict"], cwd=repo.path, env=repo.environment).returncode == 0


@pytest.mark.heavy
def test_nobody_stands_still_for_a_clone_that_went_away(tmp_path: Path, world: dict[str, str]) -> None:
    """Its claims would last for a day, and nobody here can say whether its agents still live."""
    both = clones.make(tmp_path, world)
    one, two = both.one.checkout, both.two.checkout
    toml = one.path / "evogit.toml"
    toml.write_text(toml.read_text().replace("timeout_s = 20", "timeout_s = 90000"))
    one.evogit("run", "-n", "1", "--run", "s", "--evals", "6")
    shut = tmp_path / "shut"
    turn(one, TURNED.replace("sleep 0.05", f"while [ -e {shut} ]; do sleep 0.02; done"), "s")
    one.evogit("agent", "tuner", "--run", "s", "--evals", "1")  # the base
    shut.touch()
    agent = one.start("agent", "tuner", "--run", "s")
    evidence.wait_for(lambda: "claim" in one.git("log", "--format=%s", "-1", "--glob=refs/notes/evogit/s/*"), "a claim")
    agent.kill()
    agent.communicate()
    shut.unlink()
    one.evogit("sync", "--run", "s")
    two.evogit("sync", "--run", "s")
    two.evogit("agent", "tuner", "--run", "s", "--trust", "--evals", "8")
    shown = json.loads(two.evogit("status", "--run", "s", "--json").stdout)
    assert (shown["to_measure_again"], shown["best_value"] is not None) == ([], True)
