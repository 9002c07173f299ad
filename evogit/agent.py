"""One agent: look, plan, propose, commit, evaluate, record, and again. It knows of others only through the snapshot."""

from __future__ import annotations

from dataclasses import replace

from evogit import attempts
from evogit.branch import Branch
from evogit.drafting import Draft, Useless
from evogit.errors import EvaluatorBroken, RefMoved, StorageError
from evogit.judging import Panel
from evogit.model import CommitId, Measurement, Operator, Plan, Status, TreeId
from evogit.parts import Outcome, Parts, World
from evogit.phylogeny import Phylogeny, still_open, to_measure_again
from evogit.proposers.protocol import Resting
from evogit.pursuits import Pursuits
from evogit.records import AnyRecord, Score
from evogit.reflection import Lookback
from evogit.sandbox import Cancelled
from evogit.store import amendments, claims, epochs, humans
from evogit.store.humans import Humans
from evogit.store.ledger import Ledger, Writer, made_by
from evogit.store.packing import Packer
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import State, Task

_REFRESH_S = 0.05
"""How old a snapshot may be: one comparison of trees then covers many records of fast agents."""
_DISCOVER_S = 1.0
"""How often to look for agents that are new."""
_EXACT_BELOW = 300
"""With fewer evaluations left than this, look for all agents before every step: the limit is met and not passed."""
_TRIES = 30
"""Edits tried in one step before it counts as having found nothing new."""
_IDLE_STEPS = 40
_BROKEN_IN_A_ROW = 3
_PAUSE_S = 0.2


