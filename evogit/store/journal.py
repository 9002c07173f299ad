"""One agent's journal: the single place where records are written, and the check that a journal only grew.

A journal commit's first parent is the journal before it; a further parent is a candidate it introduces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pygit2

from evogit.errors import RefMoved, StorageError
from evogit.model import AgentName, CommitId, RunName
from evogit.records import MAX_NOTE_BYTES, AnyRecord, decode_note, encode
from evogit.store import git, notes, objects, refs, trees
from evogit.store.objects import Durability
from evogit.store.repository import Repository

_MAX_WALK = 1_000_000


class Journal:
    """Appends records to the journal of one agent, which has no other writer."""

    def __init__(
        self, repo: Repository, run: RunName, agent: AgentName, signature: pygit2.Signature, durability: Durability
    ) -> None:
        """Take up the agent's journal, or begin it with its empty start commit.

        Raises:
            StorageError: it cannot be read or written.
        """
        self.agent = agent
        self._repo = repo
        self._ref = refs.journal_ref(run, agent)
        self._durability = durability
        tip = refs.read(repo, self._ref)
        if tip is None:
            tip = self._begin(signature)
        self.tip = tip
        self.tree = tree_of(repo, tip)
        self._notes = notes.NotesTree(repo, self.tree)

    def append(
        self, added: Mapping[CommitId, Sequence[AnyRecord]], *, message: str, signature: pygit2.Signature
    ) -> pygit2.Oid:
        """Add records to the notes on some commits, all visible at once, and return the new tip.

        When a person added notes to the journal meanwhile (`git notes append`), theirs are kept and ours go on top.

        Raises:
            RefMoved: somebody else writes this journal.
            StorageError: Git would not write it.
        """
        try:
            return self._append(added, message, signature)
        except RefMoved:
            moved = refs.read(self._repo, self._ref)
            if moved is None:
                raise StorageError(
                    f"{self._ref} was deleted while its agent was running; start the agent again"
                ) from None
            check_growth(self._repo, self.tip, moved)
            self._adopt(moved)
            return self._append(added, message, signature)

    def lost(self) -> list[tuple[CommitId, AnyRecord]]:
        """Return the records this process stored that the ref's present tip does not hold.

        Raises:
            StorageError: an object cannot be read.
        """
        moved = refs.read(self._repo, self._ref)
        found = []
        for change in notes.changed(self._repo, tree_of(self._repo, moved) if moved else None, self.tree):
            if change.new is None:
                continue
            theirs = trees.read_blob(self._repo, change.old).splitlines() if change.old else []
            ours = trees.read_blob(self._repo, change.new).splitlines()
            fresh = b"\n".join(line for line in ours if line not in set(theirs))
            found += [(change.commit, record) for record in decode_note(fresh) if not isinstance(record, ValueError)]
        return found

    def _append(
        self, added: Mapping[CommitId, Sequence[AnyRecord]], message: str, signature: pygit2.Signature
    ) -> pygit2.Oid:
        tree = self.tree
        introduced = []
        for commit, records in added.items():
            known = self._notes.get(commit)
            if known is None:
                introduced.append(pygit2.Oid(hex=commit))
            tree = self._notes.put(commit, self._write_note(known, records))
        tip = objects.write_commit(
            self._repo,
            author=signature,
            committer=signature,
            message=message,
            tree=tree,
            parents=[self.tip, *introduced],
        )
        self._durability.flush()
        try:
            refs.compare_and_swap(self._repo, self._ref, old=self.tip, new=tip, message=message)
        except StorageError:
            self._adopt(self.tip)  # the tree in memory is ahead of the ref: go back to what is stored
            raise
        self.tip, self.tree = tip, tree
        return tip

    def _write_note(self, known: pygit2.Oid | None, records: Sequence[AnyRecord]) -> pygit2.Oid:
        before = trees.read_blob(self._repo, known) if known else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        note = before + b"".join(encode(record) for record in records)
        if len(note) > MAX_NOTE_BYTES:
            raise StorageError(f"a note of {len(note)} bytes in {self._ref}; readers take at most {MAX_NOTE_BYTES}")
        return objects.write_blob(self._repo, note)

    def _begin(self, signature: pygit2.Signature) -> pygit2.Oid:
        start = begin(self._repo, self.agent, signature)
        self._durability.flush()
        refs.compare_and_swap(self._repo, self._ref, old=None, new=start)
        return start

    def _adopt(self, tip: pygit2.Oid) -> None:
        self.tip = tip
        self.tree = tree_of(self._repo, tip)
        self._notes = notes.NotesTree(self._repo, self.tree)


def begin(repo: Repository, agent: AgentName, signature: pygit2.Signature) -> pygit2.Oid:
    """Write the empty commit a journal starts with; no ref leads to it yet.

    Raises:
        StorageError: Git would not write it.
    """
    empty = objects.write_tree(repo, b"")
    return objects.write_commit(
        repo, author=signature, committer=signature, message=_beginning(agent), tree=empty, parents=[]
    )


def _beginning(agent: AgentName) -> str:
    return f"evogit: begin the journal of {agent}\n"


def tree_of(repo: Repository, tip: pygit2.Oid) -> pygit2.Oid:
    """Return the notes tree of a journal's commit.

    Raises:
        StorageError: it cannot be read.
    """
    return repo.commit(CommitId(str(tip))).tree_id


def is_readable(repo: Repository, tip: pygit2.Oid) -> bool:
    """Return whether a journal with this tip can be read and continued."""
    try:
        trees.read_tree(repo, tree_of(repo, tip))
    except StorageError:
        return False
    return True


def find_lost(repo: Repository, run: RunName, agent: AgentName) -> pygit2.Oid | None:
    """Return the newest tip of this agent's journal among all objects, for when its ref says nothing any more.

    Raises:
        StorageError: the objects cannot be listed.
    """
    listing = git.run(repo, ["cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)"])
    later: dict[pygit2.Oid, list[pygit2.Commit]] = {}
    level: list[pygit2.Commit] = []
    for line in listing.splitlines():
        kind, _, name = line.partition(b" ")
        if kind != b"commit":
            continue
        try:
            commit = repo.commit(CommitId(name.decode()))
        except StorageError:
            continue
        if commit.parent_ids:
            later.setdefault(commit.parent_ids[0], []).append(commit)
        elif commit.message == _beginning(agent):
            level.append(commit)
    newest: pygit2.Commit | None = None
    while level:  # one more step along first parents for all journals of this name, also those of other runs
        for commit in level:
            if (newest is None or commit.commit_time >= newest.commit_time) and _belongs(repo, commit, run, agent):
                newest = commit
        level = [after for commit in level for after in later.get(commit.id, ())]
    return newest.id if newest else None


def _belongs(repo: Repository, commit: pygit2.Commit, run: RunName, agent: AgentName) -> bool:
    """Return whether a journal commit can be read and holds a record of this agent in this run."""
    try:
        contents = [trees.read_blob(repo, c.new) for c in notes.changed(repo, None, commit.tree_id) if c.new]
    except StorageError:
        return False
    found = (record for content in contents for record in decode_note(content) if not isinstance(record, ValueError))
    return any((record.run, record.agent) == (run, agent) for record in found)


def check_growth(repo: Repository, old: pygit2.Oid, new: pygit2.Oid) -> list[notes.NoteChange]:
    """Return what a journal's new tip adds to its old one.

    Raises:
        RefMoved: it is no continuation: `old` is not reached by first parents, or a line of it is gone.
        StorageError: an object cannot be read.
    """
    _check_first_parents(repo, old, new)
    found = notes.changed(repo, tree_of(repo, old), tree_of(repo, new))
    for change in found:
        if change.old and not _keeps_lines(repo, change.old, change.new):
            raise RefMoved(f"journal commit {new} drops lines of the note on {change.commit}")
    return found


def _check_first_parents(repo: Repository, old: pygit2.Oid, new: pygit2.Oid) -> None:
    at = new
    for _ in range(_MAX_WALK):
        if at == old:
            return
        parents = repo.commit(CommitId(str(at))).parent_ids
        if not parents:
            break
        at = parents[0]
    raise RefMoved(f"journal commit {new} does not continue {old} by first parents")


def _keeps_lines(repo: Repository, old: pygit2.Oid, new: pygit2.Oid | None) -> bool:
    if new is None:
        return False
    before, after = trees.read_blob(repo, old), trees.read_blob(repo, new)
    return after.startswith(before) or set(before.splitlines()) <= set(after.splitlines())
