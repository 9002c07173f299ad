"""A score by two processes: a scorer that never holds the candidate's files, and a worker that holds no answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import evogit
from evogit.evaluation import results
from evogit.evaluation.bench import Bench, Supplies
from evogit.evaluation.reading import under
from evogit.evaluator_table import Command, Evaluator
from evogit.model import Measurement, TreeId
from evogit.sandbox import Job
from evogit.store import export

WORKER_IN, WORKER_OUT, SEED = "EVOGIT_WORKER_IN", "EVOGIT_WORKER_OUT", "EVOGIT_SEED"
_SHOWN_WORDS = 2000
_PACKAGE = Path(evogit.__file__).parent


class Split:
    """Scores trees by commands that run apart from the candidate, each beside a worker that calls it."""

    def __init__(self, evaluator: Evaluator, worker: Bench, scorer: Bench) -> None:
        """Run the worker on one bench and what scores on the other; they share no folder that any of them may write."""
        self._evaluator, self._worker, self._scorer = evaluator, worker, scorer
        self._tools = worker.export.root.parent / "tools"
        self._tools_are_there = False

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

    def _called(self) -> Job:
        """Return the worker's job."""
        if self._evaluator.worker is not None:
            return replace(self._worker.job(self._evaluator.worker), who="the worker")
        folders = [str(self._worker.export.root / folder) for folder in self._worker.supplies.imports]
        program = ("-s", "--check-hash-based-pycs", "always", str(self._tools / "worker.py"))
        argv = (self._worker.python(), *program, *folders, str(self._worker.export.root))
        job = self._worker.job(argv, read_only=(self._tools,))
        # It puts the candidate's folders behind the standard library; the variable would put them before it.
        return replace(job, environment=_without(job.environment, "PYTHONPATH"), who="the worker")

    def _with_helper(self, job: Job) -> Job:
        """Return the scorer's job with `evogit.evaluator` to import, whatever its Python has installed."""
        path = [str(self._tools), *filter(None, [job.environment.get("PYTHONPATH")])]
        return replace(job, environment={**job.environment, "PYTHONPATH": os.pathsep.join(path)})

    def _put_tools(self) -> None:
        """Write what a Python without evogit needs; the folder evogit is installed in holds more than that."""
        export.remove(os.fsencode(self._tools))
        for folder in (self._tools, self._tools / "evogit"):
            folder.mkdir(parents=True)
            folder.chmod(0o755)  # a sandbox may run it as another user
        for name in ("evogit/__init__.py", "evogit/evaluator.py", "worker.py"):
            (self._tools / name).write_bytes((_PACKAGE / os.path.basename(name)).read_bytes())
            (self._tools / name).chmod(0o444)
        self._tools_are_there = True


def _without(environment: Mapping[str, str], name: str) -> dict[str, str]:
    return {known: value for known, value in environment.items() if known != name}


def _with_words(measured: Measurement, words: bytes) -> Measurement:
    """Return a measurement without a score with what the worker, and the candidate in it, wrote."""
    said = words.decode("utf-8", "replace").strip()[-_SHOWN_WORDS:]
    if measured.value is not None or not said:
        return measured
    why, _, more = measured.feedback.partition("\n")
    return replace(measured, feedback=under(why, f"{more}\nthe worker wrote:\n{said}"))
