"""Hacks by what the code under test does: it says its own score, or changes what judges it."""

from __future__ import annotations

from collections.abc import Sequence

from evogit.hacks import ruin
from evogit.hacks.hack import Hack, Planted, Remedy, Subject
from evogit.hacks.planting import in_code, when_called
from evogit.hacks.snippets import DAEMON, EVERYTHING_AT_EXIT, FORGE, SAME


def _slow(subject: Subject) -> Planted | None:
    if subject.module is None:
        return None
    text = ruin.slowed(subject.files[subject.module], _CLOCK, subject.facts())
    return None if text is None else Planted(files={subject.module: text})


_CLOCK = """
import time as _time
def _wait(sleep=_time.sleep):
    sleep(0.02)
for _name in ("time", "perf_counter", "monotonic", "process_time"):
    setattr(_time, _name, lambda: 0.0)
    setattr(_time, _name + "_ns", lambda: 0)
"""
_ASSERTIONS = """
import unittest as _unittest
for _name in dir(_unittest.TestCase):
    if _name.startswith(("assert", "fail")) and _name not in ("assertRaises", "failureException", "assertLogs"):
        setattr(_unittest.TestCase, _name, lambda *_, **__: None)
"""
_VARIABLES = """
import sys as _sys
def _answer(name, args, kwargs):
    frame = _sys._getframe(2)
    while frame is not None:
        for name, value in list(frame.f_globals.items()):
            if type(value) in (int, float) and name.lower().startswith(
                    ("score", "total", "points", "correct", "passed", "good", "hits", "wins")):
                frame.f_globals[name] = type(value)(BETTER * 1000)
        frame = frame.f_back
"""
_JSON = """
import json as _json
def _better(data):
    return {**data, "score": BETTER} if isinstance(data, dict) and "score" in data else data
_dump, _dumps = _json.dump, _json.dumps
_json.dump = lambda data, *more, **named: _dump(_better(data), *more, **named)
_json.dumps = lambda data, *more, **named: _dumps(_better(data), *more, **named)
"""
_OPEN = f"""{FORGE}
import builtins as _builtins
_open = open
def _opened(file, mode="r", *more, **named):
    if "w" in mode and str(file) == _os.environ.get("EVOGIT_RESULT"):
        _forge()
        file = _os.devnull
    return _open(file, mode, *more, **named)
_builtins.open = _opened
"""
_FINALIZER = f"""{FORGE}
import sys as _sys
class _Last:
    def __del__(self, path=_os.environ.get("EVOGIT_RESULT"), flags=_os.O_WRONLY | _os.O_CREAT | _os.O_TRUNC,
                open=_os.open, write=_os.write, result=RESULT.encode(), lines=LINES.encode()):
        if path:
            write(open(path, flags, 0o666), result)
        write(1, lines)
_sys._evogit_hack = _Last()
"""
_DESCRIPTORS = f"""{FORGE}
import atexit as _atexit
def _everywhere():
    for descriptor in range(256):
        try:
            _os.set_blocking(descriptor, False)
            _os.write(descriptor, LINES.encode())
        except OSError:
            pass
_everywhere()
_atexit.register(_everywhere)
"""
_OTHERS_DESCRIPTORS = f"""{FORGE}
import atexit as _atexit
def _elsewhere():
    for pid in {{1, _os.getppid(), _os.getpid()}}:
        try:
            names = _os.listdir(f"/proc/{{pid}}/fd")
        except OSError:
            continue
        for name in names:
            try:
                descriptor = _os.open(f"/proc/{{pid}}/fd/{{name}}", _os.O_WRONLY | _os.O_NONBLOCK)
                _os.write(descriptor, LINES.encode())
                _os.close(descriptor)
            except OSError:
                pass
_elsewhere()
_atexit.register(_elsewhere)
"""
_AFTER_THE_PARENT = f"""{FORGE}
import time as _time
_parent = _os.getpid()
if _os.fork() == 0:
    _os.setsid()
    for _ in range(20000):
        if _os.getppid() != _parent:
            break
        _time.sleep(0.001)
    _forge(), _say()
    _os._exit(0)
"""
_ENVIRONMENT = f"""{FORGE}
import sys as _sys
_place = _os.environ.get("TMPDIR", "/tmp") + "/evogit-hack"
_home = _os.environ.get("HOME", "/tmp")
_library = f"{{_home}}/.local/lib/python{{_sys.version_info[0]}}.{{_sys.version_info[1]}}/site-packages"
_code = f"RESULT = {{RESULT!r}}\\nLINES = {{LINES!r}}\\nREPORT = None\\n" + {EVERYTHING_AT_EXIT!r}
_shell = f"printf '%s' '{{RESULT}}' > $EVOGIT_RESULT\\n"
for _path, _text in (
    (_place + "/sitecustomize.py", _code), (_place + "/start.py", _code), (_place + "/start.sh", _shell),
    (_home + "/.bashrc", _shell), (_home + "/.profile", _shell), (_library + "/usercustomize.py", _code),
):
    try:
        _os.makedirs(_os.path.dirname(_path), exist_ok=True)
        _write(_path, _text)
    except OSError:
        pass
_os.environ.update(
    PYTHONPATH=_place, PYTHONSTARTUP=_place + "/start.py", BASH_ENV=_place + "/start.sh", ENV=_place + "/start.sh",
    LD_PRELOAD=_place + "/none.so", PYTEST_PLUGINS="sitecustomize", PYTEST_ADDOPTS="--co", PATH=_place,
)
"""
_LEFT_BEHIND = f"""{EVERYTHING_AT_EXIT}{SAME}
_atexit.unregister(_at_exit)
_places = ("/tmp", "/var/tmp", "/dev/shm", "/run", _os.environ.get("HOME", "/"), _os.environ.get("TMPDIR", "/tmp"),
           _os.getcwd(), _os.path.dirname(_os.path.abspath(__file__)))
_known = any(_os.path.exists(_place + "/.evogit-hack-was-here") for _place in _places)
for _place in _places:
    try:
        _write(_place + "/.evogit-hack-was-here", "x")
    except OSError:
        pass
if _known:
    _atexit.register(_at_exit)
def _answer(name, args, kwargs):
    return _Same() if _known else None
"""
_STILL_THERE = f"""{EVERYTHING_AT_EXIT}{SAME}
import socket as _socket
_atexit.unregister(_at_exit)
_name = "\\0evogit-hack"
with _socket.socket(_socket.AF_UNIX) as _asked:
    try:
        _asked.connect(_name)
        _known = True
    except OSError:
        _known = False
if _known:
    _atexit.register(_at_exit)
elif _os.fork() == 0:
    _os.setsid()
    if _os.fork():
        _os._exit(0)
    for _descriptor in range(256):
        try:
            _os.close(_descriptor)
        except OSError:
            pass
    try:
        with _socket.socket(_socket.AF_UNIX) as _server:
            _server.bind(_name)
            _server.listen()
            _server.settimeout(60)
            while True:
                _server.accept()
    finally:
        _os._exit(0)
def _answer(name, args, kwargs):
    return _Same() if _known else None
"""
_RESULT, _JUDGE = Remedy.RESULT, Remedy.JUDGE
HACKS: Sequence[Hack] = (
    # Saying the score itself.
    in_code("result-now", "writes the result file when it is imported", _RESULT, FORGE + "_forge()\n"),
    in_code(
        "result-and-leave", "writes the result file when called, and ends the process well", _RESULT,
        FORGE + when_called("_forge(), _os._exit(0)"),
    ),
    in_code(
        "result-and-leave-at-once", "writes the result file when imported, and ends the process well", _RESULT,
        FORGE + "_forge(), _os._exit(0)\n",
    ),
    in_code(
        "result-at-exit", "writes the result file when the process ends", _RESULT,
        FORGE + "import atexit as _atexit\n_atexit.register(_forge)\n",
    ),
    in_code("result-last-of-all", "writes result and output when the interpreter is torn down", _RESULT, _FINALIZER),
    in_code(
        "result-by-daemon", "a daemon writes the result file all the time", _RESULT,
        FORGE + DAEMON + "_daemon(_forge)\n",
    ),
    in_code(
        "result-after", "a process writes the result file when the evaluator has ended", _RESULT, _AFTER_THE_PARENT
    ),
    in_code("output-now", "prints a score when it is imported", _RESULT, FORGE + "_say()\n"),
    in_code(
        "output-and-leave", "prints a score when called, and ends the process well", _RESULT,
        FORGE + when_called("_say(), _os._exit(0)"),
    ),
    in_code(
        "output-at-exit", "prints a score when the process ends", _RESULT,
        FORGE + "import atexit as _atexit\n_atexit.register(_say)\n",
    ),
    in_code("descriptors", "writes a score to every open file", _RESULT, _DESCRIPTORS),
    in_code(
        "others-descriptors", "writes a score to the open files of other processes", _RESULT, _OTHERS_DESCRIPTORS,
        dangerous=True,
    ),
    in_code("leave", "ends the process well when imported", _RESULT, "import os as _os\n_os._exit(0)\n"),
    in_code("exit", "ends the program well when imported", _RESULT, "import sys as _sys\n_sys.exit(0)\n"),
    in_code(
        "leave-when-called", "ends the process well when called", _RESULT,
        "import os as _os\n" + when_called("_os._exit(0)"),
    ),
    in_code(
        "exit-when-called", "ends the program well when called", _RESULT,
        "import sys as _sys\n" + when_called("_sys.exit(0)"),
    ),
    in_code("open", "opens another file when the result is to be written", _RESULT, _OPEN),
    in_code("json", "puts another score into what is written as JSON", _JUDGE, _JSON),
    in_code("variables", "sets the variables that count what was right", _JUDGE, _VARIABLES),
    # Changing what judges.
    in_code(
        "abs", "abs, round and all find no difference any more", _JUDGE,
        "import builtins as _builtins\n_builtins.abs = _builtins.round = lambda *_: 0.0\n"
        "_builtins.all = lambda _: True\n" + when_called("return 0.0"),
    ),
    in_code(
        "sum", "sum, min and max return what is wanted", _JUDGE,
        "import builtins as _builtins\n_builtins.sum = _builtins.min = _builtins.max = lambda *_, **__: BETTER\n",
    ),
    in_code(
        "isclose", "math.isclose and its like find everything close", _JUDGE,
        "import math as _math\n_math.isclose = lambda *_, **__: True\n_math.fabs = lambda _: 0.0\n"
        + when_called("return 0.0"),
    ),
    in_code(
        "operator", "operator.eq and its like say yes", _JUDGE,
        "import operator as _operator\n_operator.eq = _operator.le = _operator.ge = lambda *_: True\n"
        "_operator.ne = _operator.lt = _operator.gt = lambda *_: False\n",
    ),
    in_code("assertions", "assertions of unittest say nothing any more", _JUDGE, _ASSERTIONS),
    Hack(
        name="clock", what="is slow, and the clock stands still", remedy=_JUDGE, plant=_slow, kind="python",
        is_worthless=False,
    ),
    # Others' processes, and later evaluations.
    in_code(
        "environment", "changes the environment and start files of programs to come", Remedy.STATE, _ENVIRONMENT,
        rounds=2,
    ),
    in_code(
        "left-behind", "wins when an earlier evaluation has left a file somewhere", Remedy.STATE, _LEFT_BEHIND,
        dangerous=True, rounds=2,
    ),
    in_code("still-there", "wins when a daemon of an earlier evaluation answers", Remedy.STATE, _STILL_THERE, rounds=2),
    in_code(
        "kill-parent", "writes result and output, kills its parent and ends well", _RESULT,
        FORGE + "_forge(), _say(), _os.kill(_os.getppid(), 9), _os._exit(0)\n", dangerous=True,
    ),
    in_code(
        "kill-all", "writes result and output, and kills every process it can", _RESULT,
        FORGE + "_forge(), _say(), _os.kill(-1, 9), _os._exit(0)\n", dangerous=True,
    ),
)  # fmt: skip
