"""The export: exactly the tree and the protected files, whatever was done to the directory before."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest
from conftest import CONFIG, Checkout

from evogit.errors import StorageError
from evogit.model import TreeId
from evogit.store import trees
from evogit.store.export import Export
from evogit.store.freeze import freeze
from evogit.store.repository import Repository, open_repository
from evogit.store.trees import FILE_MODE, Entry


def _export(checkout: Checkout, root: Path) -> tuple[Repository, Export]:
    repo = open_repository(checkout.path)
    return repo, Export(repo, freeze(repo).definition, root)


def _content(root: Path) -> dict[str, tuple[bytes, int]]:
    found = {}
    for folder, folders, names in os.walk(root):
        for name in names + [name for name in folders if (Path(folder) / name).is_symlink()]:
            path = Path(folder) / name
            data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(root))] = (data, path.lstat().st_mode)
    return found


def _tree(checkout: Checkout, revision: str = "HEAD") -> TreeId:
    return TreeId(checkout.git("rev-parse", f"{revision}^{{tree}}"))


def test_protected_files_are_those_of_the_work_tree_when_it_was_frozen(toy: Checkout, tmp_path: Path) -> None:
    (toy.path / "bench.py").write_text("print('uncommitted')\n")
    (toy.path / "knobs.py").write_text("uncommitted, and not part of the run\n")
    _, export = _export(toy, tmp_path / "out")
    (toy.path / "bench.py").write_text("too late\n")
    export.switch(_tree(toy))
    assert (export.root / "bench.py").read_text() == "print('uncommitted')\n"
    assert (export.root / "knobs.py").read_text() == toy.git("show", "HEAD:knobs.py") + "\n"
    assert sorted(_content(export.root)) == ["bench.py", "evogit.toml", "knobs.py"]


def test_a_candidate_cannot_bring_its_own_protected_files(toy: Checkout, tmp_path: Path) -> None:
    repo, export = _export(toy, tmp_path / "out")
    evil = pygit2.Oid(hex=toy.git("hash-object", "-w", "--stdin", stdin=b"evil"))
    tree = trees.build(
        repo,
        pygit2.Oid(hex=_tree(toy)),
        {path: Entry(FILE_MODE, evil) for path in (b"bench.py", b"tests/new.py", b"ok.py")},
    )
    export.switch(TreeId(str(tree)))
    assert "evil" not in (export.root / "bench.py").read_text()
    assert sorted(_content(export.root)) == ["bench.py", "evogit.toml", "knobs.py", "ok.py"]


def test_bytes_are_those_of_the_blobs(new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    attributes = "*.txt text eol=crlf\nsecret.c export-ignore\nident.c ident\nu.md working-tree-encoding=UTF-16LE\n"
    files = {
        "evogit.toml": CONFIG,
        "a.txt": "x\ny\n",
        "secret.c": "1",
        "ident.c": "$Id$",
        "u.md": "text",
        "run.sh": "#",
    }
    checkout = new_checkout("bytes", files)
    (checkout.path / ".gitattributes").write_text(attributes)
    (checkout.path / "run.sh").chmod(0o755)
    (checkout.path / "link").symlink_to("a.txt")
    checkout.git("config", "core.autocrlf", "true")
    checkout.git("add", "-A")
    checkout.git("update-index", "--chmod=+x", "run.sh")
    checkout.git("commit", "-qm", "attributes")
    _, export = _export(checkout, tmp_path / "out")
    export.switch(_tree(checkout))
    for path, (data, mode) in _content(export.root).items():
        entry = checkout.git("ls-tree", "HEAD", "--", path).split()
        assert checkout.git("hash-object", "--no-filters", "--stdin", stdin=data) == entry[2], path
        assert bool(mode & 0o100) == (entry[0] != "100644") or path == "link"


_DAMAGE: dict[str, Callable[[Path], object]] = {
    "changed": lambda root: (root / "knobs.py").write_text("A = 9999"),
    "changed in place, same size and time": lambda root: _same_size(root / "knobs.py"),
    "deleted": lambda root: (root / "knobs.py").unlink(),
    "left": lambda root: (root / "cache.bin").write_text("x"),
    "left in a new folder": lambda root: _make(root / "a/b/c", "x"),
    "protected file changed": lambda root: (root / "bench.py").write_text("score = 1"),
    "mode": lambda root: (root / "knobs.py").chmod(0o777),
    "link in place of a file": lambda root: _replace(root / "knobs.py", "/etc/passwd"),
    "folder in place of a file": lambda root: _folder(root / "knobs.py"),
    "a folder replaced by a link out": lambda root: _link_folder(root / "pkg", root.parent / "outside"),
    "a folder deleted": lambda root: _remove_folder(root / "pkg"),
    "everything deleted": lambda root: _remove_folder(root),
    "a folder nobody may enter": lambda root: _lock(root / "locked"),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_nothing_an_evaluation_does_reaches_the_next(
    name: str, new_checkout: Callable[..., Checkout], tmp_path: Path
) -> None:
    files = {"evogit.toml": CONFIG, "bench.py": "1", "knobs.py": "A = 1111", "pkg/x.py": "x", "pkg/deep/y.py": "y"}
    checkout = new_checkout("damage", files)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.py").write_text("the user's")
    _, export = _export(checkout, tmp_path / "out")
    export.switch(_tree(checkout))
    clean = _content(export.root)
    _DAMAGE[name](export.root)
    export.switch(_tree(checkout))
    assert _content(export.root) == clean
    assert (outside / "x.py").read_text() == "the user's"


def test_switching_between_many_trees_always_gives_the_tree(
    new_checkout: Callable[..., Checkout], tmp_path: Path
) -> None:
    """Files become folders, folders links, and back; after each switch the directory is the tree."""
    checkout = new_checkout("many", {"evogit.toml": CONFIG, "a": "0"})
    repo, export = _export(checkout, tmp_path / "out")
    rng = random.Random(5)
    blob = [pygit2.Oid(hex=checkout.git("hash-object", "-w", "--stdin", stdin=str(n).encode())) for n in range(4)]
    tree: pygit2.Oid | None = pygit2.Oid(hex=_tree(checkout))
    paths = [b"a", b"a/b", b"a/b/c", b"d/e", b"d/f", b"g"]
    for _ in range(60):
        path, mode = rng.choice(paths), rng.choice([0o100644, 0o100755, 0o120000])
        tree = trees.build(repo, tree, {path: rng.choice([None, Entry(mode, rng.choice(blob))])})
        export.switch(TreeId(str(tree)))
        wanted = {p.decode(): trees.read_blob(repo, e.id) for p, e in trees.files(repo, str(tree)).items()}
        assert {path: data for path, (data, _) in _content(export.root).items()} == wanted


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b"git~1", b".git ", b".g\xe2\x80\x8cit"])
def test_a_hostile_tree_is_refused(name: bytes, toy: Checkout, tmp_path: Path) -> None:
    repo, export = _export(toy, tmp_path / "out")
    blob = pygit2.Oid(hex=toy.git("hash-object", "-w", "--stdin", stdin=b"evil"))
    tree = repo.raw.write(pygit2.enums.ObjectType.TREE, trees.format_tree({name: Entry(FILE_MODE, blob)}))
    outer = repo.raw.write(pygit2.enums.ObjectType.TREE, trees.format_tree({b"sub": Entry(trees.TREE_MODE, tree)}))
    for hostile in (tree, outer):
        with pytest.raises(StorageError, match="is not exported"):
            export.switch(TreeId(str(hostile)))
    export.switch(_tree(toy))
    assert sorted(_content(export.root)) == ["bench.py", "evogit.toml", "knobs.py"]


@pytest.mark.heavy
def test_a_tree_bomb_is_refused_before_it_is_written(toy: Checkout, tmp_path: Path) -> None:
    repo, export = _export(toy, tmp_path / "out")
    inner = pygit2.Oid(hex=toy.git("hash-object", "-w", "--stdin", stdin=b"x"))
    mode = FILE_MODE
    for _ in range(9):
        entries = {b"%d" % number: Entry(mode, inner) for number in range(10)}
        inner, mode = repo.raw.write(pygit2.enums.ObjectType.TREE, trees.format_tree(entries)), trees.TREE_MODE
    with pytest.raises(StorageError, match="more than 200000 files"):
        export.switch(TreeId(str(inner)))


def _same_size(path: Path) -> None:
    status = path.stat()
    with path.open("r+") as file:
        file.write("A = 9999")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _make(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text("x")


def _replace(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inner").write_text("x")


def _link_folder(path: Path, target: Path) -> None:
    _remove_folder(path)
    path.symlink_to(target)


def _remove_folder(path: Path) -> None:
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            (Path(folder) / name).unlink()
        Path(folder).rmdir()


def _lock(path: Path) -> None:
    _make(path, "x")
    path.chmod(0)
