"""One merge of several lineages in memory: their trees put together, conflicts settled by chance or given up."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from evogit.model import CommitId, TreeId
from evogit.phylogeny import Phylogeny
from evogit.store import merge
from evogit.store.repository import Repository

_MAX_HUNKS = 20
"""Conflicts in one merge that are still settled: beyond, chance only makes noise."""
_MARKER = re.compile(rb"^(?:<{7} .*|={7}|>{7} .*)\r?$", re.MULTILINE)
_HUNK = re.compile(rb"^<{7} [^\n]*\n(.*?)^={7}\r?\n(.*?)^>{7} [^\n]*\n?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Combined:
    """A merge that came off: `write` writes its tree, fresh each time; `settled` counts conflicts decided by chance."""

    write: Callable[[], TreeId]
    settled: int


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of a file that two lineages changed in different ways."""

    path: str
    ours: str
    theirs: str


def combine(repo: Repository, graph: Phylogeny, parents: Sequence[CommitId], rng: Random) -> Combined | str:
    """Merge the parents one after another, or return in a few words why that cannot be.

    Each conflict between two texts is decided for one side or the other by chance, hunk by hunk.

    Raises:
        StorageError: an object cannot be read or written.
    """
    done: list[CommitId] = [parents[0]]
    write: Callable[[], TreeId] | None = None
    settled = 0
    for parent in parents[1:]:
        base = meeting_point(graph, [*done, parent])
        if base is None:
            return "they have no single common ancestor"
        ours = write() if write else _tree(repo, done[0])
        if write is None and len(graph.ancestry.common_ancestors(done[0], parent)) > 1:
            merged = merge.criss_cross(repo, base, done[0], parent)
        else:
            merged = merge.three_way(repo, _tree(repo, base), ours, _tree(repo, parent))
        if isinstance(merged, merge.Refused):
            return merged.why
        chosen = _settle(merged, rng)
        if isinstance(chosen, str):
            return chosen
        settled += sum(hunks for _, hunks in chosen.values())
        write = _writer(repo, merged, {path: content for path, (content, _) in chosen.items()})
        done.append(parent)
    return Combined(write, settled) if write else "there is nothing to merge"


def conflicts(repo: Repository, graph: Phylogeny, one: CommitId, other: CommitId) -> tuple[list[Hunk], str]:
    """Return the hunks that git cannot decide between two candidates; and why they cannot be merged by lines at all.

    Raises:
        StorageError: an object cannot be read.
    """
    base = meeting_point(graph, (one, other))
    if base is None:
        return [], "they have no single common ancestor"
    merged = merge.three_way(repo, _tree(repo, base), _tree(repo, one), _tree(repo, other))
    if isinstance(merged, merge.Refused):
        return [], merged.why
    return [
        Hunk(clash.path.decode("utf-8", "replace"), *(side.decode("utf-8", "replace") for side in found.groups()))
        for clash in merged.clashes
        for found in _HUNK.finditer(clash.marked)
    ], ""


def meeting_point(graph: Phylogeny, parents: Sequence[CommitId]) -> CommitId | None:
    """Return the common ancestor of all of them: the best, or for two with several best ones the best scored of these.

    None when more than two have no single one.
    """
    found = graph.ancestry.common_ancestors(parents[0], parents[1])
    if len(parents) == 2:
        return _best_scored(graph, found)
    at = found[0] if len(found) == 1 else None
    for parent in parents[2:]:
        if at is None:
            return None
        found = graph.ancestry.common_ancestors(at, parent)
        at = found[0] if len(found) == 1 else None
    return at


def _best_scored(graph: Phylogeny, commits: Sequence[CommitId]) -> CommitId | None:
    best: CommitId | None = None
    for commit in commits:
        value = graph.value(commit)
        if value is None:
            continue
        than = graph.value(best) if best else None
        if than is None or graph.snapshot.is_better(value, than):
            best = commit
    return best or (commits[0] if commits else None)


def _settle(merged: merge.Merged, rng: Random) -> dict[bytes, tuple[bytes, int]] | str:
    """Return for each clash its text with every hunk decided, and how many there were; or why not."""
    chosen = {}
    total = 0
    for clash in merged.clashes:
        markers = len(_MARKER.findall(clash.marked))
        hunks = len(_HUNK.findall(clash.marked))
        if markers != 3 * hunks or not hunks:
            return f"{clash.path.decode('utf-8', 'replace')} holds lines like git's own conflict markers"
        total += hunks
        if total > _MAX_HUNKS:
            return f"more than {_MAX_HUNKS} conflicts"
        content = _HUNK.sub(lambda found: found[rng.choice((1, 2))], clash.marked)
        chosen[clash.path] = (content, hunks)
    return chosen


def _writer(repo: Repository, merged: merge.Merged, settled: dict[bytes, bytes]) -> Callable[[], TreeId]:
    return lambda: merge.write(repo, merged, settled)


def _tree(repo: Repository, commit: CommitId) -> TreeId:
    return TreeId(str(repo.commit(commit).tree_id))
