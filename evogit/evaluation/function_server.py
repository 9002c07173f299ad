"""Scores by a Python function: a server in the sandbox that imports once what is shared, and a child a candidate.

The server's own texts are in `serving`. Nothing here believes more than that one answer belongs to one request.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from evogit.evaluation import results
from evogit.evaluation.bench import Bench
from evogit.evaluation.function_talk import Crossed, Lost, Message, Missing, Ready, Talk, Unfit, Worn
from evogit.evaluation.reading import bad, refusal, under
from evogit.evaluator_table import Evaluator
from evogit.model import Measurement, Status, TreeId
from evogit.sandbox import NONE, Launcher, Outcome
from evogit.sandbox.companion import Companion
from evogit.sandbox.job import KEPT_OUTPUT

_TEXTS = ("scanning", "preloading", "traces", "child", "server")
"""The modules of the server, each after those it imports."""
# The folder it starts in, which holds files that are not ours, is no place to import from.
_START = """import sys
if sys.version_info < (3, 8):
    sys.exit("a function needs Python 3.8 or newer, and %s is %d.%d" % ((sys.executable,) + sys.version_info[:2]))
sys.path[:] = filter(None, sys.path)
import json, types
for name, text in json.loads(sys.argv.pop(1)):
    module = sys.modules[name] = types.ModuleType("__main__" if name.endswith("server") else name)
    exec(compile(text, f"<{name}>", "exec"), module.__dict__)
"""
_IMPORTS_S = 120.0
"""How long importing what is shared may take before nothing is."""
_GRACE_S = 10.0
_MOMENT_S = 1.0


class Cost(NamedTuple):
    """Seconds of CPU: of a candidate's processes, and of the server since the answer before."""

    candidate_s: float
    server_s: float


class _Broken(Exception):
    """The server cannot be started."""


