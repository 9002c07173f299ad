"""A real run of surgeons repairs the example's program, as its README says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Checkout
from proofs import run_readme

_EXAMPLE = Path(__file__).parent.parent / "examples" / "repair"


@pytest.mark.heavy
def test_every_fault_is_one_that_the_tests_see(tmp_path: Path) -> None:
    patches = sorted((_EXAMPLE / "faults").glob("*.patch"))
    assert len(patches) == 14
    for patch in patches:
        place = tmp_path / patch.stem
        shutil.copytree(_EXAMPLE, place)
        subprocess.run(["git", "apply", str(patch)], cwd=place, check=True)
        done = subprocess.run(_pytest("tests"), cwd=place, capture_output=True, text=True)
        assert done.returncode == 1, patch
        assert re.search(r"\d failed", done.stdout)


@pytest.mark.heavy
def test_the_commands_of_the_readme_repair_a_fault(new_checkout: Callable[..., Checkout]) -> None:
    checkout = new_checkout("planner", commit=False)
    said = run_readme("repair", checkout.path, checkout.environment)
    assert "94 passed" in said
    best = json.loads(checkout.evogit("best", "--json").stdout)
    assert best["value"] == 31


def _pytest(*folders: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "/dev/null",
        "-p",
        "no:cacheprovider",
        "-o",
        "pythonpath=.",
        *folders,
    ]
