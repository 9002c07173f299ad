"""An agent's side of the process that asks models: starts it when it is first needed, waits, and ends it in time."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from evogit.llm.messages import Ask, Completion, Failure, Known, Look, Message, Ready, Reply, Request, Trouble
from evogit.model_table import ModelUse
from evogit.sandbox import Companion, Job, Launcher
from evogit.sandbox.job import MARK

_POLL_S = 0.1
_IMPORTS_S = 300.0
_GRACE_S = 5.0
"""How long after a model's time limit the process has to say that it is over."""
_MEMORY_MB = 4096
_MAX_LINE = 16 * 1024 * 1024
_NOT_PASSED_ON = ("GIT_", "PYTHON")


class _Gone(Exception):
    """The process ended, or was ended; the text says why."""


class Caller:
    """Asks one question at a time."""

    def __init__(
        self, launcher: Launcher, folder: Path, environment: Mapping[str, str], stopped: Callable[[], bool]
    ) -> None:
        """Begin; the process works in `folder`. `stopped` is asked several times a second while it is waited for."""
        self._launcher, self._folder, self._environment, self._stopped = launcher, folder, environment, stopped
        self._companion: Companion | None = None
        self._heard = bytearray()
        self._decode = msgspec.json.Decoder(Reply).decode

    def ask(self, model: ModelUse, messages: list[Message]) -> Completion | Failure:
        """Return what a model says, or why it does not."""
        said = self._exchange(Ask(model=model, messages=messages), model.timeout_s + _GRACE_S)
        if isinstance(said, Completion | Failure):
            return said
        return Failure(trouble=Trouble.BROKEN, words="the process that asks models said what it should not")

    def look(self, model: ModelUse) -> Known | Failure:
        """Return what is known of a model without asking it."""
        said = self._exchange(Look(model=model), _IMPORTS_S)
        if isinstance(said, Known | Failure):
            return said
        return Failure(trouble=Trouble.BROKEN, words="the process that asks models said what it should not")

    def close(self) -> None:
        """End the process."""
        if self._companion:
            self._companion.close()
            self._companion = None

    def _exchange(self, request: Request, timeout_s: float) -> Reply:
        try:
            companion = self._made_ready()
            self._write(companion, msgspec.json.encode(request) + b"\n", timeout_s)
            return self._hear(companion, timeout_s)
        except _Gone as gone:
            self.close()
            return Failure(trouble=Trouble.BROKEN, words=str(gone))
        except TimeoutError:
            self.close()
            return Failure(
                trouble=Trouble.TIMEOUT, words=f"model {request.model.name}: no answer in {request.model.timeout_s:g} s"
            )
        except InterruptedError:
            self.close()
            return Failure(trouble=Trouble.CANCELLED, words="interrupted")

    def _made_ready(self) -> Companion:
        if self._companion and self._companion.is_alive:
            return self._companion
        self.close()
        self._heard.clear()
        job = Job(
            argv=[sys.executable, "-P", "-m", "evogit.llm.service"], cwd=self._folder, environment=self._whole(),
            timeout_s=_IMPORTS_S, trusted=True, talks=True, memory_mb=_MEMORY_MB, who="the process that asks models",
        )  # fmt: skip
        try:
            self._companion = self._launcher.open(job)
        except OSError as error:
            raise _Gone(f"the process that asks models cannot be started: {error.strerror}") from error
        for pipe in (self._companion.input, self._companion.output):
            os.set_blocking(pipe, False)
        if not isinstance(self._hear(self._companion, _IMPORTS_S), Ready):
            raise _Gone("the process that asks models did not begin as it should")
        return self._companion

    def _whole(self) -> dict[str, str]:
        kept = {name: value for name, value in self._environment.items() if not name.startswith(_NOT_PASSED_ON)}
        # The mark by which the guard knows it, when the agent is killed while it starts.
        return {**kept, MARK: str(self._folder / "no-result"), "PYTHONWARNINGS": "ignore"}

    def _write(self, companion: Companion, line: bytes, timeout_s: float) -> None:
        deadline, rest = time.monotonic() + timeout_s, memoryview(line)
        while rest:
            self._wait(companion, deadline, writing=True)
            try:
                rest = rest[os.write(companion.input, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise _Gone(_last_words(companion)) from None

    def _hear(self, companion: Companion, timeout_s: float) -> Reply:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._heard:
            self._wait(companion, deadline)
            try:
                chunk = os.read(companion.output, 1 << 16)
            except BlockingIOError:
                continue
            if not chunk:
                raise _Gone(_last_words(companion))
            self._heard += chunk
            if len(self._heard) > _MAX_LINE:
                raise _Gone(f"an answer of more than {_MAX_LINE} bytes")
        line, _, rest = self._heard.partition(b"\n")
        self._heard = bytearray(rest)
        try:
            found: Reply = self._decode(line)
            return found
        except msgspec.MsgspecError as error:
            raise _Gone(f"the process that asks models said what it should not: {error}") from error

    def _wait(self, companion: Companion, deadline: float, *, writing: bool = False) -> None:
        """Wait until there is something to read, or room to write; look after the process meanwhile."""
        while True:
            if crossed := companion.look():
                raise _Gone(crossed)
            if self._stopped():
                raise InterruptedError
            if time.monotonic() >= deadline:
                raise TimeoutError
            pipes = ([], [companion.input]) if writing else ([companion.output], [])
            if any(select.select(*pipes, [], _POLL_S)):
                return


def _last_words(companion: Companion) -> str:
    """Return why it ended, as far as its last line says so; it may have been about anything, so only its kind."""
    companion.look()
    lines = companion.said.decode("utf-8", "replace").strip().splitlines()
    kind = lines[-1].partition(":")[0][:80] if lines else ""
    if kind in ("ModuleNotFoundError", "ImportError"):
        return "litellm cannot be imported; install evogit again"
    return f"the process that asks models ended{f' ({kind})' if kind.isidentifier() else ''}"
