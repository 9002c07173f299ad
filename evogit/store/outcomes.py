"""What became of each ref in an exchange with a remote, and what `.git/evogit` remembers of the last one."""

from __future__ import annotations

import os
from dataclasses import dataclass

import msgspec

from evogit.errors import StorageError
from evogit.store import tracking
from evogit.store.remote import Remote
from evogit.store.repository import Repository
from evogit.store.takeover import TROUBLE, Situation


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one ref; `taken` and `sent` say that it moved here or there."""

    name: str
    ref: str
    situation: Situation
    taken: bool = False
    sent: bool = False
    refused: bool = False
    detail: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether a person should look at it."""
        return self.refused or (self.situation in TROUBLE and not self.ref.startswith(tracking.BRANCHES))


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one exchange, ref by ref."""

    remote: Remote
    outcomes: tuple[Outcome, ...]

    @property
    def taken(self) -> int:
        """How many refs moved here."""
        return sum(one.taken for one in self.outcomes)

    @property
    def sent(self) -> int:
        """How many refs moved there."""
        return sum(one.sent for one in self.outcomes)

    @property
    def problems(self) -> tuple[Outcome, ...]:
        """What a person should look at."""
        return tuple(one for one in self.outcomes if one.is_problem)


class LastOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the last exchange with a remote ended.

    `at` is when, `reached` when it was last reached (RFC 3339, UTC; empty: never), `error` why it was not this time.
    `taken` and `sent` count refs of that exchange; `waiting` those of this clone that the remote does not have yet.
    """

    remote: str
    at: str
    reached: str = ""
    error: str = ""
    taken: int = 0
    sent: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The outcome in words, without its time."""
        late = f"; {self.waiting} of this clone's refs wait to be sent" if self.waiting else ""
        if self.error:
            return f"{self.error}{late}"
        wrong = f"; {len(self.problems)} problems: {self.problems[0]}" if self.problems else ""
        return f"{self.taken} taken, {self.sent} sent{late}{wrong}"


def last_outcomes(repo: Repository) -> list[LastOutcome]:
    """Return how the last exchange with each remote ended, by remote; what cannot be read is left out."""
    found = []
    for path in sorted(repo.private.glob("sync-*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=LastOutcome))
        except (OSError, msgspec.MsgspecError):
            continue  # a power cut left it so, or another version wrote it; the next exchange writes it again
    return found


def last_outcome(repo: Repository, slug: str) -> LastOutcome | None:
    """Return how the last exchange with one remote ended, or None."""
    try:
        return msgspec.json.decode((repo.private / f"sync-{slug}.json").read_bytes(), type=LastOutcome)
    except (OSError, msgspec.MsgspecError):
        return None


def write_outcome(repo: Repository, slug: str, outcome: LastOutcome) -> None:
    """Remember how an exchange ended.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = repo.private / f"sync-{slug}.json"
    made = repo.private / f"sync-{slug}.{os.getpid()}.new"
    try:
        repo.private.mkdir(exist_ok=True)
        made.write_bytes(msgspec.json.encode(outcome))
        made.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
