"""Keeping this clone in step with a remote: one exchange, remembered, or one after another beside agents at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

from evogit.errors import StorageError
from evogit.store import locking, outcomes
from evogit.store.exchange import Exchange, Wish
from evogit.store.outcomes import LastOutcome, Outcome, Report, last_outcomes
from evogit.store.repository import Repository

__all__ = ["Exchange", "LastOutcome", "Outcome", "Pace", "Report", "Wish", "keep_in_step", "last_outcomes", "once"]

_LONGEST_PAUSE_S = 300.0
_TICK_S = 0.2
_REST_TO_WORK = 5.0
"""A remote with very many refs lists them all each time (git 2.39 cannot ask for some): it is then asked less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a loop cannot know by itself: how often, the time, rest, luck, and whether it should end."""

    every_s: float
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    stopped: Callable[[], str | None]
    rng: Random


def once(exchange: Exchange, repo: Repository, now: datetime) -> tuple[Report | None, LastOutcome]:
    """Exchange once and remember how it ended; a remote that cannot be reached is an outcome, too.

    Raises:
        StorageError: Git would not read or write here.
    """
    slug, at = exchange.remote.slug, now.isoformat(timespec="seconds")
    try:
        report = exchange.round()
    except StorageError as error:
        before = outcomes.last_outcome(repo, slug)
        outcome = LastOutcome(
            remote=str(exchange.remote), at=at, reached=before.reached if before else "", error=str(error),
            waiting=exchange.waiting(),
        )  # fmt: skip
        outcomes.write_outcome(repo, slug, outcome)
        return None, outcome
    problems = tuple(f"{one.name}: {one.situation}: {one.detail}" for one in report.problems)
    refused = sum(one.refused for one in report.outcomes)
    outcome = LastOutcome(
        remote=str(exchange.remote), at=at, reached=at, taken=report.taken, sent=report.sent, waiting=refused,
        problems=problems,
    )  # fmt: skip
    if not exchange.remote.is_bundle:  # a file is not out of reach or behind
        outcomes.write_outcome(repo, slug, outcome)
    return report, outcome


def keep_in_step(repo: Repository, exchange: Exchange, name: str, pace: Pace) -> Iterator[LastOutcome]:
    """Exchange until told to stop, and once more then; yield each outcome.

    `name` is what only one loop of this clone does at a time: others stand by and take its place when it is gone. A
    remote that cannot be reached is asked ever more seldom.

    Raises:
        StorageError: Git would not read or write here.
    """
    while pace.stopped() is None:
        with locking.alone(repo, name, wait=False) as held:
            if held:
                yield from _rounds(repo, exchange, pace)
        _rest(pace, pace.every_s)
    yield once(exchange, repo, pace.now())[1]


def _rounds(repo: Repository, exchange: Exchange, pace: Pace) -> Iterator[LastOutcome]:
    failures = 0
    while pace.stopped() is None:
        started = pace.now()
        outcome = once(exchange, repo, started)[1]
        took = (pace.now() - started).total_seconds()
        failures = failures + 1 if outcome.error else 0
        yield outcome
        every = max(pace.every_s, _REST_TO_WORK * took)
        pause = min(_LONGEST_PAUSE_S, every * 2.0 ** min(failures, 20)) if failures else every
        _rest(pace, pause * pace.rng.uniform(0.5, 1.5) if failures else pause)


def _rest(pace: Pace, seconds: float) -> None:
    while seconds > 0 and pace.stopped() is None:
        pace.sleep(min(_TICK_S, seconds))
        seconds -= _TICK_S
