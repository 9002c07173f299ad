"""The command line's entry: finds a command without importing the others, and turns errors into exit codes."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

import click

from evogit.errors import EvogitError

_COMMANDS = {
    "init": ("setup", "Write an evogit.toml for this repository"),
    "run": ("run", "Start agents and watch them"),
    "agent": ("agent", "Be one agent of a run"),
    "agents": ("agents", "List, show or check agent definitions"),
    "status": ("status", "Show how a run stands"),
    "log": ("look", "List what was tried, newest first"),
    "runs": ("look", "List the runs of this repository"),
    "tree": ("tree", "Draw the family tree with scores"),
    "lineage": ("tree", "Show step by step how a candidate came to be"),
    "show": ("candidate", "Show one candidate and its records"),
    "best": ("candidate", "Show the best candidate"),
    "diff": ("candidate", "Show what a candidate changes"),
    "evaluate": ("trying", "Measure a commit now"),
    "try": ("trying", "Measure the work tree as it is"),
    "apply": ("land", "Stage a candidate's change as your own"),
    "pr": ("land", "Propose a candidate as a pull request"),
    "sync": ("sync", "Exchange runs with a remote"),
    "plan": ("plan", "Show what an agent would do next"),
    "verdict": ("people", "Say what you think of a candidate"),
    "goal": ("people", "Show or change the goal of a run"),
    "evaluator": ("evaluator", "Show or change what measures a run"),
    "stop": ("people", "Stop the agents of a run"),
    "pause": ("people", "Let the agents of a run wait"),
    "resume": ("people", "Let a run go on"),
    "hooks": ("hooks", "Install Git hooks for what people commit"),
    "doctor": ("setup", "Check that this repository can be evolved"),
    "clean": ("clean", "Remove what runs left behind, or prune one"),
}
_HIDDEN = {"hook": ("hooks", "What the installed hooks call")}
_EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed
  2    wrong usage, configuration or repository state
  3    the budget for models is spent
  4    the key for a model is missing or was refused
  5    the definition of a run is not trusted here yet
  6    storage or remote trouble
  70   a bug in evogit; a log file is named
  125  untestable (evaluate, for git bisect run)
  130  interrupted (143: terminated)
"""


_REMEDIES = {
    errno.EMFILE: "raise the limit on open files (ulimit -n) to 64 or more",
    errno.ENFILE: "close programs that hold many files open",
    errno.EAGAIN: "start fewer agents, or raise the limit on processes (ulimit -u)",
    errno.ENOMEM: "start fewer agents, or free memory",
    errno.ENOSPC: "free space on the disk",
    errno.EDQUOT: "free space in your quota",
}
"""What helps where a resource has run out, by the number of the error."""


class _Lazy(click.Group):
    """Imports a command's module only when it is called: `evogit --help` stays light."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a first use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now."""
        known = _COMMANDS | _HIDDEN
        if cmd_name not in known:
            return None
        module = importlib.import_module(f"evogit.cli.{known[cmd_name][0]}")
        found: click.Command = getattr(module, f"{cmd_name}_command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"evogit {version('evogit')}")
        ctx.exit()


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_CODES)
@click.option(
    "-C", "directory", type=click.Path(path_type=Path), help="Work as if started in DIRECTORY", metavar="DIRECTORY"
)
@click.option("--git-dir", metavar="DIRECTORY", help="The repository's .git folder, as for git")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="When to colour output; NO_COLOR is honoured",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version")
@click.pass_context
def evogit(ctx: click.Context, directory: Path | None, git_dir: str | None, color: str) -> None:
    """Evolve code with Git alone.

    Point evogit at a Git repository and a command that scores it. Independent agents branch, edit and commit; scores
    are Git notes. `evogit init`, then `evogit run`.
    """
    ctx.obj = color
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise click.UsageError(f"-C {directory}: {error.strerror}") from error
    if git_dir is not None:
        os.environ["GIT_DIR"] = git_dir


def main() -> NoReturn:
    """Run the command line and leave with its exit code; no traceback reaches a person."""
    # Records are many, live long and hold no cycles: looking for those takes a quarter of a cold start.
    gc.set_threshold(100_000, 20, 20)
    try:
        code = evogit.main(prog_name="evogit", standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except EvogitError as error:
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `evogit log | head`: no second complaint
        code = 0
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes a log file
        short = _shortage(error)
        _complain(short or _bug(error))
        code = 1 if short else 70
    sys.exit(code if isinstance(code, int) else 0)


def _shortage(error: Exception) -> str | None:
    """Return what the machine ran out of and what helps, or None: that is no bug."""
    remedy = _REMEDIES.get(error.errno) if isinstance(error, OSError) and error.errno is not None else None
    if isinstance(error, MemoryError):
        remedy = _REMEDIES[errno.ENOMEM]
    return f"this machine has no more to give: {str(error) or 'memory'}; {remedy}" if remedy else None


def _complain(text: str) -> None:
    first, _, rest = text.partition("\n")
    click.echo(f"evogit: {first}", err=True)
    if rest:
        click.echo(rest, err=True)


def _bug(error: Exception) -> str:
    trace = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="evogit-bug-", suffix=".log", delete=False) as log:
            log.write(trace)
    except OSError:
        return f"a bug in evogit: {type(error).__name__}\n{trace}"
    return (
        f"a bug in evogit: {type(error).__name__}: {error}\nThe details are in {log.name}; please report it with them."
    )
