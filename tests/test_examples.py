"""The examples of offline agents: what they begin with is what they say, and what agents make of them holds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import Checkout
from proofs import CASES, EXAMPLES, Case, Proof, prepare, prove, run_readme

_NO_GCC = "" if shutil.which("gcc") else "gcc is not installed"
_needs_gcc = pytest.mark.skipif(bool(_NO_GCC), reason=_NO_GCC or "gcc is there")


def _run(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=folder, env=variables, capture_output=True, text=True)


def _copy(case: str, tmp_path: Path, world: Mapping[str, str]) -> Path:
    prepare(CASES[case], tmp_path / "work", world)
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("                rate = percent\n", "                rate = percent\n                break\n"),
        ("    if amount > 10000:\n        amount -= (amount - 10000) // 10\n", ""),
        ('rows.append(("together", money(everything)))', "pass"),
        ("                if i < j and", "                if"),
    ],
)
def test_a_cheaper_statement_that_is_wrong_does_not_pass_the_gate(
    old: str, new: str, tmp_path: Path, world: dict[str, str]
) -> None:
    work = _copy("speedup", tmp_path, world)
    assert _run(work, "python check.py && python month.py", **world).returncode == 0
    files = [path for path in (work / "shop").glob("*.py") if old in path.read_text()]
    assert len(files) == 1
    files[0].write_text(files[0].read_text().replace(old, new))
    assert _run(work, "python check.py", **world).returncode == 1


def test_the_held_back_months_tell_right_from_wrong(tmp_path: Path, world: dict[str, str]) -> None:
    work = _copy("speedup", tmp_path, world)
    done = _run(work, "python held_back/measure.py", **world)
    assert re.fullmatch(r"all right, \d{7} lines\n", done.stdout), done
    catalogue = work / "shop" / "catalogue.py"
    catalogue.write_text(
        catalogue.read_text().replace("                rate = percent", "                return percent")
    )
    done = _run(work, "python held_back/measure.py", **world)
    assert done.returncode == 1
    assert done.stdout.startswith("wrong: ")


@_needs_gcc
def test_every_fault_of_the_calculator_is_one_that_its_tests_see(tmp_path: Path, world: dict[str, str]) -> None:
    patches = sorted((EXAMPLES / "c_program" / "faults").glob("*.patch"))
    assert len(patches) >= 2
    check = "gcc -w -o check tests/check_calc.c src/calc.c && ./check"
    for patch in [None, *patches]:
        work = tmp_path / (patch.stem if patch else "sound")
        shutil.copytree(EXAMPLES / "c_program", work)
        if patch:
            subprocess.run(["git", "apply", str(patch)], cwd=work, env=world, check=True)
        done = _run(work, check, **world)
        assert done.returncode == (1 if patch else 0), done.stderr
        assert ("failed: " in done.stdout) == bool(patch)
        _run(work, "./check", **world, EVOGIT_RESULT=str(work / "result.json"))
        result = json.loads((work / "result.json").read_text())
        assert result["score"] == sum(result["instances"].values())
        assert len(result["instances"]) == 25
        assert (result["score"] == 25) == (patch is None)


@_needs_gcc
def test_a_test_of_the_calculator_that_hangs_or_crashes_fails_alone(tmp_path: Path, world: dict[str, str]) -> None:
    shutil.copytree(EXAMPLES / "c_program", tmp_path / "work")
    calc = tmp_path / "work" / "src" / "calc.c"
    hangs, crashes = "while (rest != 1);", "*(volatile int *)0 = 1;"
    text = calc.read_text().replace("    if (negative)\n", f"    if (negative) {{ {crashes} }}\n    if (negative)\n")
    calc.write_text(text.replace("    do {\n", f"    if (value == 255) {hangs}\n    do {{\n"))
    done = _run(tmp_path / "work", "gcc -w -o check tests/check_calc.c src/calc.c && ./check", **world)
    assert done.stdout.splitlines()[-1] == "23 of 25 tests passed"
    assert "failed: format_in_base_ten" in done.stdout
    assert "failed: format_in_base_sixteen" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("billing\n  one two 3\n", "line 2: '  one two 3' is neither"),
        ("  parcel 1\n", "line 1: '  parcel 1' is neither"),
        ("billing\n  card much\n", "could not convert string to float: 'much'"),
    ],
)
def test_a_text_that_is_none_gets_no_score(
    text: str, said: str, new_checkout: Callable[..., Checkout], tmp_path: Path, world: dict[str, str]
) -> None:
    work = _copy("prompt_text", tmp_path, world)
    (work / "desk.txt").write_text(text)
    done = _run(work, "python route.py", **world)
    assert done.returncode == 1
    assert said in done.stderr


def test_words_of_two_queues_or_none_send_a_message_to_nobody(tmp_path: Path, world: dict[str, str]) -> None:
    work = _copy("prompt_text", tmp_path, world)
    code = (
        "import route; r = route.rules('a\\n  x 1\\n  y 2\\nb\\n  x 1\\nnobody\\n  z 9\\n'); "
        "print([route.queue_of(m, r) for m in ('x', 'X and Y!', 'z', '', 'xy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=world, capture_output=True, text=True)
    assert done.stdout == "['nobody', 'a', 'nobody', 'nobody', 'nobody']\n", done.stderr


def test_no_message_is_both_scored_and_held_back() -> None:
    folder = EXAMPLES / "prompt_text" / "messages"
    seen, held = (set((folder / f"{name}.txt").read_text().splitlines()) for name in ("seen", "held_back"))
    assert len(seen) == len(held) == 70
    assert not seen & held
    drafted = re.findall(r"  (\w+) 1", (folder.parent / "desk.txt").read_text())
    assert set(drafted) <= set(re.findall(r"[a-z]+", "\n".join(seen).lower()))


def test_the_rule_that_bin_packing_begins_with_is_first_fit(tmp_path: Path, world: dict[str, str]) -> None:
    work = _copy("first fit", tmp_path, world)
    code = (
        "import first_fit as f; i = f.read(f.HERE / 'data' / 'uniform-evolve.txt')[0]; rooms = []\n"
        "for s in i:\n"
        "    at = next((n for n, r in enumerate(rooms) if r >= s), len(rooms))\n"
        "    rooms[at:at + 1] = [(rooms[at] if at < len(rooms) else 150) - s]\n"
        "print(len(rooms) == f.bins(f.priority, i, 150), f.bins(lambda s, r, n: n, i, 150) == len(i))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=world, capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("example", "shown"),
    [
        ("speedup", r"(?s)all right, \d+ lines.*all right, \d+ lines"),
        pytest.param("c_program", r"25 of 25 tests passed\n6 of 6 tests passed", marks=_needs_gcc),
        ("prompt_text", r"(?s)seen: .*held_back: .*seen: .*held_back: "),
    ],
    ids=("speedup", "c_program", "prompt_text"),
)
def test_the_commands_of_a_readme_do_what_it_says(
    example: str, shown: str, new_checkout: Callable[..., Checkout]
) -> None:
    checkout = new_checkout("work", commit=False)
    said = run_readme(example, checkout.path, checkout.environment)
    assert re.search(shown, said), said


@pytest.mark.heavy
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=[_needs_gcc] if case.example == "c_program" else [])
        for name, case in CASES.items()
        if case.promised
    ],
)
def test_most_runs_of_one_agent_succeed_on_what_was_held_back(
    case: Case, tmp_path: Path, world: dict[str, str]
) -> None:
    """Commits have times, so a seed is not all of a run's luck: two of three are enough, and any gain is one."""
    evals = 300 if case.fault else 150
    proofs: list[Proof] = []
    while len(proofs) < 3 and sum(proof.holds for proof in proofs) < 2:
        proofs.append(prove(case, tmp_path / str(len(proofs)), world, seed=len(proofs) + 1, evals=evals))
    assert sum(proof.holds for proof in proofs) == 2, proofs
