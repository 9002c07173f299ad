"""Notes trees: ours can be read by git, and git's by us, whatever the fan-out."""

from __future__ import annotations

import hashlib

import pygit2
import pytest
from conftest import Checkout

from evogit.model import CommitId
from evogit.store import notes, trees
from evogit.store.repository import Repository, open_repository
from evogit.store.trees import FILE_MODE, TREE_MODE, Entry


def _commit_ids(count: int) -> list[CommitId]:
    return [CommitId(hashlib.sha1(str(number).encode()).hexdigest()) for number in range(count)]


def _note(repo: Repository, text: str) -> pygit2.Oid:
    return repo.raw.create_blob(text.encode())


def _read(repo: Repository, tree: pygit2.Oid | None) -> dict[CommitId, str]:
    return {
        change.commit: trees.read_blob(repo, change.new).decode()
        for change in notes.changed(repo, None, tree)
        if change.new
    }


def test_what_we_write_git_lists_and_what_we_wrote_we_read(toy: Checkout) -> None:
    repo = open_repository(toy.path)
    tree, written = None, notes.NotesTree(repo, None)
    commits = _commit_ids(300)
    for number, commit in enumerate(commits):
        tree = written.put(commit, _note(repo, f"note {number}\n"))
    assert _read(repo, tree) == {commit: f"note {number}\n" for number, commit in enumerate(commits)}
    toy.git("update-ref", "refs/notes/x", toy.git("commit-tree", "-m", "notes", str(tree)))
    listed = toy.git("notes", "--ref=x", "list").splitlines()
    assert sorted(listed) == sorted(f"{written.get(commit)} {commit}" for commit in commits)
    paths = toy.git("ls-tree", "-r", "--name-only", "refs/notes/x").splitlines()
    assert {len(path.partition("/")[0]) for path in paths} == {2}
    assert {len(path.partition("/")[2]) for path in paths} == {38}


@pytest.mark.parametrize("depths", [(0,), (1,), (2,), (3,), (0, 1, 2)])
def test_any_fan_out_is_read_and_continued(toy: Checkout, depths: tuple[int, ...]) -> None:
    repo = open_repository(toy.path)
    paths: dict[bytes, Entry | None] = {}
    for number, commit in enumerate(_commit_ids(40)):
        depth = depths[number % len(depths)]
        parts = [commit[2 * level : 2 * level + 2] for level in range(depth)] + [commit[2 * depth :]]
        paths["/".join(parts).encode()] = Entry(FILE_MODE, _note(repo, f"old {number}"))
    foreign = trees.build(repo, None, paths)
    new = _commit_ids(41)[-1]
    tree = notes.NotesTree(repo, foreign).put(new, _note(repo, "new"))
    wanted = {commit: f"old {number}" for number, commit in enumerate(_commit_ids(40))}
    assert _read(repo, foreign) == wanted
    assert _read(repo, tree) == wanted | {new: "new"}
    assert [change.commit for change in notes.changed(repo, foreign, tree)] == [new]


def test_git_itself_may_go_on_with_our_notes(toy: Checkout) -> None:
    """`git notes append` rewrites the tree as it likes; nothing is lost and nothing looks new that is not."""
    repo = open_repository(toy.path)
    written, tree = notes.NotesTree(repo, None), None
    for number, commit in enumerate(_commit_ids(20)):
        tree = written.put(commit, _note(repo, f"{number}\n"))
    toy.git("update-ref", "refs/notes/x", toy.git("commit-tree", "-m", "notes", str(tree)))
    toy.git("notes", "--ref=x", "append", "-m", "by hand", "HEAD")
    after = repo.raw[repo.raw.references["refs/notes/x"].target].peel(pygit2.Tree).id
    assert [change.commit for change in notes.changed(repo, tree, after)] == [toy.git("rev-parse", "HEAD")]


def test_what_is_no_note_is_passed_over(toy: Checkout) -> None:
    repo = open_repository(toy.path)
    commit = _commit_ids(1)[0]
    paths: dict[bytes, Entry | None] = {
        b"README": Entry(FILE_MODE, _note(repo, "x")),
        commit.encode(): Entry(FILE_MODE, _note(repo, "note")),
        b"zz/" + commit[2:].encode(): Entry(FILE_MODE, _note(repo, "x")),
        commit[:38].encode() + b"/" + b"g0": Entry(FILE_MODE, _note(repo, "x")),
    }
    assert _read(repo, trees.build(repo, None, paths)) == {commit: "note"}


def test_a_tree_with_odd_names_keeps_them(toy: Checkout) -> None:
    repo = open_repository(toy.path)
    entries = {
        name: Entry(FILE_MODE, _note(repo, repr(name)))
        for name in (b"b\xff\xfe", b"new\nline", b"-rf", b"a", b"a.b", b"a0", " ü".encode())
    }
    tree = trees.build(repo, None, {**entries, b"a-folder/x": entries[b"a"]})
    toy.git("update-ref", "refs/test", toy.git("commit-tree", "-m", "x", str(tree)))
    assert toy.git("fsck", "--strict") == ""
    assert trees.files(repo, str(tree)) == {**entries, b"a-folder/x": entries[b"a"]}
    assert tree is not None
    changed = trees.build(repo, tree, {b"a-folder/x": None, b"a": Entry(TREE_MODE, tree)})
    found = {change.path: (change.old is None, change.new is None) for change in trees.changes(repo, tree, changed)}
    below = {b"a/" + path: (True, False) for path in trees.files(repo, str(tree))}
    assert found == {b"a": (False, True), b"a-folder/x": (False, True), **below}
