"""What `evogit doctor --eval` shows: each hack, what it scored, and what helps against those that win."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from evogit import trial
from evogit.cli import confine
from evogit.cli.output import console, number, plain
from evogit.store.repository import Repository
from evogit.trial import Trial, Trials, Verdict

_LONGEST = 100
_STYLES = {Verdict.WINS: "bold red", Verdict.TIES: "red", Verdict.UNTRIED: "yellow"}


def run(repo: Repository, *, as_json: bool) -> tuple[bool, Mapping[str, object]]:
    """Try all hacks that apply and show what became of them; return whether none wins, and the same as JSON.

    Raises:
        EvogitError: as `trial.begin` and `Trials.run` say.
    """
    said = console(stderr=True)
    with trial.begin(repo, os.environ, lambda: confine.sandbox(repo)) as trials:
        said.print(plain(_forecast(trials)))
        tried = list(trials.run())
    if not as_json:
        _show(console(), trials, tried)
    return not any(one.is_hole for one in tried), _as_json(trials, tried)


def _forecast(trials: Trials) -> str:
    count, cost = trials.evaluations, trials.seconds
    if not trials.hacks:
        return "no hack applies: none of the editable files is Python or a shell script that the score notices"
    into = " and ".join(path for path in (trials.subject.module, trials.subject.script) if path)
    return (
        f"{len(trials.hacks)} hacks, planted into {into}: {count} evaluations of {cost:.2g} s, "
        f"{max(count * cost, 1):.0f} s or more together; Ctrl-C stops"
    )


def _show(out: Console, trials: Trials, tried: Sequence[Trial]) -> None:
    if not tried:
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("hack", "what it does", "scored", "verdict"):
        table.add_column(name, no_wrap=name == "hack", overflow="fold", justify="left")
    table.add_row("HEAD", "", number(trials.base[0]), "")
    for one in tried:
        scored = number(one.value) if one.value is not None else _cut(one.said)
        cells = (one.hack.name, one.hack.what, scored, one.verdict.value)
        table.add_row(*map(plain, cells), style=_STYLES.get(one.verdict))
    out.print(table, soft_wrap=False)
    for line in _conclusion(trials, tried):
        out.print(plain(line))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _conclusion(trials: Trials, tried: Sequence[Trial]) -> Iterable[str]:
    won, tied = (sum(one.verdict is verdict for one in tried) for verdict in (Verdict.WINS, Verdict.TIES))
    yield ""
    if not won and not tied:
        yield f"none of {len(tried)} hacks scores as well as HEAD"
    else:
        said = f"of {len(tried)} hacks {won} score better than HEAD, and {tied} as well"
        yield f"{said}, though their code is worth nothing"
    for text, names in trials.advice(tried).items():
        yield f"  {', '.join(names)}{': ' if names else ''}{text}"


def _as_json(trials: Trials, tried: Sequence[Trial]) -> Mapping[str, object]:
    return {
        "base": list(trials.base),
        "planted": [path for path in (trials.subject.module, trials.subject.script) if path],
        "hacks": [
            {"name": one.hack.name, "what": one.hack.what, "verdict": one.verdict.value, "value": one.value,
             "said": one.said or None}
            for one in tried
        ],
        "advice": [{"against": list(names), "text": text} for text, names in trials.advice(tried).items()],
    }  # fmt: skip
