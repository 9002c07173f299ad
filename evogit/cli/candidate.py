"""Commands about one candidate: `show`, `best`, `diff`."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping, Sequence

import click
import msgspec
from rich.console import Console

from evogit import promote
from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.output import chosen_words, console, gain, local_time, number, plain, print_json
from evogit.model import Artifact, CommitId, Measurement, TreeId
from evogit.records import Call, Comparison, Merge, Score, Verdict
from evogit.store import commits

_LINES_SHOWN, _WIDTH_SHOWN = 40, 300
_REV = click.argument("revision", metavar="REV", required=False)


@click.command("show")
@_REV
@context.run_option
@context.json_option
def show_command(revision: str | None, run: str | None, as_json: bool) -> None:
    """Show one candidate and its records.

    REV is a commit, an agent's name, `base` or `best` (the default).
    """
    reading = context.read_run(run)
    commit = reading.resolve(revision)
    found = reading.snapshot.candidates.get(commit)
    scores = found.scores if found else []
    parents = commits.parents(reading.repo, commit)
    if as_json:
        proposal = msgspec.to_builtins(found.proposal) if found and found.proposal else None
        print_json(
            {"commit": commit, "run": reading.task.run, "subject": reading.subject(commit), "parents": parents,
             "value": reading.value(commit), "proposal": proposal,
             "calls": msgspec.to_builtins(found.calls if found else []), "scores": msgspec.to_builtins(scores),
             "verdicts": msgspec.to_builtins(found.verdicts if found else []),
             "comparisons": msgspec.to_builtins(found.comparisons if found else [])}
        )  # fmt: skip
        return
    out = console()
    value = reading.value(commit)
    out.print(plain(f"commit   {commit}"))
    out.print(plain(f"subject  {reading.subject(commit)}"))
    out.print(plain(f"score    {number(value)}  {gain(value, reading.base_value)}".rstrip()))
    for parent in parents:
        before = reading.value(parent)
        out.print(plain(f"parent   {parent[:12]}  {number(before)}  {reading.subject(parent)}"))
    if found and found.proposal:
        made = found.proposal
        numbers = "  ".join(f"{name}={amount:.4g}" for name, amount in sorted(made.params.items()))
        out.print(plain(f"made by  {made.agent} ({made.operator.value})  seed {made.seed}  {numbers}".rstrip()))
        for kind, choice in made.choices.items():
            out.print(plain(f"chosen   {kind} {chosen_words(choice)}"))
        for call in found.calls:
            out.print(plain(f"asked    {_called(call)}"))
        if made.donor:
            donor = CommitId(made.donor)
            out.print(plain(f"donor    {donor[:12]}  {number(reading.value(donor))}  {reading.subject(donor)}"))
        if made.merge:
            born = found.born_under or reading.snapshot.evaluator
            _show_merge(out, made.merge, parents, found.value(born), reading.measured_by(born))
    for verdict in found.verdicts if found else []:
        _show_verdict(out, verdict)
    for comparison in found.comparisons if found else []:
        _show_comparison(out, comparison, reading)
    for score in scores:
        _show_score(out, score, reading)
    if not scores:
        out.print(plain(_why_unscored(reading, commit)))


def _called(call: Call) -> str:
    counts = ((call.tokens_in, "in"), (call.tokens_out, "out"))
    tokens = [f"{count:,} tokens {word}" for count, word in counts if count is not None]
    about = "" if tokens else "about "  # it was reckoned from lengths, or is all that a tool says
    cost = "cost unknown" if call.usd is None else f"{about}{call.usd:.4f} USD"
    return f"{call.model}: {', '.join((call.outcome, *tokens, cost, f'{call.seconds:.3g} s'))}"


def _show_verdict(out: Console, verdict: Verdict) -> None:
    first, *more = verdict.text.splitlines() or [""]
    said = f": {first}" if first else ""
    out.print(plain(f"{verdict.verdict:8} {local_time(verdict.at)}  by {verdict.agent}{said}"))
    for line in more:
        out.print(plain(f"  | {line}"))


def _show_comparison(out: Console, said: Comparison, reading: Reading) -> None:
    """Say what came of a comparison, and what was said in each order where the two differ."""
    words = {1.0: "better than", 0.0: "worse than", 0.5: "as good as", None: "not compared with"}[said.points]
    place = len(set(said.verdicts)) == 1 and said.verdicts[0] in ("first", "second")
    more = f" ({said.verdicts[0]} in either order)" if place else ""
    epoch = reading.measured_by(said.evaluator)
    other = f"; of {epoch}, and does not count" if epoch else ""
    out.print(plain(f"compared {words} {said.than[:12]}{more}  by {said.agent} ({said.by}){other}"))
    for call in said.calls:
        out.print(plain(f"  asked  {_called(call)}"))
    for line in said.text.splitlines():
        out.print(plain(f"  | {line}"))


def _why_unscored(reading: Reading, commit: CommitId) -> str:
    twin = reading.snapshot.measured(TreeId(str(reading.repo.commit(commit).tree_id)))
    if twin is None:
        return "not scored in this run"
    return f"not measured itself: its files are those of {twin[:12]}, which scored {number(reading.value(twin))}"


def _show_merge(out: Console, merge: Merge, parents: Sequence[CommitId], value: float | None, other: str) -> None:
    """Say what came together, and what the whole is beyond the sum of the gains (in genetics: epistasis).

    All numbers are of one epoch, that in which it was merged; `other` names it unless it is the present one.
    """
    before = merge.base_value
    gains = [known - before for known in merge.values]
    brought = "  ".join(f"{parent[:9]} {amount:+.4g}" for parent, amount in zip(parents, gains))
    out.print(
        plain(f"merge    from {merge.base[:9]}  {number(before)}:  {brought}{f'  (in {other})' if other else ''}")
    )
    if value is not None:
        whole, together = value - before, sum(gains)
        beyond = 0.0 if math.isclose(whole, together, rel_tol=1e-9) else whole - together
        out.print(plain(f"         together {whole:+.4g}, the sum is {together:+.4g}: interaction {beyond:+.4g}"))


def _show_score(out: Console, score: Score, reading: Reading) -> None:
    epoch = reading.measured_by(score.evaluator)
    other = f"; of {epoch}, not comparable" if epoch else ""
    said = number(score.value) if score.value is not None else score.status.value
    out.print(
        plain(
            f"\n{local_time(score.at)}  {said}  by {score.agent} on {score.host} in {score.seconds:.3g} s, "
            f"sandbox {score.sandbox}{other}"
        )
    )
    show_details(out, score)


def show_details(out: Console, said: Score | Measurement) -> None:
    """Show what an evaluation said beside the score, and what it left."""
    for title, numbers in (("metrics", said.metrics), ("instances", said.instances)):
        for name, amount in numbers.items():
            out.print(plain(f"  {title}  {name} = {amount:.6g}"))
    for line in said.feedback.splitlines():
        out.print(plain(f"  | {line}"))
    _show_artifacts(out, said.artifacts, said.artifacts_left_out)


def _show_artifacts(out: Console, artifacts: Mapping[str, Artifact], left_out: int) -> None:
    """Long lines and texts are cut here once more."""
    for name, artifact in artifacts.items():
        digest = f"  sha256 {artifact.sha256}" if artifact.sha256 else ""
        out.print(plain(f"  artifact  {name}  {artifact.bytes} bytes{digest}"))
        lines = artifact.text.splitlines()
        for line in lines[:_LINES_SHOWN]:
            out.print(plain(f"  | {line if len(line) <= _WIDTH_SHOWN else line[:_WIDTH_SHOWN] + '…'}"))
        if len(lines) > _LINES_SHOWN:
            out.print(f"  … {len(lines) - _LINES_SHOWN} more lines; --json has them")
    if left_out:
        out.print(f"  {left_out} more artifacts were left out")


@click.command("best")
@click.option("-q", "--quiet", is_flag=True, help="Print only the commit's full id")
@context.run_option
@context.json_option
def best_command(quiet: bool, run: str | None, as_json: bool) -> None:
    """Show the best candidate."""
    reading = context.read_run(run)
    best = reading.best()
    value, base = reading.value(best.id), reading.base_value
    if quiet:
        click.echo(best.id)
    elif as_json:
        print_json({"run": reading.task.run, "commit": best.id, "value": value, "base_value": base})
    else:
        words = f"{best.id[:12]}  {number(value)}  {gain(value, base)}  {reading.subject(best.id)}"
        console().print(plain(words))


@click.command("diff")
@_REV
@click.option("--stat", is_flag=True, help="Only which files change, and how much")
@context.run_option
def diff_command(revision: str | None, stat: bool, run: str | None) -> None:
    """Show what a candidate changes against the base of its run.

    REV is a commit, an agent's name or `best` (the default).
    """
    reading = context.read_run(run)
    commit, base = reading.resolve(revision), reading.task.definition.base
    if sys.stdout.isatty():
        # The user's own git, with pager and colours as they set them up; attributes of the candidate run no program.
        command = ["git", "-C", str(reading.repo.work or reading.repo.common), "diff", "--no-ext-diff", "--no-textconv"]
        sys.exit(subprocess.run([*command, *(["--stat"] if stat else []), base, commit, "--"]).returncode)
    sys.stdout.buffer.write(promote.patch(reading.repo, base, commit, stat=stat))
