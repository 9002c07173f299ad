"""The text of a proposal: the message of its commit, which is what forges take for the pull request.

All words of candidates, evaluators and agents are made harmless: they reach mail, forges, terminals and git itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evogit import pull_evidence, review
from evogit.gain import Trial
from evogit.harmless import harmless, in_block, one_line, visible
from evogit.model import CommitId, Operator
from evogit.pull_evidence import WIDTH, Evidence, code, number, wrap

_TRIED = 72
_MOST_STEPS = 30


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
    """Everything the text says; `steps` are the lineage without the base, oldest first.

    `command` is what measures, where that can be said without evogit.
    """

    run: str
    goal: str
    evaluator: str
    command: str | None
    base: CommitId
    base_value: float | None
    target: CommitId
    best: CommitId
    stat: str
    files: Sequence[str]
    steps: Sequence[Step]
    evaluations: int
    evidence: Evidence
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
    won = pull_evidence.won(facts.evidence)
    what = facts.files[0] if len(facts.files) == 1 else f"{len(facts.files)} files"
    return harmless(facts.goal.partition("\n")[0] or f"Change {what}", WIDTH - len(won)).rstrip(".") + won


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
    return wrap(found) + (f"\nGoal: {harmless(facts.goal, 300)}" if facts.goal else "")


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _evidence(facts: Facts) -> str:
    onto = "the base" if facts.target == facts.base else f"its target {facts.target[:12]}"
    where = f"Host {code(facts.host, 60)}, sandbox {code(facts.sandbox, 60)}, evaluator `{facts.evaluator[:16]}`."
    return pull_evidence.paragraphs(facts.evidence, onto, where)


def _lineage(facts: Facts) -> str:
    shown = list(facts.steps)[-_MOST_STEPS:]
    left = len(facts.steps) - len(shown)
    kind = "score" if isinstance(facts.evidence, Trial) else "rating"
    lines = [
        f"**Lineage**: what led here by first parents, with the {kind}s as recorded.",
        "",
        f"| step | commit | agent | operator | {kind} | what was tried |",
        "|---|---|---|---|---|---|",
        f"| 0 | {facts.base[:12]} | | base | {number(facts.base_value)} | |",
    ]
    if left:
        lines.append(f"| … | | | | | {_many(left, 'step', 'steps')} in between |")
    for place, step in enumerate(shown, left + 1):
        operator = step.operator.value if step.parents < 2 else f"{step.operator.value} of {step.parents}"
        tried = code(step.subject, _TRIED)
        by = harmless(step.by, 63)
        lines.append(f"| {place} | {step.commit[:12]} | {by} | {operator} | {number(step.value)} | {tried} |")
    return "\n".join(lines)


def _reproduce(facts: Facts) -> str:
    best, fetch = facts.best[:12], review.fetch(facts.run, facts.remote)
    if facts.command is None:
        said = "**Reproduce**, the last two lines with evogit, which keeps what scores and the candidate apart:"
        if not isinstance(facts.evidence, Trial):
            said = "**Check its gates** with evogit:"
        return wrap(said) + "\n\n" + _block((*fetch, *review.measure(facts.run, facts.remote, best)))
    lines = (*fetch, *review.reproduce(facts.run, facts.remote, best, facts.command))
    heading = (
        f"**Reproduce**: `evogit evaluate {best} --run {facts.run}`, or with git alone, with the files that judge:"
    )
    return wrap(heading) + "\n\n" + _block(lines)


def _review(facts: Facts) -> str:
    base, best, notes = facts.base[:12], facts.best[:12], f"evogit-remote/{facts.remote}/{facts.run}/*"
    lines, heading = review.look(base, best, notes), "**Review without evogit**, after that fetch"
    if isinstance(facts.evidence, Trial):
        lines = (*lines, *review.bisect(base, best, notes, facts.evaluator, _halfway(facts, facts.evidence)))
        heading += "; the last lines find the step that won half of the gain"
    return wrap(f"{heading}:") + "\n\n" + _block(lines)


def _halfway(facts: Facts, trial: Trial) -> tuple[str, float]:
    known = [step.value for step in facts.steps if step.value is not None]
    before = trial.before if facts.base_value is None else facts.base_value
    after = known[-1] if known else trial.after
    return (">=" if after >= before else "<="), (before + after) / 2


def _block(lines: Sequence[str]) -> str:
    # Indented, so that Markdown leaves it alone and no line can begin a patch, a trailer or a comment.
    return "\n".join(f"    {visible(line)}".rstrip() for line in lines)
