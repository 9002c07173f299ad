"""Between equal scores the smaller difference from the base wins: what a size is, and that it wins everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from conftest import Checkout
from family import Family

from evogit.branch import Branch
from evogit.model import AgentName, CommitId, Measurement, Operator, Plan, RepoPath, RunName, Status, TreeId
from evogit.planning import Planner, Policy
from evogit.store import freeze, task, trees
from evogit.store.repository import open_repository
from evogit.store.sizes import Sizes
from evogit.store.snapshot import Snapshot

_TEXT = "one\ntwo\nthree\n"


@pytest.fixture
def family(new_checkout: Callable[..., Checkout]) -> Iterator[Family]:
    """A run whose base scores 1."""
    made = Family(new_checkout("repo", {"a.txt": _TEXT, "b.txt": _TEXT}).path)
    made.score(made.base, 1.0)
    yield made
    made.close()


def _size(family: Family, commit: CommitId) -> int:
    return Sizes(family.repo, family.base).of(TreeId(str(family.repo.commit(commit).tree_id)))


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({"a.txt": b"one\n2\nthree\n"}, 2),  # a changed line: one less, one more
        ({"a.txt": b"one\ntwo\nthree\nfour\n"}, 1),
        ({"a.txt": b"three\ntwo\none\n"}, 1),  # moved lines only: a changed file counts as one at least
        ({"a.txt": b"one\r\ntwo\r\nthree\r\n"}, 6),
        ({"a.txt": b"one\ntwo\nthree"}, 1),
        ({"a.txt": None}, 3),
        ({"a.txt": None, "b.txt": b"one\n"}, 5),
        ({"new": b"x\nx\nx\n"}, 3),
        ({"new": b""}, 1),
        ({"new": b"\0" * 81}, 3),  # bytes of a binary file by forties
        ({"new": b"\xff\xfe\n\xe9"}, 2),
    ],
)
def test_the_size_is_the_one_of_the_format(family: Family, files: dict[str, bytes | None], size: int) -> None:
    assert _size(family, family.child(family.base, value=2.0, files=files)) == size


def test_a_mode_and_a_link_have_sizes(family: Family, world: dict[str, str]) -> None:
    checkout = Checkout(Path(str(family.repo.work)), world)
    (checkout.path / "a.txt").chmod(0o755)
    assert _size(family, CommitId(checkout.commit("mode"))) == 1
    (checkout.path / "link").symlink_to("a.txt")
    assert _size(family, CommitId(checkout.commit("link"))) == 2


def test_among_equals_the_smallest_is_the_best_and_then_the_first(family: Family) -> None:
    large = family.child(family.base, value=5.0, files={"a.txt": b"x\ny\nz\n"})
    assert _best(family) == large
    small = family.child(large, value=5.0, files={"a.txt": b"one\ntwo\nz\n"})
    assert _best(family) == small
    family.child(family.base, value=5.0, files={"a.txt": b"one\nother\nthree\n"})
    assert _best(family) == small, "the earlier of two of one size"
    better = family.child(family.base, value=5.1, files={"a.txt": b"x\n" * 50})
    assert _best(family) == better, "the score comes first"


def _best(family: Family) -> CommitId | None:
    found = family.graph().best()
    return found.id if found else None


def _claiming(family: Family, size: int, content: bytes) -> CommitId:
    """Make a candidate of score 5 whose record says this size."""
    ledger = family._ledger("liar-1-000000")
    start = TreeId(str(family.repo.commit(family.base).tree_id))
    tree = trees.with_files(family.repo, start, {RepoPath("a.txt"): content})
    plan = Plan(operator=Operator.MUTATE, parents=(family.base,), seed=1)
    commit = ledger.candidate(tree, plan, "claims")
    score = ledger.score(tree, Measurement(status=Status.OK, value=5.0), "none")
    ledger.write(commit, [ledger.proposal(plan, {}, size=size), score], "evogit: claim\n")
    return commit


def test_a_record_that_says_too_little_wins_nothing(family: Family) -> None:
    _claiming(family, 0, b"x\n" * 40)
    honest = family.child(family.base, value=5.0, files={"a.txt": b"one\ntwo\nz\n"})
    assert _best(family) == honest
    recorded = _claiming(family, 1, b"one\ntwo\nthree\nfour\n")
    assert _best(family) == recorded


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((5, 20, 50, 200), (7 / 16, 5 / 16, 3 / 16, 1 / 16)),  # one half as large, or the smaller of two drawn
        ((10, 12, 15, 19), (1 / 4, 1 / 4, 1 / 4, 1 / 4)),
        ((0, 2, 4, 9), (1 / 4, 1 / 4, 1 / 4, 1 / 4)),
    ],
)
def test_greedy_is_pulled_from_bloat_and_still_takes_all(
    family: Family, sizes: tuple[int, ...], expected: tuple[float, ...]
) -> None:
    commits = [_claiming(family, size, b"x\n" * number) for number, size in enumerate(sizes)]
    planner = Planner(family.repo, family.graph(), Policy(selection="greedy"))
    drawn = [plan.parents[0] for seed in range(800) if (plan := planner.plan(seed))]
    shares = [drawn.count(commit) / len(drawn) for commit in commits]
    assert shares == pytest.approx(list(expected), abs=0.05)


_CONFIG = """direction = "maximize"
editable = ["a.txt"]
[evaluator]
command = "sh score.sh"
"""


@pytest.mark.heavy
def test_everything_that_chooses_the_best_chooses_the_smaller(new_checkout: Callable[..., Checkout]) -> None:
    """`best`, `status`, `diff` and `apply`, and the branch of an agent that made an equal one of less."""
    score = 'grep -q "good" a.txt && v=2 || v=1; echo "{\\"score\\": $v}" > "$EVOGIT_RESULT"\n'
    repo = new_checkout("repo", {"a.txt": _TEXT + "1\n" * 12, "score.sh": score, "evogit.toml": _CONFIG})
    repo.evogit("run", "--agent", "tuner", "--evals", "1", "--run", "r")
    repo.git("switch", "-q", "-c", "evogit/r/ada")
    (repo.path / "a.txt").write_text("good\ntwo\nthree\n" + "1\n2\n" * 6)
    large = repo.commit("large")
    repo.git("switch", "-q", "main")
    repo.evogit("run", "--agent", "minimizer", "--evals", "30", "--run", "r", "--seed", "2")
    best = json.loads(repo.evogit("best", "--json").stdout)
    assert best["value"] == 2
    assert best["commit"] != large
    assert repo.git("diff", "--shortstat", "main", best["commit"]) == "1 file changed, 1 insertion(+), 1 deletion(-)"
    assert json.loads(repo.evogit("status", "--json").stdout)["best"] == best["commit"]
    assert repo.git("rev-parse", repo.git("branch", "--list", "evogit/r/mini*").strip()) == best["commit"]
    repo.evogit("apply")
    assert repo.git("diff", "--cached", "--numstat") == "1\t1\ta.txt"
    _check_recorded_sizes(repo)


def _check_recorded_sizes(repo: Checkout) -> None:
    """What agents recorded, reckoned from the parent's size where it was an edit, is what the trees say."""
    opened = open_repository(repo.path)
    chosen = task.read(opened, RunName("r"))
    snapshot = Snapshot(opened, chosen.run, chosen.definition.evaluator, chosen.definition.config.direction)
    snapshot.refresh()
    sizes = Sizes(opened, chosen.definition.base)
    recorded = {one.id: one.proposal.size for one in snapshot.candidates.values() if one.proposal}
    known = {commit: size for commit, size in recorded.items() if size is not None}
    assert len(known) > 2
    assert known == {commit: sizes.of(TreeId(str(opened.commit(commit).tree_id))) for commit in known}


