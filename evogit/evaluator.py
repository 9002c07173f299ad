"""For scorers of split evaluators: asks the worker in the sandbox to call the candidate, and checks what it answers.

It needs nothing but Python 3.8; evogit puts a copy of it on the path of every scorer. FORMAT.md has the protocol.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than all of this
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Any

__all__ = ["Candidate", "CandidateFailed", "Function", "candidate", "report", "seed"]

MAX_LINE = 16 * 1024 * 1024
MAX_DEPTH = 100
_MAX_DIGITS = 4300
_CHUNK = 1 << 16
_LONGEST_ERROR = 2000


class CandidateFailed(Exception):
    """The candidate, or the worker that calls it, did not answer as it should.

    Where a scorer does not catch it, the evaluation fails, and its words are the feedback.
    """


def seed() -> int:
    """Return the seed of this evaluation's random inputs, from 0 to 2**63 - 1: a new one each time, and secret."""
    return int(os.environ["EVOGIT_SEED"]) if "EVOGIT_SEED" in os.environ else int.from_bytes(os.urandom(8), "big") >> 1


def report(
    score: float,
    *,
    metrics: Mapping[str, float] | None = None,
    instances: Mapping[str, float] | None = None,
    feedback: str = "",
) -> None:
    """Write the result of the evaluation; without EVOGIT_RESULT it is printed.

    Raises:
        ValueError: a number is not finite.
        TypeError: something else than a number is given for one.
    """
    result = {"score": score, "metrics": dict(metrics or {}), "instances": dict(instances or {})}
    text = json.dumps({**result, **({"feedback": feedback} if feedback else {})}, allow_nan=False)
    path = os.environ.get("EVOGIT_RESULT")
    if path is None:
        sys.stdout.write(text + "\n")
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def candidate(*functions: str, fresh: bool = False, timeout: float | None = None) -> Candidate:
    """Return what calls functions of the candidate, named `module:function`, in a `with` block.

    Each block has a process of its own, with `fresh` each call. `timeout` is how many seconds of wall time one answer
    may take, of a call or of a whole `map`; without it only the limit of the evaluation holds.

    Raises:
        ValueError: no function is named, or not like that.
        RuntimeError: this process has no worker, since evogit did not start it.
    """
    for name in functions:
        if not all(name.partition(":")):
            raise ValueError(f"{name!r} is no function of a module; write 'module:function'")
    if not functions:
        raise ValueError("name a function of the candidate: candidate('module:function')")
    return Candidate(_Worker.of_this_process(), functions, fresh, timeout)


