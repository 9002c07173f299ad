"""Which agents work where nobody said: the default mix, and whether an agent can do anything in a repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from evogit import assembly, edits
from evogit.command_table import COMMAND
from evogit.config import AgentUse
from evogit.evaluator_table import Evaluator
from evogit.model import SourceFile, TreeId
from evogit.proposers.command import Tool
from evogit.proposers.protocol import Answer, Request
from evogit.store import definitions
from evogit.store.definitions import Found
from evogit.store.repository import Repository
from evogit.store.sources import Sources
from evogit.store.task import Definition

FIRST = "tuner"
"""The agent that starts where no other can."""
NUMBERS: Mapping[str, int] = {FIRST: 1}
"""The mix where a number says how good a candidate is."""
CODE: Mapping[str, int] = {"surgeon": 3, FIRST: 1}
"""The mix where tests judge, or what the code costs: what is wanted there is seldom another constant."""
OTHERS: Mapping[str, int] = {"surgeon": 1}
"""The mix where none of these could begin, as with a text that has no number."""
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


def default(
    repo: Repository, definition: Definition, count: int, caller: Mapping[str, str]
) -> tuple[list[AgentUse], Sequence[str]]:
    """Return the agents that start where nobody named any, and what a person should know about that, in lines.

    Agents of the mix that could not begin here are left out. Where none could, nor any of `OTHERS`, the first one is
    there all the same: it scores what people commit, and works on from that.

    Raises:
        ConfigError: a definition in the repository that stands for one of the mix is not valid.
        StorageError: the base cannot be read.
    """
    files = editable_files(repo, definition)
    if not files:
        return mix(count, {FIRST: 1}), []  # a run with nothing to edit is refused elsewhere, with the remedy
    shares = shares_for(definition.config.evaluator)
    reasons = {name: lack(definitions.find(repo, name), files, caller) for name in {**shares, **OTHERS}}
    said = [f"agent {name} is left out: {reasons[name]}" for name in shares if reasons[name]]
    for wanted in (shares, OTHERS):
        if able := {name: share for name, share in wanted.items() if not reasons[name]}:
            return mix(count, able), said
    words = f"agents can only score what people commit here: {reasons[FIRST]}; others may find more: evogit agents"
    return mix(count, {FIRST: 1}), [words]


def shares_for(evaluator: Evaluator) -> Mapping[str, int]:
    """Return the mix for what is scored: how tests end and what code costs is for those who change code."""
    is_tested = evaluator.pytest is not None or evaluator.result in ("junit", "exit-code")
    return CODE if is_tested or evaluator.is_cost else NUMBERS


def editable_files(repo: Repository, definition: Definition) -> Sequence[SourceFile]:
    """Return the text files of the base that agents may change.

    Raises:
        StorageError: the base cannot be read.
    """
    tree = TreeId(str(repo.commit(definition.base).tree_id))
    return Sources(repo, definition, edits.is_text).read(tree)


def lack(found: Found, files: Sequence[SourceFile], caller: Mapping[str, str]) -> str | None:
    """Return why agents of this definition could not begin with these files, or None when they can.

    `caller` is an environment. No tool is run: that could cost money.
    """
    if not files:
        return "no text file may be edited"
    if found.definition.proposer == COMMAND:
        return Tool(found.definition, caller).lack()
    if assembly.asks_models(found.definition):
        return None  # what a model makes of them, nobody knows
    made = assembly.proposer(found.definition)
    for seed in range(_TRIES):
        if not isinstance(made.propose(Request(files=files), Random(seed)), Answer | None):
            return None
    return f"its proposer {found.definition.proposer!r} finds nothing to change in the {len(files)} editable files"
