"""Proposing a result for merging: what it would change, whether it is better when measured again, and its branch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import SystemRandom

from evogit import promote
from evogit.errors import EvaluatorBroken, NotBetter, UsageError
from evogit.gain import Trial
from evogit.harmless import harmless
from evogit.judging import Exhibit, Heard, Judge, contest
from evogit.judging.contest import Contest
from evogit.model import CommitId, Measurement, Operator, Status, TreeId
from evogit.pull_evidence import Evidence, refusal
from evogit.pull_text import Facts, Step
from evogit.store import commits, landing
from evogit.store.landing import Target
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import Task

_LONGEST_LINEAGE = 10_000
_MOST_WARNED = 5
_MODEL = re.compile(r"^(?:Assisted-by|Evogit-Model): *(?:evogit:)?(\w[\w./:+-]{0,99}(?:@\w{1,40})?)$", re.MULTILINE)
_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_LINK, _EXECUTABLE, _FILE = 0o120000, 0o100755, 0o100644


class Style(StrEnum):
    """How a result lands: as one commit, or as a merge commit of its lineage as it evolved."""

    SQUASH = "squash"
    HISTORY = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would be proposed: a tree on top of a target, made from a candidate of a run."""

    repo: Repository
    task: Task
    best: CommitId
    target: Target
    tree: TreeId
    style: Style
    warnings: tuple[str, ...]

    @property
    def parents(self) -> tuple[CommitId, ...]:
        """The parents its commit gets."""
        return (self.target.commit, self.best) if self.style is Style.HISTORY else (self.target.commit,)

    @property
    def target_tree(self) -> TreeId:
        """The tree it is compared with: what is there without it."""
        return TreeId(str(self.repo.commit(self.target.commit).tree_id))


def own_change(repo: Repository, task: Task, commit: CommitId) -> tuple[TreeId, tuple[str, ...]]:
    """Return the base's tree with a commit's change, protected files left out, and a sentence if any were.

    Raises:
        UsageError: nothing would be left of the tree.
        StorageError: Git would not read or write.
    """
    tree = TreeId(str(repo.commit(commit).tree_id))
    changed, left = landing.own_change(repo, task.definition, task.base_tree, tree)
    return changed, tuple(_of_paths("left out, since protected files are not what was measured", left))


def prepare(repo: Repository, task: Task, best: CommitId, *, style: Style, onto: str | None) -> Proposal:
    """Return what would be proposed; protected files keep the target's content, since they were not what was measured.

    Raises:
        UsageError: the commit is none of this run, changes nothing, or conflicts with the target.
        StorageError: Git would not read or write.
    """
    definition = task.definition
    if not landing.descends(repo, best, definition.base):
        raise UsageError(f"{best[:12]} does not descend from {definition.base[:12]}, the base of run {task.run}")
    if best == definition.base:
        raise UsageError(f"{best[:12]} is the base of run {task.run} itself; there is nothing to propose")
    target = landing.target(repo, definition.base, onto)
    changed, left = own_change(repo, task, best)
    onto_tree = TreeId(str(repo.commit(target.commit).tree_id))
    name = target.branch or target.commit[:12]
    try:
        tree = landing.on_top(repo, task.base_tree, onto_tree, changed)
    except UsageError as error:
        raise UsageError(
            f"{best[:12]} does not fit onto {name}, which moved on since run {task.run} began: {error}; start a run "
            f"there (evogit run --new), or propose it as it is: evogit pr --onto {definition.base[:12]}"
        ) from error
    if tree == onto_tree:
        raise UsageError(f"{best[:12]} changes nothing on {name}; there is nothing to propose")
    warnings = (
        *left,
        *_of_paths("judged by the run's own version of", landing.foreign_judges(repo, definition, onto_tree)),
        *_to_look_at(repo, task, onto_tree, tree),
    )
    return Proposal(repo=repo, task=task, best=best, target=target, tree=tree, style=style, warnings=warnings)


def _of_paths(what: str, paths: Sequence[bytes]) -> Iterator[str]:
    if paths:
        names = ", ".join(f"`{_shown(path)}`" for path in sorted(paths)[:_MOST_WARNED])
        more = f" and {len(paths) - _MOST_WARNED} more" if len(paths) > _MOST_WARNED else ""
        yield f"{what}: {names}{more}"


def _shown(path: bytes) -> str:
    return harmless(path.decode("utf-8", "replace"), 100)


def _to_look_at(repo: Repository, task: Task, old: TreeId, new: TreeId) -> Iterator[str]:
    """Yield what a reviewer should not overlook: files of an unusual kind, and those the run did not mean to change."""
    changed = landing.changed_files(repo, old, new)
    kinds = {_LINK: "links", _EXECUTABLE: "executable files"}
    for mode, kind in kinds.items():
        yield from _of_paths(f"look at these {kind}", [path for path, entry in changed.items() if _is(entry, mode)])
    yield from _of_paths("outside `editable`", [path for path in changed if not task.definition.is_editable(path)])


def _is(entry: object, mode: int) -> bool:
    return getattr(entry, "mode", _FILE) == mode


def measure(
    proposal: Proposal, repeat: int, act: Callable[[TreeId], Measurement], tell: Callable[[str, Measurement], None]
) -> Trial:
    """Measure what is there and what is proposed in turns, and return it when the gain is real.

    `act` measures a tree in a fresh export; `tell` hears of each measurement.

    Raises:
        NotBetter: the gain is not real.
        EvaluatorBroken: what is there gets no score.
        Cancelled: from `act`.
    """
    found: dict[str, list[Measurement]] = {"before": [], "after": []}
    trees = {"before": proposal.target_tree, "after": proposal.tree}
    for turn in range(repeat):
        for side in ("before", "after") if turn % 2 == 0 else ("after", "before"):
            measured = act(trees[side])
            tell(side, measured)
            _refuse_unscored(proposal, side, measured)
            found[side].append(measured)
    trial = Trial(tuple(found["before"]), tuple(found["after"]), proposal.task.definition.config.direction)
    if not trial.is_real:
        raise NotBetter(f"{proposal.best[:12]} is not proposed: {refusal(trial)}")
    return trial


