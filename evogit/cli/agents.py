"""`evogit agents`: which agent definitions there are, what one says, whether it can be used here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from random import Random

import click
import msgspec

from evogit import assembly, edits, lineup
from evogit.asking import count_tokens
from evogit.cli import context, models
from evogit.cli.output import console, plain, print_json
from evogit.config import MEANINGS, ModelUse
from evogit.errors import EvogitError, RepositoryError, UsageError
from evogit.model import Edit, SourceFile
from evogit.prompts import File, Material, build
from evogit.proposers.protocol import Fruitless, Request
from evogit.replies import decoded
from evogit.store import definitions, freeze, task
from evogit.store.definitions import Found
from evogit.store.repository import Repository
from evogit.store.task import Definition


@click.command("agents")
@click.argument("action", type=click.Choice(["list", "show", "check"]), default="list", metavar="[list|show|check]")
@click.argument("name", required=False, metavar="[NAME]")
@models.model_option
@click.option("--ask", is_flag=True, help="With check: ask the model once, which costs money, and read its edit")
@context.json_option
def agents_command(action: str, name: str | None, named: Sequence[str], ask: bool, as_json: bool) -> None:
    """List, show or check agent definitions.

    `show NAME` prints a definition and what each of its keys means. `check NAME` says whether agents of it can work
    here: of those that ask a model, whether there is one and a key for it, and with --ask whether it can make an edit;
    exit code 1 when they cannot. NAME is a name or the path of a .toml file.

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
    problem, said = _check(name, named, ask=ask)
    if as_json:
        print_json({"name": name, "ok": problem is None, "problem": problem, "said": said})
    else:
        for line in said:
            console().print(plain(line))
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
    values = msgspec.to_builtins(found.definition)
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
            out.print(plain(f"{'':12} here: {'not set' if value in (None, {}) else value}"))


def _check(name: str, named: Sequence[str], *, ask: bool) -> tuple[str | None, list[str]]:
    """Return what keeps agents of this definition from working here, or None, and what was found out about it."""
    said: list[str] = []
    try:
        repo = context.open_here()
        found = definitions.find(repo, name, beside=context.here())
        frozen = freeze.freeze(repo).definition
        if not task.has_editable_file(repo, frozen):
            return "no tracked file may be edited; name some under `editable` in evogit.toml", said
        files = lineup.editable_files(repo, frozen)
        if assembly.asks_models(found.definition):
            uses = models.chosen(named, frozen.config.models)
            said += _look(found, uses)
            if ask:
                said.append(_ask(found, uses, files, frozen))
        return lineup.lack(found, files), said
    except EvogitError as error:
        return str(error), said


def _look(found: Found, uses: Sequence[ModelUse]) -> list[str]:
    """Return a line on each model.

    Raises:
        UsageError, NotAuthenticated: there is none, or one cannot be asked.
    """
    if not uses:
        assembly.proposer(found.definition)
    lines = []
    for use, known in zip(uses, assembly.look_at_models(uses, os.environ), strict=True):
        models.refuse(use, known, None)
        lines.append(models.price_words(use, known))
    return lines


def _ask(found: Found, uses: Sequence[ModelUse], files: Sequence[SourceFile], frozen: Definition) -> str:
    """Ask for one edit of the base and return what came of it.

    Raises:
        EvogitError: nothing did.
    """
    known = {file.path: file.content for file in files}

    def question(_: str, limit_tokens: int) -> str:
        shown = tuple(
            File(path=path, content=text) for path, content in known.items() if (text := decoded(content)) is not None
        )
        template = assembly.template(found.definition)
        return build(Material(goal=frozen.config.goal, files=shown), limit_tokens, count_tokens, template)

    request = Request(files=files, question=question, refusal=lambda edit: edits.refusal(edit, frozen, known))
    with assembly.models_aside(uses, os.environ) as (asking, _):
        made = assembly.proposer(found.definition, asking).propose(request, Random(0))
    if isinstance(made, Edit) and made.model:
        changed = ", ".join(sorted(made.files))
        cost = sum(call.usd for call in made.calls if call.usd is not None)
        return f"asked {made.model}, {len(made.calls)} calls, {cost:.4f} USD: {made.subject} ({changed})"
    if isinstance(made, Fruitless):
        raise made.fatal or EvogitError(made.why)
    why = made.calls[-1].outcome if isinstance(made, Edit) and made.calls else "nothing could be asked"
    raise EvogitError(f"no model made an edit: {why}")
