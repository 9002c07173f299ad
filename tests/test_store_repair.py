"""What crashes, power cuts and hostile writers leave in a repository: mended if it is ours, passed over if not."""

from __future__ import annotations

import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha1
from pathlib import Path
from random import Random

import evidence
import pygit2
import pytest
from conftest import Checkout
from evidence import Gate

from evogit.model import Direction, RunName
from evogit.store import task
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

_RUN = RunName("r")
_MISSING = "5" * 40


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test(tmp_path: Path, world: dict[str, str]) -> Iterator[None]:
    yield
    evidence.kill_all([tmp_path, Path(world["HOME"])])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once and copied for each test."""
    return tmp_path_factory.mktemp("prepared") / "toy"


@pytest.fixture
def used(toy: Checkout, prepared: Path) -> Checkout:
    """A repository with a run in which one agent was."""
    if prepared.exists():
        shutil.rmtree(toy.path)
        shutil.copytree(prepared, toy.path, symlinks=True)
    else:
        toy.evogit("run", "-n", "1", "--evals", "4", "--run", "r", "--seed", "1")
        shutil.copytree(toy.path, prepared, symlinks=True)
    return toy


def _agent(checkout: Checkout) -> str:
    (name,) = evidence.journals(checkout, "r")
    return name


def _go_on(checkout: Checkout, evaluations: int = 2, seed: int = 2) -> str:
    """Let the agent go on; it must, with exactly so many evaluations, and everything stored before stays."""
    before = evidence.lines(checkout, "r")
    done = checkout.evogit("agent", "tuner", "--run", "r", "--evals", str(evaluations), "--seed", str(seed))
    after = evidence.lines(checkout, "r")
    assert before <= after
    assert sum(b'"kind":"score"' in line for _, _, line in after - before) == evaluations
    return done.stderr


def _snapshot(checkout: Checkout) -> Snapshot:
    repo = open_repository(checkout.path)
    snapshot = Snapshot(repo, _RUN, task.read(repo, _RUN).definition.evaluator, Direction.MAXIMIZE)
    snapshot.refresh()
    return snapshot


def _status(checkout: Checkout) -> dict[str, str]:
    """Return the problems a person is shown."""
    problems = json.loads(checkout.evogit("status", "--run", "r", "--json").stdout)["problems"]
    assert _snapshot(checkout).problems.items() <= problems.items()
    return dict(problems)


def _doctor(checkout: Checkout) -> str:
    findings = json.loads(checkout.evogit("doctor", "--json").stdout)["findings"]
    return "\n".join(finding["text"] for finding in findings if finding["level"] != "ok")


def _loose(checkout: Checkout, oid: str) -> Path:
    return checkout.path / ".git" / "objects" / oid[:2] / oid[2:]


def _overwrite(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def test_locks_of_ones_own_refs_are_removed(used: Checkout) -> None:
    agent = _agent(used)
    refs = used.path / ".git" / "refs"
    locks = [refs / f"notes/evogit/r/{agent}.journal.lock", refs / f"heads/evogit/r/{agent}.lock"]
    for lock in locks:
        lock.touch()
    said = _go_on(used)
    for lock in locks:
        assert f"removed the stale lock {lock}" in said
        assert not lock.exists()
    assert _agent(used) == agent


def test_locks_of_others_are_never_removed(used: Checkout) -> None:
    git = used.path / ".git"
    locks = [git / "index.lock", git / "HEAD.lock", git / "config.lock", git / "packed-refs.lock"]
    locks += [git / "refs/notes/evogit/r/tuner-7-abcdef.journal.lock", git / "refs/evogit/r/task.lock"]
    for lock in locks:
        lock.touch()
    _go_on(used)
    said = _doctor(used)
    assert all(f"{lock} blocks" in said for lock in locks[3:])
    # What cannot be done while somebody holds a lock says which one.
    said = used.evogit("clean", "--run", "r", "--yes", expect=6).stderr
    assert any(str(lock) in said for lock in locks)
    assert all(lock.exists() for lock in locks)


@pytest.mark.heavy
def test_a_lock_that_is_held_while_an_agent_runs_is_named(toy: Checkout) -> None:
    gate = Gate(toy)
    toy.evogit("run", "-n", "1", "--evals", "2", "--run", "r")
    lock = toy.path / ".git" / f"refs/notes/evogit/r/{_agent(toy)}.journal.lock"
    gate.close()
    running = toy.start("agent", "tuner", "--run", "r", "--evals", "2")
    evidence.wait_for(gate.is_reached, "an evaluation")
    lock.touch()
    gate.open()
    said = running.communicate(timeout=120)[1]
    assert running.returncode == 6
    assert str(lock) in said.splitlines()[-1]
    assert lock.exists()
    _go_on(toy)


def _next_objects(used: Checkout, new_checkout: Callable[..., Checkout]) -> list[str]:
    """Return the blobs and trees the agent would write next, found out in a copy of the repository."""
    copy = new_checkout("copy", {"x": ""})
    copy.git("fetch", "-q", str(used.path), "+refs/*:refs/*", "--update-head-ok")
    known = set(copy.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split())
    private_folder = copy.path / ".git" / "evogit"
    private_folder.mkdir()
    for name in ("clone-id", "trusted.txt"):
        (private_folder / name).write_text((used.path / ".git" / "evogit" / name).read_text())
    _go_on(copy)
    listing = copy.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
    found = [line.split() for line in listing.splitlines()]
    return [oid for oid, kind in found if oid not in known and kind in ("blob", "tree")]


@pytest.mark.parametrize(
    "left", [b"", b"\0" * 60, zlib.compress(b"blob 9\0half of i")[:-9]], ids=["0", "zeros", "half"]
)
def test_a_damaged_object_of_a_power_cut_is_moved_aside(
    used: Checkout, new_checkout: Callable[..., Checkout], left: bytes
) -> None:
    # Git and libgit2 take such a file for an object that is there already, and never write it.
    coming = [oid for oid in _next_objects(used, new_checkout) if not _loose(used, oid).exists()]
    assert coming
    for oid in coming:
        _overwrite(_loose(used, oid), left)
    said = _go_on(used)
    assert all(f"moved the damaged object {oid}" in said for oid in coming)
    assert evidence.fsck(used) == []


def test_a_damaged_object_from_before_is_not_ours_to_move(used: Checkout) -> None:
    old = _loose(used, "0123456789" * 4)
    _overwrite(old, b"")
    os.utime(old, (1_000_000_000, 1_000_000_000))
    assert "damaged object" not in _go_on(used)
    assert old.read_bytes() == b""


@pytest.mark.parametrize(
    ("content", "before"),
    [
        pytest.param(b"", "nothing", id="an empty file"),
        pytest.param(b"\0" * 41, "nothing", id="a file of zeros"),
        pytest.param(b"0123\n", "nothing", id="a short file"),
        pytest.param(b"", "packed", id="an older value is packed"),
        pytest.param(b"", "no reflogs", id="there is no reflog"),
        pytest.param(b"", "another run", id="the agent was in another run, too"),
    ],
)
def test_ones_own_journal_is_found_again(used: Checkout, content: bytes, before: str) -> None:
    agent = _agent(used)
    git = used.path / ".git"
    if before == "packed":
        used.git("pack-refs", "--all")
        _go_on(used)
    elif before == "no reflogs":
        used.git("reflog", "expire", "--expire=all", "--all")
    elif before == "another run":
        used.evogit("run", "-n", "1", "--evals", "9", "--run", "other", "--new")
    stored = evidence.lines(used, "r")
    tip = evidence.journals(used, "r")[agent]
    ref = git / f"refs/notes/evogit/r/{agent}.journal"
    _overwrite(ref, content)
    _overwrite(git / f"refs/heads/evogit/r/{agent}", content)
    said = used.evogit("agent", "tuner", "--run", "r", "--evals", "2").stderr
    assert f"found the journal of {agent} again at {tip[:12]}" in said
    assert stored <= evidence.lines(used, "r")
    assert evidence.scores(used, "r") == sum(b'"kind":"score"' in line for _, _, line in stored) + 2
    assert _status(used) == {}
    assert evidence.fsck(used) == []
    used.git("log", "--all", "--oneline")


def test_readers_name_a_journal_that_says_nothing(used: Checkout) -> None:
    ref = f"refs/notes/evogit/r/{_agent(used)}.journal"
    _overwrite(used.path / ".git" / ref, b"")
    # The branch of an agent whose journal cannot be read might be a person's.
    assert set(_status(used)) == {ref, ref.replace("notes", "heads").removesuffix(".journal")}
    assert ref in _doctor(used)
    used.evogit("runs")
    used.evogit("log")
    used.evogit("clean", "--run", "r", "--yes")
    assert list((used.path / ".git" / "refs").rglob("*evogit*/**/*.journal")) == []


def test_an_agent_whose_journal_is_damaged_goes_on_under_a_new_name(used: Checkout) -> None:
    agent = _agent(used)
    tip = evidence.journals(used, "r")[agent]
    damaged = _loose(used, tip).read_bytes()[:20]
    _overwrite(_loose(used, tip), damaged)
    used.evogit("agent", "tuner", "--run", "r", "--evals", "3")
    assert set(_snapshot(used).agents) == {agent.replace("tuner-1-", "tuner-2-")}
    assert set(_status(used)) == {f"refs/notes/evogit/r/{agent}.journal", f"refs/heads/evogit/r/{agent}"}
    assert _loose(used, tip).read_bytes() == damaged
    assert used.git("rev-parse", f"refs/notes/evogit/r/{agent}.journal") == tip


# What others may write. Each maker returns what the journal's ref holds.


def _commit(repo: pygit2.Repository, tree: pygit2.Oid | str, parents: Sequence[pygit2.Oid] = ()) -> str:
    who = pygit2.Signature("Mallory", "mallory@example.invalid", 1_700_000_000, 0)
    return str(repo.create_commit(None, who, who, "evogit: score\n", tree, list(parents)))


def _tree(repo: pygit2.Repository, entries: Mapping[str, tuple[pygit2.Oid | str, int]]) -> pygit2.Oid:
    builder = repo.TreeBuilder()
    for name, (oid, mode) in entries.items():
        builder.insert(name, oid, mode)
    return builder.write()


def _noted(content: bytes) -> Callable[[pygit2.Repository], str]:
    """A journal with one note, on the checked out commit."""

    def make(repo: pygit2.Repository) -> str:
        return _commit(repo, _tree(repo, {str(repo.head.target): (repo.create_blob(content), 0o100644)}))

    return make


def _record(**changed: object) -> bytes:
    record: dict[str, object] = {
        **{
            "agent": "bad-1-abcdef",
            "at": "2026-01-01T00:00:00.000Z",
            "evaluator": "e" * 64,
            "host": "h",
            "kind": "score",
        },
        **{"run": "r", "sandbox": "none", "seconds": 1.0, "seq": 0, "session": "", "status": "ok", "tree": "a" * 40},
        **{"v": 1, "value": 1e9},
    }
    return json.dumps({**record, **changed}, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _tree_bomb(leaf: Callable[[pygit2.Repository], pygit2.Oid], width: int, depth: int) -> Callable[..., str]:
    def make(repo: pygit2.Repository) -> str:
        oid = leaf(repo)
        for _ in range(depth):
            oid = _tree(repo, {f"{number:02x}": (oid, 0o040000) for number in range(width)})
        return _commit(repo, oid)

    return make


def _full_leaf(repo: pygit2.Repository) -> pygit2.Oid:
    blob = repo.create_blob(_record())
    return _tree(repo, {f"{number:036x}": (blob, 0o100644) for number in range(100)})


def _empty_leaf(repo: pygit2.Repository) -> pygit2.Oid:
    return _tree(repo, {})


def _damaged_commit(repo: pygit2.Repository) -> str:
    oid = _noted(_record(seq=78))(repo)
    _overwrite(Path(repo.path) / "objects" / oid[:2] / oid[2:], b"not zlib at all")
    return oid


def _damaged_tree(repo: pygit2.Repository) -> str:
    oid = _noted(_record(seq=79))(repo)
    tree = str(repo[oid].peel(pygit2.Tree).id)
    _overwrite(Path(repo.path) / "objects" / tree[:2] / tree[2:], b"")
    return oid


def _damaged_note(repo: pygit2.Repository) -> str:
    content = _record(seq=77)
    blob = str(repo.create_blob(content))
    oid = _noted(content)(repo)
    path = Path(repo.path) / "objects" / blob[:2] / blob[2:]
    _overwrite(path, path.read_bytes()[:-9])
    return oid


def _note_that_is_a_commit(repo: pygit2.Repository) -> str:
    head = repo.head.target
    return _commit(repo, _tree(repo, {str(head): (head, 0o160000)}))


def _note_that_is_missing(repo: pygit2.Repository) -> str:
    raw = b"100644 " + str(repo.head.target).encode() + b"\0" + bytes.fromhex(_MISSING)
    return _commit(repo, _write_loose(repo, b"tree", raw))


def _write_loose(repo: pygit2.Repository, kind: bytes, content: bytes) -> str:
    """Write an object that libgit2 would refuse to write."""
    whole = kind + b" %d\0" % len(content) + content
    oid = sha1(whole).hexdigest()
    _overwrite(Path(repo.path) / "objects" / oid[:2] / oid[2:], zlib.compress(whole))
    return oid


def _lying_size(repo: pygit2.Repository) -> str:
    """A commit object whose header promises far more than there is."""
    whole = b"commit 99999999999\0tree " + b"a" * 40
    oid = "c" * 40
    _overwrite(Path(repo.path) / "objects" / oid[:2] / oid[2:], zlib.compress(whole))
    return oid


_HOSTILE: dict[str, Callable[[pygit2.Repository], str]] = {
    "an empty ref": lambda _: "",
    "a garbage ref": lambda _: "\x00\x01\x02 hello\n",
    "a missing object": lambda _: _MISSING,
    "a blob": lambda repo: str(repo.create_blob(b"x")),
    "a tree": lambda repo: str(_full_leaf(repo)),
    "a damaged commit": _damaged_commit,
    "a commit of a false size": _lying_size,
    "a damaged tree": _damaged_tree,
    "a commit without a tree": lambda repo: _write_loose(repo, b"commit", b"tree " + _MISSING.encode() + b"\n\nx\n"),
    "a commit that is no commit": lambda repo: _write_loose(repo, b"commit", b"\xff\xfe hello"),
    "a tree that is no tree": lambda repo: _commit_of_raw_tree(repo, b"100644 \xff"),
    "a wide tree bomb": _tree_bomb(_full_leaf, 100, 8),
    "a tree bomb of nothing": _tree_bomb(_empty_leaf, 2, 60),
    "a bottomless tree": _tree_bomb(_full_leaf, 1, 500),
    "a damaged note": _damaged_note,
    "a note that is a commit": _note_that_is_a_commit,
    "a note that is missing": _note_that_is_missing,
    "objects without end": _noted(b'{"v":1,"a":' * 5_000 + b"\n"),
    "a line of 5 MB": _noted(b"x" * 5_000_000 + b"\n"),
    "a long line": _noted(_record(feedback="x" * 70_000)),
    "another agent's record": _noted(_record(agent="tuner-1-abcdef")),
    "another run's record": _noted(_record(run="s")),
    "NaN": _noted(_record().replace(b"1000000000.0", b"NaN")),
    "an infinite value": _noted(_record().replace(b"1000000000.0", b"1e999")),
    "a value of a failure": _noted(_record(status="failed")),
    "a word for a value": _noted(_record(value="9")),
    "a negative number": _noted(_record(seq=-1)),
    "a number beyond all bounds": _noted(_record().replace(b'"seq":0', b'"seq":' + b"9" * 5_000)),
    "an unknown status": _noted(_record(status="splendid")),
    "half a record": _noted(_record()[:100]),
}
_PROSE = {
    "binary junk": Random(1).randbytes(5000),
    "brackets without end": b"[" * 60_000 + b"\n",
    "UTF-16": _record().decode().encode("utf-16"),
    "words": b"looks good to me\n\n  really\n",
    "the future": b'{"v":2,"kind":"score","value":"much"}\n{"v":1,"kind":"dream"}\n',
}


def _commit_of_raw_tree(repo: pygit2.Repository, raw: bytes) -> str:
    tree = _write_loose(repo, b"tree", raw)
    who = "Mallory <mallory@example.invalid> 1700000000 +0000"
    return _write_loose(repo, b"commit", f"tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n".encode())


def _plant(checkout: Checkout, agent: str, make: Callable[[pygit2.Repository], str]) -> str:
    """Put a hostile journal into the repository and return its ref."""
    ref = f"refs/notes/evogit/r/{agent}.journal"
    value = make(pygit2.Repository(str(checkout.path)))
    _overwrite(checkout.path / ".git" / ref, value.encode() + (b"\n" if re.fullmatch("[0-9a-f]{40}", value) else b""))
    return ref


_PLANTED = [
    pytest.param(make, id=name, marks=[pytest.mark.heavy] * (name == "a wide tree bomb"))
    for name, make in _HOSTILE.items()
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", _PLANTED)
def test_a_broken_or_hostile_journal_is_passed_over_and_named(used: Checkout, make: Callable[..., str]) -> None:
    honest, running = _snapshot(used), _snapshot(used)
    ref = _plant(used, "bad-1-abcdef", make)
    for reader in (running, _snapshot(used)):
        for _ in range(50):
            reader.refresh()  # an agent looks twenty times a second: what cannot be read must not cost it all its time
        assert [where.partition(":")[0] for where in reader.problems] == [ref]
        assert reader.evaluations == honest.evaluations
        assert reader.best_value == honest.best_value
        assert reader.candidates == honest.candidates


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in _PROSE.items()])
def test_what_a_person_or_the_future_writes_is_no_problem(used: Checkout, content: bytes) -> None:
    honest = _snapshot(used)
    _plant(used, "bad-1-abcdef", _noted(content))
    reader = _snapshot(used)
    assert reader.problems == {}
    assert reader.candidates == honest.candidates


@pytest.mark.heavy
def test_agents_and_commands_work_beside_hostile_journals(used: Checkout) -> None:
    # Those that cost a reader seconds are tried above.
    hostile = [make for name, make in _HOSTILE.items() if "bomb" not in name]
    planted = {_plant(used, f"bad-{number}-abcdef", make) for number, make in enumerate(hostile)}
    before = _snapshot(used)
    assert {where.partition(":")[0] for where in _status(used)} == planted
    said = used.evogit("agent", "tuner", "--run", "r", "--evals", "2").stderr
    assert all(ref in said for ref in planted)
    assert _snapshot(used).evaluations == before.evaluations + 2
    said = _doctor(used)
    assert all(ref in said for ref in planted)
    for command in ("log", "runs", "best", "show", "diff"):
        used.evogit(command)
    used.evogit("run", "-n", "2", "--evals", "4", "--run", "r")


def _best(checkout: Checkout) -> str:
    return checkout.evogit("best", "-q", "--run", "r").stdout.strip()


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("", id="commit"),
        pytest.param("^{tree}", id="tree", marks=pytest.mark.heavy),
        pytest.param(":knobs.py", id="file", marks=pytest.mark.heavy),
    ],
)
@pytest.mark.parametrize("made_by", ["the same agent", pytest.param("another agent", marks=pytest.mark.heavy)])
def test_a_damaged_candidate_is_not_chosen_any_more(used: Checkout, part: str, made_by: str) -> None:
    best = _best(used)
    assert best != used.git("rev-parse", "HEAD")
    damaged = used.git("rev-parse", f"{best}{part}")
    _overwrite(_loose(used, damaged), _loose(used, damaged).read_bytes()[:15])
    if made_by == "another agent":
        (used.path / ".git" / "evogit" / "clone-id").write_text("abcdef\n")
    before = {record["commit"] for record in evidence.records(used, "r")}
    _go_on(used, 4)
    new = {record["commit"] for record in evidence.records(used, "r")} - before
    assert len(new) == 4
    for commit in new:
        assert best not in used.git("rev-list", "--parents", "-1", commit).split()
    for command in ("status", "log", "runs", "best"):
        used.evogit(command, "--run", "r") if command != "runs" else used.evogit(command)


def test_an_unscored_candidate_that_is_damaged_stops_nobody(used: Checkout) -> None:
    """An evaluation that broke is tried again, but not when the candidate is gone."""
    broken = used.path.parent / "broken"
    toml = used.path / "evogit.toml"
    toml.write_text(toml.read_text().replace('command = "', f'command = "[ -e {broken} ] && exit 125; '))
    used.commit()
    used.evogit("run", "-n", "1", "--evals", "3", "--run", "second")
    broken.touch()
    used.evogit("agent", "tuner", "--run", "second", "--evals", "1")
    broken.unlink()
    (unscored,) = {r["commit"] for r in evidence.records(used, "second") if r.get("status") == "error"}
    _overwrite(_loose(used, unscored), b"damaged")
    used.evogit("agent", "tuner", "--run", "second", "--evals", "2")


def test_packing_that_fails_stops_nobody(used: Checkout) -> None:
    repo = pygit2.Repository(str(used.path))
    damaged = _loose(used, str(repo.create_blob(Random(1).randbytes(9_000))))
    _overwrite(damaged, damaged.read_bytes()[:5_000])  # git packs nothing beside it
    os.utime(damaged, (1_000_000_000, 1_000_000_000))
    folder, number = used.path / ".git" / "objects" / "17", 0
    while not folder.exists() or len(os.listdir(folder)) < 8:
        content = b"%d" % number
        if str(pygit2.hash(content)).startswith("17"):
            repo.create_blob(content)
        number += 1
    assert f"{damaged.parent.name}{damaged.name}" in _go_on(used, 52)
