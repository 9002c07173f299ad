"""What the engine is compared with: git itself doing the same work, measured beside it in the same minutes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import pygit2
from scene import RUN, Scene

from evogit.model import CommitId
from evogit.records import Score
from evogit.store import refs, task, trees
from evogit.store.repository import Repository, open_repository
from evogit.store.snapshot import Snapshot

_LOG = "--format=%H %P %T %at %N"


@dataclass(frozen=True, slots=True)
class Made:
    """One candidate as a run stored it: the bytes of its commit, what it changes in its parent, and its note."""

    id: CommitId
    commit: bytes
    files: Sequence[tuple[bytes, bytes]]
    note: bytes

    @property
    def parent(self) -> str:
        """The id of the commit it was made from."""
        return self.commit.split(b"\nparent ", 1)[1][:40].decode()


class Follower:
    """Reads what agents add to a run, so that git can be made to do it again."""

    def __init__(self, scene: Scene) -> None:
        self._repo = open_repository(scene.path)
        chosen = task.read(self._repo, RUN)
        self._base = chosen.definition.base
        self._snapshot = Snapshot(self._repo, RUN, chosen.definition.evaluator, chosen.definition.config.direction)
        self._snapshot.refresh()  # what is there already is no news

    def news(self) -> list[Made]:
        """Return the candidates that were scored since the last call, each after its parent."""
        events = [event for event in self._snapshot.refresh() if isinstance(event.record, Score)]
        events.sort(key=lambda event: event.record.at)
        new = {event.commit: _read(self._repo, event.commit) for event in events if event.commit != self._base}
        ordered: dict[str, Made] = {}
        while len(ordered) < len(new):  # two agents may have written in the same millisecond
            ordered |= {one.id: one for one in new.values() if one.parent in ordered or one.parent not in new}
        return list(ordered.values())


def _read(repo: Repository, commit: CommitId) -> Made:
    found = repo.commit(commit)
    changed = trees.changes(repo, found.parents[0].tree_id, found.tree_id)
    files = [(change.path, trees.read_blob(repo, change.new.id)) for change in changed if change.new]
    agent = dict(line.split(": ", 1) for line in found.message.splitlines() if line.startswith("Evogit-"))
    tip = repo.raw.references[f"refs/notes/evogit/{RUN}/{agent['Evogit-Agent']}.journal"].target
    note = repo.raw[tip].peel(pygit2.Tree)[f"{commit[:2]}/{commit[2:]}"]
    return Made(commit, found.read_raw(), files, trees.read_blob(repo, note.id))


class Git:
    """A second repository in which git does what the agents did."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene.copy(f"{scene.path.name}.yardstick")
        self._is_first = True

    def fast_import(self, made: Sequence[Made]) -> float:
        """Stream the candidates into `git fast-import` and return CPU milliseconds for each."""
        stream = b"".join(self._commands(made))
        begun = children()
        self._scene.git("fast-import", "--quiet", "--force", "--done", stdin=stream + b"done\n")
        spent = children() - begun
        self._scene.git("cat-file", "-e", f"{made[-1].id}^{{commit}}")  # the very same commits, or it measured others
        return spent / len(made)

    def _commands(self, made: Sequence[Made]) -> Iterator[bytes]:
        marks: dict[str, bytes] = {}
        for number, one in enumerate(made, 1):
            head, _, message = one.commit.partition(b"\n\n")
            people = b"\n".join(line for line in head.split(b"\n") if line.startswith((b"author ", b"committer ")))
            parent = marks.get(one.parent, one.parent.encode())
            yield b"commit refs/heads/made\nmark :%d\n%s\n%sfrom %s\n" % (number, people, _data(message), parent)
            for path, content in one.files:
                yield b"M 100644 inline %s\n%s" % (path, _data(content))
            before = b"" if self._is_first or number > 1 else b"from refs/notes/made^0\n"
            committer = people.split(b"\n")[1]
            yield b"\ncommit refs/notes/made\n%s\n%s%s" % (committer, _data(b"note\n"), before)
            yield b"N inline :%d\n%s\n" % (number, _data(one.note))
            marks[one.id] = b":%d" % number
        self._is_first = False

    def naively(self, made: Sequence[Made]) -> float:
        """Make the candidates with `git worktree add`, `commit` and `notes add`; return CPU milliseconds for each."""
        begun = children()
        for one in made:
            place = self._scene.path.with_suffix(".worktree")
            self._scene.git("worktree", "add", "-q", "--detach", str(place), one.parent)
            for path, content in one.files:
                (place / os.fsdecode(path)).write_bytes(content)
            Scene(place, self._scene.environment).git("commit", "-q", "-a", "-m", "Change")
            Scene(place, self._scene.environment).git("notes", "add", "-F", "-", stdin=one.note)
            self._scene.git("worktree", "remove", "--force", str(place))
        return (children() - begun) / len(made)


def log(scene: Scene) -> float:
    """Print every candidate of the first agent with its note by `git log`; return CPU milliseconds."""
    repo = open_repository(scene.path)
    name = next(name for name in refs.names(repo, refs.notes_prefix(RUN)))
    listed = scene.git("notes", f"--ref={name}", "list").split(b"\n")
    ids = b"".join(line.partition(b" ")[2] + b"\n" for line in listed if line)
    begun = children()
    scene.git("log", "--no-walk=unsorted", "--stdin", _LOG, f"--notes={name}", stdin=ids)
    return children() - begun


def floor(folder: Path, count: int = 200) -> float:
    """Create small files as an object is created, and return CPU milliseconds for each: what this disk takes today."""
    place = folder / "floor"
    place.mkdir()
    used = getrusage(RUSAGE_SELF)
    for number in range(count):
        descriptor = os.open(place / "temporary", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, b"x" * 300)
        os.close(descriptor)
        os.rename(place / "temporary", place / str(number))
    after = getrusage(RUSAGE_SELF)
    shutil.rmtree(place)
    return (after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime) * 1000 / count


def children() -> float:
    """Return the CPU milliseconds of all children that have ended."""
    used = getrusage(RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
