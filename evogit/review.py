"""How to look at a run with git alone: lines for a proposal's text, for the README, and for anybody's terminal."""

from __future__ import annotations

from collections.abc import Sequence


def fetch(run: str, remote: str) -> Sequence[str]:
    """Return lines that bring a run's records from a remote; they go to tracking refs, never onto journals."""
    return (
        f"git fetch {remote} \\",
        f"  '+refs/notes/evogit/{run}/*:refs/notes/evogit-remote/{remote}/{run}/*' \\",
        f"  '+refs/evogit/{run}/task:refs/evogit-remote/{remote}/{run}/task'",
    )


def look(base: str, best: str, notes: str) -> Sequence[str]:
    """Return lines that show the change, its steps with the scores in `notes` (a glob), and who made them."""
    return (
        f"git diff {base} {best}",
        f"git log --first-parent --notes='{notes}' {base}..{best}",
        f"git shortlog -sn --group=trailer:evogit-agent {base}..{best}",
    )


def bisect(base: str, best: str, notes: str, evaluator: str, reached: tuple[str, float]) -> Sequence[str]:
    """Return lines that find, by an evaluator's scores in `notes` (a glob), the first step to reach a score.

    `reached` is a comparison (`>=` or `<=`) and a number. Nothing is checked out; a step without a score is skipped.
    """
    sign, value = reached
    return (
        "git bisect start --no-checkout --first-parent --term-old=before \\",
        f"  --term-new=reached {best} {base}",
        f"git bisect run sh -c \"git log -1 --format=%N --notes='{notes}' BISECT_HEAD | \\",
        "  awk -F'\\\"value\\\":' "
        f'\'/\\"evaluator\\":\\"{evaluator[:16]}/ && NF > 1 {{ known = 1; score = \\$NF + 0 }} \\',
        f"  END {{ exit known ? (score {sign} {value:.6g}) : 125 }}'\"",
        "git bisect reset",
    )


def measure(run: str, remote: str, best: str) -> Sequence[str]:
    """Return lines that score a candidate with evogit."""
    return (f"evogit sync {remote}", f"evogit evaluate {best} --run {run}")


def reproduce(run: str, remote: str, best: str, command: str) -> Sequence[str]:
    """Return lines that score a candidate as the run did, after the lines of `fetch`."""
    return (
        f"git worktree add -q --detach ../check {best} && cd ../check",
        f"git archive refs/evogit-remote/{remote}/{run}/task:protected | tar -x",
        'export EVOGIT_RESULT="$(mktemp)"',
        *command.splitlines(),
        'cat "$EVOGIT_RESULT"',
    )
