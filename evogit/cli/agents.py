"""`evogit agents`: which agent definitions there are, what one says, whether it can be used here."""

from __future__ import annotations

import os
import sys
from typing import Any

import click
import msgspec

from evogit import command_table, lineup, tryout
from evogit.cli import confine, context
from evogit.cli.output import console, plain, print_json
from evogit.command_table import COMMAND
from evogit.config import MEANINGS
from evogit.errors import EvogitError, RepositoryError, UsageError
from evogit.proposers.command import Tool
from evogit.store import definitions, freeze, task
from evogit.store.definitions import Found
from evogit.store.repository import Repository


@click.command("agents")
@click.argument("action", type=click.Choice(["list", "show", "check"]), default="list", metavar="[list|show|check]")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--try", "tried", is_flag=True, help="With check: run the agent's tool once; it may cost money")
@confine.sandbox_options
@context.json_option
def agents_command(action: str, name: str | None, tried: bool, as_json: bool) -> None:
    """List, show or check agent definitions.

    `show NAME` prints a definition and what each of its keys means. `check NAME` says whether agents of it can work
    here; exit code 1 when they cannot. NAME is a name or the path of a .toml file. Of an agent that runs a tool it says
    which version is installed and which keys are set, and with --try whether the tool can make an edit.

    To change an agent, copy its definition to .evogit/agents/NAME.toml of the repository and edit it there: it stands
    in for the one of that name that ships with evogit. A run keeps the definitions it was begun with.
    """
    if action == "list":
        if name is not None:
            raise UsageError(f"to see one: evogit agents show {name}")
        _list(_repository(), as_json)
        return
    if name is None:
        raise UsageError(f"say which: evogit agents {action} NAME; evogit agents has the names")
    if action == "show":
        _show(definitions.find(_repository(), name, beside=context.here()), as_json)
        return
    problem, tool = _check(name), _tool(name, tried=tried)
    problem = problem or tool.pop("problem", None)
    if as_json:
        print_json({"name": name, "ok": problem is None, "problem": problem, **({"tool": tool} if tool else {})})
    else:
        for key, said in tool.items():
            console().print(plain(f"{key:8} {_words(said)}"))
        console().print(plain(f"{name} can be used here" if problem is None else f"{name}: {problem}"))
    sys.exit(0 if problem is None else 1)


def _repository() -> Repository | None:
    try:
        return context.open_here()
    except RepositoryError:
        return None  # what ships with evogit can be looked at anywhere


def _list(repo: Repository | None, as_json: bool) -> None:
    rows: list[dict[str, str | None]] = []
    for name in definitions.names(repo):
        try:
            found = definitions.find(repo, name)
        except EvogitError as error:
            rows.append({"name": name, "problem": str(error)})
            continue
        said = found.definition
        rows.append({"name": name, "summary": said.summary, "needs": said.needs or None, "from": found.origin})
    if as_json:
        print_json({"agents": rows})
        return
    out = console()
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        out.print(plain(f"{row['name']:{width}}  {row.get('summary') or row.get('problem')}"))
        if row.get("needs"):
            out.print(plain(f"{'':{width}}  needs {row['needs']}"))
        if row.get("from") not in (definitions.SHIPPED, None):
            out.print(plain(f"{'':{width}}  from {row['from']}"))


def _show(found: Found, as_json: bool) -> None:
    said = msgspec.to_builtins(found.definition)
    of_a_command = () if found.definition.proposer == COMMAND else command_table.MEANINGS
    values = {key: said[key] for key in MEANINGS if key not in of_a_command}
    text = found.text.decode()
    if as_json:
        keys = {key: {"value": values[key], "meaning": MEANINGS[key]} for key in values}
        print_json({"name": found.name, "from": found.origin, "text": text, "keys": keys})
        return
    out = console()
    out.print(plain(f"{found.name}, from {found.origin}:\n"))
    out.print(plain(text.rstrip("\n")))
    out.print("\nkeys, and what holds here:\n")
    for key, value in values.items():
        out.print(plain(f"{key:12} {MEANINGS[key]}"))
        if key not in ("summary", "needs"):
            out.print(plain(f"{'':12} here: {'not set' if value in (None, {}, [], (), '') else value}"))


def _check(name: str) -> str | None:
    """Return what keeps agents of this definition from working here, or None."""
    try:
        repo = context.open_here()
        found = definitions.find(repo, name, beside=context.here())
        frozen = freeze.freeze(repo).definition
        if not task.has_editable_file(repo, frozen):
            return "no tracked file may be edited; name some under `editable` in evogit.toml"
        return lineup.lack(found, lineup.editable_files(repo, frozen), os.environ)
    except EvogitError as error:
        return str(error)


def _tool(name: str, *, tried: bool) -> dict[str, Any]:
    """Return what can be said of an agent's tool: its program, version, keys, and what came of a try; and a problem."""
    try:
        found = definitions.find(_repository(), name, beside=context.here())
    except EvogitError as error:
        return {"problem": str(error)}
    if found.definition.proposer != COMMAND:
        return {"problem": "it runs no tool, so there is nothing to try"} if tried else {}
    tool = Tool(found.definition, os.environ)
    said: dict[str, Any] = {
        "program": str(tool.program) if tool.program else None,
        "version": tool.version(),
        "keys": list(tool.keys_set()),
        "model": found.definition.model or None,
    }
    lack = tool.lack()
    if tried and lack is None:
        said |= _tried(found)
    return {**said, "problem": lack} if lack else said


def _tried(found: Found) -> dict[str, Any]:
    repo = _repository()
    if repo is None:
        return {"problem": "--try wants to be in a repository, whose choice of a sandbox holds"}
    try:
        answer = tryout.try_out(found.definition, confine.sandbox(repo), os.environ)
    except EvogitError as error:
        return {"problem": str(error)}
    (call,) = answer.calls
    edit = answer.edit
    return {
        "seconds": call.seconds, "tokens_in": call.tokens_in, "tokens_out": call.tokens_out, "usd": call.usd,
        "edit": edit.subject if edit else None, **({} if edit else {"problem": answer.why}),
    }  # fmt: skip


def _words(said: object) -> str:
    return (
        ", ".join(map(str, said)) or "none set" if isinstance(said, list) else "unknown" if said is None else str(said)
    )
