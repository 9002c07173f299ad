"""Whether an evaluator sees the candidate at all: what it says when the files a candidate may change are broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evogit import edits
from evogit.evaluation.meter import Meter
from evogit.evaluator_table import CPU_TIME
from evogit.model import Measurement, RepoPath
from evogit.store import trees
from evogit.store.repository import Repository
from evogit.store.sources import Sources
from evogit.store.task import Task

_BROKEN = b")]}'\"` this file was broken on purpose by evogit doctor <<<(\n"
"""No text of any language we know of."""
_MOST_FILES = 20
_NOISE = 0.25
"""Ratios of CPU time that differ by less need not differ at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was found: whether breaking all files was noticed, and which ones broken alone were not.

    `files` are the editable text files; `unseen` is None where breaking each alone would have taken too long.
    """

    files: int
    sees: bool
    unseen: tuple[str, ...] | None


def look(repo: Repository, task: Task, meter: Meter, honest: Sequence[Measurement], budget_s: float) -> Sight:
    """Return what the evaluator notices; `honest` are measurements of the base, all of them scores.

    Raises:
        Cancelled, EvaluatorBroken: as for the meter.
        StorageError: the base cannot be read, or the broken trees not be written.
    """
    files = [file.path for file in Sources(repo, task.definition, edits.is_text).read(task.base_tree)]
    if not files:
        return Sight(files=0, sees=False, unseen=())
    values = [measured.value for measured in honest if measured.value is not None]
    is_timed = task.definition.config.evaluator.result == CPU_TIME
    # Of seconds two measurements say little about how far a third may be off; other scores are taken at their word.
    slack = 1 + _NOISE if is_timed else 1.0

    def is_noticed(broken: Sequence[RepoPath]) -> tuple[bool, float]:
        tree = trees.with_files(repo, task.base_tree, dict.fromkeys(broken, _BROKEN))
        found = meter.measure(tree)
        same = found.value is not None and min(values) / slack <= found.value <= max(values) * slack
        return not same, found.seconds

    sees, seconds = is_noticed(files)
    cost = max(seconds, *(measured.seconds for measured in honest))
    if not sees or len(files) == 1:
        return Sight(files=len(files), sees=sees, unseen=())
    if len(files) > _MOST_FILES or cost * len(files) > budget_s:
        return Sight(files=len(files), sees=True, unseen=None)
    unseen = []
    for path in files:
        noticed, seconds = is_noticed([path])
        budget_s -= seconds
        if not noticed:
            unseen.append(path)
        if budget_s < 0:
            return Sight(files=len(files), sees=True, unseen=None)
    return Sight(files=len(files), sees=True, unseen=tuple(unseen))
