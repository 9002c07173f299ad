"""The scorer: sends messages to queues as `desk.txt` says, and compares with what people said. No model is asked.

The queue whose words weigh most in a message takes it; where none has a word in it, or two are as heavy, nobody does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
NOBODY = "nobody"


def rules(text: str) -> dict[str, dict[str, float]]:
    """Return the weights of words by queue; words below `nobody` count for no queue.

    Raises:
        ValueError: a line is neither a queue nor a word with its weight, or a word is before the first queue.
    """
    found: dict[str, dict[str, float]] = {}
    queue: dict[str, float] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if not line[0].isspace() and len(words) == 1:
            queue = found.setdefault(words[0], {})
        elif len(words) == 2 and queue is not None:
            queue[words[0]] = queue.get(words[0], 0.0) + float(words[1])
        else:
            raise ValueError(f"desk.txt, line {number}: {line!r} is neither a queue nor a word with its weight")
    found.pop(NOBODY, None)
    return found


def queue_of(message: str, weights: Mapping[str, Mapping[str, float]]) -> str:
    """Return the queue of a message, or `nobody`."""
    words = set(re.findall(r"[a-z]+", message.lower()))
    sums = {queue: sum(known.get(word, 0.0) for word in words) for queue, known in weights.items()}
    most = max(sums.values(), default=0.0)
    chosen = [queue for queue, value in sums.items() if value == most]
    return chosen[0] if most > 0 and len(chosen) == 1 else NOBODY


def share(name: str) -> tuple[float, list[str]]:
    """Return the share of a file's messages that go where they belong, and what is said of the others."""
    weights = rules((HERE / "desk.txt").read_text())
    lines = (HERE / "messages" / f"{name}.txt").read_text().splitlines()
    wrong = []
    for line in lines:
        right, _, message = line.partition(": ")
        if queue_of(message, weights) != right:
            wrong.append(f"belongs to {right}: {message}")
    return 1 - len(wrong) / len(lines), wrong


def score() -> dict[str, object]:
    """Return the share of the messages of `messages/seen.txt` that go where they belong."""
    value, wrong = share("seen")
    return {"score": value, "feedback": "\n".join(wrong)}


if __name__ == "__main__":
    for name in sys.argv[1:] or ["seen", "held_back"]:
        print(f"{name}: {share(name)[0]:.1%}")
