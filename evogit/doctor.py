"""Whether a repository can be evolved: each check is a function that returns findings and changes nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from evogit import assembly
from evogit.errors import EvogitError, UsageError
from evogit.evaluation import CommandMeter, sight
from evogit.judging import Exhibit, Question
from evogit.model import Measurement, Status
from evogit.sandbox import NONE, Launcher, Sandbox
from evogit.store import freeze, git, inspection, refs, repository, scratch, task
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot

_OLDEST_GIT = (2, 34)
_SAFE_GIT = (2, 39, 4)
_FEW = 4
_BUDGET_S = 20.0
"""How long breaking one file after another may take."""

_MEDIAN = "`repeat = 5` takes the median of five"
_UNGUARDED = (
    "nothing checks that candidates still do their work, and doing nothing costs least: name commands under `gates`, "
    "such as the tests"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check found: fine, worth knowing, or in the way."""

    level: Literal["ok", "warning", "problem"]
    about: str
    text: str


def check(repo: Repository, environment: Mapping[str, str], sandbox: Callable[[], Sandbox]) -> list[Finding]:
    """Return what all checks find; the evaluator is run twice on HEAD, in what `sandbox` makes."""
    found: list[Finding] = []
    for about, act in _CHECKS.items():
        try:
            found += [Finding(finding.level, about, finding.text) for finding in act(repo)]
        except EvogitError as error:
            found.append(Finding("problem", about, str(error)))
    if not any(finding.level == "problem" for finding in found):
        found += _check_evaluator(repo, environment, sandbox)
    return found


def _check_git(repo: Repository) -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield _problem("the git program is not on PATH; agents need it to pack what they write")
        return
    said = git.run(repo, ["version"]).decode().strip()
    version = tuple(map(int, re.findall(r"\d+", said)[:3]))
    if version < _OLDEST_GIT:
        yield _problem(f"{said} is too old; evogit packs with options that git 2.34 brought")
    elif version < _SAFE_GIT:
        yield _warning(f"{said} has known holes when it clones; 2.39.4 mends them")
    else:
        yield _ok(said)


def _check_repository(repo: Repository) -> Iterator[Finding]:
    yield _ok(f"HEAD is {repo.head()[:12]} in {repo.common}")
    repository.refuse_read_only(repo)
    refs.refuse_blocking_refs(repo)
    if refs.read(repo, "refs/heads/evogit") is not None:
        yield _warning(
            "a branch named 'evogit' stands where agents' branches would go; they are left out, scores are not"
        )
    if repo.is_shallow:
        yield _warning("a shallow clone: runs work, but pushing them may need `git fetch --unshallow`")
    if repo.is_partial:
        yield _warning("a partial clone: objects may be fetched in the middle of a run, and evogit does not pack it")
    for text in inspection.concerns(repo):
        yield _warning(text)


def _check_configuration(repo: Repository) -> Iterator[Finding]:
    frozen = freeze.freeze(repo)
    definition = frozen.definition
    if not task.has_editable_file(repo, definition):
        yield _problem("no tracked file may be edited; name some under `editable` in evogit.toml")
    yield _ok(f"evogit.toml is valid; {len(definition.files)} files are protected, such as {_few(definition.files)}")
    if frozen.uncommitted_used:
        yield _warning(
            f"protected files are taken from the work tree, uncommitted: {', '.join(frozen.uncommitted_used)}"
        )
    if frozen.uncommitted_ignored:
        yield _warning(f"uncommitted changes will not be part of a run: {', '.join(frozen.uncommitted_ignored)}")


def _check_runs(repo: Repository) -> Iterator[Finding]:
    for name in task.names(repo):
        chosen = task.read(repo, name)
        snapshot = Snapshot(repo, name, chosen.definition.evaluator, chosen.definition.config.direction)
        snapshot.refresh()
        for where, what in snapshot.problems.items():
            yield _warning(f"run {name}: {where}: {what}")
    left = list(scratch.abandoned(repo))
    if left:
        yield _warning(f"{len(left)} temporary folders of agents that are gone; `evogit clean` removes them")


def _check_evaluator(repo: Repository, environment: Mapping[str, str], sandbox: Callable[[], Sandbox]) -> list[Finding]:
    try:
        chosen = sandbox()
    except UsageError as error:
        return [Finding("problem", "sandbox", str(error))]
    unwritten = task.unwritten(repo, freeze.freeze(repo).definition)
    level: Literal["ok", "warning"] = "warning" if chosen.kind == NONE else "ok"
    found = [Finding(level, "sandbox", chosen.described())]
    with assembly.aside(repo, unwritten, chosen) as (folder, launcher):
        try:
            meter = assembly.meter(repo, unwritten, folder, launcher, environment)
            found = [
                *_about_evaluator(repo, unwritten, meter), *_about_split(unwritten, meter, chosen.kind),
                *_about_judge(repo, unwritten, (folder, launcher), environment), *found,
            ]  # fmt: skip
        except EvogitError as error:
            found = [Finding("problem", "evaluator", str(error)), *found]
    return found


