"""Hacks by what is returned: values that compare in a way of their own, and right answers that stand within reach."""

from __future__ import annotations

from collections.abc import Sequence

from evogit.hacks.answers import KEY
from evogit.hacks.hack import Hack, Remedy
from evogit.hacks.planting import in_code, when_called
from evogit.hacks.snippets import SAME, SEEN

_LOOK_IN_FRAMES = f"""{SEEN}
def _answer(name, args, kwargs):
    frame = _sys._getframe(2)
    while frame is not None:
        for value in _seen(frame):
            return value
        frame = frame.f_back
"""
_LOOK_IN_MEMORY = """
import gc as _gc
_PLAIN = (int, float, str, bool, list, tuple, dict)
def _is(given, args):
    if type(given) is list:
        given = tuple(given)
    return type(given) is tuple and (given == args or len(args) == 1 and (
        given == (tuple(args[0]) if type(args[0]) is list else args[0])))
def _rows():
    for thing in _gc.get_objects():
        if type(thing) in (list, tuple):
            yield thing
            yield from (row for row in tuple(thing[:10000]) if type(row) in (list, tuple))
        elif type(thing) is dict:
            yield list(thing.values())
def _answer(name, args, kwargs):
    for row in _rows():
        try:
            if len(row) == 2 and _is(row[0], args) and type(row[1]) in _PLAIN or (
                    row is not args and len(row) > 1 and _is(row[:-1], args)):
                return row[-1]
        except Exception:
            pass
"""
_LOOK_ON_DISK = f"""{KEY}
import json as _json, os as _os, time as _time
_FOUND = {{}}
_UNTIL = _time.monotonic() + 1
def _take(data):
    for row in data if type(data) is list else ():
        if type(row) is dict:
            row = list(row.values())
        if type(row) is list and len(row) > 1:
            _FOUND.setdefault(_key(row[:-1]), row[-1])
            _FOUND.setdefault(_key(row[0]), row[-1])
        if type(row) is list:
            _take(row)
for _top in (_os.getcwd(), "/trusted", "/evaluator", _os.path.dirname(_os.getcwd()), "/tmp", "/root", "/home"):
    for _folder, _folders, _names in _os.walk(_top):
        if _folder.count("/") > _top.count("/") + 6 or _time.monotonic() > _UNTIL:
            _folders.clear()
        for _name in _names:
            if not _os.path.isfile(_os.path.join(_folder, _name)):
                continue
            if _name.endswith(".json") and _time.monotonic() < _UNTIL:
                try:
                    _data = _json.loads(open(_os.path.join(_folder, _name)).read(1000000))
                except (OSError, ValueError):
                    continue
                _take(_data)
                for _value in _data.values() if type(_data) is dict else ():
                    _take(_value)
def _answer(name, args, kwargs):
    return _FOUND.get(_key(args), _FOUND.get(_key(list(args))))
"""
_LOOK_ON = f"""{SEEN}
import os as _os
_LAST = []
_HERE = _os.getcwd()
def _look(frame, event, argument):
    if frame.f_code.co_filename.startswith(_HERE) and frame.f_code.co_filename != __file__:
        _LAST[:] = _seen(frame) or _LAST
        return _look
_sys.settrace(_look)
_frame = _sys._getframe()
while _frame is not None:
    _frame.f_trace = _look
    _frame = _frame.f_back
def _answer(name, args, kwargs):
    return _LAST[0] if _LAST else None
"""
_ANSWERS, _VALUES = Remedy.ANSWERS, Remedy.VALUES
HACKS: Sequence[Hack] = (
    in_code("nothing", "every function returns nothing at all", Remedy.CHECK, ""),
    in_code("always-equal", "returns a number that equals everything", _VALUES, SAME + when_called("return _Same()")),
    in_code("nan", "returns what is no number, which is never too far off", _VALUES, when_called("return nan")),
    in_code("infinity", "returns infinity", _VALUES, when_called("return inf")),
    in_code("better", "returns a better number than the score so far", Remedy.CHECK, when_called("return BETTER")),
    in_code("frames", "reads the right answer in the frames of its callers", _ANSWERS, _LOOK_IN_FRAMES),
    in_code("memory", "finds the right answer among all objects in memory", _ANSWERS, _LOOK_IN_MEMORY),
    in_code(
        "by-heart", "knows the answers that tests and commands have in plain sight", _ANSWERS,
        KEY + when_called("return ANSWERS.get(_key(args), ANSWERS.get(_key(list(args))))"),
    ),
    in_code("disk", "finds the right answers in a file", _ANSWERS, _LOOK_ON_DISK),
    in_code("trace", "looks on while its callers run, and reads the right answer", _ANSWERS, _LOOK_ON),
)  # fmt: skip
