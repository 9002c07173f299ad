"""What shows that a proposal is better than what is there, in words: measurements of both, or a judge's preference."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from statistics import median

from evogit.gain import RULE, Trial, by_instance, values
from evogit.harmless import harmless
from evogit.judging.contest import RULE as PREFERENCE_RULE
from evogit.judging.contest import Contest
from evogit.model import Measurement
from evogit.records import spent

Evidence = Trial | Contest
WIDTH = 72
_MOST_METRICS = 12
_MORE = "; --repeat N asks for more"


def won(found: Evidence) -> str:
    """Return what was won, in words that end a title."""
    if isinstance(found, Contest):
        return f": preferred {found.wins} of {len(found.heard)} times"
    before, after = found.before, found.after
    said = f": {number(before)} to {number(after)}"
    if before and abs(after / before) < 100 and before * after > 0:
        said += f" ({(after - before) / abs(before):+.1%})"
    return said


def paragraphs(found: Evidence, onto: str, where: str) -> str:
    """Return the evidence; `onto` names what it is compared with, `where` says where that was done."""
    parts = _preferences(found) if isinstance(found, Contest) else _measurements(found, onto)
    *text, rule = parts
    return "\n\n".join((*text, f"{where}\n{wrap(f'Rule of `evogit pr`: {rule[0].lower()}{rule[1:]}.')}"))


def refusal(found: Evidence) -> str:
    """Return in numbers why nothing shows that the proposal is better."""
    if isinstance(found, Contest):
        heard = f"the judge preferred it {found.wins} times, what is there {found.losses}, neither {found.ties}"
        if not found.is_better:
            return f"no preference: {heard}"
        return f"the preference may be luck: {heard}; a coin does as well in {_percent(found)} of cases{_MORE}"
    numbers = f"{_series(values(found.reference))} before, {_series(values(found.proposed))} after"
    numbers += f", measured {len(found.proposed)} times each ({found.direction.value})"
    if not found.is_better:
        return f"no gain: {numbers}"
    return f"the gain may be luck, which does as well in {_percent(found)} of cases: {numbers}{_MORE}"


def for_machines(found: Evidence | None) -> dict[str, object]:
    """Return it as JSON has it: all values, wall seconds, what a judge said and cost."""
    if isinstance(found, Contest):
        counts = {"wins": found.wins, "losses": found.losses, "ties": found.ties}
        return {"compared": {**counts, "calls": len(found.calls), "usd": spent(found.calls)}}
    sides = {"before": found.reference, "after": found.proposed} if found else {}
    return {
        "measured": {
            side: {"values": values(measured), "seconds": [round(one.seconds, 4) for one in measured]}
            for side, measured in sides.items()
        }
    }


def wrap(text: str) -> str:
    """Return a paragraph in lines of a message's width."""
    return "\n".join(textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def code(text: str, length: int) -> str:
    """Return somebody's words, cut and made harmless, as code; nothing for no words."""
    line = harmless(text, length)
    return f"`{line}`" if line else ""


def number(value: float | None) -> str:
    """Return a score as people read it."""
    return "-" if value is None else f"{value:.6g}"


def _preferences(found: Contest) -> tuple[str, ...]:
    said = (
        f"**Evidence**: a judge compared both for this text, {len(found.heard)} times, each time in both orders and "
        f"without knowing what was said before. It preferred what is proposed {found.wins} times, what is there "
        f"{found.losses} times, and neither {found.ties} times; a coin does as well in {_percent(found)} of cases. "
        "Both pass the gates. It is a preference, and no measurement: look at the difference."
    )
    names = sorted({call.model for call in found.calls})
    models = f"The judge is {', '.join(code(name, 60) for name in names)}."
    return (wrap(said), *([wrap(models)] if names else []), PREFERENCE_RULE)


def _measurements(found: Trial, onto: str) -> tuple[str, ...]:
    rows = [("score", [one.value for one in found.reference], [one.value for one in found.proposed])]
    for name in _metrics(found):
        rows.append((name, _of(found.reference, name), _of(found.proposed, name)))
    table = [f"| | before: {onto} | after: proposed |", "|---|---|---|"]
    heading = f"score ({found.direction.value})"
    table += [f"| {heading if not row else code(name, 60)} | {_series(before)} | {_series(after)} |"
              for row, (name, before, after) in enumerate(rows)]  # fmt: skip
    seconds = [median(one.seconds for one in side) for side in (found.reference, found.proposed)]
    table.append(f"| seconds | {seconds[0]:.3g} | {seconds[1]:.3g} |")
    luck = "No score varied." if found.is_steady else f"Luck alone does as well in {_percent(found)} of cases."
    said = (
        f"**Evidence**: both were measured again for this text, {len(found.proposed)} times each in turns, each time "
        f"in a fresh export. {luck} Medians; least and greatest in brackets."
    )
    better, worse, same = by_instance(found)
    instances = f"Of the instances {better} got better, {worse} worse, {same} stayed."
    return (wrap(said), "\n".join(table), *([instances] if better + worse + same else []), RULE)


def _metrics(found: Trial) -> list[str]:
    every = (*found.reference, *found.proposed)
    common = set(every[0].metrics).intersection(*(set(one.metrics) for one in every))
    return sorted(common)[:_MOST_METRICS]


def _of(measured: Sequence[Measurement], name: str) -> list[float | None]:
    return [one.metrics.get(name) for one in measured]


def _series(found: Sequence[float | None]) -> str:
    known = [value for value in found if value is not None]
    if not known:
        return "-"
    low, high = min(known), max(known)
    return number(median(known)) + ("" if low == high else f" ({number(low)} … {number(high)})")


def _percent(found: Evidence) -> str:
    return f"{float(found.luck) * 100:.2g} %"
