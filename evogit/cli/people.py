"""Commands with which people take part: `verdict`, `goal`, `stop`, `pause`, `resume`."""

from __future__ import annotations

import platform
import secrets
import sys
import time
from typing import TextIO, get_args

import click

from evogit import people
from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.output import console, number, plain, print_json
from evogit.errors import UsageError
from evogit.model import CommitId, RunName
from evogit.people import Person, Word
from evogit.store import amendments, leaks, repository
from evogit.store.repository import Repository
from evogit.store.task import State, Task

_MAX_GOAL = 20_000
_NOBODY = "evogit@evogit.invalid"
_MEANINGS = {
    "promote": "its descendants are preferred as parents",
    "prune": "it and its descendants are not chosen as parents any more",
    "comment": "it is kept with the candidate",
}


def who(repo: Repository) -> Person:
    """Return the person who stands at the keyboard.

    Raises:
        UsageError: git knows no name of theirs.
    """
    name, email = context.person(repo)
    if email == _NOBODY:
        raise UsageError(
            'who are you? git config user.name "Your Name" and git config user.email you@example.org first'
        )
    return Person(
        name=name, email=email, host=platform.node()[:64] or "unknown", session=secrets.token_hex(3),
        now=context.now, sleep=time.sleep,
    )  # fmt: skip


@click.command("verdict")
@click.argument("revision", metavar="REV")
@click.argument("word", metavar="promote|prune|comment", default="")
@click.argument("text", metavar="[TEXT]", default="")
@click.option("--over", metavar="REV2", help="Where a judge compares candidates: REV is better than this one [TEXT]")
@click.option("--dry-run", is_flag=True, help="Only check that it can be recorded")
@context.run_option
@context.json_option
def verdict_command(
    revision: str, word: str, text: str, over: str | None, dry_run: bool, run: str | None, as_json: bool
) -> None:
    """Say what you think of a candidate: promote it, prune it, comment on it, or prefer it to another one.

    Agents prefer descendants of a promoted candidate as parents, and choose no pruned one nor what comes of it. Your
    last word on a candidate counts; one person's prune outweighs all promotions. The verdict stands in a journal of
    your own and can be seen with `evogit show` and `git log --notes='evogit/*'`. REV is a commit, an agent's name or
    `best`.

    In a run with a judge, `evogit verdict REV --over REV2 'why'` says that one candidate is better than another. It
    weighs as much as three comparisons of the judge's; of the same two your last word counts.
    """
    reading = context.read_run(run)
    person = who(reading.repo)
    commit = reading.resolve(revision)
    journal = people.journal_name(reading.repo, person)
    if over is not None:
        _prefer(reading, person, commit, reading.resolve(over), _words_of(word, text), dry_run=dry_run, as_json=as_json)
        return
    chosen = next((known for known in get_args(Word) if known == word), None)
    if chosen is None:
        raise UsageError(f"{word!r} is not one of promote, prune and comment; with --over REV2 it takes only a TEXT")
    people.check_verdict(reading.repo, reading.task, reading.snapshot, commit, chosen, text)
    if not dry_run:
        people.give_verdict(reading.repo, reading.task, reading.snapshot, person, commit, chosen, text)
    words = people.clean(text)
    if as_json:
        print_json({"run": reading.task.run, "commit": commit, "verdict": word, "text": words, "agent": journal})
        return
    verb = "would record" if dry_run else "recorded"
    console().print(plain(f"{verb} {word} on {commit[:12]} in {journal}: {_MEANINGS[word]}"))


def _words_of(word: str, text: str) -> str:
    if word and text:
        raise UsageError(f"--over takes one text, and there are two: {word!r} and {text!r}; quote it as a whole")
    return word or text


def _prefer(
    reading: Reading, person: Person, commit: CommitId, over: CommitId, text: str, *, dry_run: bool, as_json: bool
) -> None:
    people.check_preference(reading.task, reading.snapshot, commit, over, text)
    journal = people.journal_name(reading.repo, person)
    if not dry_run:
        people.prefer(reading.repo, reading.task, reading.snapshot, person, commit, over, text)
    if as_json:
        found = {"run": reading.task.run, "commit": commit, "over": over, "text": people.clean(text), "agent": journal}
        print_json({**found, "value": reading.value(commit), "over_value": reading.value(over)})
        return
    verb = "would record" if dry_run else "recorded"
    now = "" if dry_run else f"; they are rated {number(reading.value(commit))} and {number(reading.value(over))} now"
    console().print(plain(f"{verb} in {journal} that {commit[:12]} is better than {over[:12]}{now}"))


