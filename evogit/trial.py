"""Every hack of the corpus against a repository's own evaluator: which of them get a score they have not earned."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from evogit import assembly, edits
from evogit.errors import EvaluatorBroken, UsageError
from evogit.evaluation import Meter
from evogit.evaluator_table import Evaluator, shown
from evogit.hacks import CORPUS, Hack, Planted, Remedy, Subject
from evogit.model import Direction, Measurement, RepoPath, Status
from evogit.sandbox import NONE, Sandbox
from evogit.store import freeze, task, trees
from evogit.store.repository import Repository
from evogit.store.sources import Sources
from evogit.store.task import Task

_ROUNDS = 3
"""How often the base is measured, to know how far its score scatters."""
_MOST_TRIED = 8
_PYTEST = '; `pytest = "tests/"` in the place of `command` notices most of these'
_TOGETHER = (
    "tests share a process with the code they test: what looks up packed answers, or knows evogit's tripwires, can "
    'still win; mode = "split" keeps the answers out of reach'
)
_SHELL = re.compile(rb"#!.*\b(ba|da|k|z)?sh\b")
_NOTHING = {"module": "nothing", "script": "sh-nothing"}
"""The hacks that are worthless code and nothing else."""


class Verdict(StrEnum):
    """What became of a hack."""

    WINS = "wins"
    """It scored better than the base."""
    TIES = "ties"
    """It is worthless, and scored as well as the base."""
    LESS = "less"
    NO_SCORE = "no score"
    REFUSED = "refused"
    """No candidate may change what it changes."""
    UNTRIED = "not tried"
    """It could do harm, and nothing confines it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A hack, what became of it, and the measurement if there was one; `said` is why there was none, or no score."""

    hack: Hack
    verdict: Verdict
    value: float | None = None
    said: str = ""

    @property
    def is_hole(self) -> bool:
        """Whether the evaluator gave a score that was not earned."""
        return self.verdict in (Verdict.WINS, Verdict.TIES)


class Trials:
    """The hacks that apply to a repository, and its evaluator to try them on."""

    def __init__(self, repo: Repository, unwritten: Task, meter: Meter, *, confined: bool) -> None:
        """Measure the base, and find a file whose ruin the score notices.

        Raises:
            Cancelled: the caller wants to stop.
            EvaluatorBroken: the base gets no score.
            UsageError: a judge compares candidates, and there is no score to be won.
            StorageError: the base cannot be read.
        """
        self._repo, self._task, self._meter, self._confined = repo, unwritten, meter, confined
        if unwritten.definition.config.evaluator.judge is not None:
            raise UsageError("a judge gives no score that a trick could win; read what it prefers: evogit show")
        self._sign = -1 if unwritten.definition.config.direction is Direction.MINIMIZE else 1
        measured = [meter.measure(unwritten.base_tree) for _ in range(_ROUNDS)]
        for found in measured:
            if found.value is None:
                raise EvaluatorBroken(f"HEAD gets no score ({found.status.value})\n{found.feedback}")
        self.base = tuple(found.value for found in measured if found.value is not None)
        self.seconds = max(found.seconds for found in measured)
        """What one evaluation takes."""
        values = sorted(self._sign * value for value in self.base)
        self._spread = values[-1] - values[0]
        self._low, self._high = values[0] - self._spread, values[-1] + self._spread
        self._is_worse = False
        self.subject = self._find_subject()
        self.hacks = tuple(hack for hack in CORPUS if self._applies(hack))
        """Those that apply, in the order they are tried."""

    @property
    def evaluations(self) -> int:
        """How many evaluations `run` takes at most."""
        return sum(hack.rounds for hack in self.hacks if self._confined or not hack.dangerous)

    def run(self) -> Iterator[Trial]:
        """Try one hack after another.

        Raises:
            Cancelled: the caller wants to stop.
            StorageError: Git would not read or write.
        """
        for hack in self.hacks:
            yield self.try_one(hack)

    def try_one(self, hack: Hack) -> Trial:
        """Try one of `hacks`.

        Raises:
            Cancelled, StorageError: as for `run`.
        """
        definition, planted = self._task.definition, hack.plant(self.subject)
        assert planted is not None  # it applies
        for path in planted.files:
            name = os.fsencode(path)
            if not definition.is_protected(name) and not definition.is_editable(name):
                return Trial(hack=hack, verdict=Verdict.REFUSED, said=f"{path} is not among the editable files")
        if hack.dangerous and not self._confined:
            return Trial(hack=hack, verdict=Verdict.UNTRIED, said="it is only tried in a sandbox")
        found = self._measure(planted, hack.rounds)
        if found.value is None:
            said = found.feedback.partition("\n")[0]
            return Trial(hack=hack, verdict=Verdict.NO_SCORE, said=f"{found.status.value}: {said}")
        return Trial(hack=hack, verdict=self._judged(hack, found.value), value=found.value)

    def advice(self, tried: Sequence[Trial]) -> Mapping[str, Sequence[str]]:
        """Return what helps against those that got a score they have not earned, with their names.

        What no hack of these has shown, and is so all the same, has no names.
        """
        evaluator = self._task.definition.config.evaluator
        runs_tests = _uses_pytest(evaluator) and evaluator.pytest is None
        found: dict[str, list[str]] = {}
        for trial in tried:
            if trial.is_hole:
                remedy = trial.hack.remedy
                more = _PYTEST if runs_tests and remedy in (Remedy.RESULT, Remedy.JUDGE) else ""
                found.setdefault(remedy.value + more, []).append(trial.hack.name)
        if evaluator.pytest is not None:
            found[_TOGETHER] = []
        return found

    def _judged(self, hack: Hack, value: float) -> Verdict:
        if self._sign * value > self._high:
            return Verdict.WINS
        is_tie = self._sign * value >= self._low and hack.is_worthless and self._is_worse
        return Verdict.TIES if is_tie else Verdict.LESS

    def _measure(self, planted: Planted, rounds: int = 1) -> Measurement:
        tree = trees.with_files(self._repo, self._task.base_tree, planted.files, planted.executable)
        return [self._meter.measure(tree) for _ in range(rounds)][-1]

    def _applies(self, hack: Hack) -> bool:
        if hack.kind == "pytest" and not _uses_pytest(self._task.definition.config.evaluator):
            return False
        return hack.plant(self.subject) is not None

    def _find_subject(self) -> Subject:
        """Return what hacks are to be planted into: of the editable files those whose ruin shows."""
        evaluator = self._task.definition.config.evaluator
        base = self.base[0]
        subject = Subject(
            files=_texts(self._repo, self._task),
            better=base + self._sign * (1 + abs(base)),
            pattern=evaluator.pattern,
            report=evaluator.junit,
            commands=tuple(shown(command) for command in evaluator.commands()),
        )
        editable = [path for path in subject.files if self._task.definition.is_editable(os.fsencode(path))]
        modules = [path for path in editable if path.endswith(".py")]
        scripts = [path for path in editable if path.endswith(".sh") or _SHELL.match(subject.files[path])]
        module = self._first_noticed("module", [replace(subject, module=path) for path in modules])
        script = self._first_noticed("script", [replace(subject, script=path) for path in scripts])
        return replace(
            subject, module=module.module if module else None, script=script.script if script else None
        )  # fmt: skip

    def _first_noticed(self, kind: str, subjects: Sequence[Subject]) -> Subject | None:
        """Return the first that gets another score when it is worthless; rather one that still gets a score."""
        nothing = next(hack for hack in CORPUS if hack.name == _NOTHING[kind])
        failing = None
        for subject, planted in _planted(nothing, subjects)[:_MOST_TRIED]:
            found = self._measure(planted)
            if found.value is not None and not self._low <= self._sign * found.value <= self._high:
                self._is_worse = self._is_worse or self._sign * found.value < self._low
                return subject
            if found.status is not Status.OK and failing is None:
                failing = subject
        self._is_worse = self._is_worse or failing is not None
        return failing


@contextmanager
def begin(repo: Repository, environment: Mapping[str, str], sandbox: Callable[[], Sandbox]) -> Iterator[Trials]:
    """Give the trials of the repository's evaluator as it stands now; no ref is written.

    Raises:
        UsageError: there is no sandbox.
        EvogitError: as `Trials` and the configuration say.
    """
    unwritten = task.unwritten(repo, freeze.freeze(repo).definition)
    chosen = sandbox()
    with assembly.aside(repo, unwritten, chosen) as (folder, launcher):
        meter = assembly.meter(repo, unwritten, folder, launcher, environment)
        yield Trials(repo, unwritten, meter, confined=chosen.kind != NONE)


def _planted(hack: Hack, subjects: Sequence[Subject]) -> list[tuple[Subject, Planted]]:
    made = ((subject, hack.plant(subject)) for subject in subjects)
    return [(subject, planted) for subject, planted in made if planted is not None]


def _uses_pytest(evaluator: Evaluator) -> bool:
    said = " ".join(map(shown, evaluator.commands()))
    return evaluator.pytest is not None or evaluator.result == "junit" or re.search(r"\bpytest\b", said) is not None


def _texts(repo: Repository, unwritten: Task) -> Mapping[RepoPath, bytes]:
    """Return the text files of the base, as every candidate of this task is measured with them."""
    definition = unwritten.definition
    own = {file.path: file.content for file in Sources(repo, definition, edits.is_text).read(unwritten.base_tree)}
    frozen = {
        RepoPath(os.fsdecode(path)): trees.read_blob(repo, entry.id)
        for path, entry in definition.files.items()
        if entry.mode in (trees.FILE_MODE, trees.EXECUTABLE_MODE)
    }
    return dict(sorted({**own, **frozen}.items()))
