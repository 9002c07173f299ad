"""A proposed branch goes to a remote: with the user's git, never by force, and nobody else's work is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Checkout
from fingerprint import changed, fingerprint
from proposals import BETTER, derived, document, evolved, here, refs, said

__all__ = ["evolved", "here"]


@pytest.fixture
def hub(here: Checkout, tmp_path: Path) -> Checkout:
    """A bare repository that is the remote `origin` and has the main branch."""
    made = Checkout(tmp_path / "hub.git", here.environment)
    made.path.mkdir()
    made.git("init", "-q", "--bare", "-b", "main")
    here.git("remote", "add", "origin", "../hub.git")
    here.git("push", "-q", "origin", "main")
    return made


def test_it_is_pushed_and_request_pull_takes_it(here: Checkout, hub: Checkout) -> None:
    here.git(
        "push", "-q", "origin", "refs/notes/evogit/*:refs/notes/evogit/*", "refs/heads/evogit/*:refs/heads/evogit/*"
    )
    before = fingerprint(here.path, here.environment)
    done = document(here, "pr", "--remote", "origin")
    touched = changed(before, fingerprint(here.path, here.environment))
    assert done["pushed"] == "new"
    assert {name.partition("refs/remotes/origin/evogit")[0] for name in touched} <= {".git/b'", ".git/b'logs/"}
    assert hub.git("rev-parse", "evogit/r/pr-1") == done["commit"]
    assert done["open"] == [f"git request-pull {here.git('rev-parse', 'main')[:12]} origin evogit/r/pr-1"]
    letter = here.git(*done["open"][0].split()[1:])
    assert "../hub.git evogit/r/pr-1" in letter
    assert f"Ada (1):\n      {done['title']}" in letter
    assert "knobs.py | " in letter
    assert hub.git("fsck", "--strict") == ""


def test_pushed_again_it_is_the_same_or_a_newer_version_of_the_same(here: Checkout, hub: Checkout) -> None:
    assert document(here, "pr", "--remote", "origin")["pushed"] == "new"
    again = here.evogit("pr", "--remote", "origin").stdout
    assert "as proposed before; not measured again" in again
    assert "origin has it" in again
    newer = document(here, "pr", "--signoff", "--remote", "../hub.git")
    assert (newer["how"], newer["pushed"]) == ("updated", "replaced")
    assert hub.git("rev-parse", "evogit/r/pr-1") == newer["commit"]


@pytest.mark.heavy
def test_what_others_put_there_is_not_replaced(here: Checkout, hub: Checkout, tmp_path: Path) -> None:
    document(here, "pr", "--remote", "origin")
    here.git("clone", "-q", str(hub.path), str(tmp_path / "review"))
    review = Checkout(tmp_path / "review", here.environment)
    review.git("checkout", "-q", "evogit/r/pr-1")
    (review.path / "knobs.py").write_text(BETTER)
    theirs = review.commit("a reviewer's own")
    review.git("push", "-q")
    told = here.evogit("pr", "--signoff", "--remote", "origin", expect=2).stderr.splitlines()[-1]
    assert told.startswith(
        f"evogit: evogit/r/pr-1 is written here but not pushed: evogit/r/pr-1 on origin is at {theirs[:12]}, "
    )
    assert hub.git("rev-parse", "evogit/r/pr-1") == theirs
    other = derived(here, {"knobs.py": BETTER})
    here.git("branch", "-q", "-D", "evogit/r/pr-1")
    assert document(here, "pr", other, "--remote", "origin")["branch"] == "evogit/r/pr-2"


def test_a_remote_that_is_away_or_says_no(here: Checkout, hub: Checkout) -> None:
    hook = hub.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nprintf 'policy: \\033[31mno\\n' >&2\nexit 1\n")
    hook.chmod(0o755)
    told = here.evogit("pr", "--remote", "origin", expect=6).stderr.splitlines()[-1]
    assert told.startswith("evogit: evogit/r/pr-1 is written here but not pushed: git push failed in ")
    assert "policy: " in told
    assert "pre-receive hook declined" in told
    assert "\x1b" not in told
    hub.path.rename(hub.path.with_name("moved.git"))
    here.git("branch", "-q", "-D", "evogit/r/pr-1")
    before = refs(here)
    errors = here.evogit("pr", "--remote", "origin", expect=6).stderr
    assert errors.count("\n") == 1  # nothing was measured for it
    assert refs(here) == before


def test_the_address_is_shown_without_its_secrets(here: Checkout) -> None:
    here.git("remote", "add", "forge", "https://me:secret@github.example.org/me/it.git")
    here.git("remote", "set-url", "--push", "forge", "https://me:secret@github.example.org/me/it.git")
    everything = here.evogit("pr", "--dry-run", "--remote", "forge")
    assert "secret" not in everything.stdout + everything.stderr
    everything = here.evogit("pr", "--dry-run", "--remote", "https://me:secret@github.example.org/me/it.git")
    assert "secret" not in everything.stdout + everything.stderr
    failed = here.evogit("pr", "--remote", "forge", expect=6)
    assert "secret" not in failed.stdout + failed.stderr


def test_the_text_names_the_remote(here: Checkout, hub: Checkout) -> None:
    here.git("remote", "rename", "origin", "upstream")
    document(here, "pr", "--remote", "upstream")
    assert "\n    git fetch upstream \\\n" in said(here, "evogit/r/pr-1")
