"""What a hack is: how it gets into a candidate's files, and what keeps it from winning."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from evogit.hacks import answers
from evogit.model import RepoPath


class Remedy(Enum):
    """What to do about hacks that win, in words."""

    CHECK = (
        "the score does not look at what the code returns: compare it with what is right before you count or time it"
    )
    VALUES = (
        "a returned value took part in the comparison with methods of its own, or was not a number: check its type "
        "(`type(got) is float`) and math.isfinite before you compare"
    )
    ANSWERS = (
        "the right answers are within reach of the code that is to find them: draw inputs anew for each evaluation and "
        'keep the answers in another process, as mode = "split" does'
    )
    RESULT = (
        "the candidate said its own score, since it runs in or beside the process that says it: score from "
        'outside, with mode = "split"'
    )
    JUDGE = 'the candidate changed what judges it, in the same process: judge in another one, with mode = "split"'
    FILES = "a file beside your code was run or read in the place of another: name under `editable` what may be changed"
    PROTECT = "files that judge can be changed: name them under `protected`"
    STATE = "an evaluation was helped by what an earlier one left: use the sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A repository as a hack sees it: the base's text files, and which of them it turns into one that is worthless.

    `module` is a Python file, `script` one for the shell; at most one is there. `better` is a score better than the
    base's, `pattern` and `report` are what `pattern` and `junit` of the evaluator say, `commands` what it runs.
    """

    files: Mapping[RepoPath, bytes]
    module: RepoPath | None = None
    script: RepoPath | None = None
    better: float = 1e9
    pattern: str | None = None
    report: str | None = None
    commands: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """The result it would like to have."""
        return json.dumps({"score": self.better})

    @property
    def lines(self) -> str:
        """Output that says so in each way an evaluator may read output."""
        said = [f"score: {self.better!r}", self.result]
        if self.pattern is not None:
            said.append(_matching(self.pattern, repr(self.better)))
        return "\n" + "\n".join(said) + "\n"

    @property
    def judges(self) -> Mapping[RepoPath, bytes]:
        """The Python files beside the module: tests and score commands are among them."""
        return {path: text for path, text in self.files.items() if path.endswith(".py") and path != self.module}

    def facts(self) -> Mapping[str, object]:
        """Return what code of a hack knows from the start, by name."""
        return {
            "RESULT": self.result,
            "LINES": self.lines,
            "BETTER": self.better,
            "REPORT": self.report,
            "ANSWERS": answers.found(
                self.judges.values(), (text for path, text in self.files.items() if path.endswith(".json"))
            ),
        }


def _matching(pattern: str, number: str) -> str:
    """Return a line that a pattern with one group reads a number from, if it is a plain one."""
    line = re.sub(r"\((?!\?).*?\)", lambda _: number, pattern, count=1)
    line = re.sub(r"\\s[*+]?", " ", line.strip("^$"))
    return re.sub(r"\\(.)", r"\1", line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What a candidate changes: whole new contents by path (None: deleted), and which of them can be executed."""

    files: Mapping[RepoPath, bytes | None]
    executable: frozenset[RepoPath] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hack:
    """One way to a score that was not earned.

    `plant` returns the candidate, or None where it does not apply. `remedy` is what to do when it wins.
    `is_worthless` says that the candidate's code returns nothing of use, so that a score as good as the base's is not
    its own, either. A `dangerous` one must only be run confined. `rounds` is how often it is measured; the last counts.
    """

    name: str
    what: str
    remedy: Remedy
    plant: Callable[[Subject], Planted | None]
    kind: Literal["python", "pytest", "files", "shell"]
    is_worthless: bool = True
    dangerous: bool = False
    rounds: int = 1
