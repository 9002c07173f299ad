"""Running the git program as the user would: with their configuration, credentials, signer and hooks.

Only for what a person asked to have done in their own name; everything else goes through `git`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence

from evogit.errors import StorageError
from evogit.store.commits import plain_text
from evogit.store.remote import without_secret
from evogit.store.repository import Repository

_OF_ANOTHER_REPOSITORY = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "COMMON_DIR", "INDEX_FILE", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "PREFIX"),
        *("NAMESPACE", "GRAFT_FILE", "SHALLOW_FILE", "IMPLICIT_WORK_TREE", "INTERNAL_SUPER_PREFIX", "QUARANTINE_PATH"),
    )
)
"""What a hook's environment says of the repository it runs in, which need not be this one."""
_TELLING = ("fatal:", "error:", "remote:", " !")


def run(repo: Repository, arguments: Sequence[str], caller: Mapping[str, str], *, stdin: bytes = b"") -> bytes:
    """Run `git <arguments>` with the environment `caller` and return its output.

    There is no time limit: a signer or a remote may have to ask a person, on the terminal.

    Raises:
        StorageError: git is missing or failed; the text has git's own reason.
    """
    program = shutil.which("git", path=caller.get("PATH"))
    if program is None:
        raise StorageError("the git program is not on PATH; install git 2.34 or newer")
    kept = {name: value for name, value in caller.items() if name not in _OF_ANOTHER_REPOSITORY}
    where = [f"--git-dir={repo.raw.path}", *([f"--work-tree={repo.work}"] if repo.work else [])]
    done = subprocess.run(
        [program, *where, *arguments], input=stdin, capture_output=True, env={**kept, "LC_ALL": "C"},
        cwd=repo.work or repo.common,
    )  # fmt: skip
    if done.returncode:
        verb = next(word for word in arguments if not word.startswith("-") and "=" not in word)
        said = done.stderr.decode("utf-8", "replace").splitlines()
        reason = [line.strip() for line in said if line.startswith(_TELLING) and line.strip() != "remote:"] or said[-3:]
        words = without_secret("; ".join(plain_text(line) for line in reason[:4]))  # a remote's own are among them
        raise StorageError(f"git {verb} failed in {repo.common}: {words}")
    return done.stdout
