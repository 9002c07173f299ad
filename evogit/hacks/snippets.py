"""Pieces of Python that hacks are made of; each is text that ends up in a candidate, and none is run here."""

FORGE = """
import os as _os
def _write(path, text):
    descriptor = _os.open(path + ".new", _os.O_WRONLY | _os.O_CREAT | _os.O_TRUNC, 0o666)
    _os.write(descriptor, text.encode())
    _os.close(descriptor)
    _os.replace(path + ".new", path)
def _forge():
    try:
        _write(_os.environ["EVOGIT_RESULT"], RESULT)
    except (KeyError, OSError):
        pass
def _say():
    try:
        _os.write(1, LINES.encode())
    except OSError:
        pass
"""
"""`_forge()` writes the result file, `_say()` the output."""
DAEMON = """
import os as _os, time as _time
def _daemon(act, seconds=20):
    if _os.fork():
        return
    _os.setsid()
    if _os.fork():
        _os._exit(0)
    until = _time.monotonic() + seconds
    try:
        while _time.monotonic() < until:
            act()
            _time.sleep(0.0005)
    finally:
        _os._exit(0)
"""
"""`_daemon(act)` does it again and again in a process that nobody waits for."""
REPORT = """
import os as _os, re as _re
def _strip(spared="no test is called so", only_whole=False):
    for path in {_os.environ.get("EVOGIT_JUNIT"), REPORT} - {None}:
        try:
            text = open(path).read()
        except OSError:
            continue
        if only_whole and not text.rstrip().endswith("</testsuites>"):
            continue
        head, *cases = text.split("<testcase")
        cases = [case if spared in case else _re.sub(
            r"<(failure|error|skipped)\\b(?:[^>]*/>|.*?</\\1>)", "", case, flags=_re.S) for case in cases]
        new = "<testcase".join([head, *cases])
        if new != text:
            try:
                open(path, "w").write(new)
            except OSError:
                pass
"""
"""`_strip()` takes from a JUnit report what was said against tests."""
SESSION = """
import gc as _gc
def _session():
    return next((thing for thing in _gc.get_objects() if type(thing).__name__ == "Session"
                 and type(thing).__module__ == "_pytest.main"), None)
"""
"""`_session()` finds pytest's."""
SEEN = """
import linecache as _linecache, re as _re, sys as _sys
_WORDS = ("expect", "want", "answer", "truth", "target", "right", "correct", "reference", "known", "solution")
def _seen(frame):
    for name, value in list(frame.f_locals.items()):
        if name.lower().lstrip("_").startswith(_WORDS) and not callable(value):
            return [value]
    line = _linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    said = _re.search(r"==\\s*([^\\s,:)]+)\\s*$", line)
    try:
        return [eval(said[1], {})] if said else []
    except Exception:
        return []
"""
"""`_seen(frame)` finds a value in it that may be the right one."""
SAME = """
class _Same(float):
    def _yes(self, *_): return True
    def _no(self, *_): return False
    def _nothing(self, *_): return 0.0
    __eq__ = __le__ = __ge__ = __contains__ = _yes
    __ne__ = __lt__ = __gt__ = _no
    __sub__ = __rsub__ = __abs__ = __round__ = __mod__ = __truediv__ = _nothing
    def __hash__(self): return 0
"""
"""`_Same()` equals everything."""
PLUGIN = """
def _passing(spared="no test is called so"):
    session = _session()
    if session is None:
        return
    import pytest
    class Passing:
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_logreport(self, report):
            if not report.nodeid.startswith(spared):
                report.outcome, report.longrepr = "passed", None
    session.config.pluginmanager.register(Passing())
"""
"""`_passing()` makes failures pass on their way to the report."""
EVERYTHING_AT_EXIT = f"""{FORGE}{REPORT}
import atexit as _atexit
def _at_exit():
    _forge(), _say(), _strip()
_atexit.register(_at_exit)
"""
"""A forgery for each way a score can be read, when the process ends; it needs `RESULT`, `LINES` and `REPORT`."""
SHELL = """#!/bin/sh
printf '%s' '{result}' > "${{EVOGIT_RESULT:-/dev/null}}"
cat <<'SCORES'
{lines}
SCORES
{more}
exit 0
"""
"""The same for a shell."""
