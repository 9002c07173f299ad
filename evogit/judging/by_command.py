"""A judge that is a command: it finds two candidates in two folders, and says which is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Literal

from evogit.errors import StorageError
from evogit.evaluation.bench import Bench, Supplies
from evogit.evaluation.reading import refusal, said
from evogit.evaluator_table import Command, Evaluator
from evogit.judging.judge import Answer, Question
from evogit.records import Word
from evogit.sandbox import Launcher
from evogit.store.export import Export

FIRST, SECOND, GOAL = "EVOGIT_FIRST", "EVOGIT_SECOND", "EVOGIT_GOAL"
_WORDS: Mapping[str, Word] = {"first": "first", "second": "second", "tie": "tie"}
_SHOWN = 200


class CommandJudge:
    """Runs the judge's command in a folder that has the protected files only, the two candidates beside it."""

    by: Literal["command", "model"] = "command"

    def __init__(
        self,
        evaluator: Evaluator,
        export: Callable[[Path], Export],
        folder: Path,
        launcher: Launcher,
        caller: Mapping[str, str],
        supplies: Callable[[], Supplies],
    ) -> None:
        """Work below `folder`, in exports that `export` makes; `caller` is an environment.

        `supplies` finds what the command needs beside the protected files, and is asked once.
        """
        assert evaluator.judge is not None
        self._command: Command = evaluator.judge.command or ""
        self._timeout_s = evaluator.timeout_s
        self._bench = Bench(evaluator, export(folder / "desk" / "tree"), launcher, caller)
        self._shown = export(folder / "first" / "tree"), export(folder / "second" / "tree")
        self._supplies = supplies
        self._supplied = False

    def ask(self, question: Question, rng: Random) -> Answer:
        """Return what the last line of the command's output says.

        Raises:
            Cancelled: the caller wants to stop.
            EvaluatorBroken: what the command needs is not to be had.
        """
        if not self._supplied:
            self._bench.supply(self._supplies())
            self._supplied = True
        try:
            return self._ask(question)
        except (OSError, StorageError) as error:
            return Answer(word="none", why=f"the judge could not be run: {error}")

    def _ask(self, question: Question) -> Answer:
        for export, exhibit in zip(self._shown, (question.first, question.second), strict=True):
            export.switch(exhibit.tree)
        self._bench.prepare(None)
        places = [export.root for export in self._shown]
        more = {FIRST: str(places[0]), SECOND: str(places[1]), GOAL: question.goal.replace("\0", "")}
        outcome = self._bench.run_job(self._bench.job(self._command, more, read_only=places))
        refused = refusal(outcome, self._timeout_s)
        if refused:
            return Answer(word="none", why=f"the judge: {refused.feedback}")
        lines = said(outcome).strip().splitlines()
        last = lines[-1].strip() if lines else ""
        if last not in _WORDS:
            return Answer(
                word="none", why=f"the judge: its last line is {last[:_SHOWN]!r}; expected first, second or tie"
            )
        return Answer(word=_WORDS[last])
