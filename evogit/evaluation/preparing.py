"""What an export needs beside its tree: what `carry` names in the work tree, and what `setup` makes once."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from evogit.errors import EvaluatorBroken, StorageError
from evogit.evaluation import editable
from evogit.evaluation.bench import RESULT, Supplies
from evogit.evaluation.reading import refusal
from evogit.evaluator_table import Command, shown
from evogit.sandbox import KEPT, Job, Launcher
from evogit.store import export, prepared
from evogit.store.prepared import Prepared
from evogit.store.repository import Repository
from evogit.store.task import Task

_WAIT_S = 0.1
_SETUP_KEPT = (
    *("HOME", "USER", "LOGNAME", "TMPDIR", "CARGO_HOME", "GOPATH", "GOPROXY", "GOMODCACHE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)
_SETUP_KEPT_BEGINNINGS = ("PIP_", "UV_", "NPM_CONFIG_", "XDG_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""A setup runs as the user and on the base only; it gets what package managers need to fetch and to cache."""


def supplies(repo: Repository, task: Task, launcher: Launcher, caller: Mapping[str, str]) -> Supplies:
    """Return what exports of this task need, running its setup where nobody has yet; others wait for the one that does.

    Python environments that import the project in place, from the work tree or from where the setup ran, are told to
    import from the export first.

    Raises:
        Cancelled: the caller wants to stop.
        EvaluatorBroken: what `carry` names is not there or is tracked, or the setup failed.
        StorageError: the results cannot be kept.
    """
    carried = {
        os.fsencode(path.rstrip("/")): _carried(repo, task, path) for path in task.definition.config.evaluator.carry
    }
    command = task.definition.config.evaluator.setup
    made: Mapping[bytes, Path] = {}
    places: list[Path] = []
    if command is not None:
        try:
            made, place = _set_up(repo, task, command, launcher, caller)
        except OSError as error:
            raise StorageError(f"cannot keep what the setup made: {error}") from error
        places.append(place)
    roots = [*places, *([repo.work] if repo.work else [])]
    links = {**made, **carried}
    environments = [path for path in links.values() if (path / editable.MARK).is_file()]
    active = [Path(caller[name]) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if caller.get(name)]
    reach = [*places, *carried.values(), *(home for path in environments for home in editable.interpreter(path))]
    return Supplies(
        links=links, imports=editable.folders([*environments, *active], roots), read_only=tuple(dict.fromkeys(reach))
    )


def _carried(repo: Repository, task: Task, path: str) -> Path:
    said = f"evaluator.carry names {path!r}"
    if repo.work is None:
        raise EvaluatorBroken(f"{said}, but {repo.common} has no work tree to carry it from; use a setup instead")
    path = path.rstrip("/")
    real = repo.work / path
    if prepared.is_tracked(repo, task.definition.base, path) or os.fsencode(path) in task.definition.files:
        raise EvaluatorBroken(f"{said}, which is a tracked or protected file or folder; it is in every export anyway")
    if not real.exists():
        raise EvaluatorBroken(f"{said}, which is not in {repo.work}; make it, or leave it out")
    if not real.resolve().is_relative_to(repo.work.resolve()):
        raise EvaluatorBroken(
            f"{said}, which leads out of {repo.work} to {real.resolve()}; carry only what lies inside"
        )
    return real


def _set_up(
    repo: Repository, task: Task, command: Command, launcher: Launcher, caller: Mapping[str, str]
) -> tuple[Mapping[bytes, Path], Path]:
    key = prepared.key_of(repo, task, lambda name: shutil.which(name, path=caller.get("PATH")))
    place = Prepared(repo, key)
    while True:
        found = place.try_use()
        if found is not None:
            return found, place.root
        if place.try_begin():
            _make(repo, task, command, place, launcher, caller)
        else:
            launcher.stop_if_cancelled()
            time.sleep(_WAIT_S)


def _make(
    repo: Repository, task: Task, command: Command, place: Prepared, launcher: Launcher, caller: Mapping[str, str]
) -> None:
    attempt = place.new_attempt()
    try:
        made = prepared.base_export(repo, task.definition, task.base_tree, attempt)
        _run(task, command, attempt, launcher, caller)
        place.finish(made)
    except BaseException:
        export.remove(os.fsencode(attempt))
        place.close()
        raise


def _run(task: Task, command: Command, root: Path, launcher: Launcher, caller: Mapping[str, str]) -> None:
    limit = task.definition.config.evaluator.setup_timeout_s
    argv = ("/bin/sh", "-c", command) if isinstance(command, str) else command
    job = Job(argv=argv, cwd=root, environment=_environment(caller, root), timeout_s=limit, trusted=True)
    said = f"the setup `{shown(command)}`"
    try:
        refused = refusal(launcher.launch(job), limit)
    except OSError as error:
        raise EvaluatorBroken(f"{said} could not be started: {error}") from error
    if refused:
        raise EvaluatorBroken(f"{said}: {refused.feedback}")
    active = caller.get("VIRTUAL_ENV") or caller.get("CONDA_PREFIX")
    if active and editable.folders([Path(active)], [root]):
        raise EvaluatorBroken(
            f"{said} installed into {active}, which is yours, and not beside the files; let it make an environment "
            "first (python -m venv .venv) and install there; then install your project in yours again"
        )


def _environment(caller: Mapping[str, str], root: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in caller.items()
        if name in (*KEPT, *_SETUP_KEPT) or name.upper() in _PROXIES or name.upper().startswith(_SETUP_KEPT_BEGINNINGS)
    }
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **kept,
        # What is left of a killed agent's setup is known by this; another agent begins it anew in the same folder.
        RESULT: f"{root}.{os.getpid()}.result",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONNOUSERSITE": "1",
        "GIT_CEILING_DIRECTORIES": str(root.parent),
    }
