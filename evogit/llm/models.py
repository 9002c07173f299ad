"""Several models: how often one is asked again, how long it is left alone after trouble, and who is asked then."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, TypeVar

from evogit.errors import ConfigError, EvogitError, NotAuthenticated, ProposerBroken
from evogit.llm.messages import Completion, Failure, Known, Message, Trouble
from evogit.llm.talk import Pause, Question, Said, Talk, lead
from evogit.model_table import ModelUse
from evogit.records import Call

_ATTEMPTS = 4
_LONGEST_WAIT_S = 60.0
"""A server that asks for more is left alone, and another model asked."""
_REST_S, _LONGEST_REST_S = 30.0, 600.0
_POLL_S = 0.1
_FAILED_ROUNDS = 3
_T = TypeVar("_T")


class Voice(Protocol):
    """Asks models questions, of which several may be open."""

    def ask(self, model: ModelUse, messages: list[Message]) -> Completion | Failure:
        """Return what it says, or why it does not."""
        ...

    def look(self, model: ModelUse) -> Known | Failure:
        """Return what is known of it, without asking it."""
        ...

    def begin(self, model: ModelUse, messages: list[Message]) -> int:
        """Ask it, and return the number by which `take` gives what it says."""
        ...

    def take(self, number: int) -> Said | None:
        """Return what came of a question, once; None while it is open."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until something came of a question, at most so long."""
        ...

    def give_up(self) -> None:
        """Cancel all open questions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of a question: an answer and whose it is, or why there is none; and all calls it took.

    `fatal` is what the agent has to end with.
    """

    answer: Completion | None = None
    model: str = ""
    failure: Failure | None = None
    calls: Sequence[Call] = ()
    fatal: EvogitError | None = None

    def unpriced(self, left_usd: Callable[[], float]) -> EvogitError | None:
        """Return what to end with when there is a budget, `left_usd`, and nobody knows what the answer cost."""
        if self.answer is None or self.answer.usd is not None or left_usd() == inf:
            return None
        return ConfigError(
            f"nobody knows what model {self.model} costs, so no budget can hold: set price_in and price_out of it "
            "under [[models]] in evogit.toml, or leave the budget out"
        )


@dataclass(slots=True)
class _Standing:
    """What is known of one model: until when it rests, how often in a row it failed, and whether it is out for good."""

    use: ModelUse
    rests_until: float = 0.0
    failures: int = 0
    failed_at: float = -inf
    refusal: Failure | None = None


