"""Several models: how often one is asked again, how long it is left alone after trouble, and who is asked then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from evogit.errors import ConfigError, EvogitError, NotAuthenticated, ProposerBroken
from evogit.llm.messages import Completion, Failure, Message, Trouble
from evogit.model_table import ModelUse
from evogit.records import Call

_ATTEMPTS = 4
_LONGEST_WAIT_S = 60.0
"""A server that asks for more is left alone, and another model asked."""
_REST_S, _LONGEST_REST_S = 30.0, 600.0
_POLL_S = 0.1
_FAILED_ROUNDS = 3


class Voice(Protocol):
    """Asks one model one question."""

    def ask(self, model: ModelUse, messages: list[Message]) -> Completion | Failure:
        """Return what it says, or why it does not."""
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
        if self.answer is None or self.answer.usd is not None or left_usd() == float("inf"):
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
    refusal: Failure | None = None


@dataclass(slots=True)
class Models:
    """Asks the models in a given order; what fails is tried again, then left alone for a while, then another asked."""

    uses: Sequence[ModelUse]
    voice: Voice
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    stopped: Callable[[], bool]
    _standings: list[_Standing] = field(init=False)
    _rounds: int = 0

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
        """Return the first answer of these models, which are asked in this order.

        `may_call` is told the calls made so far and says whether another may be made.
        """
        calls: list[Call] = []
        failure: Failure | None = None
        for standing in self._able(order):
            failed = self._persist(standing, messages, calls, may_call)
            if isinstance(failed, Asked):
                self._rounds = 0
                return failed
            failure = failed or failure
            if failed is None or failed.trouble in (Trouble.CANCELLED, Trouble.CONTEXT, Trouble.REFUSED, Trouble.LEAK):
                return Asked(failure=failure, calls=calls)
        self._rounds += bool(calls)
        return Asked(failure=failure, calls=calls, fatal=self._fatal())

    def give_up(self) -> EvogitError | None:
        """Return what to end with when nothing else can be done while no model answers; None: not yet."""
        if self._rounds < _FAILED_ROUNDS:
            return None
        return ProposerBroken(f"no model answered {self._rounds} times in a row; evogit agents check NAME says more")

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
    ) -> Asked | Failure | None:
        """Ask one model until it answers or there is no point in it any more; None: no call may be made."""
        failed: list[Failure] = []

        def once() -> Asked | Failure | None:
            if not may_call(calls):
                return None
            begun = time.monotonic()
            said = self.voice.ask(standing.use, messages)
            calls.append(_call(standing.use, said, time.monotonic() - begun))
            if isinstance(said, Completion):
                standing.failures = 0
                return Asked(answer=said, model=standing.use.name, calls=calls)
            failed.append(said)
            return said

        retrying = Retrying(
            retry=retry_if_result(_is_worth_another), stop=stop_after_attempt(_ATTEMPTS), wait=_wait, sleep=self._rest,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )  # fmt: skip
        found: Asked | Failure | None = retrying(once)
        if isinstance(found, Failure):
            self._hold_against(standing, found)
        return found

    def _rest(self, seconds: float) -> None:
        until = self.clock() + seconds
        while (left := until - self.clock()) > 0 and not self.stopped():
            self.sleep(min(left, _POLL_S))

    def _hold_against(self, standing: _Standing, failure: Failure) -> None:
        if failure.trouble in (Trouble.AUTH, Trouble.MODEL):
            standing.refusal = failure
        elif failure.trouble not in (Trouble.CANCELLED, Trouble.CONTEXT, Trouble.REFUSED, Trouble.LEAK):
            standing.failures += 1
            rest = max(failure.retry_after_s or 0.0, _REST_S * 2 ** min(standing.failures - 1, 8))
            standing.rests_until = self.clock() + min(rest, _LONGEST_REST_S)

    def _fatal(self) -> EvogitError | None:
        """Return what to end with when no model can ever be asked again."""
        refusals = [standing.refusal for standing in self._standings if standing.refusal]
        if len(refusals) < len(self._standings):
            return None
        words = "; ".join(failure.words for failure in refusals)
        return NotAuthenticated(words) if any(f.trouble is Trouble.AUTH for f in refusals) else ConfigError(words)


def _is_worth_another(said: Asked | Failure | None) -> bool:
    if not isinstance(said, Failure) or not said.trouble.may_pass:
        return False
    return (said.retry_after_s or 0.0) <= _LONGEST_WAIT_S


_backoff = wait_random_exponential(multiplier=1, max=_LONGEST_WAIT_S)


def _wait(state: RetryCallState) -> float:
    """Return what the server asked for, else ever longer, by chance: agents that failed together come back apart."""
    said = state.outcome.result() if state.outcome else None
    asked = said.retry_after_s if isinstance(said, Failure) else None
    return _backoff(state) if asked is None else asked + _backoff(state) / 4


def _call(use: ModelUse, said: Completion | Failure, seconds: float) -> Call:
    outcome = said.trouble.value if isinstance(said, Failure) else "ok" if said.is_whole else "truncated"
    return Call(
        model=use.name, tokens_in=said.tokens_in, tokens_out=said.tokens_out, usd=said.usd,
        seconds=round(seconds, 3), outcome=outcome,
    )  # fmt: skip
