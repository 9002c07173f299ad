"""What evogit does not work on: it says so in one sentence with the remedy, exits with 2, and changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from conftest import Checkout
from fingerprint import changed, fingerprint
from states import CONFIG, empty, project, together, write

ALL = (
    *(("run", "-n", "2", "--evals", "2"), ("agent", "tuner"), ("status",), ("evaluate", "HEAD")),
    *(("apply",), ("clean", "--all", "--yes"), ("doctor",), ("init", "--score", "true")),
)
SOME = (("run", "-n", "2", "--evals", "2"), ("status",), ("init", "--score", "true"))
NEEDS_A_COMMIT = (("run", "-n", "2"), ("evaluate", "HEAD"), ("init", "--score", "true"))


@pytest.fixture
def here(tmp_path: Path, world: dict[str, str]) -> Checkout:
    """A repository that evogit could work on."""
    return project(tmp_path / "repo", world)


def test_no_commit_yet(tmp_path: Path, world: dict[str, str]) -> None:
    here = empty(tmp_path / "repo", world)
    write(here, "evogit.toml", CONFIG)
    before = fingerprint_without_status(here)
    message = f"{here.path} has no commit yet; make one first (git commit --allow-empty -m init)"
    assert refused(here, *NEEDS_A_COMMIT) == {message}
    assert f"problem  repository: {message}" in here.evogit("doctor", expect=1).stdout.splitlines()
    assert not (here.path / ".git" / "evogit").exists()
    assert fingerprint_without_status(here) == before


def fingerprint_without_status(here: Checkout) -> dict[str, bytes]:
    """Return every file: some of git's own commands do not run before there is a commit."""
    return {str(path): path.read_bytes() for path in sorted(here.path.rglob("*")) if path.is_file()}


def test_not_a_repository(tmp_path: Path, world: dict[str, str]) -> None:
    message = "the current folder is not inside a Git repository; run `git init` there, or name one with -C"
    assert refused(Checkout(tmp_path, world), *ALL) == {message}
    assert list(tmp_path.iterdir()) == []


def test_a_repository_named_that_is_none(tmp_path: Path, world: dict[str, str]) -> None:
    here = Checkout(tmp_path, world)
    message = f"{tmp_path} is not inside a Git repository; run `git init` there, or name one with -C"
    assert refused(here, (f"--git-dir={tmp_path}", "status")) == {message}
    assert here.evogit("-C", "nowhere", "status", expect=2).stderr.splitlines()[-1] == (
        "Error: -C nowhere: No such file or directory"
    )


def test_inside_the_git_folder(here: Checkout) -> None:
    here.evogit("run", "-n", "1", "--evals", "2")
    before = fingerprint(here.path, here.environment)
    message = f"this is inside {here.path}/.git; cd to the work tree, or name it with -C"
    for folder, commands in ((".git", SOME), (".git/refs/heads", SOME[:1])):
        assert refused(Checkout(here.path / folder, here.environment), *commands) == {message}
    assert changed(before, fingerprint(here.path, here.environment)) == {}


def test_a_deleted_folder(tmp_path: Path, here: Checkout) -> None:
    said = "evogit: the current folder was deleted; cd to another one\n"
    for command in ("status", "run"):
        done = in_deleted_folder(tmp_path, here, command)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert in_deleted_folder(tmp_path, here, "-C", str(here.path), "runs").returncode == 0


