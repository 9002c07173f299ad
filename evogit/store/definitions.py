"""Where an agent's definition comes from: a path, the run it was frozen into, the repository, or evogit itself."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evogit import config, resources
from evogit.command_table import COMMAND
from evogit.config import AgentUse
from evogit.errors import ConfigError, UsageError
from evogit.store import trees
from evogit.store.repository import Repository
from evogit.store.task import Task

FOLDER = ".evogit/agents"
PROMPTS = f"{FOLDER}/prompts"
SHIPPED = "evogit"
_OF_A_RUN = "run "
_MAX_BYTES = 64 * 1024
_ONE_PROMPT = rb"""(?m)^prompt[ \t]*=[ \t]*["'][^"'\r\n]*["']"""
_SEVERAL_PROMPTS = rb"""(?m)^prompt[ \t]*=[ \t]*(?:\[(?:#[^\n]*|[^\]#])*\]|\{[^}]*\})"""


@dataclass(frozen=True, slots=True)
class Found:
    """An agent's definition: its name, its text, what it says, and where it is from (`evogit`, a path, a run)."""

    name: str
    text: bytes
    origin: str
    definition: config.Definition

    @property
    def is_own(self) -> bool:
        """Whether it is not one that ships with evogit as it is."""
        return self.origin != SHIPPED

    @property
    def is_of_a_run(self) -> bool:
        """Whether it is what a run was begun with, by whoever began it."""
        return self.origin.startswith(_OF_A_RUN)


def find(repo: Repository | None, use: str, *, task: Task | None = None, beside: Path | None = None) -> Found:
    """Return the definition `use` stands for.

    A path ending in `.toml` is that file, seen from the folder `beside` (default: the top of the work tree). A name is
    looked for in what `task` froze, then in `.evogit/agents` of the repository, then among those that ship with evogit.

    Raises:
        ConfigError: there is none, or it is not valid.
    """
    if config.is_path(use):
        name = AgentUse(use=use).name
        if not config.is_agent_name(name):
            raise ConfigError(f"{use}: the file's name is the agents': use a-z, 0-9 and '-', as in my-tuner.toml")
        return _with_own_prompt(repo, _parsed(name, _at_path(repo, use, beside), use))
    if task and use in task.definition.agents:
        return _parsed(use, task.definition.agents[use], f"{_OF_A_RUN}{task.run}")
    own = _own(repo).get(use)
    if own is not None:
        return _with_own_prompt(repo, _parsed(use, own, f"{FOLDER}/{use}.toml"))
    if use in resources.definitions():
        return _with_own_prompt(repo, _parsed(use, resources.definitions()[use], SHIPPED))
    known = names(repo, task)
    near = difflib.get_close_matches(use, known, 1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigError(f"no agent definition {use!r}{hint}; there are: {', '.join(known)}")


def names(repo: Repository | None, task: Task | None = None) -> Sequence[str]:
    """Return the names `find` knows, by name."""
    return sorted({*resources.definitions(), *_own(repo), *(task.definition.agents if task else ())})


def tools(task: Task) -> frozenset[str]:
    """Return the names of the definitions a run knows whose agents run a tool."""
    found = set()
    for name, text in {**resources.definitions(), **task.definition.agents}.items():
        try:
            if config.parse_definition(text, where=name).proposer == COMMAND:
                found.add(name)
        except ConfigError:
            continue  # of a later version; whoever starts its agents is told
    return frozenset(found)


def to_freeze(repo: Repository, uses: Sequence[AgentUse], beside: Path | None = None) -> dict[str, bytes]:
    """Return the text of each definition that does not ship with evogit, by name: what a run needs to have with it.

    Raises:
        ConfigError: as for `find`, or two have one name.
    """
    frozen: dict[str, bytes] = {}
    for use in uses:
        found = find(repo, use.use, beside=beside)
        if found.is_own and frozen.setdefault(found.name, found.text) != found.text:
            raise ConfigError(f"two agent definitions are called {found.name!r}; give one of the files another name")
    return frozen


def not_frozen(task: Task, wanted: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return which of these definitions a run does not have yet.

    Raises:
        UsageError: it has another one of that name: candidates made by two would count as made by one.
    """
    missing = {}
    for name, text in wanted.items():
        known = task.definition.agents.get(name, resources.definitions().get(name))
        if known is not None and known != text:
            raise UsageError(
                f"run {task.run} was begun with another agent definition {name!r}; give the file of this one another "
                "name, or begin another run with --new"
            )
        if known is None:
            missing[name] = text
    return missing


def _parsed(name: str, text: bytes, origin: str) -> Found:
    if len(text) > _MAX_BYTES:
        raise ConfigError(f"agent definition {name!r} ({origin}) has more than {_MAX_BYTES} bytes")
    where = f"agents/{name}.toml" if origin == SHIPPED else origin
    return Found(name, text, origin, config.parse_definition(text, where=where))


def _with_own_prompt(repo: Repository | None, found: Found) -> Found:
    """Return a definition with the repository's own prompts of its names written into it, so that a run keeps them."""
    own = _own_prompts(repo, found.definition.prompts.values()) if repo else {}
    if not own:
        return found
    wanted = {name: own.get(named, named) for name, named in found.definition.prompts.items()}
    if isinstance(found.definition.prompt, str):
        pattern, value = _ONE_PROMPT, _toml(*wanted.values())
    else:
        pattern = _SEVERAL_PROMPTS
        value = "{ " + ", ".join(f"{_toml(name)} = {_toml(text)}" for name, text in wanted.items()) + " }"
    text = re.sub(pattern, lambda _: f"prompt = {value}".encode(), found.text, count=1)
    paths = " and ".join(f"{PROMPTS}/{name}.md" for name in own)
    try:
        made = _parsed(found.name, text, paths if found.origin == SHIPPED else f"{found.origin} and {paths}")
    except ConfigError:
        made = found  # the pattern ended within a text
    if list(made.definition.prompts.values()) != list(wanted.values()):
        names = " and ".join(map(repr, own))
        how = f"`prompt = {names}`" if pattern == _ONE_PROMPT else f"`prompt`, which names {names}, as a list of names"
        raise ConfigError(f"{found.origin}: write {how} on lines of its own, so that {paths} can be used")
    return made


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _own_prompts(repo: Repository, named: Iterable[str]) -> dict[str, str]:
    """Return the repository's own prompts of these names.

    Raises:
        ConfigError: one is not UTF-8.
    """
    found = {}
    for name in filter(config.is_agent_name, named):
        path = f"{PROMPTS}/{name}.md"
        try:
            text = _own_prompt(repo, path)
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8") from error
        if text is not None:
            found[name] = text
    return found


def _own_prompt(repo: Repository, path: str) -> str | None:
    """Return a prompt of the repository: of its work tree, or of HEAD where it has none; None when there is none."""
    if repo.work is None:
        entry = trees.files(repo, repo.commit(repo.head()).tree_id).get(path.encode())
        return trees.read_blob(repo, entry.id).decode() if entry else None
    try:
        return (repo.work / path).read_bytes().decode()
    except OSError:
        return None


def _at_path(repo: Repository | None, use: str, beside: Path | None) -> bytes:
    folder = beside or (repo.work if repo else None)
    if folder is None:
        return _in_head(repo, use)
    try:
        with (folder / use).open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the agent definition {use!r}: {error.strerror}") from error


def _in_head(repo: Repository | None, use: str) -> bytes:
    path = os.path.normpath(use).encode()
    entry = trees.files(repo, repo.commit(repo.head()).tree_id).get(path) if repo else None
    if repo is None or entry is None:
        raise ConfigError(f"cannot read the agent definition {use!r}: HEAD has no such file")
    return trees.read_blob(repo, entry.id)


def _own(repo: Repository | None) -> dict[str, bytes]:
    """Return the repository's definitions by name: those of its work tree, or of HEAD where it has none."""
    if repo is None:
        return {}
    if repo.work is None:
        return _own_in_head(repo)
    found = {}
    folder = repo.work / FOLDER
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
        if config.is_agent_name(path.stem):
            found[path.stem] = _at_path(repo, f"{FOLDER}/{path.name}", repo.work)
    return found


def _own_in_head(repo: Repository) -> dict[str, bytes]:
    prefix = f"{FOLDER}/".encode()
    files = trees.files(repo, repo.commit(repo.head()).tree_id)
    pattern = re.compile(re.escape(prefix) + rb"([^/]+)\.toml")
    found = {}
    for path, entry in files.items():
        match = pattern.fullmatch(path)
        if match and config.is_agent_name(name := match[1].decode("utf-8", "replace")):
            found[name] = trees.read_blob(repo, entry.id)
    return found
