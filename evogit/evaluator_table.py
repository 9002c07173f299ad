"""The `[evaluator]` table of `evogit.toml`: its keys, what they must satisfy together, and its digest."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_Module = Annotated[str, msgspec.Meta(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")]
_Function = Annotated[str, msgspec.Meta(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")]
Command = _Text | Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1)]
"""A string is run by `/bin/sh -c`, a list without a shell."""
Mode = Literal["command", "split"]
_ENDINGS = ("", ".py", ".pyc", ".so", ".*.so")
"""What Python would import by a module's name: a folder, or a file with one of these endings."""
ResultKind = Literal["file", "stdout-json", "regex", "exit-code", "junit", "cpu-time", "lines", "instructions"]
CPU_TIME, LINES, INSTRUCTIONS = "cpu-time", "lines", "instructions"
_FEWEST_PAIRS = 3
"""Of two measurements in turns one may be disturbed, and nobody could say which."""


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[evaluator.stages]]`: a cheaper score a candidate must reach before a dearer command is run."""

    command: Command
    threshold: _Finite


class Judge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[evaluator] judge`: what compares two candidates where there is no number: a command, or language models.

    A `command` finds them in the folders that EVOGIT_FIRST and EVOGIT_SECOND name, and the last line it prints is
    `first`, `second` or `tie`. With `by` the models that the run may ask are asked.
    """

    command: Command | None = None
    by: Literal["model"] | None = None


class Evaluator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[evaluator]`: what scores a candidate.

    One of `command`, `pytest`, `function` (`module:name`) and `judge` is there. `result` says where the score stands,
    or what the command's cost is counted in: `pattern` belongs to `regex`, `junit` to `junit`. Limits are for each
    command run; `timeout_s` is wall time in seconds. With mode `split` those that score see the files `trusted` names
    (patterns) and no candidate; `worker` sees the candidate and none of those.
    """

    mode: Mode = "command"
    command: Command | None = None
    worker: Command | None = None
    trusted: tuple[_Text, ...] = ()
    pytest: _Text | None = None
    function: _Function | None = None
    judge: Judge | None = None
    preload: tuple[_Module, ...] = ()
    result: ResultKind = "file"
    pattern: _Text | None = None
    junit: _Text | None = None
    timeout_s: _Positive = 60.0
    memory_mb: Annotated[int, msgspec.Meta(ge=16, le=16_777_216)] | None = None
    repeat: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    gates: tuple[Command, ...] = ()
    stages: tuple[Stage, ...] = ()
    setup: Command | None = None
    setup_inputs: tuple[_Text, ...] = ()
    setup_timeout_s: _Positive = 1800.0
    carry: tuple[_Text, ...] = ()

    @property
    def is_cost(self) -> bool:
        """Whether the score is what the command costs, measured from outside; less is better."""
        return self.result in (CPU_TIME, LINES, INSTRUCTIONS)

    @property
    def pairs(self) -> int:
        """How often candidate and base are run in turns to measure one score in CPU time."""
        return max(self.repeat, _FEWEST_PAIRS)

    @property
    def rounds(self) -> int:
        """How many scores the median is taken of; pairs in turns are a single one."""
        return 1 if self.result == CPU_TIME else self.repeat

    def commands(self) -> Iterator[Command]:
        """Yield every command there is, in the order they are run."""
        yield from (self.setup,) if self.setup else ()
        yield from self.gates
        yield from self.scorers()
        yield from (self.worker,) if self.worker else ()
        yield from (self.judge.command,) if self.judge and self.judge.command else ()

    @property
    def asks_models(self) -> bool:
        """Whether candidates are compared by language models."""
        return self.judge is not None and self.judge.by is not None

    def scorers(self) -> Iterator[Command]:
        """Yield the commands whose result is a score."""
        yield from (stage.command for stage in self.stages)
        yield from (self.command,) if self.command else ()

    def beside(self) -> Iterator[Command]:
        """Yield the commands that run candidates where those that score do not."""
        yield from self.gates
        yield from (self.worker,) if self.worker else ()

    def longest_s(self) -> float:
        """Return how many seconds all commands of one evaluation may take together."""
        if self.result == CPU_TIME:
            return self.timeout_s * (len(self.gates) + 2 * self.pairs * (len(self.stages) + 1))
        of_base = len(self.stages) + 1 if self.is_cost else self.pytest is not None or self.result == "junit"
        return self.timeout_s * (len(self.gates) + len(self.stages) + self.repeat + of_base)

    def described(self) -> str:
        """Return what is run, in words."""
        said = [shown(command) for command in self.commands() if command is not self.worker]
        said += [] if self.pytest is None else [f"pytest {self.pytest}"]
        said += [] if self.function is None else [f"{self.function}()"]
        said += ["a model's judgement"] if self.asks_models else []
        return " && ".join(said) + (f" beside {shown(self.worker)}" if self.worker else "")

    def protected(self) -> Iterator[str]:
        """Yield patterns of files that candidates must not change, since the table names them."""
        yield from self.setup_inputs
        yield from self.trusted
        for word in _words(self.pytest or ""):
            path = os.path.normpath(word.partition("::")[0])
            if not word.startswith("-") and path != "." and not path.startswith(("/", "..")):
                yield f"/{path}"
        for place in self.places_of_function():
            yield from (f"/{place}{ending}" for ending in _ENDINGS)

    def places_of_function(self) -> Iterator[str]:
        """Yield where the function's module may be, without an ending."""
        if self.function is not None:
            path = self.function.partition(":")[0].replace(".", "/")
            yield from (path, f"src/{path}")