class Candidate:
    """Functions of the candidate; `with` gives one `Function`, or a tuple of them where several were named."""

    def __init__(self, worker: _Worker, names: Sequence[str], fresh: bool, timeout: float | None) -> None:
        self._worker, self._names, self._fresh, self._timeout = worker, names, fresh, timeout
        self._is_open = self._is_used = False

    def __enter__(self) -> Any:
        if self._worker.is_taken:
            raise RuntimeError("another block is open; name several functions in one: candidate('a:f', 'a:g')")
        self._worker.is_taken = self._is_open = True
        try:
            self._begin()
        except BaseException:
            self._worker.is_taken = self._is_open = False
            raise
        found = tuple(Function(self, number, name) for number, name in enumerate(self._names))
        return found[0] if len(found) == 1 else found

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._worker.is_taken = self._is_open = False
        if self._worker.owes_answer:
            return  # it hangs; the next block, or the end of the evaluation, ends it
        with suppress(CandidateFailed):  # what was asked for was answered; whoever opens again is told
            self._worker.ask({"close": True}, self._timeout)

    def call(self, number: int, batch: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the results of calling one of the functions with each list of arguments in turn.

        Raises:
            CandidateFailed: one of them has no result.
        """
        if not self._is_open:
            raise RuntimeError(f"{self._names[number]} is called outside of its `with` block")
        if not self._fresh:
            return self._ask(number, batch)
        found = []
        for arguments in batch:
            if self._is_used:
                self._begin()
            found += self._ask(number, [arguments])
        return found

    def _begin(self) -> None:
        self._is_used = False
        answer = self._worker.ask({"open": list(self._names)}, None)
        if "error" in answer:
            raise CandidateFailed(f"{', '.join(self._names)}: {_words(answer)}")
        if answer.get("ok") is not True or len(answer) != 1:
            raise CandidateFailed("the worker's answer is neither 'ok' nor an error")

    def _ask(self, number: int, batch: Sequence[Sequence[Any]]) -> list[Any]:
        if self._worker.owes_answer:
            raise CandidateFailed(f"{self._names[number]}: there was no answer before; begin another `with` block")
        self._is_used = True
        answer = self._worker.ask({"call": number, "with": batch}, self._timeout)
        if "error" in answer:
            raise CandidateFailed(f"{self._names[number]}: {_words(answer)}")
        results = answer.get("results")
        if not isinstance(results, list) or len(answer) != 1 or len(results) != len(batch):
            raise CandidateFailed(f"{self._names[number]}: the answer is not one result for each call")
        return results


class Function:
    """One function of the candidate. Arguments and results are plain JSON values."""

    def __init__(self, owner: Candidate, number: int, name: str) -> None:
        self._owner, self._number = owner, number
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        """Return what the candidate's function returns, as numbers, strings, booleans, None, lists and dicts.

        Raises:
            CandidateFailed: it raised, ended its process, took too long, or answered with anything else.
            TypeError, ValueError: the arguments are no plain JSON values.
        """
        return self._owner.call(self._number, [arguments])[0]

    def map(self, batch: Iterable[Sequence[Any]]) -> list[Any]:
        """Return the results for many lists of arguments; they take one line there and one back, so it is fast.

        Raises:
            CandidateFailed: as for a call, of any of them.
            TypeError: an element is no list or tuple of arguments.
        """
        calls = list(batch)
        for arguments in calls:
            if not isinstance(arguments, (list, tuple)):
                raise TypeError(f"map() takes lists of arguments, as in [(1, 2), (3, 4)], and was given {arguments!r}")
        return self._owner.call(self._number, calls)


class _Worker:
    """The other end of the two pipes: nothing that comes from there is believed."""

    _here: _Worker | None = None

    def __init__(self, to_it: int, from_it: int) -> None:
        self._to, self._from = to_it, from_it
        for descriptor in (to_it, from_it):
            os.set_blocking(descriptor, False)
        self._read = self._unsent = b""
        self.owes_answer = self.is_taken = False

    @classmethod
    def of_this_process(cls) -> _Worker:
        if cls._here is None:
            names = ("EVOGIT_WORKER_IN", "EVOGIT_WORKER_OUT")
            if not all(os.environ.get(name, "").isdecimal() for name in names):
                raise RuntimeError(
                    "there is no worker to talk to (EVOGIT_WORKER_IN is not set): this is the scorer of a split "
                    "evaluator, which `evogit evaluate` starts"
                )
            cls._here = cls(*(int(os.environ[name]) for name in names))
            _say_failures_in_a_line()
        return cls._here

    def ask(self, request: dict[str, Any], timeout: float | None) -> dict[str, Any]:
        """Return the answer, without its id.

        Raises:
            CandidateFailed: there is none in time, or none that is valid.
        """
        number = os.urandom(8).hex()
        line = json.dumps({"id": number, **request}, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise ValueError(f"the arguments take {len(line)} bytes; at most {MAX_LINE} are sent at once")
        self._unsent += line
        is_late, self.owes_answer = self.owes_answer, True
        deadline = None if timeout is None else time.monotonic() + timeout
        answered = self._next_line(deadline, timeout)
        while is_late and number.encode() not in answered:
            answered = self._next_line(deadline, timeout)  # that was the answer to a call nobody waited for any more
        answer = _parsed(answered)
        if answer.pop("id", None) != number or self._read:
            raise CandidateFailed("the worker wrote something nobody asked for")
        self.owes_answer = False
        return answer

    def _next_line(self, deadline: float | None, timeout: float | None) -> bytes:
        """Send what is not sent yet, and return the next line that comes."""
        found = [self._read]
        size = len(self._read)
        while b"\n" not in found[-1]:
            ready = self._ready(deadline, timeout)
            if self._to in ready:
                self._send()
            if self._from in ready:
                found.append(os.read(self._from, _CHUNK))
                size += len(found[-1])
                if not found[-1]:
                    raise CandidateFailed("the worker has ended")
                if size > MAX_LINE:
                    raise CandidateFailed(f"the answer has more than {MAX_LINE} bytes")
        answered, _, self._read = b"".join(found).partition(b"\n")
        return answered

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._to, self._unsent[:_CHUNK]) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent = b""  # what it wrote before it ended may still be read

    def _ready(self, deadline: float | None, timeout: float | None) -> list[int]:
        poll = select.poll()
        poll.register(self._from, select.POLLIN)
        if self._unsent:
            poll.register(self._to, select.POLLOUT)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = [descriptor for descriptor, _ in poll.poll(left)]
        if not ready:
            raise CandidateFailed(f"no answer within {timeout:g} s")
        return ready


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the object in a line of the worker's.

    Raises:
        CandidateFailed: it is none, or goes beyond what JSON and this protocol allow.
    """
    hooks: Any = {} if hasattr(sys, "get_int_max_str_digits") else {"parse_int": _whole}
    try:
        text = line.decode("utf-8")
        value = json.loads(
            text, parse_constant=_constant, parse_float=_finite, object_pairs_hook=_without_twins, **hooks
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise CandidateFailed(f"the answer is not valid: {str(error)[:200]}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
        raise CandidateFailed(f"the answer is nested more than {MAX_DEPTH} deep")
    if not isinstance(value, dict):
        raise CandidateFailed("the answer is not a JSON object")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if value - value:  # also true of what is not a number
        raise ValueError(f"{text[:40]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (list, dict))
        ]
        if not level:
            return False
    return True


def _words(answer: dict[str, Any]) -> str:
    """Return what an answer says went wrong."""
    error, at = answer["error"], answer.get("at", 0)
    if not isinstance(error, str) or type(at) is not int or not set(answer) <= {"error", "at"}:
        raise CandidateFailed("the worker's error is not valid")
    return (f"call {at}: " if at else "") + error[:_LONGEST_ERROR]


def _say_failures_in_a_line() -> None:
    """Leave out the traceback of a failed candidate: it is the scorer's, and shows its source."""
    before = sys.excepthook

    def say(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        if issubclass(kind, CandidateFailed):
            sys.stderr.write(f"the candidate failed: {error}\n")
        else:
            before(kind, error, at)

    sys.excepthook = say
