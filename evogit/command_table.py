"""The keys of an agent definition that say how a tool is run: their limits, their meanings, and what is wrong there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec

COMMAND = "command"
PLACEHOLDER = re.compile(r"\{(workdir|home|prompt_file|prompt|model|files|env:([A-Za-z_][A-Za-z0-9_]*))\}")
"""What is filled in in a tool's command."""
_KNOWN = ("{workdir}", "{home}", "{prompt_file}", "{prompt}", "{model}", "{files}")
_LIKE_A_PLACEHOLDER = re.compile(r"\{[A-Za-z_]+(?::[A-Za-z_0-9]*)?\}")
_LIKE_A_KEY = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
PromptBy = Literal["file", "stdin", "argument", "acp"]
BY_ACP = "acp"
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


class CommandKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the proposer `command` runs, on what, and what it lets it have; `MEANINGS` says what each key means."""

    command: tuple[_Text, ...] = ()
    prompt_by: PromptBy = "file"
    model: str = ""
    keys: tuple[_Variable, ...] = ()
    environment: tuple[_Variable, ...] = ()
    variables: dict[_Variable, str] = {}
    home: dict[_Text, str] = {}
    history: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    network: bool = False
    time_limit_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 900
    memory_mb: Annotated[int, msgspec.Meta(ge=64, le=1_048_576)] = 4096
    droppings: tuple[_Text, ...] = ()
    tries: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


MEANINGS: Mapping[str, str] = {
    "command": "the tool to run, a list of its arguments; evogit fills in {workdir}, {home}, {prompt_file}, {prompt}, "
    "{model}, {files} (the first 50 editable files, an argument each) and {env:NAME}",
    "prompt_by": "how the tool gets its task: file ({prompt_file}), stdin, argument ({prompt}), or acp (by the Agent "
    "Client Protocol, on its standard streams)",
    "model": "the model a tool is told: what {model} stands for, and what records say",
    "keys": "variables of yours that hold a key, one of which must be set; the tool gets them and nothing else does",
    "environment": "further variables of yours that the tool gets, where they are set",
    "variables": "further variables and their values, where yours are not let through or not set",
    "home": "files that stand in the tool's home folder, by their paths there",
    "history": "how many of a parent's ancestors the tool can see in Git",
    "network": "whether the tool has network, which what it writes never has when it is scored",
    "time_limit_s": "seconds after which the tool is ended, those it waits for `evogit try` not counted (900)",
    "memory_mb": "what all processes of the tool may use (4096)",
    "droppings": "patterns, as in .gitignore, of what the tool leaves that is no part of its change",
    "tries": "how often, while it works, the tool may have its files scored by `evogit try`; each is an evaluation (0)",
}
"""What each key means."""


def is_key(name: str) -> bool:
    """Return whether a variable of this name holds a key, as far as its name says."""
    return _LIKE_A_KEY.search(name) is not None


def mistake(found: CommandKeys, proposer: str) -> str | None:
    """Return what is wrong with these keys of a definition with this proposer, or None."""
    if proposer != COMMAND:
        named = [
            key.name for key in msgspec.structs.fields(CommandKeys) if getattr(found, key.name) not in ({}, key.default)
        ]
        return f"{named[0]} is for proposer = 'command', and it is {proposer!r}; leave it out" if named else None
    if not found.command:
        return "command is missing: proposer = 'command' runs it"
    text = "\n".join(found.command)
    for shown in _LIKE_A_PLACEHOLDER.findall(text):
        # A script may have braces of its own.
        near = difflib.get_close_matches(shown, _KNOWN, 1, cutoff=0.75)
        if near and not PLACEHOLDER.fullmatch(shown):
            return f"command has {shown}, which stands for nothing; did you mean {near[0]}?"
    if any("{files}" in argument and argument != "{files}" for argument in found.command):
        return "{files} in command has to be an argument of its own: it becomes one for each file"
    if "{model}" in text and not found.model:
        return "command has {model}, and model is missing"
    wanted = {"file": "{prompt_file}", "argument": "{prompt}"}.get(found.prompt_by)
    if wanted and wanted not in text:
        return f"prompt_by is {found.prompt_by!r}, so command needs {wanted}, or the tool hears of no task"
    for _, name in PLACEHOLDER.findall(text):
        if name and name not in (*found.environment, *found.variables):
            return f"command has {{env:{name}}}, which is neither in environment nor in variables"
        if name and is_key(name):
            return f"command has {{env:{name}}}: everybody on the machine can read the arguments of a command"
    for path in found.home:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            return f"home has {path!r}; write a path in the tool's home folder"
    return None
