"""What doctor finds out about an evaluator: its cost, its noise, and whether it sees the candidate at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Checkout


def _findings(checkout: Checkout, *, expect: int = 0) -> list[tuple[str, str]]:
    """Return the level and the text of what is said of the evaluator."""
    said = json.loads(checkout.evogit("doctor", "--json", expect=expect).stdout)
    return [(found["level"], found["text"]) for found in said["findings"] if found["about"] == "evaluator"]


def _toml(command: str, *, more: str = "", head: str = "") -> str:
    return f"{head}\n[evaluator]\nresult = 'stdout-json'\ncommand = '''{command}'''\n{more}\n"


_RUN = "import subject\nprint('{\"score\": %r}' % subject.value())\n"
_CODE = "def value():\n    return 2.5\n"


def test_an_evaluator_in_order(new_checkout: Callable[..., Checkout]) -> None:
    files = {"evogit.toml": _toml("python run.py"), "run.py": _RUN, "subject.py": _CODE}
    cost, seen = _findings(new_checkout(files=files))
    assert (cost[0], cost[1].partition(" (")[0]) == ("ok", "HEAD scores 2.5 twice")
    assert seen == ("ok", "it sees the candidate: breaking the editable file shows")


def test_files_the_score_does_not_notice_are_named(new_checkout: Callable[..., Checkout]) -> None:
    files = {"evogit.toml": _toml("python run.py"), "run.py": _RUN, "subject.py": _CODE, "README.md": "x\n"}
    assert _findings(new_checkout(files=files))[1:] == [
        (
            "warning",
            "the score does not notice when these are broken: README.md; name under `editable` only what it measures",
        )
    ]


def test_each_of_several_files_is_broken_alone(new_checkout: Callable[..., Checkout]) -> None:
    files = {"evogit.toml": _toml("cat a b"), "a": '{"score":\n', "b": "1}\n"}
    files["evogit.toml"] = _toml("tr -d '\\n' < a; cat b", head="editable = ['a', 'b']")
    assert _findings(new_checkout(files=files))[1:] == [
        ("ok", "it sees the candidate: breaking each of the 2 editable files shows")
    ]


def test_a_command_that_leaves_the_copy_is_a_problem(new_checkout: Callable[..., Checkout]) -> None:
    here = new_checkout(files={"subject.py": _CODE, "run.py": _RUN})
    (here.path / "evogit.toml").write_text(_toml(f"cd {here.path} && python run.py"))
    here.commit()
    assert _findings(here, expect=1)[1:] == [
        (
            "problem",
            "it does not see the candidate: with the editable file broken the score stays the same; usual causes: "
            f"the command names {here.path}, which is not what is measured; "
            "let it name files relative to where it runs",
        )
    ]


def test_an_installed_copy_is_a_problem(new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "subject.py").write_text(_CODE)
    here = new_checkout(
        files={
            "evogit.toml": _toml(f"{environment}/bin/python bench/run.py"),
            "src/subject.py": _CODE,
            "bench/run.py": _RUN,
        }
    )
    found = _findings(here, expect=1)[1]
    assert found[0] == "problem"
    assert found[1].endswith(
        "the command leaves the folder it runs in (cd), imports an installed copy, or uses no editable file"
    )


def test_the_active_environment_may_import_the_project_in_place(
    new_checkout: Callable[..., Checkout], tmp_path: Path
) -> None:
    here = new_checkout(
        files={
            "evogit.toml": _toml("python bench/run.py"),
            "src/subject.py": _CODE,
            "bench/run.py": _RUN,
        }
    )
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "project.pth").write_text(f"{here.path}/src\n")
    here.environment["VIRTUAL_ENV"] = str(environment)
    here.environment["PATH"] = f"{environment}/bin:{here.environment['PATH']}"
    assert _findings(here)[1:] == [("ok", "it sees the candidate: breaking the editable file shows")]


def test_noise_is_shown_with_its_size(new_checkout: Callable[..., Checkout]) -> None:
    table = _toml("echo '{\"score\": '$(date +%N | sed 's/^0*//')'}'", head="editable = ['a']")
    level, text = _findings(new_checkout(files={"evogit.toml": table, "a": "1\n"}))[0]
    assert level == "warning"
    assert "the score is noisy, by " in text
    assert text.endswith("; `repeat = 5` takes the median of five")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("setup = 'echo oh; exit 3'", "the setup `echo oh; exit 3`: exit code 3\noh"),
        ("carry = ['deps']", "evaluator.carry names 'deps', which is not in "),
    ],
)
def test_what_is_missing_beside_the_tree_is_a_problem(
    new_checkout: Callable[..., Checkout], more: str, said: str
) -> None:
    here = new_checkout(files={"evogit.toml": _toml("echo '{\"score\": 1}'", more=more), "a": "1\n"})
    (level, text), *others = _findings(here, expect=1)
    assert (level, others) == ("problem", [])
    assert text.startswith(said)


def test_what_stands_beside_the_tree_is_said(new_checkout: Callable[..., Checkout]) -> None:
    table = _toml("cat a made", more="setup = 'mkdir -p out; touch made out/x'", head="editable = ['a']")
    here = new_checkout(files={"evogit.toml": table, "a": '{"score": 1}\n'})
    assert _findings(here)[1] == ("ok", "beside the files of HEAD every export has made, out")


def test_an_evaluator_that_breaks_says_why(new_checkout: Callable[..., Checkout]) -> None:
    here = new_checkout(files={"evogit.toml": _toml("echo nothing"), "a": "1\n"})
    assert _findings(here, expect=1) == [
        (
            "problem",
            "HEAD gets no score (failed); mend the command first\n"
            "no result: no line of the output is a JSON object\nnothing",
        )
    ]
