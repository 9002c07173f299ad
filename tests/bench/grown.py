"""Long runs, written fast by `git fast-import`: record for record and object for object what agents would have left."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pygit2
from scene import RUN, Scene, build, environment

from evogit.model import AgentName, CommitId, Operator, Status
from evogit.records import Proposal, Score, encode
from evogit.store import packing, refs, task, trees
from evogit.store.ledger import stamp
from evogit.store.repository import open_repository
from evogit.store.trees import FILE_MODE, Entry

_START = datetime(2026, 1, 1, tzinfo=UTC)
_LOWEST = -10_000.0
"""What the base scores: whatever agents find later in a bench is better than all of this."""
_VALUE = "value.txt"


@dataclass(frozen=True, slots=True)
class _Made:
    """A candidate to be: numbers of its parents (-1: the base), and its score."""

    parents: tuple[int, ...]
    value: float


def grown(folder: Path, count: int, journals: int, keep: Path | None = None) -> Scene:
    """Return a run of `count` candidates over as many journals; with `keep`, a copy of one that is kept there."""
    name = f"run-{count}-{journals}"
    if keep is None:
        scene = build(folder, name, 10)
        write(scene, count, journals)
        return scene
    if not (keep / name / ".git" / "whole").exists():
        keep.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(keep / name, ignore_errors=True)  # begun and never ended
        write(build(keep, name, 10), count, journals)
        (keep / name / ".git" / "whole").touch()
    shutil.copytree(keep / name, folder / name, symlinks=True)
    return Scene(folder / name, environment(folder / f"{name}.home"))


def agent(journal: int) -> AgentName:
    """Return whose journal has this number."""
    return AgentName(f"tuner-{journal + 1}-abcdef")


def write(scene: Scene, count: int, journals: int) -> None:
    """Write a run of `count` candidates: a random walk upwards, every twelfth a merge of two recent gains."""
    repo = open_repository(scene.path)
    definition = task.read(repo, RUN).definition
    made = list(_family(count, Random(count)))
    ids = _commits(scene, definition.base, made, journals)
    base = trees.parse_tree(trees.read_tree(repo, str(repo.commit(definition.base).tree_id)))
    entries = (_entry(number) for number in range(count))
    content = ({**base, _VALUE.encode(): entry} for entry in entries)
    tree_ids = [_hash("tree", trees.format_tree(one)) for one in content]
    _journals(scene, definition.base, str(repo.commit(definition.base).tree_id), definition.evaluator,
              list(zip(ids, made, tree_ids, strict=True)), journals)  # fmt: skip
    packing.roll_up(repo)


def _family(count: int, rng: Random) -> Iterator[_Made]:
    gains, values = [-1], {-1: _LOWEST}
    for number in range(count):
        merge = number % 12 == 11 and len(gains) > 8
        parents = tuple(rng.sample(gains[-8:], 2)) if merge else (rng.choice(gains[-4:]),)
        better = rng.random() < 0.1
        values[number] = max(values[one] for one in parents) + (rng.random() if better else -rng.random())
        if better:
            gains.append(number)
        yield _Made(parents, values[number])


def _content(number: int) -> bytes:
    return b"%d\n" % number


def _entry(number: int) -> Entry:
    return Entry(FILE_MODE, pygit2.Oid(hex=_hash("blob", _content(number))))


def _hash(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _commits(scene: Scene, base: CommitId, made: Sequence[_Made], journals: int) -> list[CommitId]:
    """Write the candidates and return their ids."""
    stream = []
    for number, one in enumerate(made):
        who, when = agent(number % journals), int(_START.timestamp()) + number
        message = f"Set the value to {number}\n\nEvogit-Run: {RUN}\nEvogit-Agent: {who}\nEvogit-Operator: mutate\n"
        people = f"author {who} <{who}@{RUN}.evogit.invalid> {when} +0000\n" + _committer(when)
        stream.append(f"commit refs/heads/scale\nmark :{number + 1}\n{people}".encode() + _data(message.encode()))
        for word, parent in zip(("from", "merge"), one.parents, strict=False):
            stream.append(f"{word} {base if parent < 0 else f':{parent + 1}'}\n".encode())
        stream.append(f"M 100644 inline {_VALUE}\n".encode() + _data(_content(number)))
    marks = scene.path / ".git" / "marks"
    scene.git("fast-import", "--quiet", "--force", f"--export-marks={marks}", stdin=b"".join(stream))
    known = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    scene.git("update-ref", "-d", "refs/heads/scale")
    return [CommitId(known[f":{number + 1}"]) for number in range(len(made))]


def _journals(
    scene: Scene, base: CommitId, base_tree: str, evaluator: str, made: Sequence[tuple[CommitId, _Made, str]], of: int
) -> None:
    """Write the journals, a commit for each candidate: the base's score in the first, and a note for each."""
    stream, before = [], f"committer Ada <ada@example.invalid> {int(_START.timestamp())} +0000\n"
    for number in range(of):
        ref = refs.journal_ref(RUN, agent(number))
        stream.append(f"commit {ref}\n{before}".encode() + _data(b"evogit: begin\n"))
    first = _score(agent(0), 0, _START, _LOWEST, evaluator, base_tree)
    stream.append(_appended(agent(0), int(_START.timestamp()), base, b"", first))
    seen: dict[str, int] = {agent(journal): int(journal == 0) for journal in range(of)}
    for number, (commit, one, tree) in enumerate(made):
        who, seq, at = agent(number % of), 2 * (number // of) + 1, _START + timedelta(seconds=number)
        operator = Operator.MERGE if len(one.parents) > 1 else Operator.MUTATE
        proposal = Proposal(
            v=1, agent=who, run=RUN, at=stamp(at), session="5ca1e0", seq=seq, operator=operator, use="tuner",
            seed=number, outcome="candidate", params={"step": 0.25, "move": 1.0}, seen=seen,
        )  # fmt: skip
        seen[who] = seq + 2
        note = encode(proposal) + _score(who, seq + 1, at, one.value, evaluator, tree)
        stream.append(_appended(who, int(at.timestamp()), commit, b"merge %s\n" % commit.encode(), note))
    scene.git("fast-import", "--quiet", "--force", f"--active-branches={of + 1}", stdin=b"".join(stream))


def _appended(who: AgentName, when: int, commit: CommitId, parents: bytes, note: bytes) -> bytes:
    """Return the journal commit that puts a note on a candidate."""
    head = f"commit {refs.journal_ref(RUN, who)}\n{_committer(when)}".encode()
    file = f"M 100644 inline {commit[:2]}/{commit[2:]}\n".encode()
    return head + _data(b"evogit: score\n") + parents + file + _data(note)


def _score(who: AgentName, seq: int, at: datetime, value: float, evaluator: str, tree: str) -> bytes:
    return encode(
        Score(
            v=1, agent=who, run=RUN, at=stamp(at), session="5ca1e0", seq=seq, status=Status.OK, value=value,
            evaluator=evaluator, tree=tree, seconds=0.25, sandbox="none", host="bench",
        )
    )  # fmt: skip


def _committer(when: int) -> str:
    return f"committer Ada <ada@example.invalid> {when} +0000\n"
