"""Hacks in scripts for the shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evogit.hacks.hack import Hack, Planted, Remedy, Subject
from evogit.hacks.snippets import SHELL


def _script(more: str, text: str = SHELL) -> Callable[[Subject], Planted | None]:
    def plant(subject: Subject) -> Planted | None:
        if subject.script is None:
            return None
        written = text.format(result=subject.result, lines=subject.lines, more=more)
        return Planted(files={subject.script: written.encode()})

    return plant


_NOTHING = "#!/bin/sh\nexit 0\n"
_LATER = """(setsid sh -c '
    for i in 1 2 3 4 5 6 7 8 9; do sleep 0.02; printf "%s" "$0" > "$EVOGIT_RESULT"; done
' '{result}' &)
"""
_ANY = {
    "sh-nothing": ("does nothing, and ends well", Remedy.CHECK, _script("", _NOTHING), False),
    "sh-result": ("writes the result file and prints a score", Remedy.RESULT, _script(""), False),
    "sh-result-by-daemon": (
        "a daemon writes the result file a little later", Remedy.RESULT, _script("", "#!/bin/sh\n" + _LATER), False,
    ),
    "sh-kill-parent": (
        "writes result and output, and kills its parent", Remedy.RESULT, _script("kill -9 $PPID"), True,
    ),
    "sh-kill-all": (
        "writes result and output, and kills every process it can", Remedy.RESULT, _script("kill -9 -1"), True,
    ),
    "sh-others-descriptors": (
        "writes a score to the open files of other processes", Remedy.RESULT,
        _script('for file in /proc/1/fd/* /proc/$PPID/fd/*; do cat "$0" > $file; done 2>/dev/null'), True,
    ),
}  # fmt: skip
HACKS: Sequence[Hack] = tuple(
    Hack(name=name, what=what, remedy=remedy, plant=plant, kind="shell", dangerous=dangerous)
    for name, (what, remedy, plant, dangerous) in _ANY.items()
)
