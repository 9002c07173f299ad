"""Commands that land a result: `apply` and `pr`."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass

import click

from evogit import forge, promote, pull_branch, pull_evidence, pull_request, pull_text
from evogit.cli import confine, context, models, proving
from evogit.cli.context import Reading
from evogit.cli.output import console, number, plain, print_json, safe
from evogit.cli.proving import Asking
from evogit.cli.signals import StopSignals
from evogit.errors import EvogitError
from evogit.gain import RULE
from evogit.judging.contest import RULE as PREFERENCE_RULE
from evogit.model import CommitId
from evogit.pull_evidence import Evidence
from evogit.pull_request import Proposal, Style
from evogit.store import landing, publishing
from evogit.store.publishing import Remote
from evogit.store.remote import without_secret

_REV = click.argument("revision", metavar="[REV]", required=False)


@click.command("apply")
@_REV
@click.option("--dry-run", is_flag=True, help="Only say what would be changed")
@context.run_option
def apply_command(revision: str | None, dry_run: bool, run: str | None) -> None:
    """Stage a candidate's change as your own.

    The change against the base goes to the index and the work tree, all of it or nothing; you commit it. Protected
    files are left out, since they are not what was measured. REV is a commit, an agent's name or `best` (the default).
    """
    reading = context.read_run(run)
    commit = reading.resolve(revision)
    definition = reading.task.definition
    tree, left = pull_request.own_change(reading.repo, reading.task, commit)
    paths = promote.stage(reading.repo, definition.base, tree, named=commit[:12], dry_run=dry_run)
    for warning in left:
        click.echo(f"evogit: {safe(warning)}", err=True)
    verb = "would stage" if dry_run else "staged"
    out = console()
    out.print(plain(f"{verb} the change of {commit[:12]} ({number(reading.value(commit))}): {', '.join(paths)}"))
    if not dry_run:
        out.print("look with `git diff --cached`, then `git commit`")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What a person asked for."""

    asking: Asking
    signoff: bool
    remote: Remote | None
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """A branch that proposes the result, and how it came to."""

    number: int
    commit: CommitId
    how: str
    evidence: Evidence | None


@click.command("pr", epilog=f"\b\nWhen is it really better?\n\n{RULE}. {PREFERENCE_RULE}.")
@_REV
@click.option("--style", type=click.Choice([style.value for style in Style]), default="squash", show_default=True,
              help="One commit, or a merge commit of the lineage as it evolved")  # fmt: skip
@click.option(
    "--onto", metavar="BRANCH", help="What it shall be merged into; default: the checked-out branch, or the base"
)
@click.option("--remote", "remote", metavar="NAME", help="Push the branch there with your own credentials")
@click.option("--repeat", type=click.IntRange(2, 20), show_default="3, or 5 where a judge compares",
              help="How often each is measured (2 do only where no score varies), or a judge is asked")  # fmt: skip
