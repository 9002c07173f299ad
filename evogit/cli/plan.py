"""`evogit plan`: what an agent would do next, and whether a recorded plan follows from what its agent knew."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import click

from evogit import assembly, lineup
from evogit.asking import Weights, all_shares, choose
from evogit.cli import context, models
from evogit.cli.context import Reading
from evogit.cli.output import chosen_words, console, number, plain, print_json
from evogit.config import AgentUse, is_agent_name
from evogit.errors import UsageError
from evogit.model import AgentName, CommitId, Craft, Operator, Plan
from evogit.phylogeny import Phylogeny, askings
from evogit.planning import SELECTORS, Planner, Policy, seed_of
from evogit.records import MODEL, PROMPT, Choice, Proposal
from evogit.store import commits, definitions
from evogit.store.snapshot import Snapshot

_LISTED = 100


@dataclass(frozen=True, slots=True)
class _Asked:
    """The models that would be asked, and the prompts: their weights, and the shares they have now, by kind.

    There are none for agents that ask no model, and no shares where there is nothing to choose.
    """

    weights: Weights
    shares: Mapping[str, Mapping[str, float]]

    def choices(self, plan: Plan) -> Mapping[str, Choice]:
        """Return what a plan's seed chooses."""
        return choose(self.weights, self.shares, plan.seed)[0]

    def wanted(self, plan: Plan) -> Mapping[str, Choice]:
        """Return what a plan would choose; nothing for one that asks no model, as long as there are hunks to move."""
        is_edit = plan.operator is Operator.MUTATE and plan.craft is Craft.EDIT
        return self.choices(plan) if is_edit else {}


@click.command("plan")
@click.option("--agent", "agent", metavar="NAME", help="An agent of the run, or a definition; default: the run's first")
@click.option("--draws", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="How many plans")
@click.option("--seed", type=int, default=0, show_default=True, help="As for `evogit run --seed`")
@click.option("--policy", type=click.Choice(list(SELECTORS)), help="Another selection policy than the definition's")
@click.option("--merges", type=click.FloatRange(0, 1), help="Another share of merges than the definition's")
@models.model_option
@click.option("--replay", metavar="REV", help="Make the plan of this candidate again, from what its agent knew then")
@context.run_option
@context.json_option
def plan_command(
    agent: str | None,
    draws: int,
    seed: int,
    policy: str | None,
    merges: float | None,
    named: Sequence[str],
    replay: str | None,
    run: str | None,
    as_json: bool,
) -> None:
    """Show what an agent would do next; nothing is done.

    A plan depends only on the records, the policy and a seed. With --draws, many plans are made and counted. With
    --replay, the plan recorded with a candidate is made again: exit code 0 when it gives the candidate's parents, and
    the model that was chosen, else 1. Of agents that ask models it says by which shares one is chosen.
    """
    reading = context.read_run(run)
    if replay is not None:
        _replay(reading, reading.resolve(replay), as_json)
        return
    name, use = _who(reading, agent)
    chosen = _policy(reading, use, policy, merges)
    asked = _asked(reading, use, named)
    planner = Planner(reading.repo, reading.graph, chosen)
    first = reading.snapshot.next_seq(name) + 1
    plans = [planner.plan(seed_of(seed, name, first + number)) for number in range(draws)]
    made = [plan for plan in plans if plan]
    if not as_json and (again := reading.to_measure_again()):
        console().print(plain(f"first {len(again)} of the best of earlier epochs are measured again; then:"))
    if as_json:
        _print_json(reading, name, chosen, made, draws, asked)
    elif draws == 1:
        _show(reading, made[0] if made else None, asked)
    else:
        _show_counts(reading, made, draws)
        for kind, shares in asked.shares.items():
            for chosen_one, share in shares.items():
                console().print(plain(f"{share:7.2%}  of the questions  {kind} {chosen_one}"))


def _who(reading: Reading, agent: str | None) -> tuple[AgentName, str]:
    """Return the name whose seeds are used, and the definition."""
    uses = reading.task.definition.config.agents
    wanted = agent or (uses[0].name if uses else lineup.FIRST)
    for known in reading.snapshot.agents:
        if known == wanted:
            return known, known.rsplit("-", 2)[0]
    return AgentName(f"{AgentUse(use=wanted).name}-1-000000"), wanted


def _policy(reading: Reading, use: str, selection: str | None, merges: float | None) -> Policy:
    found = definitions.find(reading.repo, use, task=reading.task, beside=context.here())
    given = assembly.policy(found.definition)
    return replace(given, selection=selection or given.selection, merges=given.merges if merges is None else merges)


def _asked(reading: Reading, use: str, named: Sequence[str]) -> _Asked:
    """Return what agents of a definition that started now would choose from when they ask models."""
    definition = definitions.find(reading.repo, use, task=reading.task, beside=context.here()).definition
    uses = models.chosen(named, reading.task.definition.config.models) if assembly.asks_models(definition) else []
    if not uses:
        return _Asked({}, {})
    weights = {MODEL: {model.name: model.weight for model in uses}, PROMPT: dict.fromkeys(definition.prompts, 1.0)}
    return _shares(reading, reading.graph, weights, definition.choosing)


def _shares(reading: Reading, graph: Phylogeny, weights: Weights, how: str) -> _Asked:
    if not any(len(given) > 1 for given in weights.values()):
        return _Asked(weights, {})
    return _Asked(weights, all_shares(weights, askings(graph, definitions.tools(reading.task)), how))