def test_an_agents_branch_goes_to_the_smallest_of_the_best_of_an_epoch(new_checkout: Callable[..., Checkout]) -> None:
    checkout = new_checkout("repo", {"a.txt": _TEXT, "score.sh": "true\n", "evogit.toml": _CONFIG})
    family = Family(checkout.path)
    family.score(family.base, 1.0)
    large, small = _claiming(family, 9, b"x\n" * 9), _claiming(family, 2, b"x\n" * 2)
    snapshot = family.snapshot()
    snapshot.refresh()
    chosen, agent = task.unwritten(family.repo, freeze.freeze(family.repo).definition), AgentName("liar-1-000000")
    name = "refs/heads/evogit/unwritten/liar-1-000000"
    branch = Branch(family.repo, chosen, snapshot, {large, small})
    branch.settle_in(agent)
    assert checkout.git("rev-parse", name) == small
    branch.follow(large, 5.0, agent)
    assert checkout.git("rev-parse", name) == small
    branch.follow(family.base, 6.0, agent)
    branch.follow(large, 5.5, agent)
    assert checkout.git("rev-parse", name) == small
    branch.follow(large, 7.0, agent)
    assert checkout.git("rev-parse", name) == large
    family.close()


@pytest.mark.heavy
def test_agents_on_a_plateau_record_true_sizes(new_checkout: Callable[..., Checkout]) -> None:
    """Every candidate scores the same, so each is an edit of an edit: also of a file a person made executable."""
    files = {"a.txt": "1\n2\n3\n", "b.txt": "4\n", "score.sh": 'echo "{\\"score\\": 1}" > "$EVOGIT_RESULT"\n'}
    repo = new_checkout("flat", {**files, "evogit.toml": _CONFIG.replace('"a.txt"', '"*.txt"')})
    repo.evogit("run", "--agent", "tuner", "--evals", "1", "--run", "r")
    repo.git("switch", "-q", "-c", "evogit/r/ada")
    (repo.path / "b.txt").chmod(0o755)
    repo.commit("mode")
    repo.git("switch", "-q", "main")
    repo.evogit("run", "--agent", "tuner", "--agent", "transplanter", "--evals", "40", "--run", "r", "--seed", "2")
    _check_recorded_sizes(repo)


def test_old_readers_skip_what_is_new() -> None:
    """The two keys are additions to a known kind: a reader that does not know them reads the rest."""

    class Old(msgspec.Struct):
        kind: str
        params: dict[str, float] = {}

    line = b'{"kind":"proposal","donor":"' + b"a" * 40 + b'","size":3,"params":{"transplant":1.0}}'
    assert msgspec.json.decode(line, type=Old).params == {"transplant": 1.0}
