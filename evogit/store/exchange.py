"""Exchange of runs with another clone or a hub: fetch, judge, take over what grew, push what is ours.

Nothing is ever merged: each journal has one writer, so of two states one continues the other, or something is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pygit2

from evogit.errors import RefMoved, StorageError
from evogit.model import RunName
from evogit.store import letting_go, locking, private, refs, remote_git, successors, takeover, tracking, transfer
from evogit.store.objects import Durability
from evogit.store.outcomes import Outcome, Report
from evogit.store.remote import Remote
from evogit.store.repository import Repository
from evogit.store.successors import Heir
from evogit.store.takeover import TROUBLE, Judgement, Situation
from evogit.store.tracking import Item, Kind
from evogit.store.transfer import Push

_MAX_JOURNALS = 1000
_MAX_SHOWN = 20_000
_LONGEST_WAIT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to exchange: one run or all; with `relay` also journals of others that the remote lacks."""

    run: RunName | None = None
    relay: bool = False
    publish_branches: bool = False
    tasks_only: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class _PutOff:
    """A push that was refused: it is tried ever more seldom."""

    wait: int = 0
    left: int = 0


@dataclass(slots=True)
class _Plan:
    """What one exchange knows and means to send."""

    here: Mapping[Item, pygit2.Oid]
    shown: Mapping[Item, pygit2.Oid]
    judged: dict[Item, pygit2.Oid] = field(default_factory=dict)
    outcomes: dict[Item, Outcome] = field(default_factory=dict)
    pushes: dict[Item, Push] = field(default_factory=dict)
    heirs: dict[Item, list[Heir]] = field(default_factory=dict)


