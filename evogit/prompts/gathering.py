"""What a question tells, out of the family tree: the nearest relatives of a parent, and a few others to learn from.

Nothing here grows with the run: of everything only as much is looked at as can be shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from evogit import edits
from evogit.errors import StorageError
from evogit.merging import meeting_point
from evogit.model import CommitId, Plan, SourceFile
from evogit.phylogeny import Phylogeny
from evogit.prompts.crossing import clashes, compared
from evogit.prompts.material import Instance, Material, Told
from evogit.prompts.sources import ranked
from evogit.prompts.telling import learned, told, words_on
from evogit.proposers.surgery.suspicion import evidence
from evogit.replies.texts import decoded
from evogit.store import commits, lines, trees
from evogit.store.repository import Repository
from evogit.store.task import Task

_LINEAGE = 12
_TRIED = 20
_ELDERS = 3
"""Ancestors, the parent counted, of whose children is told what came to nothing."""
_CHILDREN = 500
_INSPIRATIONS = 4
_COMPARED = 16
_MAX_CHANGES = 200
_MAX_DIFF = 40_000
_MAX_BLOB = 256 * 1024
_SPLIT_METRICS = 30


def gather(repo: Repository, task: Task, graph: Phylogeny, plan: Plan, files: Sequence[SourceFile]) -> Material:
    """Return what is known around a plan's first parent, whose files are `files`; the others are its partners.

    A candidate that cannot be read is told of without its change.
    """
    return _Gathering(repo, task, graph, plan).material(files)


class _Gathering:
    """One question's material."""

    def __init__(self, repo: Repository, task: Task, graph: Phylogeny, plan: Plan) -> None:
        self._repo, self._task, self._graph, self._plan = repo, task, graph, plan
        self._parent = plan.parents[0]
        self._changed: Counter[str] = Counter()

    def material(self, files: Sequence[SourceFile]) -> Material:
        graph, parent = self._graph, self._parent
        said = words_on(graph, parent)
        feedback, instances = (said.feedback, said.instances) if said else ("", {})
        best = graph.best()
        lineage = self._elders(_LINEAGE)
        self._count_changes(lineage)
        partners = self._plan.parents[1:]
        met = meeting_point(graph, (parent, partners[0])) if partners else None
        conflicts, unmerged = clashes(self._repo, self._task, graph, parent, partners[0]) if partners else ((), "")
        inspirations = [self._with_change(commit, role) for commit, role in self._inspirations(instances)]
        goal = self._task.goal or ""
        texts = [(file.path, text) for file in files if (text := decoded(file.content)) is not None]
        return Material(
            goal=goal,
            higher=graph.snapshot.is_better(1.0, 0.0),
            value=graph.value(parent),
            base_value=graph.value(graph.base),
            best_value=graph.value(best.id) if best else None,
            metrics=tuple(sorted(said.metrics.items())[:_SPLIT_METRICS]) if said else (),
            instances=compared(graph, instances, partners[0], met)
            if partners
            else self._instances(instances, best.id if best else None),
            feedback=feedback,
            files=ranked(texts, goal=goal, places=evidence(feedback, instances).lines, changed=self._changed),
            lineage=tuple(self._told(commit) for commit in lineage if commit != graph.base),
            tried=tuple(self._told(commit) for commit in self._tried()),
            inspirations=tuple(inspirations),
            partners=tuple(self._with_change(commit, "to bring together with") for commit in partners),
            own=self._with_change(parent, "this version itself", met) if met else None,
            met=self._told(met, "where the two parted") if met else None,
            conflicts=conflicts,
            unmerged=unmerged,
            lessons=learned(graph),
        )

    def _told(self, commit: CommitId, role: str = "", change: str = "") -> Told:
        return told(self._repo, self._graph, commit, role, change)

    def _elders(self, most: int) -> list[CommitId]:
        """Return the parent and its ancestors along first parents, up to the base."""
        found = [self._parent]
        while len(found) < most and found[-1] != self._graph.base:
            parents = self._graph.ancestry.parents(found[-1])
            if not parents:
                break
            found.append(parents[0])
        return found

    def _tried(self) -> list[CommitId]:
        """Return what came of the parent, then of its ancestors, and was no gain: the latest of each, one a subject."""
        graph = self._graph
        found: list[CommitId] = []
        subjects: set[str] = set()
        own = set(self._elders(_LINEAGE))
        for elder in self._elders(_ELDERS):
            measured = [
                (candidate.first_at(graph.snapshot.evaluator), child)
                for child in islice(graph.ancestry.children(elder), _CHILDREN)
                if (candidate := graph.snapshot.candidates.get(child))
                and candidate.is_scored(graph.snapshot.evaluator)
                and not graph.is_gain(child)
                and child not in own
            ]
            for _, child in sorted(measured, reverse=True):
                subject = commits.subject(self._repo, child)
                if subject not in subjects:
                    subjects.add(subject)
                    found.append(child)
                if len(found) == _TRIED:
                    return found
        return found

    def _instances(self, own: dict[str, float], best: CommitId | None) -> tuple[Instance, ...]:
        """Return the parent's instances, those first that are farthest behind the best candidate."""
        judged = self._graph.judged(best) if best else None
        than = judged.instances if judged else {}
        sign = 1.0 if self._graph.snapshot.is_better(1.0, 0.0) else -1.0
        found = [Instance(name=name, value=value, best=than.get(name)) for name, value in own.items()]
        found.sort(key=lambda one: (sign * (one.value - (one.best if one.best is not None else one.value)), one.name))
        return tuple(found)

    def _inspirations(self, own: dict[str, float]) -> list[tuple[CommitId, str]]:
        """Return whom to learn from, each with why: the plan's, the best, the most different, the best of a niche."""
        graph = self._graph
        best = graph.best()
        pool = [commit for commit in graph.field.top(_COMPARED) if commit != graph.base]
        found = [(commit, "whose change was chosen") for commit in self._plan.inspirations]
        found += [(best.id, "the best so far")] if best else []
        found += [(commit, "the most different of the best") for commit in self._different(pool)]
        found += self._niches(pool, own)
        chosen: dict[CommitId, str] = {}
        for commit, role in found:
            if commit not in (*self._plan.parents, graph.base):
                chosen.setdefault(commit, role)
        return list(chosen.items())[:_INSPIRATIONS]

    def _niches(self, pool: Sequence[CommitId], own: dict[str, float]) -> list[tuple[CommitId, str]]:
        """Return those that are best on the most instances on which they beat the parent."""
        graph = self._graph
        profiles = {commit: judged.instances for commit in pool if (judged := graph.judged(commit))}
        wins: Counter[CommitId] = Counter()
        example: dict[CommitId, str] = {}
        choose = max if graph.snapshot.is_better(1.0, 0.0) else min
        for name, value in own.items():
            values = {commit: found[name] for commit, found in profiles.items() if name in found}
            top = choose(values.values(), default=value)
            if not graph.snapshot.is_better(top, value):
                continue
            for commit in (commit for commit, one in values.items() if one == top):
                wins[commit] += 1
                example.setdefault(commit, name)
        ordered = sorted(wins, key=lambda commit: (-wins[commit], commit))
        return [(commit, f"the best on {wins[commit]} instances, {example[commit]} for one") for commit in ordered[:2]]

    def _different(self, pool: Sequence[CommitId]) -> list[CommitId]:
        """Return the one whose added lines have the least in common with those of the parent."""
        own = self._added(self._parent)
        shares = []
        for number, commit in enumerate(pool):
            added = self._added(commit)
            if added and commit != self._parent:
                shares.append((len(own & added) / len(own | added), number, commit))
        return [min(shares)[2]] if shares else []

    def _added(self, commit: CommitId) -> set[bytes]:
        """Return the lines a candidate has that the base has not."""
        found: set[bytes] = set()
        try:
            for _, old, new in self._pairs(self._graph.base, commit):
                found |= set(new.splitlines()) - set(old.splitlines())
        except StorageError:
            return set()
        return found

    def _count_changes(self, lineage: Sequence[CommitId]) -> None:
        """Count which files the steps of a lineage changed."""
        for child, elder in pairwise(lineage):
            try:
                self._changed.update(path for path, _, _ in self._pairs(elder, child))
            except StorageError:
                continue

    def _with_change(self, commit: CommitId, role: str, since: CommitId | None = None) -> Told:
        """Return a candidate with what it changed since then, or since its lineage and the parent's parted."""
        try:
            met = since or meeting_point(self._graph, (self._parent, commit)) or self._graph.base
            change, room = "", _MAX_DIFF
            for path, old, new in self._pairs(met, commit):
                self._changed[path] += 1
                change += lines.unified(old, new, path).decode("utf-8", "replace")[: max(0, room - len(change))]
        except StorageError:
            change = ""
        return self._told(commit, role, change)

    def _pairs(self, old: CommitId, new: CommitId) -> Iterator[tuple[str, bytes, bytes]]:
        """Yield the editable text files in which two candidates differ, before and after.

        What is protected is not shown to anybody who writes candidates.

        Raises:
            StorageError: one cannot be read.
        """
        ends = [self._repo.commit(commit).tree_id for commit in (old, new)]
        for change in islice(trees.changes(self._repo, *ends), _MAX_CHANGES):
            if not self._task.definition.is_editable(change.path):
                continue
            texts = [self._text(entry) for entry in (change.old, change.new)]
            if texts[0] is not None and texts[1] is not None:
                yield change.path.decode("utf-8", "replace"), texts[0], texts[1]

    def _text(self, entry: trees.Entry | None) -> bytes | None:
        """Return what stands there: nothing where nothing does, None for what is no plain text."""
        if entry is None:
            return b""
        if entry.mode not in (trees.FILE_MODE, trees.EXECUTABLE_MODE):
            return None
        content = trees.read_blob(self._repo, entry.id)
        return content if len(content) <= _MAX_BLOB and edits.is_text(content) and b"\0" not in content else None