class Agent:
    """One independent process of a run, for as long as that is measured by one evaluator."""

    def __init__(self, repo: Repository, task: Task, writer: Writer, parts: Parts, world: World) -> None:
        """Read the run's journals and take up or begin the agent's own.

        Raises:
            StorageError: the store cannot be read or written.
        """
        frozen = task.definition
        self.snapshot = Snapshot(repo, task.run, frozen.evaluator, frozen.config.direction, base=frozen.base)
        self.snapshot.refresh()
        self.ledger = Ledger(repo, self.snapshot, writer)
        self.evaluated = 0
        self._repo, self.task, self._parts, self._world = repo, task, parts, world
        self.graph = Phylogeny(repo, self.snapshot, task.definition.base)
        self._pursuits = Pursuits(
            repo, task, self.graph, agent=writer.agent, parts=parts, world=world, attempt=self._attempt
        )
        self._to_measure: dict[TreeId, CommitId] = {}
        self._lookback = (
            Lookback(repo, self.graph, parts.reflector, self._pursuits.left_usd) if parts.reflector else None
        )
        self._panel = Panel(repo, self.graph, parts.judge, self._pursuits.left_usd, world.seed)
        self._packer = Packer(repo)
        self._own = {c.id for c in self.snapshot.candidates.values() if made_by(c, writer.agent)}
        self._left = [c for c in self._own if not self.snapshot.candidates[c].is_judged]
        self._earlier = epochs.before(epochs.of(repo, task))
        self._again: list[CommitId] = []
        self._is_settled = not self._earlier
        self._branch = Branch(repo, task, self.snapshot, self._own)
        self._humans = Humans(repo, task.run, task.definition.base)
        self._of_people: list[CommitId] = []
        self._looked = self._discovered = world.clock()
        self._heard: float | None = None
        self._idle = self._broken = 0
        self._attempts: set[CommitId] = set()

    def run(self) -> str | None:
        """Step until a limit, a wish to stop, or nothing left to try, and return the reason.

        None: the run is measured by another evaluator now, for which `task` wants another agent.

        Raises:
            EvaluatorBroken: the base, or one candidate after another, cannot be scored at all.
            ProposerBroken: one proposal after another cost something and came to nothing.
            StorageError: the store cannot be read or written.
        """
        try:
            while True:
                self._look()
                if self.task.definition.evaluator != self.snapshot.evaluator:
                    return None
                unfinished = self._pursuits.is_unfinished(len(self._left))
                reached = self._parts.limits.reason(self.graph, unfinished=unfinished)
                if reason := self._world.stopped() or reached or self.task.stop_reason:
                    return reason
                if self.task.state is State.PAUSED:
                    self._world.sleep(_PAUSE_S)
                    continue
                try:
                    outcome = self.step()
                except Cancelled:
                    return self._world.stopped() or "cancelled"
                self._idle = self._idle + 1 if outcome is Outcome.NOTHING_NEW else 0
                if self._idle >= _IDLE_STEPS:
                    return "nothing new was found to try"
        finally:
            for plan, draft in self._pursuits.end():
                self._take_up(plan, draft)  # what is new waits for the next start to measure it

    def step(self) -> Outcome:
        """Do one thing: score what waits for a score, or make and score one candidate.

        Raises:
            Cancelled: the evaluation was interrupted; only what was published before is kept.
            EvaluatorBroken, ProposerBroken, StorageError: as for `run`.
        """
        if due := self._due():
            return self._score_one_of(due)
        if self._pursuits.is_due(len(self._left)):
            return self._evolve()
        is_several = self._pursuits.is_several  # then something may always be left over, and the rest comes first
        if not is_several and (left := self._left_over()) is not None:
            self._score(left)
        elif self._of_people:
            self._take_in(self._of_people.pop(0))
        elif (waiting := self._panel.waiting(self.ledger.writer)) is not None:
            self._compare(waiting)
        elif self._look_back():
            return Outcome.WAITED
        elif is_several and (left := self._left_over()) is not None:
            self._score(left)
        else:
            return self._evolve()
        return Outcome.SCORED

    def _look(self) -> None:
        now = self._world.clock()
        exact = self._parts.limits.remaining(self.snapshot) < _EXACT_BELOW
        discover = exact or now - self._discovered >= _DISCOVER_S
        if not (discover or now - self._looked >= _REFRESH_S):
            return
        self.snapshot.refresh(discover=discover)
        self.graph.refresh()
        self._looked = now
        if discover:
            self._discovered = now
        if discover and (self._heard is None or now - self._heard >= _DISCOVER_S):
            self._heard = now
            self._hear_people()

    def _hear_people(self) -> None:
        """Learn what people want of the run, and which commits of theirs are ours to score."""
        self.task = amendments.follow(self._repo, self.task)
        self._pursuits.drafter.follow(self.task)
        self.snapshot.problems.pop("task", None)
        if self.task.problem:
            self.snapshot.problems["task"] = self.task.problem
        self._of_people = self._humans.look(self.snapshot, self.ledger.writer.agent, self.ledger.writer.now())

    def _take_in(self, commit: CommitId) -> None:
        """Make a person's commit a candidate; files that were measured already are not measured again for it."""
        if self._humans.refuse(self.snapshot, commit):
            return
        tree = TreeId(str(self._repo.commit(commit).tree_id))
        records = humans.taken_in(self._repo, self.snapshot, self.ledger, commit)
        if self.snapshot.measured(tree) is None:
            records.append(self.ledger.score(tree, self._parts.meter.measure(tree), self._parts.sandbox))
            self.evaluated += 1
        self._write(commit, records, f"evogit: take in {commit[:12]} of a person\n")

    def _due(self) -> list[CommitId]:
        """Return what must be scored before anything new is tried: the base, then the best of the epochs before."""
        base = self.task.definition.base
        found = self.snapshot.candidates.get(base)
        if found is None or not found.is_scored(self.snapshot.evaluator):
            return [base]
        self._again = still_open(self._repo, self.graph, self._again)
        if not self._again and not self._is_settled:
            self.graph.refresh()
            self._again = to_measure_again(self._repo, self.graph, self._earlier)
            self._is_settled = not self._again  # asked once more at the end: what others were at may be known by now
            if self._is_settled:
                self._branch.settle_in(self.ledger.writer.agent)
        if self._again:
            self._parts.limits.begin_epoch()  # measuring again makes nothing better, and is no stagnation
        elif self.snapshot.best_value is None:
            raise EvaluatorBroken(self.snapshot.why_unscored(base))
        return self._again

    def _score_one_of(self, due: list[CommitId]) -> Outcome:
        """Score the first of these that nobody claims; when all are claimed, wait for those who are at it."""
        for commit in due:
            if not self._is_claimed(commit):
                self._score(commit)
                return Outcome.SCORED
        for commit in still_open(self._repo, self.graph, due):
            held = claims.standing(self._repo, self.snapshot, commit, self.ledger.writer.now())
            others = [claim for claim in held if claim.agent != self.ledger.writer.agent]
            # A whole clone may have gone: rather measure one of them twice than stand still until its claim ends.
            if all(claims.is_elsewhere(self._repo, claim) for claim in others):
                self._score(commit)
                return Outcome.SCORED
        self._world.sleep(_REFRESH_S)
        return Outcome.WAITED

    def _left_over(self) -> CommitId | None:
        """Return a candidate of ours that was left without a score."""
        while self._left:
            left = self._left.pop()
            try:
                return CommitId(str(self._repo.commit(left).id))
            except StorageError as error:
                self.snapshot.discard(left, str(error))
        return None

    def _is_claimed(self, commit: CommitId) -> bool:
        """Claim to score `commit`; return whether another living claim came first, or it was scored meanwhile.

        Without this, every agent of a new run or epoch would spend its first evaluation on the same commit. Both of two
        agents that claim at once see the other's claim or none; at worst both score it, which is harmless.
        """
        now = self.ledger.writer.now()
        held = claims.standing(self._repo, self.snapshot, commit, now)
        if not any(claim.agent == self.ledger.writer.agent for claim in held):
            if held:
                return True
            timeout = self.task.definition.config.evaluator.longest_s()
            self._write(commit, [self.ledger.lease(timeout + 5)], f"evogit: claim {commit[:12]}\n")
            self.snapshot.refresh()
            if self.snapshot.candidates[commit].is_scored(self.snapshot.evaluator):
                return True
            held = claims.standing(self._repo, self.snapshot, commit, now)
        return bool(held) and held[0].agent != self.ledger.writer.agent

    def _score(self, commit: CommitId) -> None:
        tree = TreeId(str(self._repo.commit(commit).tree_id))
        measured = self._measure(tree)
        self._record(commit, tree, measured, [])

    def _evolve(self) -> Outcome:
        for _ in range(_TRIES):
            self._attempts.clear()
            found = self._pursuits.next(self.ledger.writer.agent, len(self._left))
            if found is None:
                return Outcome.WAITED
            plan, draft = found
            if plan is None or draft is None:
                continue
            if isinstance(draft, Resting):
                return self._pursuits.rest(len(self._left))
            if outcome := self._take_up(plan, draft):
                return outcome
        return self._pursuits.nothing_new()

    def _take_up(self, plan: Plan, draft: Draft | Useless) -> Outcome | None:
        """Make a candidate of what came of a plan, or record that it was useless; None: that cost nothing."""
        if isinstance(draft, Useless):
            self._give_up(plan, draft)
            if draft.fatal:
                raise draft.fatal
            # What was paid for took long: first look what else is due.
            return self._pursuits.in_vain(draft.why, measured=bool(self._attempts)) if draft.calls else None
        plan = draft.instead or plan
        tree = draft.write()
        known = self.snapshot.measured(tree) or self._to_measure.get(tree)
        if known is None:
            self._pursuits.in_a_row = 0
            self._try(plan, draft, tree)
            return Outcome.SCORED
        if known in self._attempts:
            return self._settle_for(known, plan, draft)
        if plan.operator is not Operator.MERGE and not draft.calls:
            return None
        why = f"it gives the tree of {known[:12]}, which was measured"
        return self._take_up(plan, Useless(why, draft.calls, choices=draft.choices))

    def _look_back(self) -> bool:
        """Have a model draw lessons if it is time to; return whether one was asked."""
        if self._lookback is None or not self._lookback.is_due(self.ledger, self._own):
            return False
        seed = self._pursuits.seed(self.ledger.writer.agent)
        if learned := self._lookback.records(self.task, self.ledger, seed):
            self._pursuits.tried += 1
            self._write(self.task.definition.base, learned, f"evogit: learn {len(learned)}\n")
        return bool(learned)

    def _settle_for(self, known: CommitId, plan: Plan, draft: Draft) -> Outcome:
        """Record what it cost to come to a candidate that the proposer has had measured on its way."""
        self._pursuits.in_a_row = 0
        seen = self._pursuits.seen
        proposal = self.ledger.proposal(plan, draft.params, seen, calls=draft.calls, choices=draft.choices)
        self._write(known, [proposal], f"evogit: end with {known[:12]}\n")
        return Outcome.SCORED

    def _attempt(self, plan: Plan, draft: Draft) -> Score | str:
        """Measure what a proposer has by now, as a candidate; return its score, or why there is none."""
        self._hear_people()
        self.snapshot.refresh()
        self.graph.refresh()
        why = self._world.stopped() or attempts.refusal(self.task, self.graph, self._parts.limits)
        if why or self._broken + 1 >= _BROKEN_IN_A_ROW:
            return why or "the evaluator breaks"
        tree = draft.write()
        known = self.snapshot.measured(tree)
        if known is None:
            known = self._try(plan, draft, tree)
            self._attempts.add(known)
        return attempts.known_score(self.snapshot, known)

    def _try(self, plan: Plan, draft: Draft, tree: TreeId) -> CommitId:
        """Evaluate, commit and record; the commit and its records become visible together.

        What cost time or money is kept before: it is not lost if this process is killed meanwhile. So is a merge, that
        nobody may bring the same lineages together beside it.
        """
        measured = None if draft.calls or plan.operator is Operator.MERGE else self._measure(tree)
        # Written again, as loose objects: nothing led to the tree while it was measured, and a `git repack -a -d` that
        # began meanwhile, and may still be running, drops such objects when they are packed.
        tree = draft.write() if measured else tree
        commit = self.ledger.candidate(tree, plan, draft.subject, draft.donor, body=draft.body, models=draft.models)
        may_lead = measured is None or attempts.may_lead(self.snapshot, measured)
        size = self._pursuits.drafter.size(plan, draft, tree) if may_lead else None
        proposal = self.ledger.proposal(
            plan, draft.params, self._pursuits.seen, draft.merge, donor=draft.donor, size=size, calls=draft.calls,
            choices=draft.choices,
        )  # fmt: skip
        self._own.add(commit)
        if measured is None:
            self._write(commit, [proposal], f"evogit: propose {commit[:12]}\n")
        if measured is not None:
            self._record(commit, tree, measured, [proposal])
        elif self._pursuits.is_several:
            self._to_measure[tree] = commit
            self._left.insert(0, commit)
        else:
            self._record(commit, tree, self._measure(tree), [])
        self._pack()
        return commit

    def _give_up(self, plan: Plan, found: Useless) -> None:
        """Record that a plan came to nothing, so that nobody tries it again, and what it cost."""
        useless = self.ledger.useless(plan, self._pursuits.seen, found.why, found.calls, found.choices)
        self._write(plan.parents[0], [useless], f"evogit: useless {plan.operator.value} of {plan.parents[0][:12]}\n")

    def _pack(self) -> None:
        try:
            self._packer.tick()
        except StorageError as error:
            # What is stored is stored; a damaged object of anybody's may keep git from packing for ever.
            self.snapshot.problems["packing"] = str(error)

    def _measure(self, tree: TreeId) -> Measurement:
        measured = self._parts.meter.measure(tree)
        self._broken = self._broken + 1 if measured.status is Status.ERROR else 0
        return measured

    def _record(self, commit: CommitId, tree: TreeId, measured: Measurement, before: list[AnyRecord]) -> None:
        score = self.ledger.score(tree, measured, self._parts.sandbox)
        said = f"{measured.value:.6g}" if measured.value is not None else measured.status.value
        message = f"evogit: score {commit[:12]} {said}\n"
        self._write(commit, [*before, score], message)
        self.graph.refresh()
        self.evaluated += 1
        if measured.status is Status.ERROR and commit in self._own and not self.snapshot.candidates[commit].is_judged:
            self._left.append(commit)
        if self._broken >= _BROKEN_IN_A_ROW:
            raise EvaluatorBroken(f"the evaluator broke {self._broken} times in a row: {measured.feedback}")
        if measured.value is None and measured.status is Status.OK:
            self._compare(commit)
        self._branch.follow(commit, measured.value, self.ledger.writer.agent)

    def _compare(self, commit: CommitId) -> None:
        """Have a candidate compared with others, and record what is said of it."""
        for record, fatal in self._panel.compare(commit, self.task.goal, self.ledger):
            self._write(commit, [record], f"evogit: compare {commit[:12]} with {record.than[:12]}\n")
            self.graph.refresh()
            if fatal:
                raise fatal
        self._branch.settle_in(self.ledger.writer.agent)

    def _write(self, commit: CommitId, records: list[AnyRecord], message: str) -> None:
        try:
            self.ledger.write(commit, records, message)
        except RefMoved:
            self._go_on_under_a_new_name()
            self.ledger.write(commit, records, message)

    def _go_on_under_a_new_name(self) -> None:
        """Another process writes our journal: leave it to them, and keep all we have under a name of our own."""
        lost = self.ledger
        self.ledger = Ledger(self._repo, self.snapshot, replace(lost.writer, agent=self._world.new_name()))
        self.ledger.take_over(lost)
        lost.close()
