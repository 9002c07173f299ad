"""What is shipped: wheel and sdist hold one package and its data, and run from a fresh environment."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, made from a copy so that the checkout stays as it is."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(_ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def _one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_the_wheel_holds_one_package_and_its_data(built: Path) -> None:
    names = zipfile.ZipFile(_one(built, "*.whl")).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"evogit"}
    assert {"evogit/_bundled/agents/tuner.toml", "evogit/_bundled/hooks/shim"} <= set(names)
    assert not any("/tests/" in name or name.startswith(("agents", "tests", "examples")) for name in names)


def test_the_sdist_can_run_its_own_tests(built: Path) -> None:
    with tarfile.open(_one(built, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "FORMAT.md", "agents/tuner.toml", "tests/conftest.py", "Makefile"} <= names


@pytest.mark.parametrize("pattern", ["*.whl", pytest.param("*.tar.gz", marks=pytest.mark.heavy)])
def test_evogit_runs_from_a_fresh_environment(pattern: str, built: Path, tmp_path: Path, world: dict[str, str]) -> None:
    home = tmp_path / "fresh"
    venv.create(home, with_pip=False, symlinks=True)
    python, site = home / "bin" / "python", next((home / "lib").glob("python*")) / "site-packages"
    # Dependencies are borrowed from the environment of the tests; a .pth of it that is not read hides our checkout.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--no-deps", "--no-index"]
    environment = world | {"PYTHONWARNINGS": "default", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(
        [*install, "--no-build-isolation", "--ignore-installed", str(_one(built, pattern))], env=environment, check=True
    )
    repository = tmp_path / "repo"
    repository.mkdir()
    for name, content in {"knob.txt": "level = 3\n", "score.sh": _SCORE}.items():
        (repository / name).write_text(content)
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "init"]):
        subprocess.run(["git", *command], cwd=repository, env=world, check=True)
    said = [_run(home, repository, world, *words) for words in _WORDS]
    assert said[0].startswith("evogit 0.")
    where = [str(python), "-P", "-c", "import evogit; print(evogit.__file__)"]
    assert str(site) in subprocess.run(where, cwd=repository, capture_output=True, text=True).stdout
    assert len(said[-1].strip()) == 40


_SCORE = 'read -r _ _ level < knob.txt; echo "{\\"score\\": $level}" > "$EVOGIT_RESULT"\n'
_WORDS = (
    ("--version",),
    ("init", "--score", "sh score.sh", "--direction", "maximize"),
    ("run", "-n", "1", "--evals", "4"),
    ("best", "-q"),
)


def _run(home: Path, cwd: Path, world: dict[str, str], *words: str) -> str:
    environment = {**world, "PATH": f"{home / 'bin'}{os.pathsep}{world['PATH']}"}
    done = subprocess.run(
        ["git", "evogit", *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
