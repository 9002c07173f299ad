"""From a plan to a tree that can be measured: a proposer's edit of one parent, hunks moved, or a merge of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from evogit import edits, prompts
from evogit.asking import ModelProposer, count_tokens
from evogit.errors import EvogitError, StorageError
from evogit.hunks import Differences, Minimizer, Transplanter
from evogit.llm import Talk
from evogit.merging import combine
from evogit.merging.combine import meeting_point
from evogit.model import CommitId, Craft, Edit, Operator, Plan, RepoPath, SourceFile, TreeId
from evogit.phylogeny import Phylogeny, Trials, advance, askings
from evogit.proposers.protocol import EDIT, OPERATION, PLACE, Advance, Answer, Past, Proposer, Request, Resting, Turn
from evogit.records import MAX_SIZE, Call, Choice, Merge, Score
from evogit.store import commits, definitions, merge, trees
from evogit.store.merge import Merged
from evogit.store.repository import Repository
from evogit.store.sizes import Rewritten
from evogit.store.sources import Sources
from evogit.store.task import Task

_MOVES = frozenset({Craft.TRANSPLANT, Craft.REVERT, Craft.MINIMIZE})
_EDITS = frozenset({OPERATION, PLACE, EDIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A candidate in the making: `write` writes its tree as fresh objects, each time it is called.

    `donor` is a candidate a change was taken from; `rewritten` are an edit's files, which tell the candidate's size.
    `calls` are what it cost, `models` those that had part in it, `choices` say which of several was to be asked, and
    how. `instead` is what was done in the place of the plan.
    """

    write: Callable[[], TreeId]
    subject: str
    params: Mapping[str, float] = field(default_factory=dict)
    merge: Merge | None = None
    donor: CommitId | None = None
    rewritten: Sequence[Rewritten] = ()
    body: str = ""
    calls: Sequence[Call] = ()
    models: Sequence[str] = ()
    instead: Plan | None = None
    choices: Mapping[str, Choice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Useless:
    """A plan that came to nothing and should not be tried again, why, and what it cost.

    `fatal` is what the agent has to end with.
    """

    why: str
    calls: Sequence[Call] = ()
    fatal: EvogitError | None = None
    choices: Mapping[str, Choice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a proposer may do while it is at work: look how much may still be spent, and have a draft measured.

    `attempt` returns the score, or why there is none.
    """

    left_usd: Callable[[], float]
    attempt: Callable[[Plan, Draft], Score | str]


class Drafter:
    """Carries plans out as far as a tree; it measures and records nothing itself."""

    def __init__(
        self,
        repo: Repository,
        task: Task,
        graph: Phylogeny,
        proposer: Proposer,
        means: Means,
    ) -> None:
        """Draft for one task."""
        self._repo, self._task, self._graph, self._proposer = repo, task, graph, proposer
        self._means = means
        self._sources = Sources(repo, task.definition, edits.is_text)
        self._earlier = Sources(repo, task.definition, edits.is_text)
        differences = Differences(repo, task.definition)
        self._transplanter = Transplanter(differences)
        self._minimizer = Minimizer(differences, graph.snapshot)
        self._trials = Trials(graph, counted=(OPERATION, PLACE), edit=EDIT)

    def draft(self, plan: Plan, turn: Turn) -> Talk[Draft | Useless | Resting | None]:
        """Return what comes of a plan, a model asked on the way; None: its operator found nothing to change this time.

        `turn` says which files the agent should rather change.
        A parent that cannot be read is discarded from the snapshot.

        Raises:
            StorageError: Git would not write.
        """
        # Its own generator: what is drawn for an edit does not depend on how much the choice of parents has drawn.
        rng = Random(f"{plan.seed}/draft")
        if plan.craft is Craft.CROSS:
            return (yield from self._cross(plan, rng, turn))
        if plan.operator is Operator.MERGE:
            return self._merge(plan, rng)
        # Where no hunk can be moved, the proposer makes something of the same parent.
        return self._move(plan, rng) or (yield from self._mutate(plan, rng, turn))

    def follow(self, task: Task) -> None:
        """Go by what people say of the task now."""
        self._task = task

    def size(self, plan: Plan, draft: Draft, tree: TreeId) -> int | None:
        """Return the size of a draft's difference from the base: from that of its parent where it is an edit."""
        parent = self._graph.snapshot.candidates.get(plan.parents[0])
        known = parent.proposal.size if parent and parent.proposal else None
        try:
            if known is None or not draft.rewritten:
                return self._graph.sizes.of(tree)
            found = self._graph.sizes.grown(known, draft.rewritten)
            return found if 0 <= found <= MAX_SIZE else self._graph.sizes.of(tree)  # the parent's record was wrong
        except StorageError:
            return None  # it only decides between equals

    def _mutate(self, plan: Plan, rng: Random, turn: Turn) -> Talk[Draft | Useless | Resting | None]:
        commit = plan.parents[0]
        try:
            tree = self._tree(commit)
            files = self._sources.read(tree)
        except StorageError as error:
            self._graph.snapshot.discard(commit, str(error))
            return None
        # Other drafts may read other trees before this one is done.
        known = {file.path: (file.content, self._sources.mode(file.path)) for file in files}
        contents = {path: content for path, (content, _) in known.items()}

        def refusal(edit: Edit) -> str | None:
            why = edits.refusal(edit, self._task.definition, contents)
            return why or ("it changes nothing" if _written(self._repo, tree, edit)() == tree else None)

        def question(template: str, limit_tokens: int) -> str:
            told = prompts.gather(self._repo, self._task, self._graph, plan, files)
            return prompts.build(told, limit_tokens, count_tokens, template)

        def attempt(edit: Edit, model: str) -> Score | str:
            if why := refusal(edit):
                return why
            return self._means.attempt(plan, replace(self._draft(tree, edit, known, Answer(calls=())), models=[model]))

        request = replace(
            self._request(commit, files), refusal=refusal, left_usd=self._means.left_usd, question=question,
            attempt=attempt, seed=plan.seed, turn=turn,
            askings=lambda: askings(self._graph, definitions.tools(self._task)),
        )  # fmt: skip
        if isinstance(self._proposer, ModelProposer):
            found = yield from self._proposer.talk(request, rng)
        else:
            found = self._proposer.propose(request, rng)
        if found is None or isinstance(found, Resting):
            return found
        answer = found if isinstance(found, Answer) else Answer(calls=(), edit=found)
        why = answer.why if answer.edit is None else refusal(answer.edit)
        if answer.edit is not None and not why:
            return self._draft(tree, answer.edit, known, answer)
        is_nothing = not answer.calls and not answer.fatal
        return None if is_nothing else Useless(why or "", answer.calls, answer.fatal, answer.choices)

    def _draft(self, tree: TreeId, edit: Edit, known: Mapping[RepoPath, tuple[bytes, int]], answer: Answer) -> Draft:
        rewritten = []
        for path, content in edit.files.items():
            before, mode = known.get(path, (None, trees.FILE_MODE))
            rewritten.append(Rewritten(path, mode, before, content))
        return Draft(
            write=_written(self._repo, tree, edit),
            subject=edit.subject,
            body=edit.body,
            params=edit.params,
            rewritten=rewritten,
            calls=answer.calls,
            # Those that gave no answer, or one of no use, had no part in it.
            models=list(dict.fromkeys(call.model for call in answer.calls if call.outcome == "ok")),
            choices=answer.choices,
        )

    def _cross(self, plan: Plan, rng: Random, turn: Turn) -> Talk[Draft | Useless | Resting | None]:
        """Return the proposer's merge; while no model answers, what its fallback makes of the first parent alone."""
        for commit in plan.parents[1:]:
            try:
                self._tree(commit)
            except StorageError as error:
                self._graph.snapshot.discard(commit, str(error))
                return None
        found = yield from self._mutate(plan, rng, turn)
        if not isinstance(found, Draft):
            return found
        if not any(call.outcome == "ok" for call in found.calls):
            return replace(found, instead=Plan(operator=Operator.MUTATE, parents=plan.parents[:1], seed=plan.seed))
        return replace(found, params={**self._inherited(plan.parents[1:]), **found.params}, merge=self._beginning(plan))

    def _move(self, plan: Plan, rng: Random) -> Draft | None:
        """Return what comes of moving whole hunks; None when there is none to move."""
        if plan.craft is Craft.EDIT:
            return None
        parent, base = plan.parents[0], self._task.base_tree
        donor = plan.inspirations[0] if plan.craft is Craft.TRANSPLANT else None
        try:
            tree = self._tree(parent)
            if donor:
                moved = self._transplanter.take_over(tree, self._tree(donor), self._before(parent, donor), rng)
            elif plan.craft is Craft.REVERT:
                moved = self._transplanter.take_back(base, tree, rng)
            else:
                moved = self._minimizer.leave_out(base, tree, rng)
            if moved is None:
                return None
            write = _merged(self._repo, moved.made)
            if write() == tree:
                return None
        except StorageError:
            return None  # a parent that cannot be read is named when it is read next, for its proposer
        # Moved hunks are no edit of the parent's: nobody learns from them which edits are worth trying.
        params = {name: number for name, number in self._params(parent).items() if name not in _EDITS}
        params[plan.craft.value] = float(moved.hunks)
        subject = _moved_subject(plan.craft, moved.hunks, commits.subject(self._repo, donor) if donor else "", donor)
        return Draft(write=write, subject=subject, params=params, donor=donor)

    def _before(self, parent: CommitId, donor: CommitId) -> list[TreeId]:
        """Return what a donor's change can be seen against: its own parent, and where the two lineages parted."""
        ancestry = self._graph.ancestry
        met = ancestry.common_ancestors(parent, donor)
        found = [*ancestry.parents(donor)[:1], *(met if len(met) == 1 else ())]
        return [TreeId(str(self._repo.commit(commit).tree_id)) for commit in dict.fromkeys(found)]

    def _tree(self, commit: CommitId) -> TreeId:
        """Return a candidate's tree.

        Raises:
            StorageError: it cannot be read, or is not what was measured.
        """
        tree = TreeId(str(self._repo.commit(commit).tree_id))
        if all(score.tree != tree for score in self._graph.snapshot.candidates[commit].scores):
            raise StorageError(f"the records on {commit[:12]} are about another tree")
        return tree

    def _params(self, commit: CommitId) -> dict[str, float]:
        """Return what a lineage has learned; how one candidate was made is not inherited."""
        made = self._graph.snapshot.candidates[commit].proposal
        return {name: number for name, number in made.params.items() if name not in _MOVES} if made else {}

    def _advance(self, parent: CommitId, rng: Random) -> Advance | None:
        """Return the files of two candidates between which the score got better; None where they cannot be read."""
        found = advance(self._graph, parent, rng)
        if found is None:
            return None
        try:
            before, after = (self._earlier.read(TreeId(str(self._repo.commit(one).tree_id))) for one in found)
        except StorageError:
            return None
        return Advance(before, after)

    def _request(self, commit: CommitId, files: Sequence[SourceFile]) -> Request:
        self._trials.refresh()
        trials, snapshot = self._trials, self._graph.snapshot
        scores = [score for score in snapshot.candidates[commit].scores if score.evaluator == snapshot.evaluator]
        said = min(scores, key=lambda score: (score.agent, score.seq), default=None)
        return Request(
            files=files,
            params=self._params(commit),
            feedback=said.feedback if said else "",
            instances=said.instances if said else {},
            advance=partial(self._advance, commit),
            parent=commit,
            family=self._graph,
            past=Past(
                operations=trials.counts(OPERATION),
                places=trials.counts(PLACE),
                edits=trials.edits(self._graph.value(commit)),
            ),
        )

    def _merge(self, plan: Plan, rng: Random) -> Draft | Useless:
        graph = self._graph
        try:
            combined = combine(self._repo, graph, plan.parents, rng)
        except StorageError as error:
            return Useless(str(error))
        if isinstance(combined, str):
            return Useless(combined)
        subjects = [commits.subject(self._repo, commit) for commit in plan.parents]
        return Draft(
            write=combined.write,
            subject=_merge_subject(plan.parents, subjects),
            params=self._inherited(plan.parents),
            merge=self._beginning(plan),
        )

    def _inherited(self, parents: Sequence[CommitId]) -> dict[str, float]:
        """Return what several lineages have learned, the first ones' rather than the others'."""
        params: dict[str, float] = {}
        for commit in reversed(parents):
            params |= self._params(commit)
        return params

    def _beginning(self, plan: Plan) -> Merge | None:
        base = meeting_point(self._graph, plan.parents)
        before = self._graph.value(base) if base else None
        values = [value for commit in plan.parents if (value := self._graph.value(commit)) is not None]
        if base is None or before is None or len(values) != len(plan.parents):
            return None
        return Merge(base=base, base_value=before, values=values)


def _written(repo: Repository, tree: TreeId, edit: Edit) -> Callable[[], TreeId]:
    return lambda: trees.with_files(repo, tree, edit.files, edit.executable)


def _merged(repo: Repository, made: Merged) -> Callable[[], TreeId]:
    return lambda: merge.write(repo, made, {})


def _moved_subject(craft: Craft, count: int, subject: str, donor: CommitId | None) -> str:
    hunks = "a hunk" if count == 1 else f"{count} hunks"
    if craft is Craft.TRANSPLANT and donor:
        return f"Take {hunks} of {donor[:9]} ({subject})" if subject else f"Take {hunks} of {donor[:9]}"
    return f"Take back {hunks}" if craft is Craft.REVERT else f"Leave out {hunks}"


def _merge_subject(parents: tuple[CommitId, ...], subjects: list[str]) -> str:
    """Return a line that names what comes together, cut so that each parent gets its share; merges go by their ids."""
    subjects = ["" if subject.startswith("Merge ") else subject for subject in subjects]
    share = 56 // len(parents)
    words = [subject if len(subject) <= share else subject[: share - 1].rstrip() + "…" for subject in subjects]
    return "Merge " + " with ".join(word or parent[:9] for word, parent in zip(words, parents, strict=True))
