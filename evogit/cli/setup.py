"""Commands before a run: `init`, `doctor`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

import click

from evogit import config, doctor
from evogit.cli import confine, context, trial
from evogit.cli.output import console, plain, print_json
from evogit.errors import UsageError
from evogit.model import Direction


@click.command("init")
@click.option("--score", required=True, metavar="COMMAND", help="The command that scores the files it is run beside")
@click.option(
    "--direction",
    type=click.Choice([direction.value for direction in Direction]),
    default="maximize",
    show_default=True,
    help="Which scores are better",
)
@click.option("--goal", default="", help="What is wanted, in words")
@click.option(
    "--editable", multiple=True, metavar="PATTERN", help="What may be changed; default: all that is not protected"
)
@click.option("--protected", multiple=True, metavar="PATTERN", help="What must not be changed, beside the defaults")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=60, show_default=True, help="Seconds for one score"
)
@click.option("--force", is_flag=True, help="Write over an evogit.toml that is there")
def init_command(
    score: str,
    direction: str,
    goal: str,
    editable: Sequence[str],
    protected: Sequence[str],
    timeout: float,
    force: bool,
) -> None:
    """Write an evogit.toml for this repository; nothing else is touched.

    COMMAND runs in a copy of the repository. It writes its result as JSON to the file that the environment variable
    EVOGIT_RESULT names: {"score": 1.5}, and if it likes "metrics" and "instances" (numbers by name) and "feedback";
    files for people to look at go into the folder EVOGIT_ARTIFACTS.
    """
    repo = context.open_here()
    repo.head()
    if repo.work is None:
        raise UsageError(f"{repo.common} is bare; write evogit.toml in a work tree of it and commit it")
    path = repo.work / config.FILE_NAME
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; edit it, or write over it with --force")
    text = _render(score, direction, goal, editable, protected, timeout)
    config.parse(text.encode())
    try:
        path.write_text(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    out = console()
    out.print(plain(f"wrote {path}; nothing else was changed"))
    out.print("next: evogit doctor, then evogit run -n 2 --evals 100")


def _render(
    score: str, direction: str, goal: str, editable: Sequence[str], protected: Sequence[str], timeout: float
) -> str:
    lines = [
        f"goal = {_string(goal)}",
        f"direction = {_string(direction)}",
        f"editable = [{', '.join(map(_string, editable))}]"
        + ("" if editable else "  # empty: all that is not protected"),
        f"protected = [{', '.join(map(_string, protected))}]  # beside the files the command names, tests and CI",
        "stop = { evals = 300 }",
        "",
        "[evaluator]",
        f"command = {_string(score)}",
        f"timeout_s = {timeout:g}",
        '# judge = { by = "model" }  # in the place of command: candidates are compared, by the goal',
        '# mode = "split"  # the command then runs apart from the candidate, and asks a worker for results',
        "",
        "# Which agents work is up to evogit, as long as nothing is said here; `evogit agents` lists them.",
        "# [[agents]]",
        '# use = "tuner"     # a name, or the path of a .toml file',
        "# count = 2",
        "",
        "# For agents that ask a language model (explorer, refiner, fixer, crossover); its key is in the environment.",
        "# [[models]]",
        '# name = "openai/gpt-4o-mini"  # as litellm calls it; also: weight, api_base, api_key_env, prices',
    ]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # a JSON string is a TOML string


@click.command("doctor")
@click.option("--eval", "tempt", is_flag=True, help="Try candidates on the evaluator that fake their score, too")
@confine.sandbox_options
@context.json_option
def doctor_command(tempt: bool, as_json: bool) -> None:
    """Check that this repository can be evolved: Git, the configuration, the evaluator, and what was left behind.

    With --eval, worthless candidates that are out for a good score are measured as well, as any candidate is: some
    seventy tricks that were seen elsewhere, as far as they apply. Those that win are named, and what helps.

    Exit code 0: nothing is in the way, and no trick wins; 1: something is, or one does.
    """
    repo = context.open_here()
    findings = doctor.check(repo, os.environ, lambda: confine.sandbox(repo))
    if not as_json:
        out = console()
        styles = {"ok": "green", "warning": "yellow", "problem": "red"}
        for finding in findings:
            out.print(plain(f"{finding.level:8} {finding.about}: {finding.text}"), style=styles[finding.level])
    is_fine = not any(finding.level == "problem" for finding in findings)
    more: Mapping[str, object] = {}
    if tempt and is_fine:
        is_fine, tried = trial.run(repo, as_json=as_json)
        more = {"eval": tried}
    elif tempt:
        console(stderr=True).print("no trick was tried on the evaluator: mend the problems first")
    if as_json:
        print_json({"findings": [{"level": f.level, "about": f.about, "text": f.text} for f in findings], **more})
    sys.exit(0 if is_fine else 1)
