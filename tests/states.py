"""Repositories in the states people leave them in: each builder returns what evogit must work in and leave alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from conftest import Checkout

CONFIG = """editable = ["*.ini", "*.bin"]
[evaluator]
command = "sh lib/score.sh"
timeout_s = 20
"""
SCORE = """for file in ./*.ini; do . "$file"; done
. tests/offset.sh
echo "{\\"score\\": $A, \\"metrics\\": {\\"offset\\": $OFFSET}}" > "$EVOGIT_RESULT"
"""
PROJECT = {
    "knobs.ini": "A=1.5\nB=40\n",
    "lib/score.sh": SCORE,
    "tests/offset.sh": "OFFSET=1\n",
    "notes.txt": "one\n",
    "evogit.toml": CONFIG,
    ".gitignore": "*.log\n",
}
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'6' * 64}\nsize 12345\n"
HOOKS = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg"),
    *("commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-receive", "update"),
    *("proc-receive", "post-receive", "post-update", "reference-transaction", "push-to-checkout", "pre-auto-gc"),
    *("post-rewrite", "fsmonitor-watchman", "post-index-change"),
)
_LONG_AGO = 1_500_000_000


def project(path: Path, environment: dict[str, str], files: Mapping[str, str] | None = None) -> Checkout:
    """Make a repository with a shell script that scores an INI file, and with notes, a stash, a tag, packed refs."""
    checkout = empty(path, environment)
    for name, content in {**PROJECT, **(files or {})}.items():
        write(checkout, name, content)
    checkout.commit("init")
    checkout.git("tag", "-a", "v1", "-m", "one")
    checkout.git("branch", "evogit-of-mine")
    checkout.git("notes", "add", "-m", "mine")
    checkout.git("notes", "--ref=evogit-of-mine", "add", "-m", "mine")
    write(checkout, "notes.txt", "stashed\n")
    checkout.git("stash")
    checkout.git("pack-refs", "--all")
    return checkout


def empty(path: Path, environment: dict[str, str]) -> Checkout:
    """Make a repository without a commit."""
    path.mkdir(parents=True)
    checkout = Checkout(path, environment)
    checkout.git("init", "-q", "-b", "main")
    return checkout


def write(checkout: Checkout, name: str, content: str) -> None:
    """Write a file with a time long past, so that Git need not doubt that its index knows the content."""
    path = checkout.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, newline="")
    os.utime(path, (_LONG_AGO, _LONG_AGO))


def together(here: Checkout, commands: Iterable[Sequence[str]]) -> list[tuple[int, str, str]]:
    """Run commands of evogit at the same time; return exit code, output and messages of each, in their order."""
    started = [(command, here.start(*command)) for command in commands]
    ended = [(process.communicate(timeout=120), process.returncode) for _, process in started]
    for (command, _), ((_, errors), _) in zip(started, ended, strict=True):
        assert "Traceback" not in errors, (command, errors)
    return [(code, said, errors) for (said, errors), code in ended]


def trap(folder: Path) -> str:
    """Make a program that fails and leaves a line in `<folder>/ran`; returns its path."""
    program = folder / "trap"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{folder}/ran"\nexit 1\n')
    program.chmod(0o755)
    return str(program)


def dirty(checkout: Checkout, aside: Path) -> Checkout:
    """Staged, unstaged, deleted, renamed, untracked and ignored files, empty folders, an intent to add."""
    write(checkout, "gone.txt", "x\n")
    write(checkout, "old.txt", "a file to rename\n")
    checkout.commit("more")
    checkout.git("rm", "-q", "gone.txt")
    checkout.git("mv", "old.txt", "new.txt")
    write(checkout, "notes.txt", "staged\n")
    checkout.git("add", "notes.txt")
    write(checkout, "notes.txt", "unstaged\n")
    write(checkout, ".gitignore", "*.log\n*.tmp\n")
    for name in ("untracked.txt", "build.log", "a.tmp", "wanted.txt", "folder/untracked.txt"):
        write(checkout, name, "x\n")
    checkout.git("add", "-N", "wanted.txt")
    (checkout.path / "nothing" / "here").mkdir(parents=True)
    (checkout.path / "link").symlink_to("nowhere")
    return checkout


def detached(checkout: Checkout, aside: Path) -> Checkout:
    """HEAD is no branch."""
    write(checkout, "notes.txt", "two\n")
    checkout.commit("two")
    checkout.git("checkout", "-q", "--detach", "HEAD~1")
    return checkout


def merging(checkout: Checkout, aside: Path) -> Checkout:
    """A merge stopped at a conflict."""
    checkout.git("checkout", "-q", "-b", "side")
    write(checkout, "notes.txt", "side\n")
    checkout.commit("side")
    checkout.git("checkout", "-q", "main")
    write(checkout, "notes.txt", "main\n")
    checkout.commit("main")
    checkout.git("merge", "side", check=False)
    assert checkout.git("ls-files", "--unmerged")
    return checkout


def rebasing(checkout: Checkout, aside: Path) -> Checkout:
    """A rebase stopped at a conflict, in the middle of a bisection."""
    merging(checkout, aside)
    checkout.git("merge", "--abort")
    checkout.git("bisect", "start", "HEAD", "v1")
    checkout.git("rebase", "side", check=False)
    assert (checkout.path / ".git" / "rebase-merge").is_dir()
    return checkout


def bare(checkout: Checkout, aside: Path) -> Checkout:
    """A repository without a work tree."""
    checkout.git("clone", "-q", "--bare", str(checkout.path), str(aside / "bare.git"))
    return Checkout(aside / "bare.git", checkout.environment)


def linked(checkout: Checkout, aside: Path) -> Checkout:
    """Called in a linked work tree, both it and the main one dirty."""
    checkout.git("worktree", "add", "-q", "-b", "other", str(aside / "linked"))
    other = Checkout(aside / "linked", checkout.environment)
    dirty(checkout, aside)
    write(other, "notes.txt", "changed here\n")
    return other


def shallow(checkout: Checkout, aside: Path) -> Checkout:
    """A clone with its history cut off."""
    write(checkout, "notes.txt", "two\n")
    checkout.commit("two")
    checkout.git("clone", "-q", "--depth", "1", f"file://{checkout.path}", str(aside / "shallow"))
    return Checkout(aside / "shallow", checkout.environment)


def submodules(checkout: Checkout, aside: Path) -> Checkout:
    """One submodule that is dirty, one that is not there."""
    library = empty(aside / "library", checkout.environment)
    write(library, "file.txt", "x\n")
    library.commit("library")
    for name in ("here", "absent"):
        checkout.git("submodule", "--quiet", "add", f"file://{library.path}", name)
    checkout.commit("submodules")
    checkout.git("submodule", "--quiet", "deinit", "-f", "absent")
    write(checkout, "here/file.txt", "changed\n")
    write(checkout, "here/more.txt", "new\n")
    return checkout


def sparse(checkout: Checkout, aside: Path) -> Checkout:
    """What scores is committed but not checked out."""
    checkout.git("sparse-checkout", "set", "--cone", "elsewhere")
    assert not (checkout.path / "lib").exists()
    return checkout


def line_endings(checkout: Checkout, aside: Path) -> Checkout:
    """Files with CRLF in the work tree and LF in the repository."""
    checkout.git("config", "core.autocrlf", "true")
    for name, content in PROJECT.items():
        write(checkout, name, content.replace("\n", "\r\n"))
    checkout.git("add", "--renormalize", ".")
    assert checkout.git("status", "--porcelain") == ""
    return checkout


def large_files(checkout: Checkout, aside: Path) -> Checkout:
    """Pointers of Git LFS, without the content and with a filter that fails."""
    write(checkout, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    write(checkout, "model.bin", POINTER)
    checkout.commit("a large file")
    program = trap(aside)
    for key in ("clean", "smudge", "process"):
        checkout.git("config", f"filter.lfs.{key}", program)
    checkout.git("config", "filter.lfs.required", "true")
    return checkout


def programs(checkout: Checkout, aside: Path) -> Checkout:
    """Every program the repository's configuration can name is one that fails, hooks included."""
    program = trap(aside)
    _fill_with_hooks(aside / "hooks", program)
    (checkout.path / ".git" / "info" / "attributes").write_text("* diff=odd merge=odd\n")
    settings = {
        "core.hooksPath": str(aside / "hooks"),
        "core.fsmonitor": program,
        "diff.external": program,
        "diff.odd.command": program,
        "diff.odd.textconv": program,
        "merge.odd.driver": program,
        **_SIGNING,
        **dict.fromkeys(_PROGRAMS, program),
    }
    with (checkout.path / ".git" / "config").open("a") as file:
        for key, value in settings.items():
            section, _, name = key.rpartition(".")
            group, _, rest = section.partition(".")
            file.write(f'[{group} "{rest}"]\n{name} = "{value}"\n' if rest else f'[{group}]\n{name} = "{value}"\n')
    return checkout


def programs_of_home(checkout: Checkout, aside: Path) -> Checkout:
    """The same in the user's own configuration, with aliases and a template; hooks where they are by default."""
    program = trap(aside)
    _fill_with_hooks(checkout.path / ".git" / "hooks", program)
    home = aside / "home"
    home.mkdir()
    lines = [
        f'[{key.partition(".")[0]}]\n{key.partition(".")[2]} = "{program}"' for key in (*_PROGRAMS, "diff.external")
    ]
    lines += [f'[{key.partition(".")[0]}]\n{key.partition(".")[2]} = "{value}"' for key, value in _SIGNING.items()]
    commands = ("repack", "commit-graph", "diff", "apply", "version", "log", "commit", "evogit")
    lines += ["[alias]", *(f'{name} = "!{program}"' for name in commands)]
    lines += ["[pager]", *(f'{name} = "{program}"' for name in commands)]
    (home / ".gitconfig").write_text("\n".join(lines) + "\n")
    kept = {name: value for name, value in checkout.environment.items() if name != "GIT_CONFIG_GLOBAL"}
    environment = {**kept, "HOME": str(home), "PAGER": program, "EDITOR": program, "GIT_EXTERNAL_DIFF": program}
    return Checkout(checkout.path, {**environment, "GIT_PAGER": program, "GIT_EDITOR": program, "VISUAL": program})


_PROGRAMS = (
    *("core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.alternateRefsCommand", "gpg.program"),
    *("credential.helper", "interactive.diffFilter", "sequence.editor", "uploadpack.packObjectsHook"),
)
_SIGNING = {"commit.gpgSign": "true", "tag.gpgSign": "true", "log.showSignature": "true", "commit.template": "/none"}


def _fill_with_hooks(folder: Path, program: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in HOOKS:
        (folder / name).write_text(Path(program).read_text())
        (folder / name).chmod(0o755 | stat.S_IXUSR)


def names_taken(checkout: Checkout, aside: Path) -> Checkout:
    """A tag, a remote and its branches are called evogit."""
    checkout.git("tag", "evogit")
    checkout.git("remote", "add", "evogit", str(aside))
    for name in ("evogit", "main", "evogit/first"):
        checkout.git("update-ref", f"refs/remotes/evogit/{name.replace('evogit/', 'x/')}", "HEAD")
    return checkout


def leftovers(checkout: Checkout, aside: Path) -> Checkout:
    """Empty folders where evogit's refs must go, as Git leaves them behind when refs below them are deleted."""
    private = checkout.path / ".git" / "evogit"
    private.mkdir()
    (private / "clone-id").write_text("abcdef\n")
    for top in ("refs", "logs/refs"):
        for name in (
            "heads/evogit/first/tuner-1-abcdef",
            "notes/evogit/first/tuner-1-abcdef.journal",
            "evogit/first/task",
        ):
            (checkout.path / ".git" / top / name / "x").mkdir(parents=True)
    return checkout


def replaced(checkout: Checkout, aside: Path) -> Checkout:
    """Replacements of the file to evolve and of the commit to start from."""
    other = checkout.git("hash-object", "-w", "--stdin", stdin=b"A=1000\nB=1000\n")
    checkout.git("replace", checkout.git("rev-parse", "HEAD:knobs.ini"), other)
    orphan = checkout.git("commit-tree", "-m", "another", "HEAD^{tree}")
    checkout.git("replace", "HEAD", orphan)
    return checkout


def folder_in_environment(checkout: Checkout, aside: Path) -> Checkout:
    """Only GIT_DIR and GIT_WORK_TREE say where the repository is, and another repository lies around both."""
    empty(aside / "around", checkout.environment)
    work = aside / "around" / "work"
    checkout.path.rename(work)
    (work / ".git").rename(aside / "around" / "elsewhere")
    named = {"GIT_DIR": str(aside / "around" / "elsewhere"), "GIT_WORK_TREE": str(work)}
    return Checkout(work, {**checkout.environment, **named})


def separate(checkout: Checkout, aside: Path) -> Checkout:
    """The `.git` folder is elsewhere, and `.git` a file."""
    checkout.git("init", "-q", "--separate-git-dir", str(aside / "elsewhere"))
    return checkout


STATES: dict[str, Callable[[Checkout, Path], Checkout]] = {
    state.__name__: state
    for state in (
        *(dirty, detached, merging, rebasing, bare, linked, shallow, submodules, sparse, line_endings, large_files),
        *(programs, programs_of_home, names_taken, leftovers, replaced, folder_in_environment, separate),
    )
}