def _about_evaluator(repo: Repository, unwritten: task.Task, meter: CommandMeter) -> Iterator[Finding]:
    evaluator = unwritten.definition.config.evaluator
    if evaluator.judge is not None:
        yield from _about_gates(meter.measure(unwritten.base_tree), evaluator.gates)
        return
    first, second = (meter.measure(unwritten.base_tree) for _ in range(2))
    yield _about_measurements(first, second, "`repeat = 9` takes more turns" if evaluator.is_cost else _MEDIAN)
    if evaluator.is_cost and not evaluator.gates:
        yield Finding("warning", "evaluator", _UNGUARDED)
    links = meter.supplies.links
    if links:
        beside = f"beside the files of HEAD every export has {_few(links)}"
        imported = meter.supplies.imports
        yield Finding("ok", "evaluator", beside + (f"; Python imports from {', '.join(imported)}" if imported else ""))
    if first.status is Status.OK and second.status is Status.OK and task.has_editable_file(repo, unwritten.definition):
        seen = sight.look(repo, unwritten, meter, [first, second], _BUDGET_S)
        is_noisy = first.value != second.value
        yield from _about_sight(seen, evaluator.described(), repo, is_noisy=is_noisy)


def _about_judge(
    repo: Repository, unwritten: task.Task, places: tuple[Path, Launcher], environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Have HEAD compared with itself, which shows whether a judge that is a command answers at all."""
    found = assembly.judge(repo, unwritten, *places, environment)
    if found is None:
        return
    exhibit = Exhibit(tree=unwritten.base_tree)
    question = Question(
        goal=unwritten.definition.config.goal, first=exhibit, second=exhibit, left_usd=lambda: float("inf")
    )
    answer = found.ask(question, Random(0))
    if answer.word == "none":
        yield Finding("problem", "judge", answer.why)
    elif answer.word == "tie":
        yield Finding("ok", "judge", "it finds HEAD as good as itself")
    else:
        text = f"of HEAD and HEAD it prefers the {answer.word}: where places decide in both orders, it is a tie"
        yield Finding("warning", "judge", text)


def _about_gates(measured: Measurement, gates: Sequence[object]) -> Iterator[Finding]:
    if measured.status is not Status.OK:
        text = f"HEAD does not pass its gates ({measured.status.value}); mend them first\n{measured.feedback}"
        yield Finding("problem", "evaluator", text)
    elif not gates:
        text = "nothing checks a candidate before it is compared: name commands under `gates`, such as a build or tests"
        yield Finding("warning", "evaluator", text)
    else:
        yield Finding("ok", "evaluator", f"HEAD passes its gates ({measured.seconds:.3g} s)")


def _about_split(unwritten: task.Task, meter: CommandMeter, kind: str) -> Iterator[Finding]:
    if unwritten.definition.config.evaluator.mode != "split":
        return
    if kind == NONE:
        yield Finding("warning", "split", "without a sandbox a candidate can read what only the scorer is to see")
        return
    exposed = meter.exposed(unwritten.base_tree)
    if exposed:
        text = f"a candidate can read what only the scorer is to see: {'; '.join(exposed[:_FEW])}; remove the copies"
        yield Finding("problem", "split", text)
    else:
        trusted = _few(dict.fromkeys(sorted(unwritten.definition.trusted)))
        text = f"searched all a candidate can read: what only the scorer is to see is not there, such as {trusted}"
        yield Finding("ok", "split", text)


def _about_measurements(first: Measurement, second: Measurement, remedy: str) -> Finding:
    for measured in (first, second):
        if measured.status is not Status.OK:
            text = f"HEAD gets no score ({measured.status.value}); mend the command first\n{measured.feedback}"
            return Finding("problem", "evaluator", text)
    assert first.value is not None
    assert second.value is not None
    cost = f"{max(first.seconds, second.seconds):.3g} s each"
    if first.value != second.value:
        share = abs(first.value - second.value) / max(abs(first.value), abs(second.value))
        text = f"HEAD scores {first.value:.6g}, then {second.value:.6g}: the score is noisy, by {share:.2%} ({cost})"
        return Finding("warning", "evaluator", f"{text}; {remedy}")
    return Finding("ok", "evaluator", f"HEAD scores {first.value:.6g} twice ({cost})")


def _about_sight(seen: sight.Sight, command: str, repo: Repository, *, is_noisy: bool) -> Iterator[Finding]:
    if not seen.files:
        yield Finding("warning", "evaluator", "no editable file is text, so nothing was broken to see what it notices")
    elif not seen.sees:
        broken = f"with all {seen.files} editable files broken" if seen.files != 1 else "with the editable file broken"
        text = f"it does not see the candidate: {broken} the score stays the same; usual causes: the command "
        if repo.work and str(repo.work) in command:
            text += f"names {repo.work}, which is not what is measured; let it name files relative to where it runs"
        else:
            text += "leaves the folder it runs in (cd), imports an installed copy, or uses no editable file"
        yield Finding("problem", "evaluator", text)
    elif is_noisy:
        return
    elif seen.unseen:
        shown = ", ".join(seen.unseen[:_FEW]) + (", …" if len(seen.unseen) > _FEW else "")
        text = f"the score does not notice when these are broken: {shown}; name under `editable` only what it measures"
        yield Finding("warning", "evaluator", text)
    else:
        every = "each of" if seen.unseen is not None and seen.files > 1 else ""
        what = f"the {seen.files} editable files" if seen.files != 1 else "the editable file"
        yield Finding("ok", "evaluator", f"it sees the candidate: breaking {every} {what} shows".replace("  ", " "))


def _few(files: Mapping[bytes, object]) -> str:
    names = [path.decode("utf-8", "replace") for path in list(files)[:_FEW]]
    return ", ".join(names) or "none"


def _ok(text: str) -> Finding:
    return Finding("ok", "", text)


def _warning(text: str) -> Finding:
    return Finding("warning", "", text)


def _problem(text: str) -> Finding:
    return Finding("problem", "", text)


_CHECKS: Mapping[str, Callable[[Repository], Iterator[Finding]]] = {
    "git": _check_git,
    "repository": _check_repository,
    "configuration": _check_configuration,
    "runs": _check_runs,
}
