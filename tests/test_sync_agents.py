"""Agents of several clones on one run: they meet through a hub, and no trouble of the hub's is theirs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import clones
import evidence
import psutil
import pytest
from clones import RUN, Clone, World
from conftest import Checkout

from evogit.store import task, trust

_LONG = ("--evals", "100000")


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test(tmp_path: Path, world: dict[str, str]) -> Iterator[None]:
    yield
    evidence.kill_all([tmp_path, Path(world["HOME"])])


@pytest.fixture
def both(tmp_path: Path, world: dict[str, str]) -> World:
    return clones.make(tmp_path, world)


def _agents(checkout: Checkout) -> set[str]:
    """Return the clones whose agents' records are here."""
    return {agent.rpartition("-")[2] for agent in evidence.journals(checkout, RUN)}


def _same_everywhere(*checkouts: Checkout) -> None:
    for checkout in checkouts:
        checkout.evogit("sync")
    for checkout in checkouts:
        checkout.evogit("sync")
    first, *others = (evidence.lines(checkout, RUN) for checkout in checkouts)
    assert first
    assert all(lines == first for lines in others)
    for checkout in checkouts:
        assert evidence.fsck(checkout) == []


def _start(clone: Clone, remote: str = "origin") -> subprocess.Popen[str]:
    return clone.checkout.start("run", "-n", "2", "--run", "r", "--remote", remote, *_LONG)


def _end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    return said


@pytest.mark.heavy
def test_agents_of_two_clones_work_on_one_run(both: World) -> None:
    one, two = both.one.checkout, both.two.checkout
    before = evidence.users_own(one)
    first = _start(both.one)
    evidence.wait_for(lambda: evidence.journals(both.hub, RUN) or None, "a first exchange")
    second = _start(both.two)
    evidence.wait_for(lambda: len(evidence.journals(one, RUN)) == 4 or None, "all four journals here")
    evidence.wait_for(lambda: len(evidence.journals(two, RUN)) == 4 or None, "all four journals there")
    # Parents of one clone's candidates are candidates of the other: they build on each other.
    own = (_clone_id(one), _clone_id(two))
    evidence.wait_for(lambda: _is_built_upon(one, own) or None, "a candidate on a candidate of the other clone")
    said = [_end(process) for process in (first, second)]
    assert all("in step with origin" in text for text in said)
    _same_everywhere(one, two)
    assert evidence.users_own(one) == before
    evidence.wait_until_gone([one.path, two.path])


def _clone_id(checkout: Checkout) -> str:
    return (checkout.path / ".git/evogit/clone-id").read_text().strip()


def _is_built_upon(checkout: Checkout, own: tuple[str, ...]) -> bool:
    authors = {}
    parents = {}
    refs = [f"refs/notes/evogit/r/{agent}.journal" for agent in evidence.journals(checkout, RUN)]
    for line in checkout.git("log", "--format=%H %an %P", *refs).splitlines():
        commit, author, *found = line.split()
        authors[commit], parents[commit] = author, found
    pairs = ((authors[c], authors.get(p, "")) for c in authors for p in parents[c][:1])
    return any(child.endswith(own) and parent.endswith(own) and child[-6:] != parent[-6:] for child, parent in pairs)


@pytest.mark.heavy
def test_the_hub_goes_away_and_comes_back(both: World) -> None:
    away = both.hub.path.with_name("away")
    processes = [_start(both.one)]
    evidence.wait_for(lambda: evidence.journals(both.hub, RUN) or None, "a first exchange")
    processes.append(_start(both.two))
    evidence.wait_for(lambda: len(_agents(both.two.checkout)) == 2 or None, "journals of the other clone")
    both.hub.path.rename(away)
    status = both.one.checkout.path / ".git/evogit/sync-origin.json"
    evidence.wait_for(lambda: json.loads(status.read_text())["error"] or None, "the loop to see it")
    done = evidence.scores(both.one.checkout, RUN)
    evidence.wait_for(lambda: evidence.scores(both.one.checkout, RUN) > done + 10 or None, "work without the hub")
    away.rename(both.hub.path)
    seen = evidence.journals(both.hub, RUN)
    evidence.wait_for(lambda: evidence.journals(both.hub, RUN) != seen or None, "an exchange after it came back")
    for process in processes:
        _end(process)
    _same_everywhere(both.one.checkout, both.two.checkout)


@pytest.mark.heavy
def test_a_loop_that_is_killed_is_started_again(both: World) -> None:
    launcher = _start(both.one)
    for _ in range(2):
        loop = evidence.wait_for(lambda: _loop_of(launcher), "the loop")
        evidence.wait_for(lambda: evidence.journals(both.hub, RUN) or None, "an exchange")
        loop.kill()
        loop.wait(30)
    assert "in step with origin" in _end(launcher)
    assert evidence.journals(both.hub, RUN) == evidence.journals(both.one.checkout, RUN)