def prefer(
    proposal: Proposal,
    repeat: int,
    judge: Judge,
    act: Callable[[TreeId], Measurement],
    tell: Callable[[str, Measurement], None],
    hear: Callable[[Heard], None],
) -> Contest:
    """Have a judge compare what is there and what is proposed, and return that when the preference is real.

    `act` has a tree pass the gates in a fresh export, which `tell` hears of; `hear` hears of each comparison.

    Raises:
        NotBetter: the preference is not real, or what is proposed does not pass.
        EvaluatorBroken: what is there does not pass, or the judge has no answer.
        Cancelled: from `act` or the judge.
    """
    shown = []
    for side, tree in (("before", proposal.target_tree), ("after", proposal.tree)):
        measured = act(tree)
        tell(side, measured)
        _refuse_unscored(proposal, side, measured)
        shown.append(Exhibit(tree=tree, said=measured.feedback))
    there, proposed = shown
    held = contest.hold(judge, proposed, there, proposal.task.goal, repeat, hear, SystemRandom())
    if not held.is_real:
        raise NotBetter(f"{proposal.best[:12]} is not proposed: {refusal(held)}")
    return held


def _refuse_unscored(proposal: Proposal, side: str, measured: Measurement) -> None:
    if measured.status is Status.OK:
        return
    again = "does not pass its gates" if proposal.task.definition.config.evaluator.judge else "gets no score"
    said = f"{again} ({measured.status.value}) when measured again\n{measured.feedback}".rstrip()
    if side == "before":
        raise EvaluatorBroken(f"nothing can be compared: {proposal.target.commit[:12]} {said}")
    raise NotBetter(f"{proposal.best[:12]} is not proposed: it {said}")


def facts(
    proposal: Proposal,
    snapshot: Snapshot,
    evidence: Evidence,
    *,
    remote: str,
    user: str,
    signoff: bool,
    where: tuple[str, str],
) -> Facts:
    """Return all that the text of the proposal says; `where` is the kind of the sandbox and the host.

    `user` is the `name <email>` of the person in whose name it lands.

    Raises:
        StorageError: Git would not read.
    """
    repo, task = proposal.repo, proposal.task
    definition = task.definition
    evaluator = definition.config.evaluator
    lineage = _lineage(repo, snapshot, proposal.best, definition.base)
    stat = promote.summary(repo, proposal.target_tree, proposal.tree)
    base = snapshot.candidates.get(definition.base)
    changed = landing.changed_files(repo, proposal.target_tree, proposal.tree)
    return Facts(
        run=task.run, goal=task.goal, evaluator=definition.evaluator,
        command=None if evaluator.mode == "split" or evaluator.judge else evaluator.described(),
        base=definition.base, base_value=base.value(snapshot.evaluator) if base else None,
        target=proposal.target.commit, best=proposal.best, stat=stat,
        files=[path.decode("utf-8", "replace") for path in changed],
        steps=[_step(repo, snapshot, commit) for commit in lineage], evaluations=snapshot.evaluations,
        evidence=evidence, sandbox=where[0], host=where[1], warnings=proposal.warnings, remote=remote,
        trailers=[*_trailers(proposal, lineage, user), *([("Signed-off-by", user)] if signoff else [])],
    )  # fmt: skip


def _lineage(repo: Repository, snapshot: Snapshot, best: CommitId, base: CommitId) -> list[CommitId]:
    """Return the first parents from the base (left out) to `best`, oldest first."""
    found = [best]
    while len(found) < _LONGEST_LINEAGE:
        before = commits.parents(repo, found[-1])[:1]
        if not before or before[0] == base:
            break
        if before[0] not in snapshot.candidates and not landing.descends(repo, before[0], base):
            break  # a person merged the run's work into something else
        found += before
    return found[::-1]


def _step(repo: Repository, snapshot: Snapshot, commit: CommitId) -> Step:
    known = snapshot.candidates.get(commit)
    made = known.proposal if known else None
    is_human = made is None or made.operator is Operator.HUMAN
    person, _ = landing.person_of(repo, commit) or ("", "")
    return Step(
        commit=commit, by=person if made is None or is_human else made.agent,
        operator=Operator.HUMAN if made is None else made.operator,
        value=known.value(snapshot.evaluator) if known else None, subject=commits.subject(repo, commit),
        parents=len(commits.parents(repo, commit)),
    )  # fmt: skip


def _trailers(proposal: Proposal, lineage: Sequence[CommitId], user: str) -> Iterator[tuple[str, str]]:
    yield "Evogit-Run", proposal.task.run
    yield "Evogit-Best", proposal.best
    messages = (landing.message_of(proposal.repo, commit) for commit in lineage)
    for name in dict.fromkeys(name for message in messages for name in _MODEL.findall(message)):
        yield "Assisted-by", f"evogit:{name}"
    if proposal.style is Style.SQUASH:
        people = dict.fromkeys(landing.person_of(proposal.repo, commit) for commit in lineage)
        for name, address in (person for person in people if person and _ADDRESS.fullmatch(person[1])):
            who = f"{harmless(name, 80)} <{address}>"
            if who != user:
                yield "Co-authored-by", who