def in_deleted_folder(tmp_path: Path, here: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run evogit in a folder that is gone before it starts."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD" && exec "$@"'
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", *here.command(*arguments)],
        cwd=gone,
        env=here.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_sha256_objects(tmp_path: Path, world: dict[str, str]) -> None:
    (tmp_path / "repo").mkdir()
    here = Checkout(tmp_path / "repo", world)
    here.git("init", "-q", "--object-format=sha256")
    write(here, "evogit.toml", CONFIG)
    here.commit()
    before = fingerprint(here.path, here.environment)
    where = "the repository of the current folder"
    message = f"{where} uses SHA-256 objects, which evogit cannot read yet; use a SHA-1 repository"
    assert refused(here, *SOME) == {message}
    assert changed(before, fingerprint(here.path, here.environment)) == {}


def test_refs_in_a_reftable(here: Checkout) -> None:
    """Which Git is installed does not matter: the settings are what a newer one writes."""
    before = fingerprint(here.path, here.environment)
    settings = here.path / ".git" / "config"
    kept, times = settings.read_bytes(), settings.stat()
    here.git("config", "core.repositoryFormatVersion", "1")
    here.git("config", "extensions.refStorage", "reftable")
    message = (
        "the repository of the current folder keeps its refs as a reftable, which evogit cannot read yet; "
        "use the 'files' ref format"
    )
    assert refused(here, *SOME) == {message}
    settings.write_bytes(kept)
    os.utime(settings, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changed(before, fingerprint(here.path, here.environment)) == {}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a repository to somebody else")
def test_a_repository_of_somebody_else(here: Checkout) -> None:
    for path in (here.path, *here.path.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    message = (
        "the repository of the current folder belongs to another user; "
        "run `git config --global --add safe.directory <path>` if you trust it"
    )
    assert refused(here, *SOME) == {message}
    (Path(here.environment["HOME"]) / ".gitconfig").write_text(f"[safe]\ndirectory = {here.path}\n")
    trusting = {name: value for name, value in here.environment.items() if name != "GIT_CONFIG_GLOBAL"}
    Checkout(here.path, trusting).evogit("run", "-n", "1", "--evals", "2")


@pytest.mark.parametrize(
    "after_a_run", [pytest.param(False, id="new"), pytest.param(True, id="after a run", marks=pytest.mark.heavy)]
)
def test_a_read_only_git_folder(here: Checkout, after_a_run: bool) -> None:
    if after_a_run:
        here.evogit("run", "-n", "1", "--evals", "20", "--seed", "1", "--run", "first")
    bound = Bound(here.path, here.environment)
    folders = [Path(folder) for folder, _, _ in os.walk(here.path / ".git")]
    for folder in folders:
        folder.chmod(0o555)
    try:
        before = fingerprint(here.path, here.environment)
        message = f"cannot write {here.path}/.git; agents keep their candidates and scores there"
        assert refused(bound, ("run", "-n", "2", "--evals", "2")) == {message}
        assert f"problem  repository: {message}" in bound.evogit("doctor", expect=1).stdout.splitlines()
        bound.evogit("evaluate", "HEAD")
        if after_a_run:
            (said,) = refused(bound, ("agent", "tuner"))
            assert said.startswith(f"cannot write {here.path}/.git")
            commands = ("status", "log", "show", "best", "diff", "runs", "apply --dry-run", "clean --all --dry-run")
            ended = together(bound, [command.split() for command in commands])
            assert [code for code, _, _ in ended] == [0] * len(commands), ended
            assert bound.evogit("clean", "--all", "--yes", expect=6).stderr.startswith("evogit: ")
        assert changed(before, fingerprint(here.path, here.environment)) == {}
    finally:
        for folder in folders:
            folder.chmod(0o755)


class Bound(Checkout):
    """One whose programs must keep to the permissions of files: root's right to pass them over is taken away."""

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of evogit."""
        plain = super().command(*arguments)
        if os.getuid() != 0:
            return plain
        if shutil.which("setpriv") is None:
            pytest.skip("root passes permissions over, and there is no setpriv to prevent it")
        rights = "-dac_override,-dac_read_search,-fowner"
        return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *plain]


def test_no_configuration(here: Checkout) -> None:
    (here.path / "evogit.toml").unlink()
    message = f"there is no {here.path}/evogit.toml; write one with `evogit init --score COMMAND`"
    untouched(here, message, ("run",), ("evaluate",))
    assert f"problem  configuration: {message}" in here.evogit("doctor", expect=1).stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('editables = ["*.ini"]\n', "unknown key 'editables'; did you mean 'editable'?"),
        ("[evaluator]\ncommand = 'true'\ntimeout = 3\n", "unknown key 'evaluator.timeout'; did you mean 'timeout_s'?"),
        ("goal = 'x'\n", "'evaluator' is missing"),
        ("editable = '*.ini'\n[evaluator]\ncommand = 'true'\n", "editable is '*.ini': expected `array`, got `str`"),
        ("[evaluator]\ncommand = 'true'\ntimeout_s = 0\n", "evaluator.timeout_s is 0: expected `float` > 0.0"),
        ("direction = 'up'\n[evaluator]\ncommand = 'true'\n", "direction is 'up': use 'maximize' or 'minimize'"),
        ("goal = \n", "not valid TOML: Invalid value (at line 1, column 8)"),
    ],
)
def test_a_wrong_configuration(here: Checkout, text: str, message: str) -> None:
    write(here, "evogit.toml", text)
    untouched(here, f"evogit.toml: {message}", ("run",))


@pytest.mark.parametrize(
    "keys", ['protected = ["**"]', 'editable = ["lib/**"]\nprotected = ["lib/"]', 'editable = ["no"]']
)
def test_nothing_to_edit(here: Checkout, keys: str) -> None:
    write(here, "evogit.toml", f'{keys}\n[evaluator]\ncommand = "sh lib/score.sh"\n')
    message = (
        "no tracked file may be edited: all are protected, or none matches `editable` in evogit.toml; "
        'name the files to evolve there, e.g. editable = ["src/**"]'
    )
    untouched(here, message, ("run",))


def test_an_agent_there_is_not(here: Checkout) -> None:
    shipped = ", ".join(sorted(path.stem for path in (Path(__file__).parent.parent / "agents").glob("*.toml")))
    message = f"no agent definition 'tunner' (did you mean 'tuner'?); there are: {shipped}"
    untouched(here, message, ("run", "--agent", "tunner"))
    write(here, "evogit.toml", CONFIG + '[[agents]]\nuse = "tunner"\n')
    untouched(here, message, ("run",))


@pytest.mark.parametrize(
    ("command", "feedback"),
    [
        ('"lib/nothing.sh"', ["exit code 127", "/bin/sh: 1: lib/nothing.sh: not found"]),
        ('"lib/score.sh"', ["exit code 126", "/bin/sh: 1: lib/score.sh: Permission denied"]),
        ('"echo because; exit 1"', ["exit code 1", "because"]),
        ('"true"', ["no result: the command wrote nothing to the file in EVOGIT_RESULT"]),
        ('"echo hello > $EVOGIT_RESULT"', ["the result: Expecting value: line 1 column 1 (char 0)"]),
        ('["nothing-here", "x"]', ["the evaluator could not be started: "]),
        ('["lib/score.sh"]', ["the evaluator could not be started: "]),
        ('"echo not today; exit 125"', ["exit code 125: the evaluator cannot test this", "not today"]),
    ],
    ids=[
        "missing",
        "not executable",
        "fails",
        "no result",
        "no JSON",
        "missing program",
        "not a program",
        "untestable",
    ],
)
def test_a_score_command_that_does_not_work(here: Checkout, command: str, feedback: list[str]) -> None:
    """The base gets no score, so that nobody goes on, waits for it, or stays; why is said."""
    write(here, "evogit.toml", f'editable = ["*.ini"]\n[evaluator]\ncommand = {command}\ntimeout_s = 100\n')
    before = fingerprint(here.path, here.environment)
    said = here.evogit("run", "-n", "2", "--evals", "20", expect=2, timeout=60).stderr
    for line in feedback:
        assert line in said, said
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    assert list(agents_of(here)) == []


def test_a_limit_met_before_anything_has_a_score(here: Checkout) -> None:
    write(here, "evogit.toml", 'editable = ["*.ini"]\n[evaluator]\ncommand = "echo not today; exit 125"\n')
    said = here.evogit("run", "-n", "1", "--evals", "1", expect=2).stderr
    assert said.splitlines()[-1] == "not today"
    assert here.evogit("evaluate", "HEAD", expect=125).stdout.splitlines()[-1] == "  | not today"


def agents_of(here: Checkout) -> Iterator[psutil.Process]:
    """Yield the processes that name this repository."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(here.path) in word for word in process.info["cmdline"] or ()):
            yield process


def test_runs_and_revisions_there_are_not(here: Checkout) -> None:
    message = f"there is no run in {here.path}/.git yet; start one with `evogit run`"
    untouched(here, message, ("status",), ("show",), ("apply",), ("agent", "tuner"))
    here.evogit("run", "-n", "1", "--evals", "3", "--run", "first")
    message = f"there is no run 'second' in {here.path}/.git; runs: first"
    commands = [("status",), ("apply",), ("agent", "tuner"), ("evaluate", "HEAD"), ("clean", "--yes")]
    untouched(here, message, *((*command, "--run", "second") for command in commands))
    message = "'no-such' is no commit here; see `evogit log` and `git branch --list 'evogit/*'`"
    untouched(here, message, *((name, "no-such") for name in ("show", "apply", "evaluate")))
    message = "run name 'A/b': use 1 to 63 of a-z, 0-9 and '-', not starting with '-'"
    untouched(here, message, ("run", "--run", "A/b"), ("clean", "--run", "A/b"))
    message = "there is a run 'first' already; leave out --new to go on with it, or choose another name"
    untouched(here, message, ("run", "--run", "first", "--new"))


def test_a_run_of_another_definition(here: Checkout) -> None:
    here.evogit("run", "-n", "1", "--evals", "3", "--run", "first")
    write(here, "evogit.toml", 'goal = "more"\ndirection = "minimize"\n' + CONFIG)
    write(here, "lib/score.sh", "exit 1\n")
    message = (
        "run 'first' was begun with another definition (goal, direction, evaluator or its files); "
        "begin another with --new, or go back to that commit and evogit.toml"
    )
    untouched(here, message, ("run", "--run", "first"))
    assert here.git("for-each-ref", "refs/evogit", "--format=%(refname)") == "refs/evogit/first/task"


@pytest.mark.parametrize(
    ("ref", "command"),
    [
        ("refs/notes/evogit", ("run",)),
        ("refs/evogit", ("run",)),
        ("refs/notes/evogit/first", ("run", "--run", "first")),
        ("refs/evogit/first", ("run", "--run", "first")),
    ],
)
def test_refs_in_the_way(here: Checkout, ref: str, command: tuple[str, ...]) -> None:
    here.git("update-ref", ref, "HEAD")
    message = f"the ref {ref} stands where evogit keeps its own; rename it (git update-ref) first"
    refs = here.git("for-each-ref")
    untouched(here, message, command)
    assert here.git("for-each-ref") == refs


def test_clean_while_an_agent_lives(tmp_path: Path, here: Checkout) -> None:
    started = tmp_path / "started"
    write(here, "lib/score.sh", f'touch "{started}"\nsleep 100\n')
    running = here.start("run", "-n", "1", "--evals", "3", "--run", "first")
    try:
        wait_for(started, running)
        name = (here.path / ".git" / "evogit" / "clone-id").read_text().strip()
        message = f"run first has living agents: tuner-1-{name}; stop them first (Ctrl-C, or kill)"
        refs = here.git("for-each-ref")
        untouched(here, message, ("clean", "--run", "first", "--yes"), ("clean", "--all", "--yes"))
        assert here.git("for-each-ref") == refs
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert running.returncode == 143
    said = here.evogit("clean", "--run", "first", expect=2).stderr
    assert said == "evogit: this deletes all records of first; say --yes to mean it\n"
    here.evogit("clean", "--run", "first", "--yes")
    assert here.git("for-each-ref", "refs/evogit", "refs/notes/evogit", "refs/heads/evogit") == ""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Return when the file is there; the process must live so long."""
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def refused(here: Checkout, *commands: Sequence[str]) -> set[str]:
    """Return the one sentence each of the commands ended with; they said nothing else anywhere."""
    found = set()
    for command, (code, said, errors) in zip(commands, together(here, commands), strict=True):
        assert (code, said, errors.count("\n")) == (2, "", 1), (command, code, said, errors)
        found.add(errors.removeprefix("evogit: ").rstrip("\n"))
    return found


def untouched(here: Checkout, message: str, *commands: Sequence[str]) -> None:
    """Check that each command ends with this one sentence and nothing is changed."""
    before = fingerprint(here.path, here.environment)
    assert refused(here, *commands) == {message}
    assert changed(before, fingerprint(here.path, here.environment)) == {}
