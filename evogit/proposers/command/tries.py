"""A tool's way to ask for a score while it works: a file that it makes asks, a file that it can only read answers.

What it makes is only seen to be there: nothing of it is opened, followed or removed.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from evogit.records import Score
from evogit.store.export import empty_folder

_REST_S = 2.0
"""Seconds from one answer to the next look at what is asked."""
_SCRIPT = """#!/bin/sh
# Asks evogit, which runs outside of this sandbox, what the files score as they are now, and waits for the answer.
if [ "$*" != try ]; then
    echo 'usage: evogit try    (scores the files as they are now; {most} times at most)' >&2
    exit 2
fi
number=1
while [ -e {desk}/$number.json ]; do number=$((number + 1)); done
if [ $number -gt {most} ]; then
    echo 'evogit: no tries are left: there were {most}' >&2
    exit 1
fi
: > {asked}/$number || exit 1
while [ ! -e {desk}/$number.json ]; do sleep 0.2 2> /dev/null || sleep 1; done
cat {desk}/$number.json
"""


class Tries:
    """Answers what is asked by one run of a tool, one question after another, and no more than `most`.

    `asked` is a folder that the tool may write, `desk` one that it can only read, with the program that asks.
    """

    def __init__(self, folder: Path, most: int, score: Callable[[int], Mapping[str, object]]) -> None:
        """Make both folders; `score` looks at the tool's files for the try of this number.

        Raises:
            OSError: the disk says no.
        """
        self.asked, self.desk = folder / "asked", folder / "desk"
        self._most, self._score = most, score
        self._number, self._not_before = 1, 0.0
        for made in (self.asked, self.desk):
            empty_folder(made)
            made.chmod(0o755)
        self.program.write_text(_script(self.asked, self.desk, most))
        self.program.chmod(0o755)
        self._asked = os.open(self.asked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def program(self) -> Path:
        """What the tool runs to ask."""
        return program(self.desk.parent)

    def close(self) -> None:
        """Look no more."""
        os.close(self._asked)

    def look(self) -> float:
        """Answer if something is asked; return the seconds that took, in which the tool had to wait.

        Raises:
            OSError: the disk says no.
        """
        begun = time.monotonic()
        if self._number > self._most or begun < self._not_before or not self._is_asked():
            return 0.0
        said = {**self._score(self._number), "tries_left": self._most - self._number}
        self._answer(json.dumps(said, indent=2, sort_keys=True) + "\n")
        self._number += 1
        ended = time.monotonic()
        self._not_before = ended + _REST_S
        return ended - begun

    def _is_asked(self) -> bool:
        try:
            os.stat(str(self._number), dir_fd=self._asked, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _answer(self, text: str) -> None:
        """Let the whole answer be there at once."""
        written = self.desk / f".{self._number}"
        with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        written.rename(self.desk / f"{self._number}.json")


def program(folder: Path) -> Path:
    """Return what a tool whose folders are in `folder` runs to ask."""
    return folder / "desk" / "evogit"


def told(said: Score | str, *, better: bool | None = None) -> Mapping[str, object]:
    """Return what a tool hears of a try: its score, or in words why there is none."""
    if isinstance(said, str):
        return {"status": "refused", "score": None, "feedback": said}
    return {
        "status": said.status.value,
        "score": said.value,
        "better": better,
        "metrics": said.metrics,
        "instances": said.instances,
        "feedback": said.feedback,
    }


def _script(asked: Path, desk: Path, most: int) -> str:
    return _SCRIPT.format(asked=shlex.quote(str(asked)), desk=shlex.quote(str(desk)), most=most)
