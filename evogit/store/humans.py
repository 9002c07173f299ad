"""Finding the commits people made with plain git on the branches of a run, and who of the living scores each one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
import pygit2

from evogit.errors import StorageError
from evogit.model import PEOPLE, AgentName, CommitId, Operator, Plan, RunName
from evogit.records import PERSON, AnyRecord
from evogit.store import admission, private, refs
from evogit.store.ledger import Ledger, is_current
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot

_MAX_WALK = 200
_BROKEN_ENOUGH = 3
"""Times an evaluator may break on one commit before it is left: the next time it might work, but not for ever."""


class Humans:
    """Looks at the branches of a run again and again; what it has seen costs one look at a ref."""

    def __init__(self, repo: Repository, run: RunName, base: CommitId) -> None:
        self._repo, self._run, self._base = repo, run, base
        self._settled: dict[str, pygit2.Oid] = {}
        self._met: set[CommitId] = set()
        self._refused: set[CommitId] = set()
        self._waiting: list[CommitId] = []
        self._is_first = True

    def look(self, snapshot: Snapshot, me: AgentName, now: datetime) -> list[CommitId]:
        """Return the commits of people that `me` should score now, oldest first.

        A commit is passed over the first time it is met: the journal of the agent that made it, or of a person whose
        hook claims it, may be read in the next moment. Only what people had committed before the first look is taken
        at once. `snapshot` is fresh, and learns what is wrong with a branch.

        Raises:
            StorageError: the refs cannot be listed.
        """
        for commit in self._find(snapshot):
            if commit not in self._waiting:
                self._waiting.append(commit)
        self._waiting = [commit for commit in self._waiting if not is_known(snapshot, commit)]
        free = [commit for commit in self._waiting if not _is_claimed(snapshot, commit, now)]
        if not free:
            return []
        agents = [name for name in private.living(self._repo, self._run) if not name.startswith(PEOPLE)]
        return [commit for commit in free if commit not in self._refused and nearest(commit, [*agents, me]) == me]

    def refuse(self, snapshot: Snapshot, commit: CommitId) -> str | None:
        """Return why a commit that was found may not become a candidate, or None; the reason is told once."""
        reason = refusal(self._repo, snapshot, self._base, commit)
        if reason:
            self._refused.add(commit)
            snapshot.problems[commit] = reason
        return reason

    def _find(self, snapshot: Snapshot) -> list[CommitId]:
        found: list[CommitId] = []
        for name in refs.names(self._repo, refs.branch_prefix(self._run)):
            if refs.parse_proposed_ref(name):
                continue  # what is proposed for merging is a result, not something to build on
            try:
                tip = refs.read(self._repo, name)
                if tip is None or self._settled.get(name) == tip:
                    continue
                chain = self._walk(name, CommitId(str(tip)), snapshot)
                fresh = [commit for commit in chain if not self._is_met(commit)]
                found += [c for c in chain if c not in fresh and self._is_a_persons(name, c, snapshot)]
            except StorageError as error:
                snapshot.problems[name] = str(error)
                continue
            self._met.update(fresh)
            if not fresh:
                self._settled[name] = tip
        self._is_first = False
        return list(dict.fromkeys(found))

    def _is_met(self, commit: CommitId) -> bool:
        return commit in self._met or (self._is_first and maker(self._repo, self._run, commit) is None)

    def _walk(self, name: str, tip: CommitId, snapshot: Snapshot) -> list[CommitId]:
        """Return the unknown commits of a branch that descend from the base, oldest first.

        Only first parents are followed: what was merged in is another branch's, and comes with the merge. The walk goes
        on below a person's commit that is known: a hook, or another agent, may have taken in the newest one first.
        """
        chain: list[CommitId] = []
        at, is_whole = tip, True
        while at != self._base and not _is_an_agents(snapshot, at):
            chain.append(at)
            parents = self._repo.commit(at).parent_ids
            if not parents or len(chain) == _MAX_WALK:
                is_whole = False
                break
            at = CommitId(str(parents[0]))
        found = chain[::-1] if is_whole else self._descending(name, chain, snapshot)
        return [commit for commit in found if not is_known(snapshot, commit)]

    def _descending(self, name: str, chain: list[CommitId], snapshot: Snapshot) -> list[CommitId]:
        """Return the part of a chain (newest first) that descends from the base, oldest first."""
        if not self._descends(chain[0]):
            snapshot.problems[name] = (
                f"its commits do not descend from the base {self._base[:12]}; they are passed over"
            )
            return []
        low, high = 1, len(chain)  # along first parents, those that descend come before all that do not
        while low < high:
            middle = (low + high + 1) // 2
            if self._descends(chain[middle - 1]):
                low = middle
            else:
                high = middle - 1
        return chain[:low][::-1]

    def _descends(self, commit: CommitId) -> bool:
        return descends(self._repo, commit, self._base)

    def _is_a_persons(self, name: str, commit: CommitId, snapshot: Snapshot) -> bool:
        """Return whether a commit still unknown at the second look is a person's.

        An agent's stands in its journal before its branch moves. One that still says it is an agent's was amended,
        rebased or cherry-picked by a person; or its journal is not here.
        """
        agent = maker(self._repo, self._run, commit)
        if agent is None or agent in snapshot.agents:
            return True
        snapshot.problems[name] = (
            f"{commit[:12]} says that {agent} made it, whose journal is not here; it is not scored"
        )
        return False


def waiting(repo: Repository, run: RunName, base: CommitId, snapshot: Snapshot) -> list[CommitId]:
    """Return the commits of people that nobody has scored yet, for a command that looks once.

    `snapshot` learns which of them may not become candidates, and why.

    Raises:
        StorageError: the refs cannot be listed.
    """
    looking = Humans(repo, run, base)
    found = looking._find(snapshot)
    snapshot.refresh()  # what agents did meanwhile is theirs
    found = [commit for commit in dict.fromkeys([*found, *looking._find(snapshot)]) if not is_known(snapshot, commit)]
    return [commit for commit in found if not looking.refuse(snapshot, commit)]


def descends(repo: Repository, commit: CommitId, base: CommitId) -> bool:
    """Return whether a commit is the base or has it among its ancestors.

    Raises:
        StorageError: a commit cannot be read.
    """
    try:
        return commit == base or bool(repo.raw.descendant_of(commit, base))
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise StorageError(f"cannot walk from {commit[:12]} in {repo.common}: {error}; run `git fsck`") from error


def refusal(repo: Repository, snapshot: Snapshot, base: CommitId, commit: CommitId) -> str | None:
    """Return why a commit of a person's may not become a candidate, or None."""
    try:
        parents = [CommitId(str(parent)) for parent in repo.commit(commit).parent_ids]
    except StorageError as error:
        return str(error)
    known = [base, *(parent for parent in parents if is_known(snapshot, parent))]
    reason = admission.refusal(repo, commit, known)
    return f"not taken as a candidate: {reason}; amend it (git commit --amend), or drop it" if reason else None


