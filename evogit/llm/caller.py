"""An agent's side of the process that asks models: starts it when it is first needed, waits, and ends it in time."""

from __future__ import annotations

import itertools
import os
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from evogit.llm.messages import Ask, Completion, Failure, Known, Line, Look, Message, Ready, Request, Told, Trouble
from evogit.llm.starting import IMPORTS_S, Source
from evogit.llm.talk import Said
from evogit.model_table import ModelUse
from evogit.sandbox import Companion, Launcher

_POLL_S = 0.1
_FORK_S = 30.0
"""How long a process that was forked may take to say so."""
_GRACE_S = 5.0
"""How long after a model's time limit the process has to say that it is over."""
_MAX_LINE = 16 * 1024 * 1024
_MOST_STUCK = 32
"""Questions without an end that the process may be left with, while others are waited for."""


class _Gone(Exception):
    """The process ended, or was ended; the text says why."""


@dataclass(slots=True)
class _Open:
    """A question that nothing was said to yet."""

    model: ModelUse
    begun: float
    deadline: float


class Caller:
    """Asks questions, which are open at the same time; what is said to each is kept until it is taken."""

    def __init__(
        self,
        launcher: Launcher,
        folder: Path,
        environment: Mapping[str, str],
        stopped: Callable[[], bool],
        shared: socket.socket | None = None,
    ) -> None:
        """Begin; the process works in `folder`. `stopped` is asked several times a second while it is waited for.

        `shared` is an end of what forks such processes for all agents of a run; without it, this one is started.
        """
        self._source, self._stopped = Source(launcher, folder, environment, shared), stopped
        self._companion: Companion | None = None
        self._heard = bytearray()
        self._decode = msgspec.json.Decoder(Line).decode
        self._numbers = itertools.count()
        self._open: dict[int, _Open] = {}
        self._told: dict[int, Told] = {}
        self._stuck: set[int] = set()
        self._is_ready = False

    def ask(self, model: ModelUse, messages: list[Message]) -> Completion | Failure:
        """Return what a model says, or why it does not."""
        return self._wait_for(self.begin(model, messages)).reply

    def begin(self, model: ModelUse, messages: list[Message]) -> int:
        """Ask a model, and return the number by which `take` gives what it says."""
        asked = Ask(number=next(self._numbers), model=model, messages=messages)
        return self._begin(asked, model.timeout_s + _GRACE_S)

    def take(self, number: int) -> Said | None:
        """Return what came of a question, once; None while it is open."""
        told = self._told.pop(number, None)
        if told is None:
            return None
        if isinstance(told.reply, Completion | Failure):
            return Said(told.reply, told.seconds)
        return Said(_NONSENSE, told.seconds)

    def wait(self, seconds: float) -> None:
        """Wait until something came of an open question, at most so long; at once where that is to be taken yet."""
        until = time.monotonic() + seconds
        while self._open:
            self._turn(0.0 if self._told else max(0.0, until - time.monotonic()))
            if self._told or time.monotonic() >= until:
                return

    def give_up(self) -> None:
        """End the process; of each open question there is nothing but that it was cancelled."""
        self._fail(Trouble.CANCELLED, "interrupted")

    def look(self, model: ModelUse) -> Known | Failure:
        """Return what is known of a model without asking it."""
        number = self._begin(Look(number=next(self._numbers), model=model), IMPORTS_S)
        while number not in self._told:
            self._turn(_POLL_S)
        reply = self._told.pop(number).reply
        return reply if isinstance(reply, Known | Failure) else _NONSENSE

    def close(self) -> None:
        """End the process."""
        if self._companion:
            self._companion.close()
            self._companion = None
        self._heard.clear()
        self._stuck.clear()
        self._is_ready = False

    def _wait_for(self, number: int) -> Said:
        while (said := self.take(number)) is None:
            self._turn(_POLL_S)
        return said

    def _begin(self, request: Request, timeout_s: float) -> int:
        self._bury()
        begun = time.monotonic()
        self._open[request.number] = found = _Open(request.model, begun, begun + IMPORTS_S + timeout_s)
        try:
            companion = self._made_ready()
            begun = time.monotonic()
            self._write(companion, msgspec.json.encode(request) + b"\n", begun + timeout_s)
            found.deadline = time.monotonic() + timeout_s
        except _Gone as gone:
            self._fail(Trouble.BROKEN, str(gone))
        except TimeoutError:
            self._overdue(request.number)
            self._fail(Trouble.BROKEN, "the process that asks models does not go on")
        except InterruptedError:
            self.give_up()
        return request.number

    def _turn(self, seconds: float) -> None:
        """Wait at most so long for something to be said, and settle what nothing more is to be hoped for."""
        try:
            if self._companion:
                self._listen(self._companion, seconds)
        except _Gone as gone:
            self._fail(Trouble.BROKEN, str(gone))
        except InterruptedError:
            self.give_up()
        now = time.monotonic()
        for number in [number for number, found in self._open.items() if found.deadline <= now]:
            self._overdue(number)
            self._stuck.add(number)
        if self._stuck and not self._open:
            self.close()
        elif len(self._stuck) >= _MOST_STUCK:
            # Its threads cannot be ended one by one.
            self._fail(Trouble.BROKEN, f"the process that asks models waits for {_MOST_STUCK} answers without an end")

    def _overdue(self, number: int) -> None:
        use = self._open[number].model
        words = f"model {use.name}: no answer in {use.timeout_s:g} s"
        self._settle(number, Failure(trouble=Trouble.TIMEOUT, words=words))

    def _fail(self, trouble: Trouble, words: str) -> None:
        """End the process, and with it all open questions."""
        self.close()
        for number in list(self._open):
            self._settle(number, Failure(trouble=trouble, words=words))

    def _settle(self, number: int, failure: Failure) -> None:
        seconds = time.monotonic() - self._open.pop(number).begun
        self._told[number] = Told(number=number, seconds=seconds, reply=failure)

    def _bury(self) -> None:
        """Have done with a process that ended by itself, so that the next question gets another."""
        companion = self._companion
        if companion is None or companion.is_alive:
            return
        if self._open:
            self._turn(0.0)
            self._fail(Trouble.BROKEN, _last_words(companion))
        self.close()

    def _made_ready(self) -> Companion:
        if self._companion:
            return self._companion
        if forked := self._source.forked(self._stopped):
            try:
                return self._readied(forked, _FORK_S)
            except (_Gone, TimeoutError):
                self.close()
                self._source.forgo()
        try:
            started = self._source.started()
        except OSError as error:
            raise _Gone(f"the process that asks models cannot be started: {error.strerror}") from error
        return self._readied(started, IMPORTS_S)

    def _readied(self, companion: Companion, within_s: float) -> Companion:
        self._companion = companion
        deadline = time.monotonic() + within_s
        while not self._is_ready:
            self._listen(companion, _POLL_S)
            if time.monotonic() >= deadline:
                raise TimeoutError
        return companion

    def _write(self, companion: Companion, line: bytes, deadline: float) -> None:
        rest = memoryview(line)
        while rest:
            self._listen(companion, _POLL_S, writing=True)
            try:
                rest = rest[os.write(companion.input, rest) :]
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError from None
            except BrokenPipeError:
                raise _Gone(_last_words(companion)) from None

    def _listen(self, companion: Companion, seconds: float, *, writing: bool = False) -> None:
        """Wait a moment for something to be said, or for room to write, and keep it; look after the process."""
        until = time.monotonic() + seconds
        while True:
            if crossed := companion.look():
                raise _Gone(crossed)
            left = min(_POLL_S, max(0.0, until - time.monotonic()))
            to_read, to_write, _ = select.select([companion.output], [companion.input] * writing, [], left)
            if to_read:
                self._read(companion)
            if self._stopped():
                raise InterruptedError
            if to_read or to_write or time.monotonic() >= until:
                return

    def _read(self, companion: Companion) -> None:
        """Keep all that was said by now."""
        while True:
            try:
                chunk = os.read(companion.output, 1 << 16)
            except BlockingIOError:
                return
            if not chunk:
                raise _Gone(_last_words(companion))
            self._heard += chunk
            while b"\n" in self._heard:
                line, _, rest = self._heard.partition(b"\n")
                self._heard = bytearray(rest)
                self._note(bytes(line))
            if len(self._heard) > _MAX_LINE:
                raise _Gone(f"an answer of more than {_MAX_LINE} bytes")

    def _note(self, line: bytes) -> None:
        try:
            found: Line = self._decode(line)
        except msgspec.MsgspecError as error:
            raise _Gone(f"the process that asks models said what it should not: {error}") from error
        if isinstance(found, Ready):
            self._is_ready = True
        elif self._open.pop(found.number, None):
            self._told[found.number] = found
        else:
            self._stuck.discard(found.number)


_NONSENSE = Failure(trouble=Trouble.BROKEN, words="the process that asks models said what it should not")


def _last_words(companion: Companion) -> str:
    """Return why it ended, as far as its last line says so; it may have been about anything, so only its kind."""
    companion.look()
    lines = companion.said.decode("utf-8", "replace").strip().splitlines()
    kind = lines[-1].partition(":")[0][:80] if lines else ""
    if kind in ("ModuleNotFoundError", "ImportError"):
        return "litellm cannot be imported; install evogit again"
    return f"the process that asks models ended{f' ({kind})' if kind.isidentifier() else ''}"
