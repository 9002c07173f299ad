"""What a proposal costs in CPU time, by the size of the file, and the share that parses."""

from __future__ import annotations

import statistics
import sysconfig
import time
import warnings
from pathlib import Path
from random import Random

from evogit.model import Edit, RepoPath, SourceFile
from evogit.proposers.protocol import Proposer, Request
from evogit.proposers.surgeon import Surgeon
from evogit.proposers.tuner import Tuner

_LINES = (100, 1_000, 5_000)
_CALLS = 40


def main() -> None:
    """Print the table."""
    print("| proposer | lines | first | median, same parent | median, each time another parent | parses |")
    print("|---|---|---|---|---|---|")
    for name, proposer in (("tuner", Tuner()), ("surgeon", Surgeon())):
        for lines in _LINES:
            print(f"| {name} | {lines:,} | {_measured(proposer, _file(lines))} |")


def _measured(proposer: Proposer, file: SourceFile) -> str:
    same, other, sound = list[float](), list[float](), 0
    for seed in range(2 * _CALLS):
        begun = time.process_time()
        edit = proposer.propose(Request(files=[file]), Random(seed))
        (same if seed < _CALLS else other).append(1000 * (time.process_time() - begun))
        content = edit.files[file.path] if isinstance(edit, Edit) else None
        sound += content is not None and _parses(content)
        if seed >= _CALLS and content is not None:
            file = SourceFile(path=file.path, content=content)
    medians = f"{statistics.median(same[1:]):.1f} ms | {statistics.median(other[1:]):.1f} ms"
    return f"{same[0]:.0f} ms | {medians} | {sound / 2 / _CALLS:.0%}"


def _file(lines: int) -> SourceFile:
    """Return functions and classes of the standard library, about as many lines as asked for."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    text = "".join(
        (folder / f"{name}.py").read_text()
        for name in ("bisect", "heapq", "textwrap", "shlex", "calendar", "difflib", "ast")
    )
    text = text.replace("from __future__ import", "# from __future__ import")
    kept = text.splitlines(keepends=True)[:lines]
    while not _parses("".join(kept).encode()):
        kept.pop()
    return SourceFile(path=RepoPath("bench.py"), content="".join(kept).encode())


def _parses(content: bytes) -> bool:
    with warnings.catch_warnings(action="ignore"):
        try:
            compile(content, "bench.py", "exec", dont_inherit=True)
        except SyntaxError:
            return False
    return True


if __name__ == "__main__":
    main()
