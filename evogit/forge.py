"""How to open a pull request for a branch that a remote has: lines to run and addresses to open, by the remote's host.

No forge is asked anything, and no credential of the remote's address is shown.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from evogit.store.remote import without_secret

_SCP_LIKE = re.compile(r"(?:[^@/\s]+@)?(?P<host>[^:/\s]+):(?P<path>(?!//).+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on a host: the address of the host's pages, and the repository's path there."""

    pages: str
    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open a pull request: lines for a terminal and an address for a browser, either may be missing."""

    lines: tuple[str, ...] = ()
    address: str | None = None


def place(url: str) -> Place | None:
    """Return where an address of a remote points, or None for a folder and for what no web page belongs to."""
    if "://" not in url:
        found = _SCP_LIKE.fullmatch(url)
        return _place(found["host"], found["host"], found["path"], "https") if found else None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in ("https", "http", "ssh", "git", "git+ssh", "ssh+git"):
        return None
    is_web = parts.scheme in ("https", "http")
    return _place(host, f"{host}:{port}" if is_web and port else host, parts.path, parts.scheme if is_web else "https")


def _place(host: str, where: str, path: str, scheme: str) -> Place:
    return Place(f"{scheme}://{where}", host.lower(), quote(path.strip("/").removesuffix(".git"), safe="/~"))


def opening(url: str, remote: str, *, head: str, onto: str | None, target: str, single: bool) -> Opening:
    """Return how to open a pull request of the branch `head`.

    `onto` is the branch to merge into where it is known, `target` the commit the proposal is based on, `single`
    whether it is one commit, whose message `gh` and most forges then take over by themselves.
    """
    there = place(url)
    for sign, kind in _HOSTS:
        if there is not None and re.search(sign, there.host):
            return kind(there, head, onto, single)
    return Opening((f"git request-pull {target[:12]} {shlex.quote(without_secret(remote))} {head}",))


def _github(there: Place, head: str, onto: str | None, single: bool) -> Opening:
    base = f" --base {shlex.quote(onto)}" if onto else ""
    text = "--fill" if single else f'--title "$(git log -1 --format=%s {head})" --body-file -'
    line = f"gh pr create --head {head}{base} {text}"
    if not single:
        line = f"git log -1 --format=%b {head} | {line}"
    return Opening((line,), _compare(there, head, onto) + "?expand=1")


def _gitlab(there: Place, head: str, onto: str | None, _: bool) -> Opening:
    fields = {"merge_request[source_branch]": head}
    if onto:
        fields["merge_request[target_branch]"] = onto
    return Opening((), f"{there.pages}/{there.path}/-/merge_requests/new?{urlencode(fields)}")


def _gitea(there: Place, head: str, onto: str | None, _: bool) -> Opening:
    return Opening((), _compare(there, head, onto))


def _bitbucket(there: Place, head: str, onto: str | None, _: bool) -> Opening:
    fields = {"source": head} | ({"dest": onto} if onto else {})
    return Opening((), f"{there.pages}/{there.path}/pull-requests/new?{urlencode(fields)}")


def _compare(there: Place, head: str, onto: str | None) -> str:
    between = f"{quote(onto, safe='/')}...{head}" if onto else head
    return f"{there.pages}/{there.path}/compare/{between}"


_HOSTS = (
    (r"(^|\.)github\.", _github),
    (r"(^|[.-])gitlab\b", _gitlab),
    (r"(^|\.)(codeberg\.org|gitea\b|forgejo\b)|gitea|forgejo", _gitea),
    (r"(^|\.)bitbucket\.org$", _bitbucket),
)
"""By what a host is called; GitHub Enterprise, GitLab, Gitea and Forgejo are run under many names."""
