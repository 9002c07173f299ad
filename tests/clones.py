"""Two clones and a hub, and pens that write journals in them without agents."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from conftest import CONFIG, Checkout

from evogit.model import AgentName, CommitId, Direction, Measurement, Operator, Plan, RepoPath, RunName, Status, TreeId
from evogit.records import AnyRecord
from evogit.store import freeze, private, refs, remote, task, trees, trust
from evogit.store.exchange import Exchange, Wish
from evogit.store.ledger import Ledger, Writer
from evogit.store.outcomes import Report
from evogit.store.repository import Repository, open_repository
from evogit.store.snapshot import Snapshot

RUN = RunName("r")
SHELL = 'sleep 0.05; read -r _ _ level < knob.txt; echo "{\\"score\\": $level}" > "$EVOGIT_RESULT"\n'
FILES = {
    "knob.txt": "level = 3\n",
    "score.sh": SHELL,
    "evogit.toml": CONFIG.replace("python bench.py", "sh score.sh").replace("knobs.py", "knob.txt"),
}
_EVALUATOR = "e" * 64
_WRITTEN = itertools.count()
"""What makes each candidate of a pen another one: a name that is let go begins at its first number again, maybe in the
same second, and the same commit would come of it."""


@dataclass(frozen=True)
class Clone:
    """One clone with its own name for agents."""

    checkout: Checkout
    repo: Repository

    def agent(self, number: int = 1) -> AgentName:
        """Return the name of one of its agents."""
        return AgentName(f"writer-{number}-{private.clone_id(self.repo)}")

    def write(
        self, count: int = 1, *, number: int = 1, agent: AgentName | None = None, run: RunName = RUN
    ) -> AgentName:
        """Write candidates with their records into a journal, as its agent does; return its name."""
        name = agent or self.agent(number)
        base = task.read(self.repo, run).definition.base
        writer = Writer(
            run=run, agent=name, session="s", use="writer", evaluator=_EVALUATOR, host="here",
            person=("Ada", "ada@example.invalid"), now=lambda: datetime.now(UTC),
        )  # fmt: skip
        snapshot = Snapshot(self.repo, run, _EVALUATOR, Direction.MAXIMIZE)
        snapshot.refresh()
        ledger = Ledger(self.repo, snapshot, writer)
        tree = TreeId(str(self.repo.commit(base).tree_id))
        for _ in range(count):
            seq = snapshot.next_seq(name)
            content = f"level = {seq} {name} {next(_WRITTEN)}\n"
            changed = trees.with_files(self.repo, tree, {RepoPath("knob.txt"): content.encode()})
            plan = Plan(operator=Operator.MUTATE, parents=(CommitId(base),), seed=seq)
            commit = ledger.candidate(changed, plan, f"{name} writes {seq}")
            measured = Measurement(status=Status.OK, value=float(seq))
            said: list[AnyRecord] = [ledger.proposal(plan, {}, {}), ledger.score(changed, measured, "none")]
            ledger.write(commit, said, "evogit: score\n")
        ledger.close()
        return name

    def begin(self, run: RunName = RUN) -> None:
        """Begin a run."""
        definition = freeze.freeze(self.repo).definition
        trust.add(self.repo, task.create(self.repo, run, definition, self.repo.raw[self.repo.head()].committer))

    def sync(self, name: str = "origin", wish: Wish | None = None) -> Report:
        """Exchange once."""
        return self.exchange(name, wish).round()

    def exchange(self, name: str = "origin", wish: Wish | None = None) -> Exchange:
        """Return exchanges with a remote."""
        return Exchange(self.repo, remote.find(self.repo, name), wish or Wish(relay=True))

    def tip(self, agent: AgentName, run: RunName = RUN) -> str:
        """Return where a journal stands here."""
        return str(refs.read(self.repo, refs.journal_ref(run, agent)))


@dataclass(frozen=True)
class World:
    """A bare hub and two clones of it; a run is begun in the first one."""

    hub: Checkout
    one: Clone
    two: Clone

    def two_begins(self) -> Clone:
        """Return the second clone once it knows the run."""
        self.one.sync()
        self.two.sync()
        return self.two

    def settle(self) -> None:
        """Exchange until both know all."""
        self.one.sync()
        self.two.sync()
        self.one.sync()


def refs_of(checkout: Checkout) -> str:
    """Return all refs and where they point to."""
    return checkout.git("for-each-ref")


def make(tmp_path: Path, environment: dict[str, str]) -> World:
    """Make them."""
    hub = Checkout(tmp_path / "hub.git", environment)
    _git(tmp_path, environment, "init", "-q", "--bare", "-b", "main", "hub.git")
    first = tmp_path / "one"
    _git(tmp_path, environment, "clone", "-q", "hub.git", "one")
    for name, content in FILES.items():
        (first / name).write_text(content)
    one = Checkout(first, environment)
    one.git("checkout", "-q", "-B", "main")
    one.commit("init")
    one.git("push", "-q", "origin", "main")
    world = World(hub, Clone(one, open_repository(first)), clone(hub, tmp_path / "two"))
    world.one.begin()
    return world


def clone(hub: Checkout, to: Path) -> Clone:
    """Clone the hub as a user does."""
    _git(to.parent, hub.environment, "clone", "-q", str(hub.path), str(to))
    return Clone(Checkout(to, hub.environment), open_repository(to))


def _git(where: Path, environment: dict[str, str], *words: str) -> None:
    subprocess.run(["git", *words], cwd=where, env=environment, check=True, capture_output=True, timeout=60)


def said(report: Report) -> dict[str, str]:
    """Return what became of each ref, by its name."""
    return {one.name: one.situation.value for one in report.outcomes}
