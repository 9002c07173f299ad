"""`evogit agents`: which agent definitions there are, what one says, whether it can be used here."""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping, Sequence

import click
import msgspec

from evogit import command_table
from evogit.cli import checking, confine, context, models
from evogit.cli.output import console, plain, print_json
from evogit.command_table import COMMAND
from evogit.config import MEANINGS, MODEL, MODEL_KEYS
from evogit.errors import EvogitError, RepositoryError, UsageError
from evogit.store import definitions
from evogit.store.definitions import Found
from evogit.store.repository import Repository


@click.command("agents")
@click.argument("action", type=click.Choice(["list", "show", "check"]), default="list", metavar="[list|show|check]")
@click.argument("name", required=False, metavar="[NAME]")
@models.model_option
@click.option("--try", "tried", is_flag=True, help="With check: let the model or tool make one edit, which costs money")
@confine.sandbox_options
@context.json_option
def agents_command(action: str, name: str | None, named: Sequence[str], tried: bool, as_json: bool) -> None:
    """List, show or check agent definitions.

    `show NAME` prints a definition and what each of its keys means. `check NAME` says whether agents of it can work
    here; exit code 1 when they cannot. NAME is a name or the path of a .toml file. Of an agent that asks a model it
    says whether there is one, a key for it, and a price; of one that runs a tool, which version is installed and which
    keys are set; with --try whether it can make an edit.

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
    checked = checking.check(name, named, tried=tried)
    if as_json:
        print_json({"name": name, "ok": checked.problem is None, "problem": checked.problem, "said": checked.facts})
    else:
        for line in checked.lines():
            console().print(plain(line))
        console().print(plain(f"{name}: {checked.problem}" if checked.problem else f"{name} can be used here"))
    sys.exit(1 if checked.problem else 0)


_OF_ONE: Mapping[str, Container[str]] = {COMMAND: command_table.MEANINGS, MODEL: MODEL_KEYS}
"""Keys that say something for one proposer only."""


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
    others = [keys for proposer, keys in _OF_ONE.items() if proposer != found.definition.proposer]
    values = {key: said[key] for key in MEANINGS if not any(key in keys for keys in others)}
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