def shown(command: Command) -> str:
    """Return a command as it would be typed."""
    return command if isinstance(command, str) else shlex.join(command)


def mistake(evaluator: Evaluator) -> tuple[str, str] | None:
    """Return the key that is wrong and what is to be said of it, or None where the keys fit together."""
    return next(_mistakes(evaluator), None)


def _mistakes(evaluator: Evaluator) -> Iterator[tuple[str, str]]:
    ways = (evaluator.command, evaluator.pytest, evaluator.function, evaluator.judge)
    if sum(way is not None for way in ways) != 1:
        yield "", "needs one of 'command', 'pytest', 'function' and 'judge'"
    yield from _judge_mistakes(evaluator)
    if evaluator.pytest is not None and evaluator.result not in ("file", "junit"):
        cost = "; for what tests cost: command = 'python -m pytest …'" if evaluator.is_cost else ""
        yield "result", f"is {evaluator.result!r}: pytest's result is always read as 'junit'; leave it out{cost}"
    if evaluator.function is not None and evaluator.result != "file":
        yield "result", f"is {evaluator.result!r}: a function's result is what it returns; leave it out"
    if evaluator.preload and evaluator.function is None:
        yield "preload", "is there without 'function'"
    if evaluator.result == CPU_TIME and 1 < evaluator.repeat < _FEWEST_PAIRS:
        yield "repeat", f"is {evaluator.repeat}: CPU time is measured in {_FEWEST_PAIRS} pairs or more; leave it out"
    yield from _split_mistakes(evaluator)
    yield from _pattern_mistakes(evaluator)
    if evaluator.junit is not None and (evaluator.result != "junit" or evaluator.pytest is not None):
        yield "junit", "is only read with a command and result = 'junit'"
    if evaluator.junit is not None and not _is_inside(evaluator.junit):
        yield "junit", f"is {evaluator.junit!r}: expected a path inside the repository"
    if evaluator.setup_inputs and evaluator.setup is None:
        yield "setup_inputs", "is there without 'setup'"
    for path in evaluator.carry:
        if not _is_inside(path):
            yield "carry", f"names {path!r}: expected paths inside the repository, without '..'"


def _judge_mistakes(evaluator: Evaluator) -> Iterator[tuple[str, str]]:
    judge = evaluator.judge
    if judge is None:
        return
    if (judge.command is None) == (judge.by is None):
        yield "judge", "needs a command, as in { command = 'python judge.py' }, or { by = 'model' }"
    for key, default in (("mode", "command"), ("result", "file"), ("repeat", 1)):
        if getattr(evaluator, key) != default:
            yield key, f"is {getattr(evaluator, key)!r}, and a judge gives no number; leave it out"


def _split_mistakes(evaluator: Evaluator) -> Iterator[tuple[str, str]]:
    if evaluator.mode != "split":
        for key in ("worker", "trusted"):
            if getattr(evaluator, key):
                yield key, "belongs to mode = 'split'"
    elif evaluator.pytest is not None:
        yield "mode", "is 'split', which cannot go with pytest: a test runner imports the candidate; use a scorer"
    elif evaluator.function is not None:
        yield "mode", "is 'split', which cannot go with function: it is called beside the candidate; use a scorer"
    elif evaluator.is_cost:
        yield "mode", f"is 'split', which cannot go with result = {evaluator.result!r}: that is what the scorer costs"
    elif evaluator.result == "junit":
        yield "mode", "is 'split', which cannot go with result = 'junit': a test runner imports the candidate"


def _pattern_mistakes(evaluator: Evaluator) -> Iterator[tuple[str, str]]:
    pattern = evaluator.pattern
    if (evaluator.result == "regex") != (pattern is not None):
        yield "pattern", "belongs to result = 'regex', and is needed there: pattern = 'score: (\\S+)'"
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        yield "pattern", f"is {pattern!r}: not a regular expression: {error}"
    else:
        if groups != 1:
            yield "pattern", f"is {pattern!r}: expected one group, around the number, as in 'score: (\\S+)'"


def _is_inside(path: str) -> bool:
    parts = path.rstrip("/").split("/")
    return "\0" not in path and not {"", ".", "..", ".git"} & {part.lower() for part in parts}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def digest(evaluator: Evaluator, files: Iterable[tuple[bytes, int, str]]) -> str:
    """Return the SHA-256 (64 hex digits) that says what measures: the `[evaluator]` table and its files.

    `files` are (path, mode, blob id) in any order. FORMAT.md gives the bytes that are hashed.
    """
    defaults = {field.name: field.default for field in msgspec.structs.fields(Evaluator)}
    table = {name: value for name, value in msgspec.structs.asdict(evaluator).items() if value != defaults[name]}
    found = hashlib.sha256(msgspec.json.encode(table, order="sorted") + b"\n")
    for path, mode, blob in sorted(files):
        found.update(b"%06o %s\t%s\0" % (mode, blob.encode(), path))
    return found.hexdigest()