def _loop_of(launcher: subprocess.Popen[str]) -> psutil.Process | None:
    try:
        children = psutil.Process(launcher.pid).children()
        return next((child for child in children if "sync" in child.cmdline()), None)
    except psutil.NoSuchProcess:
        return None


@pytest.mark.heavy
def test_the_loop_ends_when_its_launcher_is_killed(both: World) -> None:
    launcher = _start(both.one)
    loop = evidence.wait_for(lambda: _loop_of(launcher), "the loop")
    evidence.wait_for(lambda: evidence.journals(both.hub, RUN) or None, "an exchange")
    launcher.kill()
    launcher.communicate()
    # Orphans come to whoever asked for them, and a test that ran before may have asked: nobody buries them then.
    evidence.wait_for(lambda: not loop.is_running() or loop.status() == psutil.STATUS_ZOMBIE or None, "its end")
    evidence.wait_until_gone([both.one.checkout.path])
    # Its last exchange may have come before the agents' last records, and then loses none of them.
    _same_everywhere(both.one.checkout, both.two.checkout)


def test_a_hub_that_refuses_stops_no_agent(both: World) -> None:
    hook = both.hub.path / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    done = both.one.checkout.evogit("run", "-n", "1", "--run", "r", "--remote", "origin", "--evals", "5")
    assert "run r: 5 evaluations" in done.stdout
    assert "warning: origin: " in done.stderr
    assert "the remote refused it: pre-receive hook declined" in done.stderr


def test_joining_from_an_empty_folder(both: World, tmp_path: Path) -> None:
    both.one.write(2)
    both.one.sync()
    folder = tmp_path / "empty"
    folder.mkdir()
    here = Checkout(folder, both.hub.environment)
    join = ("agent", "tuner", "--remote", os.path.relpath(both.hub.path, folder), "--run", "r", "--evals", "3")
    done = here.evogit(*join, expect=5)
    assert "the definition of run r came from elsewhere; it would run `sh score.sh` as you" in done.stderr
    done = here.evogit(*join, "--trust")
    assert "in step with origin" in done.stderr
    assert here.git("remote", "get-url", "origin") == str(both.hub.path)
    assert here.git("config", "remote.origin.fetch") == "+refs/heads/*:refs/remotes/origin/*"
    assert [path.name for path in folder.iterdir()] == [".git"]
    assert not (folder / ".git/shallow").exists()
    both.one.sync()
    assert len(_agents(both.one.checkout)) == 2
    here.git("fsck", "--strict")
    here.evogit("agent", "tuner", "--evals", "1")


@pytest.mark.parametrize(
    ("address", "run", "code", "text"),
    [
        ("file:///no/such/hub", "r", 6, "cannot reach origin"),
        ("{hub}", "none", 2, "there is no run 'none'"),
        ("{hub}", "Bad/Name", 2, "run name 'Bad/Name': use"),
        ("ext::sh -c id", "r", 6, "cannot reach origin"),
    ],
)
def test_joining_what_is_not_there_leaves_the_folder_empty(
    address: str, run: str, code: int, text: str, both: World, tmp_path: Path
) -> None:
    both.one.sync()
    folder = tmp_path / "empty"
    folder.mkdir()
    words = ("agent", "tuner", "--remote", address.format(hub=both.hub.path), "--run", run)
    assert text in Checkout(folder, both.hub.environment).evogit(*words, expect=code).stderr
    assert list(folder.iterdir()) == []


def test_a_folder_with_files_and_no_repository_is_refused(tmp_path: Path, world: dict[str, str]) -> None:
    (tmp_path / "file").touch()
    done = Checkout(tmp_path, world).evogit("agent", "tuner", "--remote", "/nowhere", expect=2)
    assert "is in no repository and not empty; join from an empty folder" in done.stderr


@pytest.mark.heavy
def test_trust_is_asked_again_when_what_runs_changes(both: World) -> None:
    two = both.two_begins()
    checkout = two.checkout
    assert "say --trust" in checkout.evogit("agent", "tuner", "--evals", "1", expect=5).stderr
    assert "say --trust" in checkout.evogit("evaluate", "base", expect=5).stderr
    checkout.evogit("agent", "tuner", "--evals", "1", "--trust")
    checkout.evogit("evaluate", "base")
    _amend(both.one.checkout, "task.json", '"base"', '"goal":"Higher","base"')
    both.one.sync()
    two.sync()
    checkout.evogit("agent", "tuner", "--evals", "1")
    _amend(both.one.checkout, "evogit.toml", "sh score.sh", "sh score.sh; touch /tmp/owned")
    both.one.sync()
    two.sync()
    said = checkout.evogit("agent", "tuner", "--evals", "1", expect=5).stderr
    assert "it would run `sh score.sh; touch /tmp/owned` as you" in said


