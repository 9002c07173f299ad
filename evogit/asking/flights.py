"""Several conversations with models, led by one thread: what was said to one is taken up while others wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from evogit.llm import Models, Pause, Said, Talk
from evogit.store.holds import Holds

_A = TypeVar("_A")
_T = TypeVar("_T")
_OFF_S = 1.0


@dataclass(frozen=True, slots=True)
class Landed(Generic[_A, _T]):
    """What a conversation came to, and what it was about."""

    about: _A
    result: _T


@dataclass(slots=True)
class _Flight(Generic[_A, _T]):
    """A conversation: the number of its open question, or until when it pauses; what it has paid and may have to."""

    about: _A
    talk: Talk[_T]
    number: int | None = None
    rests_until: float = 0.0
    paid_usd: float = 0.0
    held_usd: float = 0.0


class Flights(Generic[_A, _T]):
    """Keeps up to `most` conversations going; of a single one the end is waited for, and nothing done meanwhile."""

    def __init__(self, models: Models | None, most: int, holds: Holds | None) -> None:
        """Begin with none; `holds` is where what they may cost is held back, None where there is no budget.

        Without models a conversation has to end without a question.
        """
        self._models, self._most, self._holds = models, most, holds
        self._aloft: list[_Flight[_A, _T]] = []
        self._landed: list[Landed[_A, _T]] = []
        self._current: _Flight[_A, _T] | None = None
        self._off_until = 0.0
        self._is_ending = False

    @property
    def is_several(self) -> bool:
        """Whether what lands is to be recorded at once, and measured in its turn."""
        return self._most > 1

    @property
    def about(self) -> list[_A]:
        """What those that are under way are about."""
        return [flight.about for flight in self._aloft]

    def has_room(self, waiting: int, left: float) -> bool:
        """Return whether one more may begin, while so many results wait to be measured, and so many may be at all."""
        if self._models is None or not self.is_several:
            return True
        is_off = bool(self._aloft or waiting) and self._models.clock() < self._off_until
        return not is_off and len(self._aloft) + waiting < min(self._most, left)

    def hold_off(self) -> None:
        """Begin none for a moment, or until one lands: there was nothing to begin with."""
        if self._models:
            self._off_until = self._models.clock() + _OFF_S

    def is_due(self, waiting: int, left: float) -> bool:
        """Return whether one has landed, or there is room, where there may be several."""
        if not self.is_several:
            return False
        self._listen(0.0)
        return bool(self._landed) or self.has_room(waiting, left)

    def launch(self, about: _A, talk: Talk[_T]) -> Landed[_A, _T] | None:
        """Begin a conversation; return what it came to where it came to its end already."""
        if self._models and not self.is_several:
            return Landed(about, self._models.lead(talk))
        self._aloft.append(flight := _Flight(about, talk))
        self._go_on(flight, None)
        return self._landed.pop() if flight not in self._aloft else None

    def landed(self, seconds: float = 0.0) -> Landed[_A, _T] | None:
        """Return what one of them came to, which its caller records before it does anything else; wait so long."""
        self._listen(0.0 if self._landed else seconds)
        return self._landed.pop(0) if self._landed else None

    def end(self, patience_s: float) -> Iterator[Landed[_A, _T]]:
        """Yield what each came to that was under way; what nobody answers in so many seconds is given up."""
        models = self._models
        if models is None or not self.is_several:
            return
        models.is_ending = self._is_ending = True
        until = models.clock() + patience_s
        while self._aloft and (left := until - models.clock()) > 0:
            if landed := self.landed(left):
                yield landed
        if self._aloft:
            models.voice.give_up()
        while landed := self.landed():
            yield landed
        models.is_ending = self._is_ending = False
        self._hold_back()

    def unseen_usd(self) -> float:
        """Return what was spent, or may be by open questions, and is in no journal yet; the asking one's own excepted.

        Where there is a budget; the other agents of this clone are counted.
        """
        if self._holds is None:
            return 0.0
        return self._holds.others() + self._own_usd([flight for flight in self._aloft if flight is not self._current])

    def _listen(self, seconds: float) -> None:
        """Go on with those that were answered, or have paused; wait at most so long for one."""
        if self._models is None or self._landed or not self._aloft:
            return
        self._hold_back()
        now = self._models.clock()
        ends = [flight.rests_until for flight in self._aloft if flight.number is None]
        seconds = max(0.0, min([seconds, *(0.0 if self._is_ending else end - now for end in ends)]))
        if len(ends) < len(self._aloft):
            self._models.voice.wait(seconds)
        elif seconds:
            self._models.sleep(seconds)
        now = self._models.clock()
        for flight in list(self._aloft):
            if self._landed:
                return  # what it paid is in the journal before another one asks what may be spent
            if flight.number is None:
                if self._is_ending or flight.rests_until <= now:
                    self._go_on(flight, None)
            elif said := self._models.voice.take(flight.number):
                flight.number = None
                flight.held_usd, flight.paid_usd = 0.0, flight.paid_usd + (said.reply.usd or 0.0)
                self._go_on(flight, said)

    def _go_on(self, flight: _Flight[_A, _T], said: Said | None) -> None:
        self._current = flight
        try:
            step = flight.talk.send(said)
        except StopIteration as end:
            self._aloft.remove(flight)
            self._landed.append(Landed(flight.about, end.value))
            self._off_until = 0.0
            return
        finally:
            self._current = None
        assert self._models is not None, "a question without models"
        if isinstance(step, Pause):
            flight.rests_until = self._models.clock() + step.seconds
            return
        if self._holds:
            flight.held_usd = self._models.most_usd(step)
            self._hold_back()
        flight.number = self._models.voice.begin(step.use, step.messages)

    def _hold_back(self) -> None:
        if self._holds:
            self._holds.hold(self._own_usd(self._aloft))

    @staticmethod
    def _own_usd(flights: list[_Flight[_A, _T]]) -> float:
        return sum(flight.paid_usd + flight.held_usd for flight in flights)
