"""What the engine is compared with: git doing the same by its fastest way in, and the way people write first."""

from __future__ import annotations

import time
from random import Random
from resource import RUSAGE_CHILDREN, getrusage

from scene import RUN, Scene

_FIRST_FILE = "src/m00000.py"
_MANY_FILES = "src/p000/m00000.py"


def fast_import(scene: Scene, count: int) -> float:
    """Stream `count` candidates with a note each into one `git fast-import`; return milliseconds of CPU for each."""
    rng = Random(5)
    base = scene.git("rev-parse", "HEAD").decode().strip()
    content = scene.git("show", f"HEAD:{file_of(scene)}")
    parts: list[bytes] = []
    for number in range(count):
        blob = content + b"VALUE = %r\n" % rng.random()
        note = b'{"kind":"score","value":%r,"padding":"%s"}\n' % (rng.random(), b"x" * 500)
        parts += [
            b"commit refs/heads/imported\nmark :%d\n" % (number + 1),
            b"committer Ada <ada@example.invalid> 1767225600 +0000\ndata 12\nChange a way\n",
            b"from %s\nM 100644 inline %s\ndata %d\n%s\n" % (base.encode(), file_of(scene).encode(), len(blob), blob),
            b"commit refs/notes/imported\n",
            b"committer Ada <ada@example.invalid> 1767225600 +0000\ndata 5\nscore\n",
            b"N inline :%d\ndata %d\n%s\n" % (number + 1, len(note), note),
        ]
    begun = _children()
    scene.git("fast-import", "--quiet", "--force", stdin=b"".join(parts))
    return (_children() - begun) * 1000 / count


def naive(scene: Scene, count: int) -> float:
    """Make `count` candidates by work tree, commit and `git notes add`; return milliseconds of CPU for each."""
    target = scene.path.parent / f"{scene.path.name}.worktree"
    begun = _children()
    for _ in range(count):
        scene.git("worktree", "add", "-q", "--detach", str(target), "HEAD")
        with (target / file_of(scene)).open("a") as file:
            file.write(f"VALUE = {time.time_ns()}\n")  # a commit of its own each time
        scene.git("-C", str(target), "commit", "-q", "-a", "-m", "Change a way")
        commit = scene.git("-C", str(target), "rev-parse", "HEAD").decode().strip()
        scene.git("notes", "--ref=naive", "add", "-m", '{"kind":"score","value":1.5}', commit)
        scene.git("worktree", "remove", "--force", str(target))
    return (_children() - begun) * 1000 / count


def git_log(scene: Scene) -> float:
    """Return the milliseconds of CPU for `git log` to print every candidate of the run with its note."""
    begun = _children()
    scene.git(
        "log", "--format=%H %P %T %at %N", f"--notes=evogit/{RUN}/*", "--exclude=refs/evogit/*",
        *(f"{ref}^@" for ref in scene.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit").decode().split()),
    )  # fmt: skip
    return (_children() - begun) * 1000


def file_of(scene: Scene) -> str:
    """Return the file that candidates change."""
    return _FIRST_FILE if (scene.path / _FIRST_FILE).exists() else _MANY_FILES


def _children() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