def _amend(checkout: Checkout, file: str, old: str, new: str) -> None:
    tip = checkout.git("rev-parse", "refs/evogit/r/task")
    content = checkout.git("show", f"{tip}:{file}") + "\n"
    assert old in content
    blob = checkout.git("hash-object", "-w", "--stdin", stdin=content.replace(old, new).encode())
    listing = checkout.git("ls-tree", tip).splitlines()
    lines = [line if not line.endswith(f"\t{file}") else f"100644 blob {blob}\t{file}" for line in listing]
    tree = checkout.git("mktree", stdin=("\n".join(lines) + "\n").encode())
    checkout.git("update-ref", "refs/evogit/r/task", checkout.git("commit-tree", "-m", "amend", "-p", tip, tree))


def test_a_run_of_the_same_definition_is_taken_up_and_trusted(both: World) -> None:
    """What it runs is what stands in this work tree: nothing of the remote's is run that a new run would not run."""
    both.one.sync()
    both.two.checkout.git("pull", "-q", "origin", "main")
    done = both.two.checkout.evogit("run", "-n", "1", "--evals", "2", "--remote", "origin")
    assert "going on with run r" in done.stderr
    assert trust.is_trusted(both.two.repo, task.read(both.two.repo, RUN))
    both.two.checkout.evogit("agent", "tuner", "--evals", "1")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.heavy
def test_exchange_over_a_git_daemon(both: World, tmp_path: Path) -> None:
    port = _free_port()
    command = ["git", "daemon", f"--base-path={tmp_path}", "--export-all", "--enable=receive-pack", "--reuseaddr"]
    environment = {**both.hub.environment, "GIT_ALLOW_PROTOCOL": "file:git"}
    daemon = subprocess.Popen(
        [*command, "--listen=127.0.0.1", f"--port={port}"], env=environment, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        address = f"git://127.0.0.1:{port}/hub.git"
        one, two = (Checkout(clone.checkout.path, environment) for clone in (both.one, both.two))
        evidence.wait_for(lambda: not _refuses(port) or None, "the daemon")
        one.evogit("run", "-n", "1", "--run", "r", "--evals", "3", "--remote", address)
        done = two.evogit("agent", "tuner", "--run", "r", "--evals", "3", "--trust", "--remote", address)
        assert f"in step with {address}" in done.stderr
        one.evogit("sync", address)
        assert evidence.lines(one, RUN) == evidence.lines(two, RUN)
        assert len(evidence.journals(one, RUN)) == 2
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(30)


def _refuses(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def over_http(both: World, request: pytest.FixtureRequest) -> Iterator[tuple[Checkout, str]]:
    """The first clone, with the hub as an HTTP remote `web`, and that one's address; it wants a password."""
    words = [sys.executable, str(Path(__file__).with_name("http_hub.py")), str(both.hub.path.parent), *request.param]
    server = subprocess.Popen(words, env=both.hub.environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    address = f"http://127.0.0.1:{server.stdout.readline().strip()}/hub.git"
    both.hub.git("config", "http.receivepack", "true")
    one = Checkout(both.one.checkout.path, {**both.hub.environment, "GIT_ALLOW_PROTOCOL": "file:http"})
    one.git("remote", "add", "web", address)
    yield one, address
    server.kill()
    server.communicate()


_PASSWORD = "!f() { echo username=ada; echo password=secret; }; f"


@pytest.mark.parametrize("over_http", [[]], indirect=True)
def test_credentials_are_those_of_the_users_git(over_http: tuple[Checkout, str], both: World) -> None:
    one, address = over_http
    both.one.write(2)
    said = one.evogit("sync", "web", expect=6).stderr
    assert f"cannot reach web: fatal: could not read Username for '{address.rpartition('/')[0]}'" in said
    one.git("config", "credential.helper", _PASSWORD)
    done = one.evogit("run", "-n", "1", "--run", "r", "--evals", "3", "--remote", "web")
    assert "in step with web" in done.stderr
    assert evidence.journals(both.hub, RUN) == evidence.journals(one, RUN)
    with_password = address.replace("//", "//ada:secret@")
    one.git("config", "--unset", "credential.helper")
    done = one.evogit("sync", with_password, "--json")
    assert "secret" not in done.stdout + done.stderr
    files = (path for path in (one.path / ".git/evogit").rglob("*") if path.is_file())
    assert all(b"secret" not in path.read_bytes() for path in files)


@pytest.mark.parametrize("over_http", [["breaks"]], indirect=True)
@pytest.mark.heavy
def test_a_remote_that_breaks_off_loses_nothing(over_http: tuple[Checkout, str], both: World) -> None:
    one, _ = over_http
    one.git("config", "credential.helper", _PASSWORD)
    both.two_begins().write(40)
    both.two.sync()
    codes = set()
    for _ in range(12):
        name = both.one.write(5)
        code = subprocess.run(one.command("sync", "web"), cwd=one.path, env=one.environment, capture_output=True)
        codes.add(code.returncode)
    assert codes <= {0, 6}
    assert evidence.fsck(one) == []
    both.one.sync()
    both.two.sync()
    assert evidence.lines(one, RUN) == evidence.lines(both.two.checkout, RUN)
    assert both.hub.git("rev-parse", f"refs/notes/evogit/r/{name}.journal") == both.one.tip(name)
