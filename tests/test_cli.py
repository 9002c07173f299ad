"""The command line as such: help, exit codes, one clear error, JSON, colours, hostile text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import CONFIG, Checkout

from evogit.cli.main import _COMMANDS, evogit
from evogit.cli.output import safe

_README = Path(__file__).parent.parent / "README.md"
_HEAVY = {"pygit2", "msgspec", "rich", "pygments", "tenacity", "pathspec", "litellm", "networkx", "git"}


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_is_light(words: list[str]) -> None:
    program = f"import sys; sys.argv = ['evogit', *{words!r}]\nfrom evogit.cli.main import main\n"
    program += "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert set(done.stderr.split()) & _HEAVY == set()


def test_what_only_reads_loads_no_agent() -> None:
    """Loading all that an agent is made of takes as long as all else that a short command does."""
    program = "from evogit.cli import candidate, look, status, tree\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "evogit.cli.tree" in loaded
    assert loaded & {"evogit.agent", "evogit.assembly", "evogit.sandbox", "jinja2", "tree_sitter"} == set()


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help_and_stands_in_the_readme(name: str) -> None:
    result = CliRunner().invoke(evogit, [name, "--help"])
    assert result.exit_code == 0
    summary = _COMMANDS[name][1]
    assert summary in " ".join(result.output.split())
    assert f"evogit {name}" in _README.read_text()
    command = evogit.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    for option in command.params:
        words = getattr(option, "help", None)
        assert getattr(option, "hidden", False) or option.param_type_name == "argument" or words, option.name
        assert not (words or "").endswith(".")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runn"], "No such command 'runn'"),
        (["run", "--evals", "0"], "Invalid value for '--evals'"),
        (["-C", "/no/such/folder", "status"], "-C /no/such/folder: No such file or directory"),
        (["run", "--agent", "tuner:0"], "evogit: --agent 'tuner:0': write NAME or NAME:COUNT"),
        (["run", "--agent", "nobody"], "evogit: no agent definition 'nobody'; there are: aider, "),
        (["run", "--agent", "./no.toml"], "evogit: cannot read the agent definition './no.toml': No such file"),
        (["run", "--agent", "../x"], "evogit: --agent '../x': write the name of an agent definition, or the path"),
        (["agents", "show"], "evogit: say which: evogit agents show NAME"),
        (["agents", "show", "tunner"], "evogit: no agent definition 'tunner' (did you mean 'tuner'?)"),
        (["run", "--run", "Bad/Name"], "evogit: run name 'Bad/Name': use 1 to 63 of"),
        (["status"], "evogit: there is no run in"),
        (["agent", "tuner"], "evogit: there is no run in"),
        (["best"], "evogit: there is no run in"),
        (["clean", "--run", "x"], "evogit: there is no run 'x' in"),
    ],
)
def test_wrong_usage_is_one_error_and_exit_code_2(words: list[str], said: str, toy: Checkout) -> None:
    done = toy.evogit(*words, expect=2)
    assert said in done.stderr
    assert done.stdout == ""


def test_json_is_one_document_with_a_schema(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "4", "--run", "r")
    for words in (
        ["status"],
        ["log"],
        ["runs"],
        ["show"],
        ["best"],
        ["doctor"],
        ["evaluate"],
        ["agents"],
        ["run", "--evals", "1"],
    ):
        found = json.loads(toy.evogit(*words, "--json").stdout)
        assert found["schema"] == 1


def test_no_certificates_are_needed_nor_read(toy: Checkout) -> None:
    nowhere = {"SSL_CERT_FILE": "/nonexistent/file", "SSL_CERT_DIR": "/nonexistent"}
    environment = {**toy.environment, **nowhere}
    program = "import os, evogit.store, pygit2; print(pygit2.settings.ssl_cert_file, os.environ['SSL_CERT_FILE'])"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None /nonexistent/file\n"
    assert subprocess.run(toy.command("runs"), cwd=toy.path, env=environment, check=False).returncode == 0


def test_evaluate_is_a_bisect_command(toy: Checkout) -> None:
    """Exit codes are those of `git bisect run`: 0 scored, 1 not, 125 cannot be tested."""
    assert toy.evogit("evaluate").stdout.split()[1] == "-22.25"
    toy.evogit("run", "-n", "1", "--evals", "2", "--run", "r")
    (toy.path / "knobs.py").write_text("def value(:")
    toy.commit("broken")
    toy.evogit("evaluate", "HEAD", expect=1)
    toy.evogit("evaluate", "HEAD~1")
    assert "SyntaxError" in toy.evogit("evaluate", expect=1).stdout
    assert len(json.loads(toy.evogit("log", "--json", "--all").stdout)["log"]) == 2  # nothing was recorded
    other = CONFIG.replace("python bench.py", "exit 125")
    (toy.path / "evogit.toml").write_text(other)
    toy.evogit("run", "--new", "--run", "broken", expect=2)
    toy.evogit("evaluate", "HEAD~1", "--run", "broken", expect=125)


def test_clean_removes_a_run_and_nothing_else(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "3", "--run", "keep")
    before = toy.git("for-each-ref")
    toy.evogit("run", "-n", "1", "--evals", "3", "--new", "--run", "drop", "--seed", "5")
    listed = toy.evogit("clean", "--run", "drop", "--dry-run").stdout
    assert toy.git("for-each-ref") != before
    assert "would remove refs/evogit/drop/task" in listed
    assert "say --yes to mean it" in toy.evogit("clean", "--run", "drop", expect=2).stderr
    toy.evogit("clean", "--run", "drop", "--yes")
    assert toy.git("for-each-ref") == before
    assert not list((toy.path / ".git").rglob("*drop*"))
    toy.evogit("clean", "--all", "--yes")
    assert toy.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert "no runs yet" in toy.evogit("runs").stdout


def test_output_to_a_closed_pipe_is_no_error(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "4", "--run", "r")
    line = " ".join(toy.command("log", "--all")) + " | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], cwd=toy.path, env=toy.environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_text_of_candidates_cannot_drive_the_terminal(toy: Checkout) -> None:
    (toy.path / "score.sh").write_text("cat reply.json > $EVOGIT_RESULT\n")
    (toy.path / "reply.json").write_text(
        json.dumps({"score": 1, "feedback": "\x1b]0;owned\x07 [red]markup[/red] \u202e"})
    )
    config = 'protected = ["reply.json"]\n' + CONFIG.replace("python bench.py", "sh score.sh")
    (toy.path / "evogit.toml").write_text(config)
    toy.commit()
    toy.evogit("run", "-n", "1", "--evals", "1", "--run", "r")
    shown = toy.evogit("show", "base").stdout
    assert "[red]markup[/red]" in shown
    assert not set(shown) & {"\x1b", "\x07", "\u202e"}
    assert safe("\x1b[31m\u2066x\x7f\udcff") == "\ufffd[31m\ufffdx\ufffd\ufffd"


def test_colours_only_where_they_are_wanted(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "4", "--run", "r")
    assert "\x1b[" not in toy.evogit("doctor").stdout
    assert "\x1b[" in toy.evogit("--color", "always", "doctor").stdout
    assert "\x1b[" not in toy.evogit("--color", "never", "doctor").stdout
