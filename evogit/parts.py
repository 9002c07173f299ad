"""What an agent is put together from, what it cannot know by itself, and what its steps come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from evogit.asking import Reflector
from evogit.evaluation import Meter
from evogit.judging import Judge
from evogit.llm import Models
from evogit.model import AgentName
from evogit.planning import Policy
from evogit.proposers.protocol import Proposer
from evogit.sandbox import NONE
from evogit.stopping import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The decisions an agent is put together from, each one replaceable; without a judge others compare."""

    proposer: Proposer
    policy: Policy
    meter: Meter
    limits: Limits
    judge: Judge | None = None
    sandbox: str = NONE
    """What the meter measures in, as records say it."""
    models: Models | None = None
    """What the proposer asks, if it asks any."""
    concurrency: int = 1
    """How many questions of the proposer's may be open at a time."""
    reflector: Reflector | None = None
    """What has lessons drawn from time to time; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an agent cannot know by itself: time, rest, its luck, and whether it should go on."""

    seed: int
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    stopped: Callable[[], str | None]
    new_name: Callable[[], AgentName]


class Outcome(StrEnum):
    """What one step came to."""

    SCORED = "scored"
    NOTHING_NEW = "nothing new"
    WAITED = "waited"