def _counted(plans: list[Plan]) -> list[tuple[Plan, int]]:
    """Return one plan of each kind, the most frequent first, with its count."""
    kinds = Counter(_kind(plan) for plan in plans)
    first = {_kind(plan): plan for plan in reversed(plans)}
    return [(first[kind], count) for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))]


def _kind(plan: Plan) -> tuple[str, str, tuple[CommitId, ...], tuple[CommitId, ...]]:
    return plan.operator.value, plan.craft.value, plan.parents, plan.inspirations


def _as_json(plan: Plan, choices: Mapping[str, Choice] | None = None) -> dict[str, object]:
    return {
        **({"chosen": _names(choices)} if choices else {}),
        "operator": plan.operator.value,
        "parents": list(plan.parents),
        "craft": plan.craft.value,
        "inspirations": list(plan.inspirations),
    }


def _names(choices: Mapping[str, Choice]) -> dict[str, str]:
    return {kind: choice.chosen for kind, choice in choices.items()}


def _print_json(
    reading: Reading, name: AgentName, policy: Policy, plans: list[Plan], draws: int, asked: _Asked
) -> None:
    print_json(
        {
            "run": reading.task.run,
            "agent": name,
            "policy": asdict(policy),
            "seen": reading.snapshot.seen(),
            "to_measure_again": reading.to_measure_again(),
            "draws": draws,
            "counts": [{**_as_json(plan), "count": count} for plan, count in _counted(plans)],
            "shares": asked.shares,
            "plans": [{"seed": plan.seed, **_as_json(plan, asked.wanted(plan))} for plan in plans[:_LISTED]],
        }
    )


def _show(reading: Reading, plan: Plan | None, asked: _Asked) -> None:
    out = console()
    if plan is None:
        out.print("nothing to start from: no candidate has a score yet")
        return
    out.print(plain(f"{_verb(plan)}  seed {plan.seed}"))
    for parent in plan.parents:
        out.print(plain(f"  from {_name(reading, parent)}"))
    for donor in plan.inspirations:
        out.print(plain(f"  with hunks of {_name(reading, donor)}"))
    for kind, choice in asked.wanted(plan).items():
        out.print(plain(f"  asks with {kind} {chosen_words(choice)}"))


def _show_counts(reading: Reading, plans: list[Plan], draws: int) -> None:
    out = console()
    for plan, count in _counted(plans)[:40]:
        parents = "  with  ".join(_name(reading, commit) for commit in (*plan.parents, *plan.inspirations))
        out.print(plain(f"{count / draws:7.2%}  {_verb(plan):6}  {parents}"))


def _verb(plan: Plan) -> str:
    return plan.operator.value if plan.craft is Craft.EDIT else plan.craft.value


def _name(reading: Reading, commit: CommitId) -> str:
    what = "(the base)" if commit == reading.graph.base else reading.subject(commit)
    return f"{commit[:9]}  {number(reading.graph.value(commit))}  {what}"


def _replay(reading: Reading, commit: CommitId, as_json: bool) -> None:
    found = reading.snapshot.candidates.get(commit)
    made = found.proposal if found else None
    if made is None or not made.seen:
        raise UsageError(f"{commit[:12]} has no recorded plan; candidates of agents have one, the base has none")
    if not is_agent_name(made.use):
        # A record may come from anybody: it names no file here.
        raise UsageError(f"{commit[:12]} was planned by {made.use!r}, which is the name of no agent definition")
    plan, asked = _again(reading, made, found.born_under if found else None)
    choices = asked.choices(plan) if plan else {}
    parents = tuple(commits.parents(reading.repo, commit))
    donor = (CommitId(made.donor),) if made.donor else ()
    # A plan to take a change over may have ended as an edit, and one to bring two together as an edit of the first,
    # while no model answered; never the other way round.
    alone = plan.parents[:1] if plan and plan.craft is Craft.CROSS else ()
    same = plan is not None and parents in (plan.parents, alone) and donor in ((), plan.inspirations)
    same = same and _names(choices) == _names(made.choices)
    if as_json:
        print_json(
            {
                "run": reading.task.run,
                "commit": commit,
                "agent": made.agent,
                "seed": made.seed,
                "seen": dict(made.seen),
                "parents": list(parents),
                "plan": _as_json(plan, choices) if plan else None,
                "same": same,
            }
        )
    else:
        _show(reading, plan, asked)
        verdict = "follows from" if same else "does not follow from"
        console().print(plain(f"{commit[:9]} by {made.agent} {verdict} what its agent knew, its policy and its seed"))
    sys.exit(0 if same else 1)


def _again(reading: Reading, made: Proposal, evaluator: str | None) -> tuple[Plan | None, _Asked]:
    """Return the plan, and what was to choose from, as they were when a proposal was made."""
    definition = reading.task.definition
    counted = evaluator or definition.evaluator
    then = Snapshot(
        reading.repo, reading.task.run, counted, definition.config.direction, base=definition.base, until=made.seen
    )
    then.refresh()
    graph = Phylogeny(reading.repo, then, definition.base)
    graph.refresh()
    how = definitions.find(reading.repo, made.use, task=reading.task, beside=context.here()).definition.choosing
    asked = _shares(reading, graph, {kind: choice.weights for kind, choice in made.choices.items()}, how)
    return Planner(reading.repo, graph, _policy(reading, made.use, None, None)).plan(made.seed), asked
