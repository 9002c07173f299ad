"""What `make demo` runs: evolves the rule in a fresh repository, then says what came of it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
FILES = (
    "rule.py", "bench.py", "held_out.py", "make_instances.py", "evogit.toml", "score.py", "split.toml", "README.md",
    "data",
)  # fmt: skip
PUBLISHED = {"uniform": "OR3", "weibull": "Weibull 5k"}
"""The published set that each kind of instance is like."""
_MARK = ".evogit-demo"


def main() -> None:
    """Run the demo."""
    options = _options()
    repository = _fresh_repository(options.directory)
    print(
        f"evolving the rule of online bin packing in {_shown(repository)}, {options.evals} evaluations at most\n",
        flush=True,
    )
    options_of_sandbox = _sandbox(repository)
    started = time.monotonic()
    run = _evogit(repository, "run", "-n", "2", "--evals", str(options.evals), "--seed", str(options.seed),
                  *options_of_sandbox, check=False)  # fmt: skip
    if run.returncode:
        sys.exit(run.returncode)
    seconds = time.monotonic() - started
    best = _evogit(repository, "best", "-q", capture=True).stdout.strip()
    report(repository, best, seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the agents' luck")
    parser.add_argument("--evals", type=int, default=1000, help="evaluations at most")
    default = HERE.parent.parent / "build" / "demo"
    parser.add_argument("--directory", type=Path, default=default, help="where to make the repository")
    return parser.parse_args()


def _fresh_repository(directory: Path) -> Path:
    """Make a repository with the example in it; only a directory that an earlier demo made is replaced."""
    if directory.exists():
        if not (directory / ".git" / _MARK).exists():
            sys.exit(f"{directory} is there and was not made by this demo; choose another with --directory")
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    for name in FILES:
        source = HERE / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, directory / name)
    _git(directory, "init", "-q")
    (directory / ".git" / _MARK).touch()
    _git(directory, "add", "-A")
    _git(directory, "-c", "user.name=evogit demo", "-c", "user.email=demo@evogit.invalid", "commit", "-q", "-m",
         "Online bin packing, from best fit")  # fmt: skip
    return directory


def _sandbox(repository: Path) -> list[str]:
    """Return the options to do without a sandbox where there is none: what runs here is this example's own rule."""
    tried = _evogit(repository, "evaluate", "--json", capture=True, check=False, quiet=True)
    if tried.returncode != 2:
        return []
    without = ["--sandbox", "none", "--i-trust-this-code"]
    reason = tried.stderr.strip().removeprefix("evogit: ").partition("; or run candidates")[0]
    print(f"{reason}; this example is harmless, so it runs with {' '.join(without)}\n", flush=True)
    return without


def report(repository: Path, best: str, seconds: float) -> None:
    """Print what the best rule does, its change, and where to look further."""
    before, after = (_figures(repository, revision) for revision in ("HEAD", best))
    console = Console(highlight=False)
    console.print(_table(before, after))
    console.print(
        "\nOn the published instances: best fit 5.37 % and 3.98 %, FunSearch (Nature 2024) 3.11 % and 0.68 %.\n"
        "Ours have the published distributions but are drawn anew: for orientation, not comparable one by one.\n"
        f"The run took {seconds:.0f} s.\n"
    )
    if any(after[f"{kind}-held-out"]["excess"] >= before[f"{kind}-held-out"]["excess"] for kind in PUBLISHED):
        console.print("On held-back instances it is not better than best fit everywhere: this seed had no luck.\n")
    print(_git(repository, "diff", "HEAD", best, "--", "rule.py"))
    where = _shown(repository)
    print(
        "\nLook further with plain git:\n"
        f"  git -C {where} log --oneline --graph --branches='evogit/*'\n"
        f"  git -C {where} log -1 --notes='evogit/*' {best[:12]}\n"
        f"  git -C {where} shortlog -sn --group=trailer:evogit-agent --branches='evogit/*'\n"
        f"and with evogit:  cd {where} && evogit status && evogit log && evogit apply"
    )


def _figures(repository: Path, revision: str) -> dict[str, dict[str, float]]:
    rule = repository / ".git" / "measured_rule.py"
    rule.write_text(_git(repository, "show", f"{revision}:rule.py"))
    command = [sys.executable, "-B", str(repository / "held_out.py"), str(rule)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rule.unlink()
    return dict(found)


def _table(before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> Table:
    table = Table(title="\nBins of all instances, and the excess over the L1 bound", title_justify="left", box=None)
    for heading in ("instances", "bound", "best fit (start)", "", "evolved", ""):
        table.add_column(heading, justify="left" if heading == "instances" else "right", no_wrap=True)
    for part, words in (("evolve", "evolved on"), ("held-out", "held back")):
        for kind, name in PUBLISHED.items():
            rows = [found[f"{kind}-{part}"] for found in (before, after)]
            cells = [text for row in rows for text in (f"{row['bins']:,.0f}", f"{row['excess']:.2f} %")]
            table.add_row(f"like {name}, {words}", f"{rows[0]['bound']:,.0f}", *cells)
    return table


def _evogit(
    repository: Path, *arguments: str, capture: bool = False, check: bool = True, quiet: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run evogit as a user would; `python` in the score command is then the one that runs this demo."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    command = [sys.executable, "-P", "-m", "evogit", *arguments]
    return subprocess.run(
        command, cwd=repository, check=check, text=True, env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE if capture else None, stderr=subprocess.PIPE if quiet else None,
    )  # fmt: skip


def _git(repository: Path, *arguments: str) -> str:
    done: Sequence[str] = ("git", "-C", str(repository), *arguments)
    return subprocess.run(done, check=True, stdout=subprocess.PIPE, text=True).stdout


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    main()
