"""Candidates as commits: made in memory, with the facts known at birth as trailers."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import pygit2

from evogit.errors import StorageError, UsageError
from evogit.model import AgentName, CommitId, Operator, RunName, TreeId
from evogit.store import git, objects, refs
from evogit.store.repository import Repository

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_SUBJECT = 72
_MAX_BODY = 4000
_TELLING = re.compile(r"[A-Za-z][A-Za-z0-9-]*\s*:|---|diff -|Index:|#|>?From |\(cherry picked")
"""Beginnings by which git, `git am` or a mailbox would take a line of prose for something else."""
_PARENT = re.compile(rb"^parent ([0-9a-f]{40})$", re.MULTILINE)


def plain_text(text: str) -> str:
    """Return text with control and direction characters replaced by spaces, on one line."""
    return " ".join(_CONTROL.sub(" ", text).split())


def create(
    repo: Repository,
    *,
    run: RunName,
    agent: AgentName,
    operator: Operator,
    tree: TreeId,
    parents: Sequence[CommitId],
    subject: str,
    committer: pygit2.Signature,
    inspired_by: Sequence[CommitId] = (),
    body: str = "",
    assisted_by: Sequence[tuple[str, str]] = (),
) -> CommitId:
    """Write a candidate's commit and return its id; no ref moves.

    `inspired_by` are candidates that are no parents but that something was taken from, `assisted_by` the agent
    definitions and the models that had part in it, whose words subject and body may be.

    Raises:
        StorageError: Git would not write it.
    """
    author = pygit2.Signature(agent, f"{agent}@{run}.evogit.invalid", committer.time, committer.offset)
    trailers: list[tuple[str, str]] = [("Evogit-Run", run), ("Evogit-Agent", agent)]
    trailers.append(("Evogit-Operator", operator.value))
    trailers += [("Evogit-Inspired-By", commit) for commit in inspired_by]
    for use, model in assisted_by:
        name = plain_text(model)
        trailers += [("Evogit-Model", name), ("Assisted-by", f"{use}:{name}")]
    message = _message(subject, body, trailers)
    return CommitId(
        str(
            objects.write_commit(
                repo, author=author, committer=committer, message=message, tree=tree, parents=list(parents)
            )
        )
    )


def _message(subject: str, body: str, trailers: Sequence[tuple[str, str]]) -> str:
    line = textwrap.shorten(plain_text(subject) or "Change the code", _SUBJECT, placeholder="…")
    if line.startswith(("---", "diff --git")):
        line = f"Change: {line}"  # `git am` would take it for the start of a patch
    return f"{line}\n\n{_prose(body)}" + "".join(f"{name}: {value}\n" for name, value in trailers)


def _prose(body: str) -> str:
    """Return paragraphs of untrusted words, wrapped; no line of them can pass for a trailer or begin a patch."""
    paragraphs = filter(None, (plain_text(part) for part in re.split(r"\n\s*\n", body[:_MAX_BODY])))
    return "".join(
        "\n".join(f"  {line}" if _TELLING.match(line) else line for line in textwrap.wrap(part, _SUBJECT)) + "\n\n"
        for part in paragraphs
    )


def move_branch(repo: Repository, run: RunName, agent: AgentName, to: CommitId, own: set[CommitId]) -> bool:
    """Point the agent's branch at its best candidate; returns False when it may not.

    It may not when the branch is checked out in any work tree, or its tip is not in `own`: then a person works there.

    Raises:
        StorageError: Git would not move it.
    """
    name = refs.branch_ref(run, agent)
    current = refs.read(repo, name)
    if current is not None:
        branch = repo.raw.lookup_branch(name.removeprefix("refs/heads/"))
        if CommitId(str(current)) not in own or branch.is_checked_out():
            return False
    elif blocker := refs.branch_blocker(repo, run):
        raise StorageError(f"{blocker} stands where branches of agents would go; they are left out, scores are not")
    refs.compare_and_swap(repo, name, old=current, new=pygit2.Oid(hex=to), message="evogit: best so far")
    return True


def subject(repo: Repository, commit: CommitId) -> str:
    """Return the first line of a commit's message; empty when the commit cannot be read."""
    try:
        message = repo.commit(commit).message
    except StorageError:
        return ""
    return plain_text(message.partition("\n")[0])


def parents(repo: Repository, commit: CommitId) -> list[CommitId]:
    """Return a commit's parents; none when it cannot be read."""
    try:
        return [CommitId(str(parent)) for parent in repo.commit(commit).parent_ids]
    except StorageError:
        return []


def parent_ids(repo: Repository, commit: CommitId) -> list[CommitId]:
    """Return a commit's parents.

    Raises:
        StorageError: it cannot be read.
    """
    # A third of the time of asking libgit2 for the commit, which parses its names, dates and message, too.
    header = repo.content(commit, "commit").partition(b"\n\n")[0]
    return [CommitId(parent.decode()) for parent in _PARENT.findall(header)]


def parents_of(repo: Repository, wanted: Sequence[CommitId]) -> dict[CommitId, list[CommitId]]:
    """Return the parents of many commits, by one run of git, which reads its commit-graph; some may be left out.

    All are left out of a clone whose history is cut off: git tells other parents there than the commits have.
    """
    if repo.is_shallow:
        return {}
    asked = "".join(f"{commit}\n" for commit in wanted).encode()
    try:
        said = git.run(
            repo, ["rev-list", "--no-walk=unsorted", "--parents", "--ignore-missing", "--stdin"], stdin=asked
        )
    except StorageError:
        return {}  # one that is damaged is no reason to know nothing of the others
    rows = (line.split() for line in said.decode().splitlines())
    return {CommitId(row[0]): [CommitId(parent) for parent in row[1:]] for row in rows}


def resolve(repo: Repository, revision: str) -> CommitId:
    """Return the commit that git's words for a revision mean.

    Raises:
        UsageError: there is no such commit.
    """
    try:
        return CommitId(str(repo.raw.revparse_single(revision).peel(pygit2.Commit).id))
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise UsageError(
            f"{revision!r} is no commit here; see `evogit log` and `git branch --list 'evogit/*'`"
        ) from error
