"""Many objects read by one run of git are what libgit2 reads one by one, and what git will not tell is left to that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pygit2
import pytest
from conftest import Checkout
from test_records import score

from evogit.model import AgentName, CommitId, Direction, RunName
from evogit.records import encode
from evogit.store import bulk, notes, objects, refs, trees
from evogit.store.repository import Repository, open_repository, signature
from evogit.store.snapshot import Snapshot

_RUN, _AGENT = RunName("r"), AgentName("a-1-abcdef")
_SIGNATURE = signature("Ada", "ada@example.invalid", datetime(2026, 1, 1, tzinfo=UTC))
_COUNT = bulk.MANY + 50
_MOST = 1_000_000


@pytest.fixture
def repo(toy: Checkout) -> Repository:
    """The toy repository, open."""
    return open_repository(toy.path)


def _blobs(repo: Repository) -> list[pygit2.Oid]:
    rng = Random("blobs")
    return [repo.raw.create_blob(rng.randbytes(rng.choice((0, 1, 60, 5_000)))) for _ in range(_COUNT)]


def _read(repo: Repository, wanted: Sequence[pygit2.Oid], most: int = _MOST) -> list[bytes | None]:
    return list(bulk.contents(repo, wanted, "blob", most))


def test_contents_are_those_of_the_objects(repo: Repository, toy: Checkout) -> None:
    """Loose, packed, empty, with line ends and longer than a pipe holds at once."""
    wanted = _blobs(repo)
    _pack(toy, wanted)
    wanted += [repo.raw.create_blob(b"\n\nline\n"), repo.raw.create_blob(Random(1).randbytes(3_000_000)), wanted[0]]
    told = _read(repo, wanted, 10_000_000)
    assert told == [repo.content(oid, "blob") for oid in wanted]


def test_what_git_does_not_give_is_left_out_and_all_else_is_there(repo: Repository) -> None:
    wanted = _blobs(repo)
    wanted[3] = pygit2.Oid(hex="1" * 40)
    wanted[5] = repo.raw.create_blob(bytes(_MOST + 1))
    wanted[7] = repo.raw[repo.head()].peel(pygit2.Tree).id
    told = _read(repo, wanted)
    assert [number for number, content in enumerate(told) if content is None] == [3, 5, 7]
    assert told[8:] == [repo.content(oid, "blob") for oid in wanted[8:]]


def test_a_damaged_object_spoils_no_other(repo: Repository) -> None:
    """Git ends where it comes to one; what it had still to tell is read one by one then."""
    wanted = _blobs(repo)
    _damage(repo, wanted[9])
    told = _read(repo, wanted)
    assert told[9] is None
    assert all(content in (None, repo.content(oid, "blob")) for oid, content in zip(wanted, told, strict=True)
               if oid != wanted[9])  # fmt: skip
    assert told[:9] == [repo.content(oid, "blob") for oid in wanted[:9]]


def test_without_git_nothing_is_given(repo: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = _blobs(repo)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _read(repo, wanted) == [None] * len(wanted)


def test_who_stops_in_the_middle_leaves_no_git_behind(repo: Repository) -> None:
    wanted = [repo.raw.create_blob(Random(number).randbytes(20_000)) for number in range(_COUNT)]
    told = bulk.contents(repo, wanted, "blob", _MOST)
    next(told)
    children = _children()
    told.close()  # type: ignore[attr-defined]
    assert children
    assert not _children()


@pytest.mark.parametrize("packed", [False, True])
def test_a_journal_of_many_notes(repo: Repository, toy: Checkout, packed: bool) -> None:
    """One note is damaged, one is too long and one is missing: each is a problem of its own, and all else is read."""
    commits = [CommitId(f"{number:040x}") for number in range(1, 2 * _COUNT)]
    rng = Random("journal")
    rng.shuffle(commits)
    blobs = [
        repo.raw.create_blob(encode(score(agent=_AGENT, run=_RUN, seq=number, value=float(number))))
        for number in range(len(commits))
    ]
    blobs[11] = pygit2.Oid(hex="2" * 40)
    blobs[12] = repo.raw.create_blob(bytes(5_000_000))
    _write(repo, commits, blobs)
    if packed:
        _pack(toy, [*blobs[:3], *blobs[4:11], *blobs[12:]])
    _damage(repo, blobs[3])
    snapshot = Snapshot(repo, _RUN, "e" * 64, Direction.MAXIMIZE)
    events = snapshot.refresh()
    left = {commits[3], commits[11], commits[12]}
    assert {place.rpartition(":")[2] for place in snapshot.problems} == left
    assert {event.commit for event in events} == set(commits) - left
    assert snapshot.next_seq(_AGENT) == len(commits)
    assert all(snapshot.candidates[commit].scores[0].seq == number
               for number, commit in enumerate(commits) if commit not in left)  # fmt: skip


def test_every_note_is_what_has_changed_since_none(repo: Repository) -> None:
    """Of trees as we write them and as git does with another fan-out, or a person with files beside the notes."""
    blob = repo.raw.create_blob(b"x\n")
    commits = [CommitId(f"{Random(number).getrandbits(160):040x}") for number in range(300)]
    paths: dict[str, list[str]] = {
        "ours": [f"{commit[:2]}/{commit[2:]}" for commit in commits],
        "flat": list(commits),
        "deep": [f"{commit[:2]}/{commit[2:4]}/{commit[4:]}" for commit in commits],
        "more": [f"{commit[:2]}/{commit[2:]}" for commit in commits] + ["README", "ab/notes.txt"],
    }
    for names in paths.values():
        tree = _tree(repo, {name.encode(): blob for name in names})
        known = notes.folders(repo, [tree])
        assert notes.every(repo, tree, known) == notes.changed(repo, None, tree)
        assert {change.commit for change in notes.every(repo, tree)} == set(commits)


def _tree(repo: Repository, files: dict[bytes, pygit2.Oid]) -> pygit2.Oid:
    made = trees.build(repo, None, {path: trees.Entry(trees.FILE_MODE, oid) for path, oid in files.items()})
    assert made
    return made


def _write(repo: Repository, commits: Sequence[CommitId], blobs: Sequence[pygit2.Oid]) -> None:
    tree = _tree(repo, {f"{commit[:2]}/{commit[2:]}".encode(): blob
                        for commit, blob in zip(commits, blobs, strict=True)})  # fmt: skip
    tip = objects.write_commit(
        repo, author=_SIGNATURE, committer=_SIGNATURE, message="evogit: notes\n", tree=tree, parents=[]
    )
    repo.raw.references.create(refs.journal_ref(_RUN, _AGENT), tip)


def _pack(toy: Checkout, blobs: Sequence[pygit2.Oid]) -> None:
    """Leave no object of these loose."""
    asked = "".join(f"{blob}\n" for blob in blobs)
    toy.git("pack-objects", "-q", ".git/objects/pack/pack", stdin=asked.encode())
    toy.git("prune-packed", "-q")


def _damage(repo: Repository, oid: pygit2.Oid) -> None:
    path = repo.objects / str(oid)[:2] / str(oid)[2:]
    path.chmod(0o644)
    path.write_bytes(b"damaged")


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
