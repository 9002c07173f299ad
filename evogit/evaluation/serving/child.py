"""The process of one candidate: it calls the function, and writes down what came of it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import signal
import sys
import traceback
import types
from json import dumps
from typing import Any

from evogit.evaluation.serving.scanning import SearchPath

_DUMPABLE, _PARENT_DEATH_SIGNAL = 4, 1
_LONGEST_TRACEBACK = 16_384
# Not found by looking at each name: what looks at them all makes this process copy the pages they are on.
_OURS = tuple(f"evogit.evaluation.serving.{name}" for name in ("scanning", "preloading", "traces", "child", "server"))
_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """The process of one candidate: what it writes to `result` is a letter and what the letter stands for.

    `R` is followed by the result in JSON, `T` by what is wrong with its type, `E` by a line that names the exception,
    and its traceback.
    """

    def __init__(self, plan: dict[str, Any], path: SearchPath, result: int) -> None:
        self._plan, self._path, self._result = plan, path, result

    def live(self, output: int) -> None:
        """Call the function, write what it returned, and end."""
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        for descriptor, number in ((null, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, number)
        os.close(null)
        os.close(output)
        if sys.platform == "linux":
            _libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
            _libc.prctl(_DUMPABLE, 1, 0, 0, 0)  # as in any other process: what it holds is its own
        code = 0
        try:
            self._look_fresh()
            said = self._call()
        except SystemExit as end:
            said = b""
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if end.code is not None and not isinstance(end.code, int):
                sys.stderr.write(f"{end.code}\n")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the candidate's
            said = b"E" + _described(error)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        while said:
            said = said[os.write(self._result, said) :]
        os._exit(code & 255)

    def _look_fresh(self) -> None:
        """Undo what tells this process from one that was just started."""
        gc.enable()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        imports = str(self._plan["imports"])
        if imports:
            os.environ["PYTHONPATH"] = imports
        os.chdir(self._plan["root"])
        sys.path[:] = self._path.folders
        sys.argv[:] = [""]
        sys.modules["__main__"] = types.ModuleType("__main__")
        for name in _OURS:
            sys.modules.pop(name, None)  # a candidate may be evogit itself

    def _call(self) -> bytes:
        module = importlib.import_module(self._plan["module"])
        value = getattr(module, self._plan["name"])()
        plain = _plain(value)
        if not isinstance(plain, (dict, int, float)):
            return b"Tthe function returned %s; expected a number or a mapping" % _kind(value)
        try:
            said = dumps(plain if isinstance(plain, dict) else {"score": plain})
        except (TypeError, ValueError, RecursionError) as error:
            return b"Tthe function returned what JSON has no word for: " + str(error)[:200].encode("utf-8", "replace")
        return b"R" + said.encode("utf-8", "replace")


def _plain(value: object) -> object:
    """Return mappings as dictionaries, and numbers of numpy as Python's."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()  # type: ignore[attr-defined]
    if hasattr(value, "items") and hasattr(value, "keys"):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def _kind(value: object) -> bytes:
    return ("nothing" if value is None else f"a {type(value).__name__}").encode("utf-8", "replace")


def _described(error: BaseException) -> bytes:
    """Return a line that names the exception, and the end of its traceback without our own frames."""
    try:
        text = "".join(traceback.format_exception(type(error), error, _from_the_candidate(error.__traceback__)))
        words = str(error).strip().splitlines()
    except BaseException:  # noqa: BLE001 - an exception may not even want to be printed
        text, words = "", []
    line = f"{type(error).__name__}: {words[0][:300]}" if words else type(error).__name__
    return f"{line}\n{text[-_LONGEST_TRACEBACK:]}".encode("utf-8", "replace")


def _from_the_candidate(found: types.TracebackType | None) -> types.TracebackType | None:
    """Return a traceback from where it leaves this text and the machinery of imports."""
    while found is not None:
        file = found.tb_frame.f_code.co_filename
        if not file.startswith("<") and file != importlib.__file__:
            return found
        found = found.tb_next
    return None
