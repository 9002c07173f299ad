"""From a plan to a tree that can be measured: a proposer's edit of one parent, or a merge of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from evogit import edits
from evogit.errors import StorageError
from evogit.merging import combine
from evogit.merging.combine import meeting_point
from evogit.model import CommitId, Operator, Plan, RepoPath, SourceFile, TreeId
from evogit.phylogeny import Phylogeny, Trials
from evogit.proposers.protocol import EDIT, OPERATION, PLACE, Past, Proposer, Request
from evogit.records import Merge
from evogit.store import commits, trees
from evogit.store.candidate import Candidate
from evogit.store.repository import Repository
from evogit.store.sources import Sources
from evogit.store.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A candidate in the making: `write` writes its tree as fresh objects, each time it is called."""

    write: Callable[[], TreeId]
    subject: str
    params: Mapping[str, float] = field(default_factory=dict)
    merge: Merge | None = None


@dataclass(frozen=True, slots=True)
class Useless:
    """A plan that came to nothing and should not be tried again, and why."""

    why: str


class Drafter:
    """Carries plans out as far as a tree; it measures and records nothing."""

    def __init__(self, repo: Repository, task: Task, graph: Phylogeny, proposer: Proposer) -> None:
        self._repo, self._task, self._graph, self._proposer = repo, task, graph, proposer
        self._sources = Sources(repo, task.definition, edits.is_text)
        self._trials = Trials(graph, counted=(OPERATION, PLACE), edit=EDIT)

    def draft(self, plan: Plan) -> Draft | Useless | None:
        """Return what came of a plan; None when its operator found nothing to change this time.

        A parent that cannot be read is discarded from the snapshot.

        Raises:
            StorageError: Git would not write.
        """
        # Its own generator: what is drawn for an edit does not depend on how much the choice of parents has drawn.
        rng = Random(f"{plan.seed}/draft")
        return self._merge(plan, rng) if plan.operator is Operator.MERGE else self._mutate(plan.parents[0], rng)

    def _mutate(self, commit: CommitId, rng: Random) -> Draft | None:
        parent = self._graph.snapshot.candidates[commit]
        try:
            tree = TreeId(str(self._repo.commit(commit).tree_id))
            if all(score.tree != tree for score in parent.scores):
                raise StorageError(f"the records on {commit[:12]} are about another tree")
            files = self._sources.read(tree)
        except StorageError as error:
            self._graph.snapshot.discard(commit, str(error))
            return None
        edit = self._proposer.propose(self._request(parent, files), rng)
        if edit is None or edits.refusal(edit, self._task.definition, {file.path for file in files}):
            return None
        write = _written(self._repo, tree, edit.files)
        return None if write() == tree else Draft(write=write, subject=edit.subject, params=edit.params)

    def _request(self, parent: Candidate, files: Sequence[SourceFile]) -> Request:
        self._trials.refresh()
        trials, evaluator = self._trials, self._graph.snapshot.evaluator
        scores = [score for score in parent.scores if score.evaluator == evaluator]
        said = min(scores, key=lambda score: (score.agent, score.seq), default=None)
        return Request(
            files=files,
            params=parent.proposal.params if parent.proposal else {},
            feedback=said.feedback if said else "",
            instances=said.instances if said else {},
            past=Past(
                operations=trials.counts(OPERATION),
                places=trials.counts(PLACE),
                edits=trials.edits(self._graph.value(parent.id)),
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
        params: dict[str, float] = {}
        for commit in reversed(plan.parents):
            made = graph.snapshot.candidates[commit].proposal
            params |= made.params if made else {}
        subjects = [commits.subject(self._repo, commit) for commit in plan.parents]
        return Draft(
            write=combined.write,
            subject=_merge_subject(plan.parents, subjects),
            params=params,
            merge=self._beginning(plan),
        )

    def _beginning(self, plan: Plan) -> Merge | None:
        base = meeting_point(self._graph, plan.parents)
        before = self._graph.value(base) if base else None
        values = [value for commit in plan.parents if (value := self._graph.value(commit)) is not None]
        if base is None or before is None or len(values) != len(plan.parents):
            return None
        return Merge(base=base, base_value=before, values=values)


def _written(repo: Repository, tree: TreeId, files: Mapping[RepoPath, bytes | None]) -> Callable[[], TreeId]:
    return lambda: trees.with_files(repo, tree, files)


def _merge_subject(parents: tuple[CommitId, ...], subjects: list[str]) -> str:
    """Return a line that names what comes together, cut so that each parent gets its share; merges go by their ids."""
    subjects = ["" if subject.startswith("Merge ") else subject for subject in subjects]
    share = 56 // len(parents)
    words = [subject if len(subject) <= share else subject[: share - 1].rstrip() + "…" for subject in subjects]
    return "Merge " + " with ".join(word or parent[:9] for word, parent in zip(words, parents, strict=True))
