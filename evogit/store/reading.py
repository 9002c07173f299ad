"""Reading the journals of a run incrementally: a cold start reads tips only, a later look only what differs.

A journal that is broken or hostile is passed over and named in `problems`; it never stops a reader. Nothing here knows
what records mean for a candidate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pygit2

from evogit.errors import StorageError
from evogit.model import AgentName, RunName
from evogit.records import MAX_NOTE_BYTES, AnyRecord, decode_lines
from evogit.store import bulk, notes, refs, successors
from evogit.store.candidate import Event
from evogit.store.journal import check_growth, tree_of
from evogit.store.repository import Repository

_LONGEST_WAIT = 1024


@dataclass(slots=True)
class _Seen:
    tip: pygit2.Oid
    writers: frozenset[str]
    """Whose records stand there: the agent's, and of those its journal stands for."""


@dataclass(slots=True)
class _PutOff:
    """A journal that cannot be read: it may be huge on purpose, so it is tried ever more seldom until its tip moves."""

    tip: pygit2.Oid
    wait: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class News:
    """A journal that has moved, or is new, and the notes that differ."""

    agent: AgentName
    tip: pygit2.Oid
    writers: frozenset[str]
    changes: Sequence[notes.NoteChange]


class Reader:
    """What was read of each journal of a run. `look` finds what is new, and `records` reads it."""

    def __init__(self, repo: Repository, run: RunName, problems: dict[str, str]) -> None:
        """Begin with nothing read; what is in the way is put into `problems`."""
        self._repo = repo
        self._run = run
        self._problems = problems
        self._seen: dict[AgentName, _Seen] = {}
        self._put_off: dict[AgentName, _PutOff] = {}
        self.retired: set[AgentName] = set()
        """Agents for whose journals another one stands."""

    @property
    def known(self) -> list[AgentName]:
        """The journals that were read, by their agents' names."""
        return sorted(self._seen)

    def present(self) -> list[AgentName]:
        """Return the journals there are, by their agents' names.

        Raises:
            StorageError: the refs cannot be listed.
        """
        found = (refs.parse_journal_ref(name) for name in refs.names(self._repo, refs.notes_prefix(self._run)))
        return sorted(parsed[1] for parsed in found if parsed)

    def look(self, agents: Iterable[AgentName]) -> list[News]:
        """Return what is new in journals; what keeps one from being read is a problem of that journal alone."""
        moved = [(agent, tip) for agent in agents if (tip := self._moved(agent)) is not None]
        folders = notes.folders(self._repo, self._trees(tip for agent, tip in moved if agent not in self._seen))
        found = []
        for agent, tip in moved:
            try:
                found.append(self._news(agent, tip, folders))
            except StorageError as error:
                self._put(agent, tip, error)
        return found

    def records(self, news: Sequence[News]) -> Iterator[tuple[News, Event]]:
        """Yield the records that are new, journal by journal; after the last of a journal it counts as read."""
        blobs = [change.new for one in news for change in one.changes if change.new]
        # Of all journals at once: git takes as long for a quarter of the notes, since many are stored as differences.
        contents = bulk.contents(self._repo, blobs, "blob", MAX_NOTE_BYTES)
        for one in news:
            name = refs.journal_ref(self._run, one.agent)
            for change in one.changes:
                if change.new:
                    for record in self._of_note(name, one, change, next(contents)):
                        yield one, Event(change.commit, record)
            self._seen[one.agent] = _Seen(one.tip, one.writers)
            self._is_well(one.agent)

    def take_own(self, agent: AgentName, tip: pygit2.Oid) -> frozenset[str]:
        """Take a journal of this process as read up to its new tip, and return whose records stand there."""
        seen = self._seen.setdefault(agent, _Seen(tip, frozenset((agent,))))
        seen.tip = tip
        return seen.writers

    def forget_gone(self, present: Iterable[AgentName]) -> set[AgentName]:
        """Forget journals for which another one stands and that are no more, and return them."""
        gone = self.retired.intersection(self._seen).difference(present)
        for agent in gone:
            del self._seen[agent]
        return gone

    def _moved(self, agent: AgentName) -> pygit2.Oid | None:
        """Return the tip of a journal that is to be read."""
        name = refs.journal_ref(self._run, agent)
        try:
            tip = refs.read(self._repo, name)
        except StorageError as error:
            self._problems[name] = str(error)
            return None
        seen = self._seen.get(agent)
        if seen and seen.tip == tip:
            self._is_well(agent)  # it may have come back to where it was
            return None
        return None if tip is None or self._waits(agent, tip) else tip

    def _is_well(self, agent: AgentName) -> None:
        self._problems.pop(refs.journal_ref(self._run, agent), None)
        self._put_off.pop(agent, None)

    def _waits(self, agent: AgentName, tip: pygit2.Oid) -> bool:
        known = self._put_off.get(agent)
        if known is None or known.tip != tip or known.left == 0:
            return False
        known.left -= 1
        return True

    def _put(self, agent: AgentName, tip: pygit2.Oid, error: StorageError) -> None:
        self._problems[refs.journal_ref(self._run, agent)] = str(error)
        known = self._put_off.get(agent)
        wait = min(_LONGEST_WAIT, 8 * known.wait + 8) if known and known.tip == tip else 0
        self._put_off[agent] = _PutOff(tip, wait, wait)

    def _trees(self, tips: Iterable[pygit2.Oid]) -> Iterator[pygit2.Oid]:
        for tip in tips:
            with suppress(StorageError):  # `_news` says so
                yield tree_of(self._repo, tip)

    def _news(self, agent: AgentName, tip: pygit2.Oid, folders: notes.Folders) -> News:
        seen = self._seen.get(agent)
        if seen is not None:
            return News(agent, tip, seen.writers, check_growth(self._repo, seen.tip, tip))
        changes = notes.every(self._repo, tree_of(self._repo, tip), folders)
        retired = {AgentName(one.of) for one in successors.stands_for(self._repo, agent, tip)}
        self.retired |= retired
        return News(agent, tip, frozenset((agent, *retired)), changes)

    def _of_note(self, name: str, news: News, change: notes.NoteChange, content: bytes | None) -> Iterator[AnyRecord]:
        """Yield what is new in a note; its content is None where it has to be read yet."""
        place = f"{name}:{change.commit}"
        try:
            content = self._content(change.new) if content is None else content
            old = set(self._content(change.old).splitlines()) if change.old else set()
        except StorageError as error:
            self._problems[place] = str(error)
            return
        fresh = [line for line in dict.fromkeys(content.splitlines()) if line not in old]  # a note is a set of lines
        for record in decode_lines(fresh):
            if isinstance(record, ValueError):
                self._problems[place] = f"a line that is no valid record: {record}"
            elif record.agent not in news.writers or record.run != self._run:
                self._problems[place] = f"a record of {record.agent!r} in {record.run!r}: not its writer's"
            else:
                yield record

    def _content(self, note: pygit2.Oid | None) -> bytes:
        content = self._repo.content(note, "blob") if note else b""
        if len(content) > MAX_NOTE_BYTES:
            raise StorageError(f"a note of {len(content)} bytes; at most {MAX_NOTE_BYTES} are read")
        return content
