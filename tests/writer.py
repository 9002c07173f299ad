"""A child process of the concurrency tests: one agent's pen, without a proposer or an evaluator.

    python writer.py GIT_DIR RUN AGENT COUNT

It takes the agent's name, says `ready`, waits for a line on its input, writes COUNT candidates with their records, and
says `<seq> <commit>` after each one that the store has acknowledged.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from evogit.model import AgentName, Direction, Measurement, Operator, Plan, RepoPath, RunName, Status, TreeId
from evogit.records import AnyRecord
from evogit.store import private, refs, trees
from evogit.store.ledger import Ledger, Writer
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

EVALUATOR = "e" * 64


def main(git_dir: str, run: str, agent: str, count: str) -> None:
    """Write, until done or killed."""
    repo = open_repository(Path(git_dir))
    name = private.take_name(repo, RunName(run), AgentName(agent))
    private.repair(repo, RunName(run), name)
    base = repo.head()
    tree = TreeId(str(repo.commit(base).tree_id))
    writer = Writer(
        run=RunName(run), agent=name.agent, session="s", use="writer", evaluator=EVALUATOR, host="here",
        person=("Ada", "ada@example.invalid"), now=lambda: datetime.now(UTC),
    )  # fmt: skip
    snapshot = Snapshot(repo, RunName(run), EVALUATOR, Direction.MAXIMIZE)
    if refs.read(repo, refs.journal_ref(RunName(run), name.agent)):
        snapshot.refresh()
    ledger = Ledger(repo, snapshot, writer)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(count)):
        seq = snapshot.next_seq(name.agent)
        changed = trees.with_files(repo, tree, {RepoPath("written.txt"): f"{agent} {seq}\n".encode()})
        plan = Plan(operator=Operator.MUTATE, parents=(base,), seed=seq)
        commit = ledger.candidate(changed, plan, f"{agent} writes {seq}")
        measured = Measurement(status=Status.OK, value=float(seq))
        records: list[AnyRecord] = [ledger.proposal(plan, {}), ledger.score(changed, measured, "none")]
        ledger.write(commit, [*records], f"evogit: score {commit[:12]}\n")
        print(seq + 1, commit, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