class Exchange:
    """Exchanges with one remote, again and again; what was wrong before is not fetched again until it moves."""

    def __init__(self, repo: Repository, remote: Remote, wish: Wish) -> None:
        self._repo, self._remote, self._wish = repo, remote, wish
        self._clone = private.clone_id(repo)
        self._known: dict[Item, tuple[pygit2.Oid, pygit2.Oid | None, Judgement]] = {}
        self._refused: dict[Item, _PutOff] = {}

    @property
    def remote(self) -> Remote:
        """The other side."""
        return self._remote

    def round(self) -> Report:
        """Exchange once, and return what became of each ref.

        Raises:
            RemoteUnreachable: the remote could not be reached, or broke off.
            StorageError: Git would not read or write.
        """
        if self._wish.dry_run:
            return self._round()
        with locking.alone(self._repo, f"sync-{self._remote.slug}"):
            return self._round()

    def waiting(self) -> int:
        """Return how many journals of this clone the remote was not seen to have.

        Raises:
            StorageError: the refs cannot be read.
        """
        own = ((item, tip) for item, tip in self._here().items() if item.kind is Kind.JOURNAL and self._is_own(item))
        return sum(refs.read(self._repo, item.tracking(self._remote.slug)) != tip for item, tip in own)

    def _round(self) -> Report:
        if not self._wish.dry_run:
            tracking.mend(self._repo, self._remote.slug, self._is_own)
        listed = remote_git.list_refs(self._repo, self._remote, (tracking.JOURNALS, tracking.TASKS, tracking.BRANCHES))
        odd = [
            Outcome(name=name, ref=name, situation=Situation.INVALID, detail="no name of a journal")
            for name in tracking.odd_names(listed, self._wish.run)
        ]
        plan = _Plan(self._here(), self._shown(listed))
        plan.heirs = successors.heirs(self._repo, plan.here)
        self._fetch(plan)
        for item in sorted(plan.here.keys() | plan.shown.keys()):
            if item not in plan.outcomes and item.kind is not Kind.BRANCH:
                self._judge(plan, item)
        self._take(plan)
        self._let_go(plan)
        self._plan_pushes(plan)
        self._push(plan)
        self._delete(plan)
        if self._remote.is_bundle and not self._wish.dry_run:
            tracking.drop(self._repo, [item.tracking(self._remote.slug) for item in plan.shown])
        return Report(self._remote, (*odd, *(plan.outcomes[item] for item in sorted(plan.outcomes))))

    def _here(self) -> dict[Item, pygit2.Oid]:
        return {item: tip for item, tip in tracking.local(self._repo) if self._is_wanted(item)}

    def _shown(self, listed: Mapping[str, pygit2.Oid]) -> dict[Item, pygit2.Oid]:
        found = {item: tip for item, tip in tracking.shown(listed).items() if self._is_wanted(item)}
        if len(found) > _MAX_SHOWN:
            raise StorageError(
                f"{self._remote} shows {len(found)} refs of runs, and at most {_MAX_SHOWN} are read; "
                "name a run with --run"
            )
        return found

    def _is_wanted(self, item: Item) -> bool:
        return self._wish.run in (None, item.run) and (item.kind is Kind.TASK or not self._wish.tasks_only)

    def _is_own(self, item: Item) -> bool:
        return item.agent.endswith(f"-{self._clone}")

    def _fetch(self, plan: _Plan) -> None:
        """Bring what moved into the tracking refs; what cannot be brought is an outcome."""
        wanted: dict[str, Item] = {}
        journals: dict[RunName, int] = {}
        for item in sorted(plan.here.keys() | plan.shown.keys()):
            if item.kind is Kind.JOURNAL:
                journals[item.run] = journals.get(item.run, 0) + 1
            theirs = plan.shown.get(item)
            if theirs is None or self._is_known(plan, item) or self._wish.dry_run:
                continue
            if item not in plan.here and letting_go.is_inherited(plan.heirs, item, theirs):
                self._say(plan, item, Judgement(Situation.SUPERSEDED))  # it would come only to go again
                continue
            if item not in plan.here and journals.get(item.run, 0) > _MAX_JOURNALS and item.kind is not Kind.TASK:
                self._say(plan, item, Judgement(Situation.INVALID, f"a run has at most {_MAX_JOURNALS} journals"))
            elif theirs == plan.here.get(item):
                self._track(item, theirs)
            elif refs.read(self._repo, item.tracking(self._remote.slug)) != theirs:
                wanted[item.ref] = item
        for item in wanted.values():
            if item.kind is not Kind.BRANCH:  # those the user's own git may be fetching, too
                tracking.unlock(self._repo, item.tracking(self._remote.slug))
        targets = {ref: item.tracking(self._remote.slug) for ref, item in wanted.items()}
        before = {ref: refs.read(self._repo, target) for ref, target in targets.items()}
        refused = transfer.fetch(self._repo, self._remote, targets)
        for ref, target in targets.items():
            # Git says so with exit code 0; the objects may be here by now, but not all that they need.
            if refs.read(self._repo, target) == before[ref]:
                refused.setdefault(ref, "git left it out; is the history of the remote cut off (a shallow clone)?")
        for ref, reason in refused.items():
            self._remember(plan, wanted[ref], Judgement(Situation.INVALID, f"it cannot be fetched: {reason}"))

    def _track(self, item: Item, tip: pygit2.Oid) -> None:
        name = item.tracking(self._remote.slug)
        if not self._remote.is_bundle and refs.read(self._repo, name) != tip:
            tracking.point(self._repo, name, tip)

    def _is_known(self, plan: _Plan, item: Item) -> bool:
        """Say again what was wrong before, when neither side moved since."""
        known = self._known.get(item)
        if known is None or known[:2] != (plan.shown.get(item), plan.here.get(item)):
            return False
        self._say(plan, item, known[2])
        return True

    def _remember(self, plan: _Plan, item: Item, judged: Judgement) -> None:
        self._known[item] = (plan.shown[item], plan.here.get(item), judged)
        self._say(plan, item, judged)

    def _say(self, plan: _Plan, item: Item, judged: Judgement) -> None:
        plan.outcomes[item] = Outcome(name=str(item), ref=item.ref, situation=judged.situation, detail=judged.detail)

    def _judge(self, plan: _Plan, item: Item) -> None:
        ours, theirs = plan.here.get(item), plan.shown.get(item)
        if theirs is not None and theirs != ours and not self._wish.dry_run:
            # The remote may have moved since it listed its refs. Only what was fetched is known to be whole.
            theirs = refs.read(self._repo, item.tracking(self._remote.slug))
            if theirs is None:
                self._say(plan, item, Judgement(Situation.INVALID, "somebody deletes what is fetched here"))
                return
            plan.judged[item] = theirs
        if self._wish.dry_run and theirs is not None and theirs not in self._repo.raw:
            situation = Situation.FAST_FORWARD if ours else Situation.NEW
            self._say(plan, item, Judgement(situation, "not fetched, so not looked at yet"))
            return
        heirs = plan.heirs.get(item, ())
        judged = takeover.judge(self._repo, item, ours, theirs, own=self._is_own(item), heirs=heirs)
        if judged.situation in TROUBLE:
            self._remember(plan, item, judged)
        else:
            self._say(plan, item, judged)

    def _take(self, plan: _Plan) -> None:
        gains = [item for item, one in plan.outcomes.items() if Judgement(one.situation).is_gain]
        if self._wish.dry_run:
            for item in gains:
                plan.outcomes[item] = replace(plan.outcomes[item], taken=True)
        if not gains or self._wish.dry_run:
            return
        durability = Durability(self._repo)
        durability.flush()
        durability.close()
        with locking.alone(self._repo, "takeover"):
            for item in gains:
                self._take_one(plan, item)

    def _take_one(self, plan: _Plan, item: Item) -> None:
        one, here = plan.outcomes[item], plan.here.get(item)
        try:
            # What was judged, and not what the tracking ref says by now: a person's own fetch may have moved it.
            takeover.take(self._repo, item, here, plan.judged[item], str(self._remote))
        except RefMoved:
            plan.outcomes[item] = replace(one, detail="it moved here meanwhile; the next sync looks again")
        except StorageError as error:
            plan.outcomes[item] = replace(one, refused=True, detail=str(error))
        else:
            plan.outcomes[item] = replace(one, taken=True)

    def _let_go(self, plan: _Plan) -> None:
        known = (*plan.here, *plan.shown)
        if self._wish.dry_run or not any(successors.is_successor(item.agent) for item in known):
            return
        with locking.alone(self._repo, "takeover"):
            for item, heir in letting_go.let_go(self._repo, self._here(), self._clone):
                judged = Judgement(
                    Situation.SUPERSEDED, f"{heir} stands for it and has all that it had, or a tombstone"
                )
                self._say(plan, item, judged)
                plan.outcomes[item] = replace(plan.outcomes[item], taken=True)

    def _plan_pushes(self, plan: _Plan) -> None:
        if self._remote.is_bundle:
            return
        for item, tip in plan.here.items():
            ahead = item in plan.outcomes and plan.outcomes[item].situation is Situation.AHEAD
            if item.kind is Kind.BRANCH and self._wish.publish_branches and self._is_own(item):
                if tip != (theirs := plan.shown.get(item)):
                    plan.pushes[item] = Push(item.ref, tip, replaces=str(theirs or ""))
                    self._say(plan, item, Judgement(Situation.AHEAD))
            elif ahead and self._may_send(plan, item, tip) and not self._is_put_off(item):
                plan.pushes[item] = Push(item.ref, tip)

    def _may_send(self, plan: _Plan, item: Item, tip: pygit2.Oid) -> bool:
        if letting_go.is_inherited(plan.heirs, item, tip):
            return False
        return item.kind is Kind.TASK or self._is_own(item) or self._wish.relay

    def _is_put_off(self, item: Item) -> bool:
        if (put_off := self._refused.get(item)) and put_off.left > 0:
            put_off.left -= 1
            return True
        return False

    def _delete(self, plan: _Plan) -> None:
        """Let journals go at the remote that one of ours stands for, once that is there."""
        old = [
            item for item, one in plan.outcomes.items() if one.situation is Situation.SUPERSEDED and item in plan.shown
        ]
        if not old or self._remote.is_bundle:
            return
        heirs = successors.heirs(self._repo, self._here())
        gone: dict[Item, Push] = {}
        for item in old:
            theirs = plan.shown[item]
            if any(self._is_there(plan, item, heir) for heir in heirs.get(item, ())) and not self._is_put_off(item):
                gone[item] = Push(item.ref, None, replaces=str(plan.judged.get(item, theirs)))
        self._send(plan, gone)
        if not self._wish.dry_run:
            tracking.drop(self._repo, [item.tracking(self._remote.slug) for item in gone])

    def _is_there(self, plan: _Plan, item: Item, heir: Heir) -> bool:
        """Return whether the remote has a journal that stands for another, and it is ours to say so there."""
        standing = Item(item.run, Kind.JOURNAL, heir.agent)
        if not (self._is_own(standing) or self._wish.relay):
            return False
        one = plan.outcomes.get(standing)
        return plan.shown.get(standing) == heir.tip or (one is not None and one.sent)

    def _push(self, plan: _Plan) -> None:
        self._send(plan, plan.pushes)

    def _send(self, plan: _Plan, pushes: Mapping[Item, Push]) -> None:
        if self._wish.dry_run:
            for item in pushes:
                plan.outcomes[item] = replace(plan.outcomes[item], sent=True)
        if not pushes or self._wish.dry_run:
            return
        answers = transfer.push(self._repo, self._remote, list(pushes.values()))
        for item, one in pushes.items():
            reason = answers[one.ref]
            if reason is None:
                plan.outcomes[item] = replace(plan.outcomes[item], sent=True)
                self._refused.pop(item, None)
                if one.tip is not None:
                    self._track(item, one.tip)
            else:
                said = f"the remote refused it: {reason}"
                plan.outcomes[item] = replace(plan.outcomes[item], refused=True, detail=said)
                wait = min(_LONGEST_WAIT, 2 * self._refused.get(item, _PutOff()).wait + 1)
                self._refused[item] = _PutOff(wait, wait)
