"""Several agents at once on one repository, and whether every record they wrote can be read back."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from scene import Scene, Worker
from yardsticks import Follower, Git, floor

_LOOK_S = 0.05
_SAMPLE = "17"
"""The folder that `git gc --auto` counts: above 27 files in it, or above 50 packs, a user's commit starts it."""


class Peaks(threading.Thread):
    """Notes the most loose objects (in the sample) and packs there were at any time."""

    def __init__(self, objects: Path) -> None:
        super().__init__()
        self.sample = self.packs = 0
        self._objects = objects
        self._over = threading.Event()

    def run(self) -> None:
        """Look until `stop`."""
        while not self._over.wait(_LOOK_S):
            folder = self._objects / _SAMPLE
            self.sample = max(self.sample, len(os.listdir(folder)) if folder.exists() else 0)
            self.packs = max(self.packs, sum(name.endswith(".pack") for name in os.listdir(self._objects / "pack")))

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


def together(scene: Scene, agents: int, each: int) -> dict[str, Any]:
    """Let agents make `each` candidates at the same time, then let git make the same."""
    follower, git = Follower(scene), Git(scene)
    workers = [Worker(scene) for _ in range(agents)]
    acknowledged: int = sum(worker.ask("go 5")["evaluated"] for worker in workers)
    file_ms = floor(scene.path.parent)
    peaks = Peaks(scene.objects)
    peaks.start()
    begun = time.monotonic()
    for worker in workers:
        worker.order(f"go {each}")
    answers = [worker.answer() for worker in workers]
    seconds = time.monotonic() - begun
    peaks.stop()
    count = agents * each
    acknowledged += sum(answer["evaluated"] for answer in answers)
    stored = workers[0].ask("cold")["scores"]
    for worker in workers:
        worker.close()
    own = sum(sum(answer["own"]) for answer in answers) / count
    packing = sum(sum(answer["git"]) for answer in answers) / count
    yard = git.fast_import(follower.news())
    return {
        "agents": agents, "engine ms": own + packing, "agent": own, "packing": packing,
        "fast-import ms": yard, "ratio": (own + packing) / yard, "a second": count / seconds,
        "lost": acknowledged - stored, "peak sample (27)": peaks.sample, "peak packs (50)": peaks.packs,
        "file ms": file_ms,
    }  # fmt: skip
