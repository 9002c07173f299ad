"""The family tree of one run, from commits and records: built once, then refreshed with what is new."""

from __future__ import annotations

from collections.abc import Sequence

from evogit.errors import StorageError
from evogit.model import CommitId, Operator
from evogit.phylogeny.ancestry import Ancestry
from evogit.records import Proposal, Score
from evogit.store import commits
from evogit.store.candidate import Candidate
from evogit.store.ranking import Ranking
from evogit.store.repository import Repository
from evogit.store.sizes import Sizes
from evogit.store.snapshot import Snapshot

_MAX_UNKNOWN = 256
"""Commits without records that are followed from one candidate down to the next known one; people commit in steps."""
_AT_ONCE = 500
"""New candidates from which all marks are made anew at the end, which is cheaper than one after another."""


class Phylogeny:
    """Which candidate came from which, what each gained, and which may be built on.

    The same commits and records give the same answers on every clone, in whatever order they became known. Ancestry is
    that of the commits; records only say what was measured.
    """

    def __init__(self, repo: Repository, snapshot: Snapshot, base: CommitId) -> None:
        """Begin with the base; `refresh` takes in what the snapshot knows."""
        self.snapshot = snapshot
        self.base = base
        self.ancestry = Ancestry()
        self.ancestry.add(base, [])
        self.tried: set[frozenset[CommitId]] = set()
        """Every set of parents that was merged, or proposed and found useless by those who merge lines."""
        self.asked: set[frozenset[CommitId]] = set()
        """Every set of parents that models answered how to bring together, of use or not."""
        self.field = Ranking(snapshot.direction)
        """The candidates one may build on: scored, descended from the base, and of no pruned lineage."""
        self.gains = Ranking(snapshot.direction)
        """Those of the field that beat all their scored parents."""
        self.preferred = Ranking(snapshot.direction)
        """Those of the field that a person promoted, and what came of them."""
        self.sizes = Sizes(repo, base)
        """How large differences from the base are."""
        self._best: tuple[tuple[int, int, str], Candidate | None] | None = None
        self._repo = repo
        self._next = 0
        self._later = False
        self._read: dict[CommitId, list[CommitId]] = {}
        self._values: dict[CommitId, float] = {}
        self._rooted = {base}
        self._pruned: set[CommitId] = set()
        self._favoured: set[CommitId] = set()
        self._judged: dict[CommitId, tuple[bool, bool]] = {}
        self.version = 0
        """Grows whenever a mark of an older candidate may have changed, so that what was derived from it is stale."""

    def refresh(self) -> None:
        """Take in what the snapshot learned since the last call; the work is that of what is new."""
        touched = self.snapshot.touched
        new = dict.fromkeys(touched[self._next :])
        stale = self._later = len(new) > _AT_ONCE
        self._read = commits.parents_of(self._repo, list(new)) if self._later else {}
        known = []
        for commit in new:
            candidate = self.snapshot.candidates.get(commit)
            if candidate and self._take_in(commit):
                known.append(candidate)
            else:
                stale |= commit in self._values
        if not self._later:
            # Parents first, whichever journal was read first: a score that comes after a child's changes marks.
            known.sort(key=lambda candidate: self.ancestry.number(candidate.id))
        for candidate in known:
            stale |= self._learn(candidate)
        self._next = len(touched)
        self._read = {}
        if stale:
            self._mark_all()

    def value(self, commit: CommitId) -> float | None:
        """Return a commit's score, or None."""
        return self._values.get(commit)

    def judged(self, commit: CommitId) -> Score | None:
        """Return the measurement whose metrics and instances stand for a candidate, or None."""
        return self.snapshot.candidates[commit].judged(self.snapshot.evaluator)

    def is_gain(self, commit: CommitId) -> bool:
        """Return whether it is scored, at least one parent is, and it beats all parents that are."""
        value = self._values.get(commit)
        if value is None:
            return False
        before = [self._values[parent] for parent in self.ancestry.parents(commit) if parent in self._values]
        return bool(before) and all(self.snapshot.is_better(value, than) for than in before)

    def may_build_on(self, commit: CommitId) -> bool:
        """Return whether it descends from the base and belongs to no pruned lineage."""
        return commit in self._rooted and commit not in self._pruned

    def is_preferred(self, commit: CommitId) -> bool:
        """Return whether it, or what it came from, was promoted."""
        return commit in self._favoured

    def best(self) -> Candidate | None:
        """Return the best candidate one may build on; None when nothing is scored.

        Among equals it is the one with the smallest difference from the base, the first measured of these.
        """
        when = (self.version, len(self.snapshot.touched), self.snapshot.evaluator)
        if self._best is None or self._best[0] != when:
            leaders = [self.snapshot.candidates[commit] for commit in self.field.leaders]
            self._best = (when, self.sizes.least(leaders, self.snapshot.evaluator))
        return self._best[1]

    def lineage(self, commit: CommitId) -> list[CommitId]:
        """Return the commits from the base to this one along first parents, the base first."""
        found = [commit]
        while found[-1] != self.base:
            parents = self.ancestry.parents(found[-1])
            if not parents:
                break
            found.append(parents[0])
        return found[::-1]

    def tips(self) -> list[CommitId]:
        """Return the candidates that nothing has come of, by id."""
        return sorted(commit for commit in self._rooted if not self.ancestry.children(commit))

    def members(self) -> list[CommitId]:
        """Return all that descends from the base, parents first, in an order every clone agrees on."""
        return sorted(self._rooted, key=lambda commit: (self.ancestry.generation(commit), commit))

    def diversity(self, of: Sequence[CommitId]) -> float:
        """Return the mean number of steps between two of these candidates; 0 for fewer than two."""
        pairs = [(one, other) for number, one in enumerate(of) for other in of[:number]]
        steps = [self.ancestry.distance(one, other) or 0 for one, other in pairs]
        return sum(steps) / len(steps) if steps else 0.0

    def _take_in(self, commit: CommitId) -> bool:
        """Add a commit and those between it and what is known; return False when it cannot be read."""
        if commit in self.ancestry:
            return True
        try:
            parents = {commit: self._parents(commit)}
        except StorageError as error:
            self.snapshot.discard(commit, str(error))
            return False
        todo, left = [commit], _MAX_UNKNOWN
        while todo:
            missing = [parent for parent in parents[todo[-1]] if parent not in self.ancestry]
            for parent in missing:
                if parent not in parents:
                    left -= parent not in self.snapshot.candidates
                    parents[parent] = self._readable_parents(parent) if left >= 0 else []
            if missing:
                todo.extend(missing)  # one may stand there already, deeper down: it has to come before this one, too
                continue
            done = todo.pop()
            self._add(done, parents[done])
        return True

    def _parents(self, commit: CommitId) -> list[CommitId]:
        found = self._read.get(commit)
        return commits.parent_ids(self._repo, commit) if found is None else found

    def _readable_parents(self, commit: CommitId) -> list[CommitId]:
        try:
            return self._parents(commit)
        except StorageError:
            return []

    def _add(self, commit: CommitId, parents: Sequence[CommitId]) -> None:
        if commit in self.ancestry:
            return
        self.ancestry.add(commit, parents)
        if len(parents) > 1:
            self.tried.add(frozenset(parents))
        if not self._later:
            self._mark(commit)

    def _learn(self, candidate: Candidate) -> bool:
        """Take in what is said of a known commit; return whether marks of others depend on it."""
        commit = candidate.id
        for made in candidate.useless:
            parents = frozenset(CommitId(parent) for parent in made.parents)
            if not _cost_a_question(made):
                self.tried.add(parents)
            elif _was_answered(made):
                self.asked.add(parents)
        if candidate.proposal and _cost_a_question(candidate.proposal):
            self.asked.add(frozenset(self.ancestry.parents(commit)))
        judged = (candidate.is_pruned, candidate.is_promoted) if candidate.verdicts else (False, False)
        stale = judged != self._judged.get(commit, (False, False))
        if stale:
            self._judged[commit] = judged
        value, known = candidate.value(self.snapshot.evaluator), self._values.get(commit)
        if value is None:
            return self._values.pop(commit, None) is not None or stale
        if value == known:
            return stale
        self._values[commit] = value
        if self._later:
            return True
        if known is not None or any(child in self._values for child in self.ancestry.children(commit)):
            return True
        self._rank(commit, value)
        return stale

    def _mark(self, commit: CommitId) -> None:
        """Derive from its parents what a commit belongs to."""
        parents = self.ancestry.parents(commit)
        if commit == self.base or not self._rooted.isdisjoint(parents):
            self._rooted.add(commit)
        if not self._judged:
            return  # nothing is pruned or promoted
        pruned, promoted = self._judged.get(commit, (False, False))
        if pruned or (not promoted and any(parent in self._pruned for parent in parents)):
            self._pruned.add(commit)
        if promoted or any(parent in self._favoured for parent in parents):
            self._favoured.add(commit)

    def _rank(self, commit: CommitId, value: float) -> None:
        if not self.may_build_on(commit):
            return
        self.field.add(commit, value)
        if self.is_gain(commit):
            self.gains.add(commit, value)
        if commit in self._favoured:
            self.preferred.add(commit, value)

    def _mark_all(self) -> None:
        """Derive all marks anew: an older candidate's score or a person's mind has changed."""
        for marks in (self._rooted, self._pruned, self._favoured):
            marks.clear()
        for ranking in (self.field, self.gains, self.preferred):
            ranking.clear()
        self._values = {commit: v for commit, v in self._values.items() if commit in self.snapshot.candidates}
        for commit in self.ancestry:
            self._mark(commit)
        for commit, value in sorted(self._values.items()):  # in the order of a ranking's ids, each goes to its end
            self._rank(commit, value)
        self.version += 1


def _cost_a_question(made: Proposal) -> bool:
    """Return whether a merge was a model's: those by lines ask nobody."""
    return made.operator is Operator.MERGE and bool(made.calls)


def _was_answered(made: Proposal) -> bool:
    # A model that could not be reached has not tried anything: the pair is asked about again.
    return any(call.tokens_out is not None or call.outcome == "ok" for call in made.calls)