@models.model_option
@click.option("--signoff", is_flag=True, help="Add a Signed-off-by line with your name")
@click.option("--dry-run", is_flag=True, help="Only say what would be done; measure nothing")
@click.option("--print-body", is_flag=True, help="Measure, print the text, write nothing")
@context.run_option
@confine.sandbox_options
@context.json_option
def pr_command(
    revision: str | None, style: str, onto: str | None, remote: str | None, repeat: int | None, named: tuple[str, ...],
    signoff: bool, dry_run: bool, print_body: bool, run: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Propose a candidate as a pull request.

    It and what it would be merged into are measured again, in turns, each in a fresh export; or, where a judge compares
    candidates, the judge compares the two again. Unless it is really better nothing is written (exit code 1). Else the
    branch evogit/RUN/pr-N gets a commit in your name whose message is the pull request's text: what changed, the
    evidence, the lineage, how to check it all with git alone. Nothing is checked out; no forge is called: the line or
    address that opens the pull request is printed.

    `--style history` makes a merge commit with that text, whose second parent is the candidate itself, so that every
    step lands with its own commit and its notes. REV is a commit, an agent's name or `best` (the default).
    """
    signals = StopSignals()
    reading = context.read_run(run)
    asking = proving.asking(reading, repeat, named)
    proposal = pull_request.prepare(
        reading.repo, reading.task, reading.resolve(revision), style=Style(style), onto=onto
    )
    user = landing.identity(reading.repo, os.environ)
    there = publishing.find(reading.repo, remote, os.environ) if remote is not None else None
    wish = _Wish(asking=asking, signoff=signoff, remote=there, as_json=as_json)
    _warn(proposal)
    if dry_run:
        _print_plan(proposal, wish, user)
    elif print_body:
        found = proving.evidence(reading, proposal, asking, signals)
        click.echo(_text(reading, proposal, found, wish, user), nl=False)
    else:
        done = _propose(reading, proposal, wish, user, signals)
        pushed = _push(proposal, done, wish, signals)
        _print_done(proposal, done, wish, pushed)


def _warn(proposal: Proposal) -> None:
    for warning in proposal.warnings:
        click.echo(f"evogit: {safe(warning)}", err=True)


def _name(proposal: Proposal) -> str:
    return proposal.target.branch or proposal.target.commit[:12]


def _print_plan(proposal: Proposal, wish: _Wish, user: str) -> None:
    found = pull_branch.place(proposal, signed_off=user if wish.signoff else None, taken=())
    branch = pull_branch.short_name(proposal, found.number)
    if wish.as_json:
        print_json({"run": proposal.task.run, "best": proposal.best, "branch": branch, "onto": _name(proposal),
                    "style": proposal.style, "warnings": list(proposal.warnings)})  # fmt: skip
        return
    out = console()
    if found.is_current:
        out.print(plain(f"{branch} proposes it already; nothing would be measured or written"))
    else:
        _print_steps(proposal, wish, branch)
    if wish.remote:
        out.print(plain(f"would push it to {without_secret(wish.remote.name)}"))
    out.print(plain(promote.summary(proposal.repo, proposal.target_tree, proposal.tree).rstrip()))


def _print_steps(proposal: Proposal, wish: _Wish, branch: str) -> None:
    out = console()
    out.print(plain(f"would {wish.asking.words(_name(proposal), proposal.best[:12])}"))
    form = "one commit" if proposal.style is Style.SQUASH else "a merge commit of the lineage"
    out.print(plain(f"would write {form} on {_name(proposal)} to the branch {branch}, if it is really better"))


def _propose(reading: Reading, proposal: Proposal, wish: _Wish, user: str, signals: StopSignals) -> _Done:
    signed_off = user if wish.signoff else None
    found = pull_branch.place(proposal, signed_off=signed_off, taken=())
    if found.is_current and found.tip:
        return _Done(number=found.number, commit=found.tip, how="unchanged", evidence=None)
    taken = publishing.proposed(reading.repo, wish.remote, reading.task.run, os.environ) if wish.remote else ()
    evidence, sandbox = proving.evidence(reading, proposal, wish.asking, signals)
    text = _text(reading, proposal, (evidence, sandbox), wish, user)
    commit = landing.write_commit(reading.repo, text, proposal.tree, proposal.parents, os.environ)
    before = pull_branch.put(proposal, commit, signed_off=signed_off, taken=taken)
    if before.is_current and before.tip:
        return _Done(number=before.number, commit=before.tip, how="unchanged", evidence=None)
    return _Done(number=before.number, commit=commit, how="updated" if before.tip else "new", evidence=evidence)


def _text(reading: Reading, proposal: Proposal, shown: tuple[Evidence, str], wish: _Wish, user: str) -> str:
    evidence, sandbox = shown
    name = wish.remote.name if wish.remote and wish.remote.is_configured else "origin"
    found = pull_request.facts(
        proposal, reading.snapshot, evidence, remote=name, user=user, signoff=wish.signoff,
        where=(sandbox, platform.node()[:64] or "unknown"),
    )  # fmt: skip
    return pull_text.message(found)


def _push(proposal: Proposal, done: _Done, wish: _Wish, signals: StopSignals) -> str | None:
    if wish.remote is None:
        return None
    try:
        return publishing.push(proposal.repo, wish.remote, proposal.task.run, done.number, os.environ)
    except EvogitError as error:
        branch = pull_branch.short_name(proposal, done.number)
        if signals.reason is not None:
            click.echo(f"evogit: {branch} is written here but not pushed: {signals.reason}", err=True)
            sys.exit(signals.exit_code)
        raise type(error)(f"{branch} is written here but not pushed: {error}") from error


def _print_done(proposal: Proposal, done: _Done, wish: _Wish, pushed: str | None) -> None:
    branch = pull_branch.short_name(proposal, done.number)
    message = landing.message_of(proposal.repo, done.commit)
    opening = _opening(proposal, wish, branch)
    if wish.as_json:
        print_json(
            {"run": proposal.task.run, "best": proposal.best, "branch": branch, "commit": done.commit, "how": done.how,
             "onto": _name(proposal), "style": proposal.style, "title": message.partition("\n")[0],
             **pull_evidence.for_machines(done.evidence), "pushed": pushed,
             "open": [*opening.lines, *([opening.address] if opening.address else [])],
             "warnings": list(proposal.warnings)}
        )  # fmt: skip
        return
    out = console()
    words = {"new": "", "updated": "  (a newer version)", "unchanged": "  (as proposed before; not measured again)"}
    out.print(plain(f"{branch}  {done.commit[:12]}  {message.partition(chr(10))[0]}{words[done.how]}"))
    out.print(plain(f"read it with `git show {branch}`"))
    if wish.remote is None:
        out.print(plain(f"push it with `evogit pr --remote NAME`, or `git push NAME {branch}`"))
        return
    where = without_secret(wish.remote.name)
    out.print(plain(f"{where} has it" if pushed == "unchanged" else f"pushed to {where}"))
    out.print(plain("open the pull request:"))
    for line in (*opening.lines, *([opening.address] if opening.address else [])):
        out.print(plain(f"  {line}"))
    out.print(plain(f"reviewers see scores and lineage when the run is there, too: evogit sync {where}"))


def _opening(proposal: Proposal, wish: _Wish, branch: str) -> forge.Opening:
    if wish.remote is None:
        return forge.Opening()
    return forge.opening(
        wish.remote.url, wish.remote.name, head=branch, onto=proposal.target.branch, target=proposal.target.commit,
        single=proposal.style is Style.SQUASH,
    )  # fmt: skip