@click.command("goal")
@click.argument("action", type=click.Choice(["show", "edit"]), default="show", metavar="[show|edit]")
@click.argument("text", default="", metavar="[TEXT]")
@click.option(
    "-F", "--file", "file", type=click.File("r", errors="replace"), help="Take the goal from FILE; - is stdin"
)
@click.option("--dry-run", is_flag=True, help="Only say what would be changed")
@context.run_option
@context.json_option
def goal_command(action: str, text: str, file: TextIO | None, dry_run: bool, run: str | None, as_json: bool) -> None:
    """Show or change the goal of a run; its agents see the change within a second or two.

    `edit` takes the new goal from TEXT, from FILE, or on a terminal from your editor. The evogit.toml of the run stays
    as it was frozen; everything measured before still counts.
    """
    repo = context.open_here()
    chosen = context.choose_task(repo, run)
    if action == "show":
        if text or file:
            raise UsageError("to change the goal: evogit goal edit TEXT, or evogit goal edit -F FILE")
        _show_goal(chosen, chosen.goal, as_json=as_json)
        return
    new = _checked_goal(_new_goal(chosen, text, file))
    changed = new != chosen.goal
    if not dry_run:
        message = f"evogit: another goal for run {chosen.run}\n\n{new}\n"
        _, changed = _amend(repo, chosen.run, message, goal=new)
    if as_json:
        _show_goal(chosen, new, as_json=True)
    elif changed:
        console().print(plain(f"the goal of run {chosen.run} {'would be' if dry_run else 'is now'}: {new}"))
    else:
        console().print(plain(f"that is the goal of run {chosen.run} already"))


def _show_goal(chosen: Task, goal: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"run": chosen.run, "goal": goal, "frozen_goal": chosen.definition.config.goal})
    else:
        console().print(plain(goal or f"run {chosen.run} has no goal in words; evogit goal edit TEXT sets one"))


def _new_goal(chosen: Task, text: str, file: TextIO | None) -> str:
    if text and file:
        raise UsageError("give the goal as TEXT or with -F, not both")
    if file:
        return file.read(_MAX_GOAL + 1)
    if text:
        return text
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("there is no terminal for an editor; give the goal as TEXT or with -F FILE (- is stdin)")
    edited = click.edit(chosen.goal + "\n", extension=".md")
    if edited is None or not edited.strip():
        raise UsageError("the editor saved no goal; nothing was changed")
    return edited


def _checked_goal(text: str) -> str:
    goal = people.clean(text)
    if not goal:
        raise UsageError("the new goal is empty; nothing was changed")
    if len(goal) > _MAX_GOAL:
        raise UsageError(f"the goal has more than {_MAX_GOAL} characters; say it shorter")
    if kind := leaks.found(goal.encode()):
        raise UsageError(f"the goal looks as if it holds {kind}; the task is shared, so it is not taken")
    return goal


@click.command("stop")
@click.option("--dry-run", is_flag=True, help="Only say what would be changed")
@context.run_option
def stop_command(dry_run: bool, run: str | None) -> None:
    """Stop the agents of a run: those of all launchers, and in other clones when they next sync.

    Each ends after the evaluation it is at; nothing that was scored is lost. No agent starts on the run until
    `evogit resume`.
    """
    _set_state(State.STOPPED, run, dry_run=dry_run)


@click.command("pause")
@click.option("--dry-run", is_flag=True, help="Only say what would be changed")
@context.run_option
def pause_command(dry_run: bool, run: str | None) -> None:
    """Let the agents of a run wait after the evaluation they are at, until `evogit resume`.

    Their processes stay, and their limits of time go on.
    """
    _set_state(State.PAUSED, run, dry_run=dry_run)


@click.command("resume")
@click.option("--dry-run", is_flag=True, help="Only say what would be changed")
@context.run_option
def resume_command(dry_run: bool, run: str | None) -> None:
    """Let a run go on after `evogit pause` or `evogit stop`.

    Paused agents go on by themselves; after a stop, start some with `evogit run --run NAME`.
    """
    _set_state(State.RUNNING, run, dry_run=dry_run)


_VERBS = {State.RUNNING: "resume", State.PAUSED: "pause", State.STOPPED: "stop"}


def _set_state(state: State, run: str | None, *, dry_run: bool) -> None:
    repo = context.open_here()
    before = context.choose_task(repo, run)
    out = console()
    if dry_run:
        out.print(plain(f"run {before.run} is {before.state.value}; would {_VERBS[state]} it"))
        return
    after, changed = _amend(repo, before.run, f"evogit: {_VERBS[state]} run {before.run}\n", state=state)
    if not changed and after.state is not state:
        out.print(plain(f"run {after.run} is stopped, so nothing is left to pause"))
    elif not changed:
        out.print(plain(f"run {after.run} is {after.state.value} already"))
    elif state is State.RUNNING and before.state is State.STOPPED:
        out.print(plain(f"run {after.run} may go on: evogit run --run {after.run}"))
    else:
        out.print(plain(f"run {after.run} is {after.state.value}{_REMEDIES[state].format(run=after.run)}"))


_REMEDIES = {
    State.RUNNING: " again",
    State.PAUSED: "; evogit resume --run {run} lets it go on",
    State.STOPPED: "; evogit resume --run {run} lets it go on",
}


def _amend(
    repo: Repository, run: RunName, message: str, *, goal: str | None = None, state: State | None = None
) -> tuple[Task, bool]:
    person = who(repo)
    signature = repository.signature(person.name, person.email, person.now())
    return amendments.amend(repo, run, signature, message=message, goal=goal, state=state)