@dataclass(slots=True)
class Models:
    """Asks the models in a given order; what fails is tried again, then left alone for a while, then another asked."""

    uses: Sequence[ModelUse]
    voice: Voice
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    stopped: Callable[[], bool]
    is_ending: bool = False
    """Whether no more is to be asked, only what was asked to be heard."""
    _standings: list[_Standing] = field(init=False)
    _prices: dict[str, Known] = field(default_factory=dict)
    _rounds: int = 0
    _round_ended: float = -inf

    def __post_init__(self) -> None:
        self._standings = [_Standing(use) for use in self.uses]

    @property
    def smallest_context(self) -> int | None:
        """The fewest tokens one of them reads, where that is set."""
        return min((use.context_tokens - use.max_tokens for use in self.uses if use.context_tokens), default=None)

    @property
    def weights(self) -> Mapping[str, float]:
        """What people gave each model, by its name."""
        return {use.name: use.weight for use in self.uses}

    def ask(self, messages: list[Message], order: Sequence[str], may_call: Callable[[Sequence[Call]], bool]) -> Asked:
        """Return what `asking` does, and wait for it."""
        return self.lead(self.asking(messages, order, may_call))

    def lead(self, talk: Talk[_T]) -> _T:
        """Lead one conversation to its end, and return its result; nothing else is done meanwhile."""
        return lead(talk, self._meet)

    def asking(
        self, messages: list[Message], order: Sequence[str], may_call: Callable[[Sequence[Call]], bool]
    ) -> Talk[Asked]:
        """Return the first answer of these models, which are asked in this order.

        `may_call` is told the calls made so far and says whether another may be made.
        """
        calls: list[Call] = []
        failure: Failure | None = None
        begun = self.clock()
        for standing in self._able(order):
            if standing.refusal:
                continue  # since another conversation asked it
            failed = yield from self._persist(standing, messages, calls, may_call)
            if isinstance(failed, Asked):
                self._rounds = 0
                return failed
            failure = failed or failure
            if failed is None or failed.trouble in (Trouble.CANCELLED, Trouble.CONTEXT, Trouble.REFUSED, Trouble.LEAK):
                return Asked(failure=failure, calls=calls)
        if calls and begun >= self._round_ended:
            # Conversations that failed side by side are one round.
            self._rounds += 1
            self._round_ended = self.clock()
        return Asked(failure=failure, calls=calls, fatal=self._fatal())

    def most_usd(self, question: Question) -> float:
        """Return what a question can cost at most, as far as anybody knows what the model costs."""
        known = self._price(question.use)
        # No token is shorter than a byte.
        sent = sum(len(message.content.encode("utf-8", "replace")) for message in question.messages)
        return sent * (known.usd_in or 0.0) + question.use.max_tokens * (known.usd_out or 0.0)

    def give_up(self) -> EvogitError | None:
        """Return what to end with when nothing else can be done while no model answers; None: not yet."""
        if self._rounds < _FAILED_ROUNDS:
            return None
        return ProposerBroken(f"no model answered {self._rounds} times in a row; evogit agents check NAME says more")

    def _price(self, use: ModelUse) -> Known:
        if use.price_in is not None and use.price_out is not None:
            return Known(usd_in=use.price_in / 1e6, usd_out=use.price_out / 1e6)
        if use.name not in self._prices:
            known = self.voice.look(use)
            self._prices[use.name] = known if isinstance(known, Known) else Known()
        return self._prices[use.name]

    def _able(self, order: Sequence[str]) -> list[_Standing]:
        """Return those of these that may be asked now."""
        now = self.clock()
        able = [standing for standing in self._standings if not standing.refusal and standing.rests_until <= now]
        return sorted(able, key=lambda standing: order.index(standing.use.name))

    def _persist(
        self,
        standing: _Standing,
        messages: list[Message],
        calls: list[Call],
        may_call: Callable[[Sequence[Call]], bool],
    ) -> Talk[Asked | Failure | None]:
        """Ask one model until it answers or there is no point in it any more; None: no call may be made."""
        begun, failure = self.clock(), None
        for attempt in range(_ATTEMPTS):
            if failure:
                yield Pause(_wait(failure, attempt))
            if self.is_ending or not may_call(calls):
                return None
            said = yield Question(standing.use, messages)
            assert said is not None
            calls.append(_call(standing.use, said))
            if isinstance(said.reply, Completion):
                standing.failures = 0
                return Asked(answer=said.reply, model=standing.use.name, calls=calls)
            failure = said.reply
            if not _is_worth_another(failure):
                break
        assert failure is not None
        self._hold_against(standing, failure, begun)
        return failure

    def _meet(self, step: Question | Pause) -> Said | None:
        if isinstance(step, Pause):
            self._rest(step.seconds)
            return None
        begun = time.monotonic()
        reply = self.voice.ask(step.use, step.messages)
        return Said(reply, time.monotonic() - begun)

    def _rest(self, seconds: float) -> None:
        until = self.clock() + seconds
        while (left := until - self.clock()) > 0 and not self.stopped():
            self.sleep(min(left, _POLL_S))

    def _hold_against(self, standing: _Standing, failure: Failure, begun: float) -> None:
        if failure.trouble in (Trouble.AUTH, Trouble.MODEL):
            standing.refusal = failure
        elif failure.trouble not in (Trouble.CANCELLED, Trouble.CONTEXT, Trouble.REFUSED, Trouble.LEAK):
            standing.failures += begun >= standing.failed_at  # not once more for each that failed side by side
            standing.failed_at = self.clock()
            rest = max(failure.retry_after_s or 0.0, _REST_S * 2 ** min(standing.failures - 1, 8))
            standing.rests_until = self.clock() + min(rest, _LONGEST_REST_S)

    def _fatal(self) -> EvogitError | None:
        """Return what to end with when no model can ever be asked again."""
        refusals = [standing.refusal for standing in self._standings if standing.refusal]
        if len(refusals) < len(self._standings):
            return None
        words = "; ".join(failure.words for failure in refusals)
        return NotAuthenticated(words) if any(f.trouble is Trouble.AUTH for f in refusals) else ConfigError(words)


def _is_worth_another(failure: Failure) -> bool:
    return failure.trouble.may_pass and (failure.retry_after_s or 0.0) <= _LONGEST_WAIT_S


def _wait(failure: Failure, attempt: int) -> float:
    """Return what the server asked for, else ever longer, by chance: agents that failed together come back apart."""
    backoff = random.uniform(0.0, min(2.0 ** (attempt - 1), _LONGEST_WAIT_S))
    return backoff if failure.retry_after_s is None else failure.retry_after_s + backoff / 4


def _call(use: ModelUse, said: Said) -> Call:
    reply = said.reply
    outcome = reply.trouble.value if isinstance(reply, Failure) else "ok" if reply.is_whole else "truncated"
    return Call(
        model=use.name, tokens_in=reply.tokens_in, tokens_out=reply.tokens_out, usd=reply.usd,
        seconds=round(said.seconds, 3), outcome=outcome,
    )  # fmt: skip
