"""Which agents work where nobody said: the default mix, and whether an agent can do anything in a repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from evogit import assembly, edits
from evogit.config import AgentUse
from evogit.model import SourceFile, TreeId
from evogit.proposers.protocol import Request
from evogit.store import definitions
from evogit.store.definitions import Found
from evogit.store.repository import Repository
from evogit.store.sources import Sources
from evogit.store.task import Definition

FIRST = "tuner"
"""The agent that starts where no other can."""
SHARES: Mapping[str, int] = {
    FIRST: 6,
}
"""The default mix; an agent joins it by a line here.

The transplanter and the minimizer do not stand in it: beside tuners alone, an evaluation one of them takes from a tuner
cost more than it brought where it was measured (`examples/bin_packing`, four and eight agents). Nor does the surgeon:
beside tuners it was not measured yet.
"""
COUNT = 2
"""How many agents start where nobody said how many."""
_TRIES = 5


def mix(count: int, shares: Mapping[str, int]) -> list[AgentUse]:
    """Return `count` agents, shared out by Webster's method: more agents never take one away from another.

    For 6 to 1 to 1: up to three tuners, the fourth agent is of the second name, the fifth of the third.
    """
    taken = dict.fromkeys(shares, 0)
    for _ in range(count):
        name = max(shares, key=lambda name: shares[name] / (2 * taken[name] + 1))  # the first of equals
        taken[name] += 1
    return [AgentUse(use=name, count=number) for name, number in taken.items() if number]


def default(repo: Repository, definition: Definition, count: int) -> tuple[list[AgentUse], Sequence[str]]:
    """Return the agents that start where nobody named any, and what a person should know about that, in lines.

    Agents of the mix that could not begin here are left out. Where none could, the first one is there all the same: it
    scores what people commit, and works on from that.

    Raises:
        ConfigError: a definition in the repository that stands for one of the mix is not valid.
        StorageError: the base cannot be read.
    """
    files = editable_files(repo, definition)
    reasons = {name: lack(definitions.find(repo, name), files) for name in SHARES}
    able = {name: share for name, share in SHARES.items() if not reasons[name]}
    if not able:
        if not files:
            return mix(count, {FIRST: 1}), []  # a run with nothing to edit is refused elsewhere, with the remedy
        said = f"agents can only score what people commit here: {reasons[FIRST]}; others may find more: evogit agents"
        return mix(count, {FIRST: 1}), [said]
    return mix(count, able), [f"agent {name} is left out: {reason}" for name, reason in reasons.items() if reason]


def editable_files(repo: Repository, definition: Definition) -> Sequence[SourceFile]:
    """Return the text files of the base that agents may change.

    Raises:
        StorageError: the base cannot be read.
    """
    tree = TreeId(str(repo.commit(definition.base).tree_id))
    return Sources(repo, definition, edits.is_text).read(tree)


def lack(found: Found, files: Sequence[SourceFile]) -> str | None:
    """Return why agents of this definition could not begin with these files, or None when they can."""
    if not files:
        return "no text file may be edited"
    if assembly.asks_models(found.definition):
        return None  # what a model makes of them, nobody knows
    made = assembly.proposer(found.definition)
    for seed in range(_TRIES):
        if made.propose(Request(files=files), Random(seed)) is not None:
            return None
    return f"its proposer {found.definition.proposer!r} finds nothing to change in the {len(files)} editable files"
