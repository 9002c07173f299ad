"""A journal only grows, and a reader that sees anything else says so and keeps what it knew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pygit2
import pytest
from conftest import Checkout
from test_records import score

from evogit.errors import RefMoved, StorageError
from evogit.model import AgentName, CommitId, Direction, RunName
from evogit.store import objects, refs
from evogit.store.journal import Journal, check_growth
from evogit.store.objects import Durability
from evogit.store.repository import Repository, open_repository, signature
from evogit.store.snapshot import Snapshot

_RUN, _AGENT = RunName("r"), AgentName("a-1-abcdef")
_SIGNATURE = signature("Ada", "ada@example.invalid", datetime(2026, 1, 1, tzinfo=UTC))
_REF = refs.journal_ref(_RUN, _AGENT)


@pytest.fixture
def repo(toy: Checkout) -> Repository:
    """The toy repository, open."""
    return open_repository(toy.path)


@pytest.fixture
def durability(repo: Repository) -> Iterator[Durability]:
    """What orders writes on disk."""
    made = Durability(repo)
    yield made
    made.close()


def _journal(repo: Repository, durability: Durability) -> Journal:
    return Journal(repo, _RUN, _AGENT, _SIGNATURE, durability)


def _candidate(repo: Repository, text: str) -> CommitId:
    head = repo.commit(repo.head())
    made = objects.write_commit(
        repo, author=_SIGNATURE, committer=_SIGNATURE, message=text, tree=head.tree_id, parents=[head.id]
    )
    return CommitId(str(made))


def _append(repo: Repository, journal: Journal, commit: CommitId, number: int) -> pygit2.Oid:
    record = score(agent=_AGENT, run=_RUN, seq=number)
    return journal.append({commit: [record]}, message=f"evogit: {number}\n", signature=_SIGNATURE)


def _snapshot(repo: Repository) -> Snapshot:
    snapshot = Snapshot(repo, _RUN, "e" * 64, Direction.MAXIMIZE)
    snapshot.refresh()
    return snapshot


def test_shape(repo: Repository, durability: Durability, toy: Checkout) -> None:
    """The start commit is empty and parentless; a candidate is a further parent with its first record only."""
    journal = _journal(repo, durability)
    first, second = _candidate(repo, "first"), _candidate(repo, "second")
    tips = [_append(repo, journal, commit, number) for number, commit in enumerate([first, second, first])]
    start = toy.git("rev-list", "--max-parents=0", "--first-parent", _REF)
    assert toy.git("rev-parse", f"{start}^{{tree}}") == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    parents = [toy.git("log", "-1", "--format=%P", str(tip)).split() for tip in tips]
    assert parents == [[start, first], [str(tips[0]), second], [str(tips[1])]]
    assert toy.git("notes", f"--ref={_REF}", "show", first).count('"kind":"score"') == 2
    assert toy.git("fsck", "--strict") == ""


def test_another_clone_reads_the_same(repo: Repository, durability: Durability, toy: Checkout) -> None:
    journal = _journal(repo, durability)
    for number in range(5):
        _append(repo, journal, _candidate(repo, str(number)), number)
    clone = toy.path.parent / "clone"
    toy.git("clone", "-q", "--mirror", str(toy.path), str(clone))
    there = _snapshot(open_repository(clone))
    assert {commit: found.scores for commit, found in there.candidates.items()} == {
        commit: found.scores for commit, found in _snapshot(repo).candidates.items()
    }
    assert there.problems == {}


@pytest.mark.parametrize("how", ["emptied", "rewound", "line dropped", "note dropped", "old tip as second parent"])
def test_a_journal_that_did_not_only_grow_is_not_followed(
    how: str, repo: Repository, durability: Durability, toy: Checkout
) -> None:
    journal = _journal(repo, durability)
    commits = [_candidate(repo, str(number)) for number in range(3)]
    tips = [_append(repo, journal, commit, number) for number, commit in enumerate([*commits, commits[0]])]
    known = _snapshot(repo)
    before = {commit: list(found.scores) for commit, found in known.candidates.items()}
    new = {
        "emptied": lambda: toy.git("commit-tree", "-m", "x", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
        "rewound": lambda: str(tips[1]),
        "line dropped": lambda: _on_top(toy, tips, f"{tips[2]}^{{tree}}"),
        "note dropped": lambda: _on_top(toy, tips, f"{tips[0]}^{{tree}}"),
        "old tip as second parent": lambda: toy.git(
            "commit-tree", "-m", "x", "-p", str(tips[0]), "-p", str(tips[-1]), f"{tips[-1]}^{{tree}}"
        ),
    }[how]()
    toy.git("update-ref", _REF, new)
    with pytest.raises(RefMoved):
        check_growth(repo, tips[-1], pygit2.Oid(hex=new))
    known.refresh()
    assert list(known.problems) == [_REF]
    assert {commit: found.scores for commit, found in known.candidates.items()} == before
    with pytest.raises(RefMoved):
        _append(repo, journal, commits[0], 9)
    assert toy.git("rev-parse", _REF) == new
    toy.git("update-ref", _REF, str(tips[-1]))
    known.refresh()
    assert known.problems == {}


def _on_top(toy: Checkout, tips: list[pygit2.Oid], tree: str) -> str:
    return toy.git("commit-tree", "-m", "x", "-p", str(tips[-1]), toy.git("rev-parse", tree))


def test_a_person_may_append_to_a_running_agents_journal(
    repo: Repository, durability: Durability, toy: Checkout
) -> None:
    journal = _journal(repo, durability)
    commit = _candidate(repo, "x")
    _append(repo, journal, commit, 0)
    toy.git("notes", f"--ref={_REF}", "append", "-m", "looks good to me", commit)
    _append(repo, journal, commit, 1)
    note = toy.git("notes", f"--ref={_REF}", "show", commit)
    assert note.count('"kind":"score"') == 2
    assert "looks good to me" in note
    assert len(_snapshot(repo).candidates[commit].scores) == 2


def test_a_deleted_journal_is_not_begun_again_behind_ones_back(
    repo: Repository, durability: Durability, toy: Checkout
) -> None:
    journal = _journal(repo, durability)
    _append(repo, journal, _candidate(repo, "x"), 0)
    toy.git("update-ref", "-d", _REF)
    with pytest.raises(StorageError, match="was deleted while its agent was running"):
        _append(repo, journal, _candidate(repo, "y"), 1)


def test_records_of_another_writer_do_not_count(repo: Repository, durability: Durability, toy: Checkout) -> None:
    journal = _journal(repo, durability)
    commit = _candidate(repo, "x")
    for forged in (score(agent="b-1-abcdef", run=_RUN), score(agent=_AGENT, run="other")):
        journal.append({commit: [forged]}, message="x\n", signature=_SIGNATURE)
    snapshot = _snapshot(repo)
    assert snapshot.candidates == {}
    assert list(snapshot.problems) == [f"{_REF}:{commit}"]


def test_ranking_follows_repeated_measurements(repo: Repository, durability: Durability) -> None:
    """A lucky first measurement does not keep its place: the median counts."""
    journal = _journal(repo, durability)
    lucky, solid = _candidate(repo, "lucky"), _candidate(repo, "solid")
    snapshot = _snapshot(repo)
    for number, (commit, value) in enumerate([(lucky, 9.0), (solid, 5.0), (lucky, 1.0), (lucky, 1.0), (solid, 5.0)]):
        record = score(agent=_AGENT, run=_RUN, seq=number, value=value)
        journal.append({commit: [record]}, message="x\n", signature=_SIGNATURE)
        snapshot.refresh()
        assert (snapshot.best_value, snapshot.leaders()) == (_snapshot(repo).best_value, _snapshot(repo).leaders())
    assert (snapshot.best_value, snapshot.leaders()) == (5.0, [solid])


def test_scores_of_another_evaluator_are_never_compared(repo: Repository, durability: Durability) -> None:
    journal = _journal(repo, durability)
    old, new = _candidate(repo, "old"), _candidate(repo, "new")
    for commit, evaluator, value in ((old, "f" * 64, 99.0), (new, "e" * 64, 1.0)):
        record = score(agent=_AGENT, run=_RUN, evaluator=evaluator, value=value)
        journal.append({commit: [record]}, message="x\n", signature=_SIGNATURE)
    snapshot = _snapshot(repo)
    assert snapshot.leaders() == [new]
    assert not snapshot.candidates[old].is_scored("e" * 64)
