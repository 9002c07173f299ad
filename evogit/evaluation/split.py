"""A score by two processes: a scorer that never holds the candidate's files, and a worker that holds no answers."""

from __future__ import annotations

import hashlib
import json
import os
import py_compile
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import evogit
from evogit.errors import EvaluatorBroken
from evogit.evaluation import results, seeker
from evogit.evaluation.bench import Bench, Supplies
from evogit.evaluation.reading import said, under
from evogit.evaluator_table import Command, Evaluator
from evogit.model import Measurement, TreeId
from evogit.sandbox import Job
from evogit.sandbox.probe import interpreter
from evogit.store import export

WORKER_IN, WORKER_OUT, SEED = "EVOGIT_WORKER_IN", "EVOGIT_WORKER_OUT", "EVOGIT_SEED"
_SHOWN_WORDS = 2000
_MOST_SOUGHT = 500
_PACKAGE = Path(evogit.__file__).parent
_TOOLS = {
    "__init__.py": "evogit/__init__.py",
    "evaluator.py": "evogit/evaluator.py",
    "worker.py": "evogit_worker.py",
}
_WORKER = (
    *("-s", "--check-hash-based-pycs", "always"),  # no bytecode of a candidate's that is not that of its source
    *("-c", "import sys; sys.path[0] = sys.argv.pop(1); import evogit_worker; evogit_worker.main()"),
)


class Split:
    """Scores trees by commands that run apart from the candidate, each beside a worker that calls it."""

    def __init__(self, evaluator: Evaluator, worker: Bench, scorer: Bench) -> None:
        """Run the worker on one bench and what scores on the other; they share no folder that any of them may write."""
        self._evaluator, self._worker, self._scorer = evaluator, worker, scorer
        self._tools = worker.tools
        self._tools_are_there = False

    @property
    def artifacts(self) -> Path:
        """The folder what scores may leave files in for people to look at."""
        return self._scorer.artifacts

    def supply(self, supplies: Supplies) -> None:
        """Use this beside the scorer's files from now on; the worker's bench has its own."""
        self._scorer.supply(supplies)

    def score(self, tree: TreeId, command: Command) -> Measurement:
        """Return what one command says of the tree.

        Raises:
            Cancelled: the caller wants to stop.
            StorageError: the tree cannot be exported.
            OSError: a process cannot be started, or the disk says no.
        """
        if not self._tools_are_there:
            self._put_tools()
        self._worker.prepare(tree)
        self._scorer.prepare(None)
        companion = self._worker.open(self._called())
        try:
            more = {
                WORKER_IN: str(companion.input),
                WORKER_OUT: str(companion.output),
                SEED: str(int.from_bytes(os.urandom(8), "big") >> 1),
            }
            job = self._with_helper(self._scorer.job(command, more, (self._tools,)))
            outcome = self._scorer.run_beside(companion, replace(job, who="the scorer"))
        finally:
            companion.close()
        measured = results.read(self._evaluator, outcome, self._scorer.result)
        return _with_words(measured, companion.before + companion.said)

    def exposed(self, tree: TreeId, trusted: Iterable[bytes]) -> list[str]:
        """Return, in words, which of the trusted files stand where a worker could read them, by looking from there.

        Raises:
            Cancelled, StorageError, OSError: as for `score`.
            EvaluatorBroken: it could not be found out.
        """
        self._worker.prepare(tree)
        self._scorer.prepare(None)
        known = [(os.fsdecode(name), content) for name in sorted(trusted) if (content := self._content(name))]
        sought = known[:_MOST_SOUGHT]
        wanted = {hashlib.sha256(content).hexdigest(): number for number, (_, content) in enumerate(sought)}
        plan = json.dumps({"wanted": wanted, "sizes": sorted({len(content) for _, content in sought})})
        program = Path(seeker.__file__).read_text()
        argv = (os.path.realpath(sys.executable), "-I", "-S", "-c", program, plan)
        outcome = self._worker.run_job(self._worker.job(argv, read_only=interpreter()))
        if outcome.exit_code != 0:
            raise EvaluatorBroken(f"looking for trusted files from the worker's place failed: {said(outcome)[-500:]}")
        inside = f"{self._worker.export.root}/"
        return [f"{sought[number][0]} (at {path.removeprefix(inside)})" for number, path in json.loads(said(outcome))]

    def _content(self, name: bytes) -> bytes:
        path = Path(os.fsdecode(os.fsencode(self._scorer.export.root) + b"/" + name))
        return path.read_bytes() if path.is_file() and not path.is_symlink() else b""

    def _called(self) -> Job:
        """Return the worker's job."""
        if self._evaluator.worker is not None:
            return replace(self._worker.job(self._evaluator.worker), who="the worker")
        folders = [str(self._worker.export.root / folder) for folder in self._worker.supplies.imports]
        argv = (self._worker.python(), *_WORKER, str(self._tools), *folders, str(self._worker.export.root))
        job = self._worker.job(argv)
        # It puts the candidate's folders behind the standard library; the variable would put them before it.
        return replace(job, environment=_without(job.environment, "PYTHONPATH"), who="the worker")

    def _with_helper(self, job: Job) -> Job:
        """Return the scorer's job with `evogit.evaluator` to import, whatever its Python has installed."""
        path = [str(self._tools), *filter(None, [job.environment.get("PYTHONPATH")])]
        return replace(job, environment={**job.environment, "PYTHONPATH": os.pathsep.join(path)})

    def _put_tools(self) -> None:
        """Write what a Python without evogit needs; the folder evogit is installed in holds more than that."""
        export.remove(os.fsencode(self._tools))
        for name, target in _TOOLS.items():
            file = self._tools / target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((_PACKAGE / name).read_bytes())
            # Half of what a short evaluation takes would be compiling these; a Python of another version does it.
            py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH, doraise=True)
        for folder, _, names in os.walk(self._tools):
            os.chmod(folder, 0o755)  # a sandbox may run as another user
            for name in names:
                os.chmod(os.path.join(folder, name), 0o444)
        self._tools_are_there = True


def _without(environment: Mapping[str, str], name: str) -> dict[str, str]:
    return {known: value for known, value in environment.items() if known != name}


def _with_words(measured: Measurement, words: bytes) -> Measurement:
    """Return a measurement without a score with what the worker, and the candidate in it, wrote."""
    text = words.decode("utf-8", "replace").strip()
    if measured.value is not None or not text:
        return measured
    if len(text) > _SHOWN_WORDS:
        text = "…" + text[-_SHOWN_WORDS:].partition("\n")[2]
    why, _, more = measured.feedback.partition("\n")
    return replace(measured, feedback=under(why, f"{more}\nthe worker wrote:\n{text}"))