class FunctionServer:
    """Measures trees by calling the evaluator's function on each, in a process of its own."""

    def __init__(self, evaluator: Evaluator, bench: Bench, launcher: Launcher, base: TreeId | None) -> None:
        """Measure on what `bench` prepares; what is imported once is found in the files of `base`."""
        self._evaluator, self._bench, self._launcher, self._base = evaluator, bench, launcher, base
        self._talk: Talk | None = None
        self._places: list[tuple[int, int]] = []
        self._is_idle = False
        self._without: list[str] = []
        self._is_bare = False
        self._number = 0
        self.cost = Cost(0.0, 0.0)

    def measure(self, tree: TreeId) -> Measurement:
        """Return what the function says of this tree.

        Raises:
            Cancelled: the caller wants to stop.
            OSError: the interpreter cannot be started.
            StorageError: the tree cannot be read or exported.
        """
        try:
            talk = self._made_ready(tree)
        except _Broken as broken:
            return Measurement(status=Status.ERROR, feedback=under(*str(broken).partition("\n")[::2]))
        outcome, result = self._ask(talk)
        return _read(outcome, result, self._evaluator.timeout_s)

    def close(self) -> None:
        """End the server."""
        if self._talk:
            self._talk.companion.close()
            self._talk = None

    def _made_ready(self, tree: TreeId) -> Talk:
        """Prepare the tree, with a server that sees it; one in a sandbox does not see folders made anew."""
        if self._talk and self._talk.companion.is_alive and self._is_ready(self._talk):
            self._bench.prepare(tree)
            if self._look_at_places() == self._places:
                return self._talk
        self.close()
        talk = self._open()
        self._bench.prepare(tree)
        if self._look_at_places() != self._places:
            self.close()
            raise _Broken("the folders of the export do not stay where they are")
        return talk

    def _is_ready(self, talk: Talk) -> bool:
        """Return whether it removed what the last child left, and waits for the next."""
        try:
            self._is_idle = self._is_idle or talk.hear(time.monotonic() + _GRACE_S) == Ready(self._number)
        except (Lost, Crossed):
            return False
        return self._is_idle

    def _look_at_places(self) -> list[tuple[int, int]]:
        job = self._bench.job(())
        return [(found.st_dev, found.st_ino) for found in map(os.stat, (job.cwd, *job.writable))]

    def _open(self) -> Talk:
        """Start a server and wait until it has imported what it is to share."""
        while True:
            if self._base is not None:
                self._bench.prepare(self._base)
            self._places = self._look_at_places()
            self._number = 0
            talk = self._talk = Talk(self._start(), self._launcher)
            said: Message | None = None
            try:
                said = talk.hear(time.monotonic() + _IMPORTS_S)
            except (Lost, Crossed) as trouble:
                why = str(trouble)
            else:
                why = said.why if isinstance(said, Worn) else "it said what it should not"
            if said == Ready(0):
                self._is_idle = True
                return talk
            talk.companion.look()
            words = talk.companion.said.decode("utf-8", "replace")
            self.close()
            if isinstance(said, Missing):
                raise _Broken(f"evaluator.preload names {said.module!r}, which cannot be imported: {said.why}")
            if isinstance(said, Unfit) and said.module not in self._without:
                self._without.append(said.module)
            elif not self._is_bare:
                self._is_bare = True
            else:
                raise _Broken(f"the server of the function does not start: {why}\n{words}")

    def _start(self) -> Companion:
        texts = [[f"{__package__}.serving.{name}", _text(name)] for name in _TEXTS]
        job = self._bench.job((self._bench.python(), "--check-hash-based-pycs", "always", "-c", _START))
        environment = dict(job.environment)
        imports = environment.pop("PYTHONPATH", "")  # a candidate's files are not for the server to import
        argv = (*job.argv, json.dumps(texts), json.dumps(self._plan(job.cwd, imports)))
        return self._launcher.open(replace(job, argv=argv, environment=environment, talks=True, first=True))

    def _plan(self, root: Path, imports: str) -> dict[str, object]:
        module, _, name = (self._evaluator.function or "").partition(":")
        folders = [str(root), *filter(None, imports.split(os.pathsep)), str(root / "src")]
        return {
            "module": module,
            "name": name,
            "root": str(root),
            "folders": list(dict.fromkeys(folders)),
            "imports": imports,
            "scan": self._base is not None and not self._is_bare,
            "preload": [] if self._is_bare else list(self._evaluator.preload),
            "without": self._without,
            "confined": self._launcher.kind != NONE,
            "timeout_s": self._evaluator.timeout_s,
            "result_bytes": results.MAX_RESULT_BYTES + 1,
            "output_bytes": KEPT_OUTPUT,
        }

    def _ask(self, talk: Talk) -> tuple[Outcome, bytes]:
        """Have the function called on what was prepared; return how that ended, and what the child said of it."""
        self._number += 1
        self._is_idle = False
        talk.companion.begin()
        begun, stopped = time.monotonic(), None
        try:
            try:
                talk.say(b"%d\n" % self._number)
                done, result, output = talk.answer(self._number, begun + self._evaluator.timeout_s + _GRACE_S)
            except Crossed as crossed:
                stopped = str(crossed)
                talk.say(b"stop\n")
                done, result, output = talk.answer(self._number, time.monotonic() + _MOMENT_S, is_watched=False)
        except Lost as lost:
            talk.companion.look()
            words = talk.companion.said
            self.close()
            seconds = time.monotonic() - begun
            late = stopped is None and seconds > self._evaluator.timeout_s
            why = stopped or (None if late else f"the server of the function was lost: {lost}")
            return Outcome(exit_code=None, output=words, seconds=seconds, stopped=why), b""
        except BaseException:
            self.close()
            raise
        if stopped:
            self.close()
        self.cost = Cost(done.cpu_s, done.own_s)
        return Outcome(exit_code=done.code, output=output, seconds=time.monotonic() - begun, stopped=stopped), result


def _read(outcome: Outcome, result: bytes, timeout_s: float) -> Measurement:
    """Return the measurement that stands in what the child of a candidate wrote, which may be anything."""
    refused = refusal(outcome, timeout_s)
    if refused:
        return refused
    if len(result) > results.MAX_RESULT_BYTES + 1:
        return bad(Status.INVALID, f"the result: it has more than {results.MAX_RESULT_BYTES} bytes", outcome)
    kind, content = result[:1], result[1:]
    if kind == b"R":
        return results.measurement(content, outcome)
    text = content.decode("utf-8", "replace")
    if kind == b"E":
        line, _, more = text.partition("\n")
        more = f"{outcome.output.decode('utf-8', 'replace')}\n{more}"
        return Measurement(
            status=Status.FAILED, feedback=under(f"the function raised {line}", more), seconds=outcome.seconds
        )
    if kind == b"T":
        return bad(Status.INVALID, text, outcome)
    if not kind:
        return bad(Status.FAILED, "no result: the process ended before the function returned", outcome)
    return bad(Status.INVALID, "the result: it begins with no letter that is known", outcome)


def _text(name: str) -> str:
    return (Path(__file__).with_name("serving") / f"{name}.py").read_text()
