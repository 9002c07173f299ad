"""`evogit agents check`: whether agents of a definition can work here, and what is known of their model or tool."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from evogit import assembly, edits, lineup, tryout
from evogit.asking import count_tokens
from evogit.cli import confine, context, models
from evogit.command_table import COMMAND
from evogit.config import ModelUse
from evogit.errors import EvogitError
from evogit.model import SourceFile
from evogit.prompts import File, Material, build
from evogit.proposers.command import Tool
from evogit.proposers.protocol import Answer, Request
from evogit.records import Call, spent
from evogit.replies import decoded
from evogit.store import definitions, freeze, task
from evogit.store.definitions import Found
from evogit.store.repository import Repository
from evogit.store.task import Definition


@dataclass(slots=True)
class Checked:
    """What keeps agents of a definition from working here, or None, and what was found out about it."""

    problem: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the facts for people, one a line."""
        rows = [(key, one) for key, said in self.facts.items() for one in (said if key == "models" else [said])]
        return [f"{key.removesuffix('s') if key == 'models' else key:8} {_words(said)}" for key, said in rows]


def check(name: str, named: Sequence[str], *, tried: bool) -> Checked:
    """Return what there is to say of a definition; `tried` lets its model or tool make one edit, which costs money.

    `named` are models as the command line names them.
    """
    found = Checked()
    try:
        repo = context.open_here()
        _check(repo, definitions.find(repo, name, beside=context.here()), found, named, tried=tried)
    except EvogitError as error:
        found.problem = str(error)
    return found


def _check(repo: Repository, found: Found, checked: Checked, named: Sequence[str], *, tried: bool) -> None:
    frozen = freeze.freeze(repo).definition
    said = found.definition
    if said.proposer == COMMAND:
        tool = Tool(said, os.environ)
        checked.facts |= {
            "program": str(tool.program) if tool.program else None,
            "version": tool.version(),
            "keys": list(tool.keys_set()),
            "model": said.model or None,
        }
    if not task.has_editable_file(repo, frozen):
        raise EvogitError("no tracked file may be edited; name some under `editable` in evogit.toml")
    files = lineup.editable_files(repo, frozen)
    uses = models.chosen(named, frozen.config.models) if assembly.asks_models(said) else []
    if assembly.asks_models(said):
        checked.facts["models"] = _look(found, uses)
    checked.problem = lineup.lack(found, files, os.environ)
    if not tried or checked.problem:
        return
    if said.proposer == COMMAND:
        answer = tryout.try_out(said, confine.sandbox(repo), os.environ)
    elif uses:
        answer = _ask(found, uses, files, frozen)
    else:
        raise EvogitError("it asks no model and runs no tool, so there is nothing to try")
    checked.facts |= _outcome(answer)
    checked.problem = None if answer.edit else answer.why


def _look(found: Found, uses: Sequence[ModelUse]) -> list[str]:
    """Return what is known of each model, in a line.

    Raises:
        UsageError, NotAuthenticated: there is none, or one cannot be asked.
        ConfigError: there is no prompt of the name that the definition says.
    """
    assembly.templates(found.definition)
    if not uses:
        assembly.proposer(found.definition)
    lines = []
    for use, known in zip(uses, assembly.look_at_models(uses, os.environ), strict=True):
        models.refuse(use, known, None)
        lines.append(models.price_words(use, known).removeprefix("model "))
    return lines


def _ask(found: Found, uses: Sequence[ModelUse], files: Sequence[SourceFile], frozen: Definition) -> Answer:
    """Return what came of asking for one edit of the base.

    Raises:
        EvogitError: nothing could be asked, or nothing that a model says could be used.
    """
    known = {file.path: file.content for file in files}

    def question(template: str, limit_tokens: int) -> str:
        shown = tuple(
            File(path=path, content=text) for path, content in known.items() if (text := decoded(content)) is not None
        )
        return build(Material(goal=frozen.config.goal, files=shown), limit_tokens, count_tokens, template)

    request = Request(files=files, question=question, refusal=lambda edit: edits.refusal(edit, frozen, known))
    with assembly.models_aside(uses, os.environ) as (asking, _):
        made = assembly.proposer(found.definition, models=asking).propose(request, Random(0))
    if not isinstance(made, Answer):
        raise EvogitError("no model could be asked")
    if made.fatal:
        raise made.fatal
    if made.calls[-1].outcome != "ok":  # what it would do without a model says nothing of the model
        return Answer(calls=made.calls, why=made.why or f"no model made an edit: {made.calls[-1].outcome}")
    return made


def _outcome(answer: Answer) -> Mapping[str, Any]:
    calls = answer.calls
    return {
        "calls": len(calls),
        "seconds": round(sum(call.seconds for call in calls), 3),
        "tokens_in": _total(calls, "tokens_in"),
        "tokens_out": _total(calls, "tokens_out"),
        "usd": spent(calls) if any(call.usd is not None for call in calls) else None,
        "edit": answer.edit.subject if answer.edit else None,
    }


def _total(calls: Sequence[Call], name: str) -> int | None:
    counts = [count for call in calls if (count := getattr(call, name)) is not None]
    return sum(counts) if counts else None


def _words(said: object) -> str:
    return (
        ", ".join(map(str, said)) or "none set" if isinstance(said, list) else "unknown" if said is None else str(said)
    )
