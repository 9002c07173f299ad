"""The text of a proposal: the message of its commit, which is what forges take for the pull request.

All words of candidates, evaluators and agents are made harmless: they reach mail, forges, terminals and git itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from evogit import review
from evogit.gain import RULE, Trial, by_instance, values
from evogit.harmless import harmless, in_block, one_line, visible
from evogit.model import CommitId, Measurement, Operator

_TITLE = 72
_TRIED = 72
_MOST_STEPS = 30
_MOST_METRICS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One candidate of the lineage, with what is recorded of it; `by` is the agent that made it, or the person."""

    commit: CommitId
    by: str
    operator: Operator
    value: float | None
    subject: str
    parents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the text says; `steps` are the lineage without the base, oldest first."""

    run: str
    goal: str
    evaluator: str
    command: str
    is_split: bool
    base: CommitId
    base_value: float | None
    target: CommitId
    best: CommitId
    stat: str
    files: Sequence[str]
    steps: Sequence[Step]
    evaluations: int
    trial: Trial
    sandbox: str
    host: str
    warnings: Sequence[str]
    remote: str
    trailers: Sequence[tuple[str, str]]


def message(facts: Facts) -> str:
    """Return the whole message: a title, what a reviewer wants first, then how to check it, then trailers."""
    parts = [
        title(facts),
        _summary(facts),
        _block([in_block(line) for line in facts.stat.splitlines()]),
        *(["\n".join(f"* {warning}" for warning in facts.warnings)] if facts.warnings else []),
        _evidence(facts),
        _lineage(facts),
        _reproduce(facts),
        _review(facts),
        "\n".join(f"{name}: {one_line(value, 200)}" for name, value in facts.trailers),
    ]
    return "\n\n".join(parts) + "\n"


def title(facts: Facts) -> str:
    """Return the first line: what it is for or what it changes, and the gain; at most 72 characters."""
    before, after = facts.trial.before, facts.trial.after
    won = f": {_number(before)} to {_number(after)}"
    if before and abs(after / before) < 100 and before * after > 0:
        won += f" ({(after - before) / abs(before):+.1%})"
    what = facts.files[0] if len(facts.files) == 1 else f"{len(facts.files)} files"
    return harmless(facts.goal.partition("\n")[0] or f"Change {what}", _TITLE - len(won)).rstrip(".") + won


def _summary(facts: Facts) -> str:
    makers = {(step.operator is Operator.HUMAN, step.by) for step in facts.steps}
    agents = sum(not human for human, _ in makers)
    people = len(makers) - agents
    by = " and ".join(
        _many(count, one, more)
        for count, one, more in ((agents, "agent", "agents"), (people, "person", "people"))
        if count
    )
    found = (
        f"Found by evogit in run {facts.run}: {_many(len(facts.steps), 'step', 'steps')} from {facts.base[:12]} "
        f"by {by}, among {_many(facts.evaluations, 'evaluation', 'evaluations')} of the whole run."
    )
    return _wrap(found) + (f"\nGoal: {harmless(facts.goal, 300)}" if facts.goal else "")


def _evidence(facts: Facts) -> str:
    trial = facts.trial
    times = len(trial.proposed)
    onto = "the base" if facts.target == facts.base else f"its target {facts.target[:12]}"
    direction = trial.direction.value
    rows = [("score", [one.value for one in trial.reference], [one.value for one in trial.proposed])]
    for name in _metrics(trial):
        rows.append((name, _of(trial.reference, name), _of(trial.proposed, name)))
    table = [f"| | before: {onto} | after: proposed |", "|---|---|---|"]
    table += [f"| {f'score ({direction})' if not row else _code(name, 60)} | {_series(before)} | {_series(after)} |"
              for row, (name, before, after) in enumerate(rows)]  # fmt: skip
    seconds = [median(one.seconds for one in side) for side in (trial.reference, trial.proposed)]
    table.append(f"| seconds | {seconds[0]:.3g} | {seconds[1]:.3g} |")
    luck = "No score varied." if trial.is_steady else f"Luck alone does as well in {_percent(trial)} of cases."
    said = (
        f"**Evidence**: both were measured again for this text, {times} times each in turns, each time in a fresh "
        f"export. {luck} Medians; least and greatest in brackets."
    )
    where = f"Host {_code(facts.host, 60)}, sandbox {_code(facts.sandbox, 60)}, evaluator `{facts.evaluator[:16]}`."
    rule = f"Rule of `evogit pr`: {RULE[0].lower()}{RULE[1:]}."
    better, worse, same = by_instance(trial)
    instances = (
        f"Of the instances {better} got better, {worse} worse, {same} stayed.\n" if better + worse + same else ""
    )
    return "\n\n".join((_wrap(said), "\n".join(table), f"{instances}{where}\n{_wrap(rule)}"))


def _metrics(trial: Trial) -> list[str]:
    every = (*trial.reference, *trial.proposed)
    common = set(every[0].metrics).intersection(*(set(one.metrics) for one in every))
    return sorted(common)[:_MOST_METRICS]


def _of(measured: Sequence[Measurement], name: str) -> list[float | None]:
    return [one.metrics.get(name) for one in measured]


def _series(found: Sequence[float | None]) -> str:
    known = [value for value in found if value is not None]
    if not known:
        return "-"
    low, high = min(known), max(known)
    return _number(median(known)) + ("" if low == high else f" ({_number(low)} … {_number(high)})")


def _lineage(facts: Facts) -> str:
    shown = list(facts.steps)[-_MOST_STEPS:]
    left = len(facts.steps) - len(shown)
    lines = [
        "**Lineage**: what led here by first parents, with the scores as recorded.",
        "",
        "| step | commit | agent | operator | score | what was tried |",
        "|---|---|---|---|---|---|",
        f"| 0 | {facts.base[:12]} | | base | {_number(facts.base_value)} | |",
    ]
    if left:
        lines.append(f"| … | | | | | {_many(left, 'step', 'steps')} in between |")
    for number, step in enumerate(shown, left + 1):
        operator = step.operator.value if step.parents < 2 else f"{step.operator.value} of {step.parents}"
        tried = _code(step.subject, _TRIED)
        by = harmless(step.by, 63)
        lines.append(f"| {number} | {step.commit[:12]} | {by} | {operator} | {_number(step.value)} | {tried} |")
    return "\n".join(lines)


def _reproduce(facts: Facts) -> str:
    best, fetch = facts.best[:12], review.fetch(facts.run, facts.remote)
    if facts.is_split:
        said = "**Reproduce**, the last two lines with evogit, which keeps what scores and the candidate apart:"
        return _wrap(said) + "\n\n" + _block((*fetch, *review.measure(facts.run, facts.remote, best)))
    lines = (*fetch, *review.reproduce(facts.run, facts.remote, best, facts.command))
    heading = (
        f"**Reproduce**: `evogit evaluate {best} --run {facts.run}`, or with git alone, with the files that judge:"
    )
    return _wrap(heading) + "\n\n" + _block(lines)


def _review(facts: Facts) -> str:
    base, best, notes = facts.base[:12], facts.best[:12], f"evogit-remote/{facts.remote}/{facts.run}/*"
    steps = review.bisect(base, best, notes, facts.evaluator, _halfway(facts))
    lines = (*review.look(base, best, notes), *steps)
    heading = "**Review without evogit**, after that fetch; the last lines find the step that won half of the gain:"
    return _wrap(heading) + "\n\n" + _block(lines)


def _halfway(facts: Facts) -> tuple[str, float]:
    known = [step.value for step in facts.steps if step.value is not None]
    before = facts.trial.before if facts.base_value is None else facts.base_value
    after = known[-1] if known else facts.trial.after
    return (">=" if after >= before else "<="), (before + after) / 2


def _block(lines: Sequence[str]) -> str:
    # Indented, so that Markdown leaves it alone and no line can begin a patch, a trailer or a comment.
    return "\n".join(f"    {visible(line)}".rstrip() for line in lines)


def _code(text: str, length: int) -> str:
    line = harmless(text, length)
    return f"`{line}`" if line else ""


def _wrap(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _TITLE, break_long_words=False, break_on_hyphens=False))


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def refusal(trial: Trial) -> str:
    """Return in numbers why the trial proves no gain."""
    before, after = _series(list(values(trial.reference))), _series(list(values(trial.proposed)))
    numbers = f"{before} before, {after} after, measured {len(trial.proposed)} times each ({trial.direction.value})"
    if not trial.is_better:
        return f"no gain: {numbers}"
    luck = f"the gain may be luck, which does as well in {_percent(trial)} of cases"
    return f"{luck}: {numbers}; --repeat N measures more often"


def _percent(trial: Trial) -> str:
    return f"{float(trial.luck) * 100:.2g} %"


def metrics_of(measured: Sequence[Measurement]) -> Mapping[str, object]:
    """Return measurements for machines: all values, and wall seconds."""
    return {"values": values(measured), "seconds": [round(one.seconds, 4) for one in measured]}
