"""A tool as a definition describes it, in an environment: what is lacking, its arguments and variables, its version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evogit.command_table import PLACEHOLDER, CommandKeys, is_key
from evogit.sandbox import KEPT

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
_VERSION_S = 60
_MIN_KEY = 8
_MOST_FILES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a tool works, what it takes for its home folder, and where its task is written."""

    work: Path
    home: Path
    temporary: Path
    prompt: Path


class Tool:
    """What a definition says of a tool, for one caller's environment."""

    def __init__(self, keys: CommandKeys, caller: Mapping[str, str]) -> None:
        self.keys = keys
        self._caller = caller
        allowed = {name: caller[name] for name in (*keys.keys, *keys.environment) if caller.get(name)}
        self._variables = {**keys.variables, **allowed}
        self.name = os.path.basename(keys.command[0])

    @property
    def program(self) -> Path | None:
        """The program, or None when it is not installed."""
        found = shutil.which(self.keys.command[0], path=self._caller.get("PATH", os.defpath))
        return Path(os.path.abspath(found)) if found else None

    def lack(self) -> str | None:
        """Return what is missing before it can be run, in words, or None. Nothing is run for that."""
        if self.program is None:
            return f"{self.keys.command[0]!r} is not installed, or not on your PATH"
        if self.keys.keys and not self.keys_set():
            wanted = " or ".join(self.keys.keys)
            return f"none of its keys is set: export {wanted}"
        return None

    def keys_set(self) -> Sequence[str]:
        """Return the names of the variables with keys that are set."""
        return [name for name in self.keys.keys if self._caller.get(name)]

    def secrets(self) -> list[str]:
        """Return the values that must never leave: those of keys it is given."""
        names = {*self.keys.keys, *(name for name in self.keys.environment if is_key(name))}
        return [value for name, value in self._variables.items() if name in names and len(value) >= _MIN_KEY]

    def version(self) -> str | None:
        """Return the version the program says it has, or None when it says none that could be read.

        It is run for that, with its own folders for a home and without keys.
        """
        if self.program is None:
            return None
        environment = {name: self._caller[name] for name in KEPT if name in self._caller}
        environment |= {name: value for name, value in self.keys.variables.items() if not PLACEHOLDER.search(value)}
        try:
            done = subprocess.run(
                [str(self.program), "--version"], env={**environment, "HOME": "/nonexistent"}, cwd="/",
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_S,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = _VERSION.search((done.stdout + b"\n" + done.stderr).decode("utf-8", "replace"))
        return found[0].rstrip(".") if found else None

    def arguments(self, places: Places, prompt: str, files: Sequence[str]) -> list[str]:
        """Return the command with everything filled in."""
        found: list[str] = [str(self.program or self.keys.command[0])]
        for argument in self.keys.command[1:]:
            found += _safe(files) if argument == "{files}" else [self._filled(argument, places, prompt)]
        return found

    def home_files(self) -> Mapping[str, str]:
        """Return what stands in the tool's home folder, with the model filled in; no variable, which may be a key."""
        return {name: text.replace("{model}", self.keys.model) for name, text in self.keys.home.items()}

    def environment(self, places: Places) -> dict[str, str]:
        """Return the whole environment of the tool: where tools are, its own folders, and what the definition names."""
        kept = {name: self._caller[name] for name in KEPT if name in self._caller}
        named = {name: self._filled(value, places, "") for name, value in self._variables.items()}
        return {
            **{"PATH": os.defpath, "LANG": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1", "CI": "1"},
            **kept,
            **{"HOME": str(places.home), "TMPDIR": str(places.temporary)},
            **{name: str(places.home / folder) for name, folder in _XDG.items()},
            **{"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"},
            "GIT_CEILING_DIRECTORIES": str(places.work.parent),
            **named,
        }

    def _filled(self, text: str, places: Places, prompt: str) -> str:
        known = {
            "workdir": str(places.work), "home": str(places.home), "prompt_file": str(places.prompt), "prompt": prompt,
            "model": self.keys.model,
        }  # fmt: skip

        def fill(match: re.Match[str]) -> str:
            name = match[2]
            return self._variables.get(name, "") if name else known.get(match[1], match[0])

        return PLACEHOLDER.sub(fill, text)


def _safe(files: Sequence[str]) -> list[str]:
    """Return the first files, none of which can be taken for an option."""
    return [f"./{name}" if name.startswith("-") else name for name in files[:_MOST_FILES]]


_XDG = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_CACHE_HOME": ".cache",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
}
