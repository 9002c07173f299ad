"""What an agent does next, as a pure function of what it knows, its policy and a seed. Nothing is written here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from evogit.errors import StorageError
from evogit.hunks import Donors
from evogit.merging import Mates
from evogit.model import AgentName, CommitId, Craft, Operator, Plan
from evogit.phylogeny import Phylogeny
from evogit.selection.base import Base
from evogit.selection.clade import Clade
from evogit.selection.distant import Distant
from evogit.selection.elites import Elites
from evogit.selection.greedy import Greedy
from evogit.selection.lexicase import Lexicase
from evogit.selection.origin import Origin
from evogit.selection.pareto import Pareto
from evogit.selection.protocol import Field, Selector
from evogit.selection.rank import Rank
from evogit.selection.sigmoid import Sigmoid
from evogit.selection.stagnation import Stagnation
from evogit.selection.tournament import Tournament
from evogit.selection.uct import Uct
from evogit.store.repository import Repository

_PREFER = 0.5
"""How often only promoted lineages are chosen from, while there are any."""
_MOVED = 0.3
"""How often a plan that starts far away takes hunks over from another lineage, where they fit, and edits nothing."""
SELECTORS: Mapping[str, Callable[[], Selector]] = {
    "greedy": Greedy,
    "tournament": Tournament,
    "base": Base,
    "clade": Clade,
    "rank": Rank,
    "sigmoid": Sigmoid,
    "pareto": Pareto,
    "elites": Elites,
    "uct": Uct,
    "lexicase": Lexicase,
    "distant": Distant,
    "origin": Origin,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How parents are chosen and plans shared out: by which selection, and how many merge, cross, minimize, transplant.

    Each share is of the plans that those before it leave; `reverts` is the share of transplants that take hunks back,
    and `widens` the share, at most, of plans that start far away while the best does not get better.
    `features` are metrics that tell kinds apart for `elites`, each with the width of a cell.
    """

    selection: str
    merges: float = 0.0
    crosses: float = 0.0
    minimizes: float = 0.0
    transplants: float = 0.0
    reverts: float = 0.0
    widens: float = 0.0
    features: Mapping[str, float] = field(default_factory=dict)

    def selector(self) -> Selector:
        """Return what chooses a parent."""
        return Elites(self.features) if self.selection == "elites" else SELECTORS[self.selection]()


class Planner:
    """Plans for one policy over one family tree."""

    def __init__(self, repo: Repository, graph: Phylogeny, policy: Policy) -> None:
        self._graph = graph
        self._policy = policy
        self._selector = policy.selector()
        self._mates = Mates(repo, graph)
        self._donors = Donors(graph)
        self._stagnation = Stagnation(graph)
        self._far = Distant()

    def plan(self, seed: int) -> Plan | None:
        """Return the plan this seed gives, or None when there is nothing to start from.

        The same commits and records, policy and seed give the same plan, on every machine.
        """
        rng = Random(seed)
        if rng.random() < self._policy.merges and (parents := self._mate(self._mates.choose, rng)):
            return Plan(operator=Operator.MERGE, parents=parents, seed=seed)
        if self._draws(self._policy.crosses, rng) and (parents := self._mate(self._mates.choose_to_ask, rng)):
            return Plan(operator=Operator.MERGE, parents=parents, seed=seed, craft=Craft.CROSS)
        if self._draws(self._policy.minimizes, rng) and (best := self._graph.best()):
            return Plan(operator=Operator.MUTATE, parents=(best.id,), seed=seed, craft=Craft.MINIMIZE)
        if self._policy.widens and self._draws(self._policy.widens * self._stagnation.wideness(), rng):
            return self._widened(seed, rng)
        preferred = self._graph.preferred
        narrow = bool(preferred.ids) and rng.random() < _PREFER
        parents = self._selector.parents(Field(self._graph, preferred if narrow else self._graph.field), rng)
        if not parents:
            return None
        craft, donors = self._craft(parents[0], rng)
        return Plan(operator=Operator.MUTATE, parents=parents, seed=seed, craft=craft, inspirations=donors)

    def _widened(self, seed: int, rng: Random) -> Plan | None:
        """Return a plan that starts from a good candidate far from the others, now and then by moving hunks."""
        parents = self._far.parents(Field(self._graph, self._graph.field), rng)
        if not parents:
            return None
        craft, donors = Craft.EDIT, tuple[CommitId, ...]()
        if rng.random() < _MOVED and (donor := self._donors.choose(parents[0], rng)):
            craft, donors = Craft.TRANSPLANT, (donor,)
        return Plan(operator=Operator.MUTATE, parents=parents, seed=seed, craft=craft, inspirations=donors)

    def _craft(self, parent: CommitId, rng: Random) -> tuple[Craft, tuple[CommitId, ...]]:
        """Return how to change a parent, and the candidate to take a change from."""
        if not self._draws(self._policy.transplants, rng):
            return Craft.EDIT, ()
        if self._draws(self._policy.reverts, rng):
            return Craft.REVERT, ()
        donor = self._donors.choose(parent, rng)
        return (Craft.TRANSPLANT, (donor,)) if donor else (Craft.EDIT, ())

    @staticmethod
    def _draws(share: float, rng: Random) -> bool:
        # What a definition has no share of draws nothing, so that its plans are what they were before there was any.
        return share > 0 and rng.random() < share

    def _mate(self, choose: Callable[[Random], tuple[CommitId, ...]], rng: Random) -> tuple[CommitId, ...]:
        try:
            return choose(rng)
        except StorageError as error:
            self._graph.snapshot.problems["merging"] = str(error)
            return ()


def seed_of(world: int, agent: AgentName, count: int) -> int:
    """Return the seed of an agent's plan number `count`.

    It depends on the agent's definition and number but not on the clone, so that the same start gives the same choices.
    """
    name = agent.rpartition("-")[0]
    return int.from_bytes(hashlib.sha256(f"{world}/{name}/{count}".encode()).digest()[:6])
