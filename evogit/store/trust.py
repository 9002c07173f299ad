"""Which definitions of runs may run here: those begun here, and those a person said yes to.

A task that came from another repository decides what command is run, so it is other people's code until then.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Sequence

from evogit import resources
from evogit.command_table import COMMAND
from evogit.config import Definition as AgentDefinition
from evogit.errors import StorageError, Untrusted
from evogit.store.commits import plain_text
from evogit.store.repository import Repository
from evogit.store.task import Definition, Task

_FILE = "trusted.txt"
_SHOWN = 200


def digest(definition: Definition) -> str:
    """Return the SHA-256 of all that decides what is executed: the whole definition, but not goal or state in force."""
    found = hashlib.sha256()
    parts = [definition.base.encode(), definition.config_text, *(p.encode() for p in definition.editable), b""]
    parts += [p.encode() for p in definition.protected]
    for path, entry in sorted(definition.files.items()):
        parts += [path, b"%o %s" % (entry.mode, str(entry.id).encode())]
    for part in parts:
        found.update(b"%d:%s" % (len(part), part))
    return found.hexdigest()


def is_trusted(repo: Repository, task: Task) -> bool:
    """Return whether what this task runs may run here.

    Raises:
        StorageError: the list of what may cannot be read.
    """
    if task.tip == task.definition.base:
        return True  # it stands in no ref: it was made from this work tree just now
    return digest(task.definition) in _known(repo)


def add(repo: Repository, task: Task) -> None:
    """Remember that this definition may run here.

    Raises:
        StorageError: the list cannot be written.
    """
    if is_trusted(repo, task):
        return
    _write(repo, [digest(task.definition)])


def add_tools(repo: Repository, definitions: Iterable[bytes]) -> None:
    """Remember that the tools these agent definitions name may run here.

    Raises:
        StorageError: the list cannot be read or written.
    """
    known = _known(repo)
    if new := [found for text in definitions if (found := _digest_of_tool(text)) not in known]:
        _write(repo, new)


def require_tool(repo: Repository, name: str, definition: AgentDefinition, text: bytes) -> None:
    """Check that the tool an agent definition names, if it names one, may run here, with what it asks for.

    Raises:
        Untrusted: the definition came with a run, and nobody here said so yet.
        StorageError: the list of what may cannot be read.
    """
    if definition.proposer != COMMAND or resources.definitions().get(name) == text:
        return
    if _digest_of_tool(text) not in _known(repo):
        shown = plain_text(shlex.join(definition.command))
        given = ", ".join((*definition.keys, *definition.environment))
        raise Untrusted(
            f"the agent definition {name!r} came from elsewhere; it would run `{shown[:_SHOWN]}`"
            + (f" with {given[:_SHOWN]} of your environment" if given else "")
            + (", and network" if definition.network else "")
            + ": look at it (evogit agents show), then say --trust to `evogit agent`"
        )


def _digest_of_tool(text: bytes) -> str:
    return hashlib.sha256(b"agent definition\0" + text).hexdigest()


def _known(repo: Repository) -> list[str]:
    try:
        return (repo.private / _FILE).read_text(errors="replace").split()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {repo.private / _FILE}: {error.strerror}") from error


def _write(repo: Repository, digests: Sequence[str]) -> None:
    try:
        repo.private.mkdir(exist_ok=True)
        descriptor = os.open(repo.private / _FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, "".join(f"\n{one}\n" for one in digests).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"cannot write {repo.private / _FILE}: {error.strerror}") from error


def require(repo: Repository, task: Task) -> None:
    """Check that what this task runs may run here.

    Raises:
        Untrusted: nobody said so yet.
        StorageError: as for `is_trusted`.
    """
    if is_trusted(repo, task):
        return
    evaluator = task.definition.config.evaluator
    words = plain_text(evaluator.described())
    shown = words if len(words) <= _SHOWN else words[:_SHOWN] + "…"
    carried = plain_text(", ".join(evaluator.carry))[:_SHOWN]
    in_sight = f", in sight of {carried} of your work tree" if carried else ""
    servers = plain_text(", ".join(use.api_base for use in task.definition.config.models if use.api_base))[:_SHOWN]
    sent = f", with prompts and keys for models sent to {servers}" if servers else ""
    raise Untrusted(
        f"the definition of run {task.run} came from elsewhere; it would run `{shown}` as you, on "
        f"{task.definition.base[:12]}{in_sight}{sent}: look at both (git show {task.tip[:12]}:evogit.toml), "
        "then say --trust to `evogit agent`"
    )
