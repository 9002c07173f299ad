"""Several agents at once on one repository: what they cost, whether every record can be read back, and the packing."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scene import Scene, Worker
from yardsticks import Follower, Git, floor

_LOOK_S = 0.05
_SAMPLE = "17"
"""The folder that `git gc --auto` counts: above 27 files in it, or above 50 packs, a user's commit starts it."""


_UPKEEP = ("pack-objects", "prune-packed", "repack", "commit-graph")


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


@dataclass(frozen=True, slots=True)
class Effort:
    """What agents did together: CPU milliseconds of each step of each, their own and of the git they ran."""

    own: Sequence[Sequence[float]]
    git: Sequence[Sequence[float]]
    seconds: float
    acknowledged: int
    stored: int
    """Scores that a reader found that nobody had written before."""
    peaks: Peaks

    @property
    def candidates(self) -> int:
        """How many were measured."""
        return sum(map(len, self.own))

    def mean(self, of: Sequence[Sequence[float]]) -> float:
        """Return the milliseconds for each candidate."""
        return sum(map(sum, of)) / self.candidates


def work(scene: Scene, agents: int, each: int) -> Effort:
    """Let agents make `each` candidates at the same time, after a few for a start."""
    workers = [Worker(scene) for _ in range(agents)]
    before: int = workers[0].ask("cold")["scores"]
    acknowledged: int = sum(worker.ask("go 5")["evaluated"] for worker in workers)
    peaks = Peaks(scene.objects)
    peaks.start()
    begun = time.monotonic()
    for worker in workers:
        worker.order(f"go {each}")
    answers = [worker.answer() for worker in workers]
    seconds = time.monotonic() - begun
    peaks.stop()
    acknowledged += sum(answer["evaluated"] for answer in answers)
    stored = workers[0].ask("cold")["scores"] - before
    for worker in workers:
        worker.close()
    own, git = [answer["own"] for answer in answers], [answer["git"] for answer in answers]
    return Effort(own, git, seconds, acknowledged, stored, peaks)


def together(scene: Scene, agents: int, each: int) -> dict[str, Any]:
    """Let agents make `each` candidates at the same time, then let git make the same."""
    follower, git = Follower(scene), Git(scene)
    file_ms = floor(scene.path.parent)
    done = work(scene, agents, each)
    own, packing = done.mean(done.own), done.mean(done.git)
    yard = git.fast_import(follower.news())
    return {
        "agents": agents, "engine ms": own + packing, "agent": own, "packing": packing,
        "fast-import ms": yard, "ratio": (own + packing) / yard, "a second": done.candidates / done.seconds,
        "lost": done.acknowledged - done.stored, "peak sample (27)": done.peaks.sample,
        "peak packs (50)": done.peaks.packs, "file ms": file_ms,
    }  # fmt: skip


def upkeep(scene: Scene, agents: int, each: int, *, packs: bool) -> dict[str, Any]:
    """Let agents work with their packing, or without: then, and how often, and whose time it takes."""
    if not packs:
        scene.git("config", "extensions.partialClone", "none")  # agents leave partial clones unpacked
    trace = scene.path / ".git" / "trace"
    (Path(scene.environment["HOME"]) / ".gitconfig").write_text(f"[trace2]\n\teventTarget = {trace}\n")
    done = work(scene, agents, each)
    ran = _seconds(trace) if trace.exists() else {}
    counts, seconds = Counter({name: len(each) for name, each in ran.items()}), sum(map(sum, ran.values())) or 1.0
    own, git = done.mean(done.own), done.mean(done.git)
    by_agent = sorted(sum(one) for one in done.git)
    a_thousand = 1_000 / done.candidates
    return {
        "packing": "yes" if packs else "no", "agents": own, "git": git, "both": own + git,
        "a second": done.candidates / done.seconds,
        "git, least and most of an agent": f"{by_agent[0] / each:.2f} to {by_agent[-1] / each:.2f}",
        "packs made each 1,000": counts["pack-objects"] * a_thousand,
        "roll-ups each 1,000": counts["repack"] * a_thousand,
        "of git's time: roll-ups": sum(ran.get("repack", ())) / seconds,
        "commit-graph": sum(ran.get("commit-graph", ())) / seconds,
        "peak sample (27)": done.peaks.sample, "peak packs (50)": done.peaks.packs,
        "lost": done.acknowledged - done.stored,
    }  # fmt: skip


def _seconds(trace: Path) -> Mapping[str, list[float]]:
    """Return the seconds that each run of a command by which agents pack took, by git's own account."""
    names: dict[str, str] = {}
    found: defaultdict[str, list[float]] = defaultdict(list)
    for line in trace.read_text().splitlines():
        event = json.loads(line)
        if "/" in event["sid"]:
            continue  # git ran it itself
        if event["event"] == "cmd_name" and event["name"] in _UPKEEP:
            names[event["sid"]] = event["name"]
        elif event["event"] == "exit" and event["sid"] in names:
            found[names[event["sid"]]].append(event["t_abs"])
    return found