def maker(repo: Repository, run: RunName, commit: CommitId) -> AgentName | None:
    """Return the agent that a commit says made it, or None for a person's.

    Raises:
        StorageError: it cannot be read.
    """
    found = repo.commit(commit)
    name, _, domain = found.author.email.partition("@")
    if domain == f"{run}.evogit.invalid":
        return AgentName(name)
    said = dict(found.message_trailers).get("Evogit-Agent", PEOPLE)
    return None if said.startswith(PEOPLE) else AgentName(said)


def taken_in(repo: Repository, snapshot: Snapshot, ledger: Ledger, commit: CommitId) -> list[AnyRecord]:
    """Return the record that makes a person's commit a candidate; none when it has one.

    Raises:
        StorageError: the commit cannot be read.
    """
    found = snapshot.candidates.get(commit)
    if found is not None and found.proposal is not None:
        return []
    parents = tuple(CommitId(str(parent)) for parent in repo.commit(commit).parent_ids)
    operator = Operator.MERGE if len(parents) > 1 else Operator.HUMAN
    made = ledger.proposal(Plan(operator=operator, parents=parents, seed=0), params={}, seen={})
    return [msgspec.structs.replace(made, use=PERSON)]


def nearest(commit: CommitId, agents: Sequence[AgentName]) -> AgentName:
    """Return the agent whose name hashes closest to a commit: all that look at once agree without a word."""
    return max(agents, key=lambda agent: hashlib.sha256(f"{agent}/{commit}".encode()).digest())


def is_known(snapshot: Snapshot, commit: CommitId) -> bool:
    """Return whether nothing is left to do for it: it is a candidate, and the evaluator did not just break on it.

    A claim or a verdict alone does not make it a candidate.
    """
    found = snapshot.candidates.get(commit)
    if found is None or not (found.proposal or found.scores):
        return False
    if found.is_judged or not found.scores:
        return True
    broke = [score for score in found.scores if score.evaluator == snapshot.evaluator]
    return len(broke) >= _BROKEN_ENOUGH


def _is_an_agents(snapshot: Snapshot, commit: CommitId) -> bool:
    found = snapshot.candidates.get(commit)
    return found is not None and found.proposal is not None and found.proposal.use != PERSON


def _is_claimed(snapshot: Snapshot, commit: CommitId, now: datetime) -> bool:
    found = snapshot.candidates.get(commit)
    return found is not None and any(is_current(lease, now) for lease in found.leases)
