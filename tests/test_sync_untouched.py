"""Whatever state a repository is in: it can be exchanged, and nothing of the user's is touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import clones
import evidence
import pytest
from clones import RUN, Clone
from conftest import Checkout
from fingerprint import changed, fingerprint
from states import STATES, project

from evogit.store.repository import open_repository

_THOROUGH = ("dirty", "linked", "programs", "bare")
# In `programs_of_home` the git that serves a path, too, is set up to run a program that fails; from a clone with a
# cut-off history nothing can be sent to an empty hub.
_LATER = sorted(STATES.keys() - {*_THOROUGH, "programs_of_home", "shallow"})


@pytest.mark.parametrize("name", [*_THOROUGH, *(pytest.param(name, marks=pytest.mark.heavy) for name in _LATER)])
def test_exchange_touches_nothing(tmp_path: Path, world: dict[str, str], name: str) -> None:
    start = project(tmp_path / "repo", world)
    (tmp_path / "aside").mkdir()
    here = STATES[name](start, tmp_path / "aside")
    hub = str(tmp_path / "hub.git")
    subprocess.run(["git", "init", "-q", "--bare", hub], env=world, check=True)
    here.evogit("run", "-n", "1", "--evals", "3", "--run", "r")
    watched = [here, *([start] if start.path.is_dir() and start.path != here.path else [])]
    before = [fingerprint(each.path, each.environment) for each in watched]
    (tmp_path / "aside" / "ran").unlink(missing_ok=True)
    assert here.evogit("sync", hub).stdout.endswith("hub.git: 0 taken, 2 sent, 0 unchanged, 0 problems\n")
    other = _other(Path(hub), tmp_path / "other", world)
    other.sync(hub)
    name_of_other = other.write(3)
    other.sync(hub)
    assert here.evogit("sync", hub).stdout.endswith("hub.git: 1 taken, 0 sent, 2 unchanged, 0 problems\n")
    for old, each in zip(before, watched, strict=True):
        assert changed(old, fingerprint(each.path, each.environment)) == {}
    assert not (tmp_path / "aside" / "ran").exists()
    assert evidence.journals(here, RUN)[name_of_other] == other.tip(name_of_other)
    here.git("fsck", "--strict")


def _other(hub: Path, to: Path, world: dict[str, str]) -> Clone:
    subprocess.run(["git", "init", "-q", str(to)], env=world, check=True)
    return clones.Clone(Checkout(to, world), open_repository(to))
