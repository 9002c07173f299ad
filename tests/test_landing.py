"""A result lands as a proposal: measured again, one branch, a commit in the user's name, nothing else touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import _BENCH, CONFIG, Checkout
from fingerprint import changed, fingerprint
from proposals import BETTER, derived, document, evolved, here, refs, said
from states import STATES, bare, detached, dirty, linked, merging, project, together

__all__ = ["evolved", "here"]
NewCheckout = Callable[..., Checkout]
_HOSTILE = (
    "--- a/x @alice fixes #7 `x` | <script>alert(1)</script> <!-- --> [skip ci]\x1b[31m\n\n"
    f"Signed-off-by: Eve <eve@evil.invalid>\nEvogit-Best: {'0' * 40}\n---\ndiff --git a/x b/x\n"
)


def test_a_gain_is_proposed_as_one_commit_in_the_users_name(here: Checkout) -> None:
    before = fingerprint(here.path, here.environment)
    best = here.evogit("best", "-q").stdout.strip()
    done = document(here, "pr")
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    assert (done["branch"], done["how"], done["onto"], done["best"]) == ("evogit/r/pr-1", "new", "main", best)
    assert done["measured"]["before"]["values"] == [-22.25] * 3
    assert here.git("rev-parse", "evogit/r/pr-1^@") == here.git("rev-parse", "main")
    assert here.git("diff", best, "evogit/r/pr-1") == ""
    assert here.git("log", "-1", "--format=%an %ae %cn", "evogit/r/pr-1") == "Ada ada@example.invalid Ada"
    text = said(here, "evogit/r/pr-1")
    title = text.splitlines()[0]
    assert title == done["title"]
    assert title.startswith("Raise the value: -22.25 to ")
    assert len(title) <= 72
    trailers = here.git("interpret-trailers", "--parse", stdin=text.encode())
    assert trailers == f"Evogit-Run: r\nEvogit-Best: {best}"
    assert here.git("fsck", "--strict") == ""


def test_the_text_has_evidence_lineage_and_a_way_to_check(here: Checkout) -> None:
    text = here.evogit("pr", "--print-body").stdout
    best = here.evogit("best", "-q").stdout.strip()
    steps = here.git("log", "--first-parent", "--reverse", "--format=%h %an %s", "--abbrev=12", f"main..{best}")
    for number, line in enumerate(steps.splitlines(), 1):
        commit, agent, subject = line.split(" ", 2)
        assert f"| {number} | {commit} | {agent} | mutate | " in text
        assert f" | `{subject}` |" in text
    assert "| score (maximize) | -22.25 | " in text
    assert "3 times each in" in text
    assert " knobs.py | " in text
    assert f"evogit evaluate {best[:12]} --run r" in text
    assert "\n    python bench.py\n" in text


def test_what_would_be_done_writes_nothing(here: Checkout) -> None:
    before, known = fingerprint(here.path, here.environment), refs(here)
    told = here.evogit("pr", "--dry-run").stdout
    assert "to the branch evogit/r/pr-1, if it is really better" in told
    assert document(here, "pr", "--dry-run")["branch"] == "evogit/r/pr-1"
    here.evogit("pr", "--print-body")
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    assert refs(here) == known


def test_proposed_again_it_is_the_same_branch_and_commit(here: Checkout) -> None:
    first = document(here, "pr")
    again = document(here, "pr")
    assert (again["commit"], again["branch"], again["how"]) == (first["commit"], "evogit/r/pr-1", "unchanged")
    signed = document(here, "pr", "--signoff")
    assert (signed["branch"], signed["how"]) == ("evogit/r/pr-1", "updated")
    trailer = here.git("log", "-1", "--format=%(trailers:key=Signed-off-by)", "evogit/r/pr-1")
    assert trailer == "Signed-off-by: Ada <ada@example.invalid>"
    assert document(here, "pr", "--signoff")["commit"] == signed["commit"]
    assert "evogit/r/pr-1 proposes it already" in here.evogit("pr", "--dry-run").stdout
    other = derived(here, {"knobs.py": BETTER})
    both = together(here, [("pr", other, "--json")] * 2)
    assert {json.loads(output)["branch"] for _, output, _ in both} == {"evogit/r/pr-2"}
    assert len({json.loads(output)["commit"] for _, output, _ in both}) == 1


def test_no_gain_is_no_proposal(here: Checkout) -> None:
    worse = derived(here, {"knobs.py": BETTER.replace("B = 30", "B = 300")})
    broken = derived(here, {"knobs.py": "raise SystemExit(3)\n"})
    before = refs(here)
    told = here.evogit("pr", worse, expect=1).stderr.splitlines()[-1]
    assert told == (
        f"evogit: {worse[:12]} is not proposed: no gain: -22.25 before, -676.25 after, measured 3 times each (maximize)"
    )
    assert f"{broken[:12]} is not proposed: it gets no score (failed)" in here.evogit("pr", broken, expect=1).stderr
    assert refs(here) == before


@pytest.mark.parametrize(
    ("direction", "why"),
    [("maximize", "no gain: "), ("minimize", "the gain may be luck, which does as well in 65 % of cases: ")],
)
def test_a_score_that_only_drifts_is_no_gain(new_checkout: NewCheckout, direction: str, why: str) -> None:
    drift = 'import json, os, time\njson.dump({"score": time.time()}, open(os.environ["EVOGIT_RESULT"], "w"))\n'
    config = CONFIG.replace("maximize", direction)
    here = new_checkout("drift", {"knobs.py": "A = 1.0\n", "bench.py": drift, "evogit.toml": config})
    here.evogit("run", "-n", "1", "--evals", "4", "--seed", "1", "--run", "r")
    before = refs(here)
    other = derived(here, {"knobs.py": "A = 2.0\n"})
    assert f"{other[:12]} is not proposed: {why}" in here.evogit("pr", other, expect=1).stderr
    assert refs(here) == before


def test_a_gain_beyond_the_noise_is_real(new_checkout: NewCheckout, toy: Checkout) -> None:
    noisy = (toy.path / "bench.py").read_text().replace("knobs.value()", "knobs.value() + random.random()")
    files = {"knobs.py": (toy.path / "knobs.py").read_text(), "bench.py": "import random\n" + noisy}
    here = new_checkout("noisy", {**files, "evogit.toml": CONFIG})
    here.evogit("run", "-n", "1", "--evals", "1", "--run", "r")
    done = document(here, "pr", derived(here, {"knobs.py": BETTER}))
    assert len(set(done["measured"]["after"]["values"])) == 3
    assert "Luck alone does as well in 5 % of cases" in " ".join(said(here, done["branch"]).split())


@pytest.mark.heavy
def test_a_lineage_lands_as_it_evolved(here: Checkout) -> None:
    best = here.evogit("best", "-q").stdout.strip()
    branch = document(here, "pr", "--style", "history")["branch"]
    assert here.git("rev-parse", f"{branch}^@").split() == [here.git("rev-parse", "main"), best]
    assert here.git("diff", best, branch) == ""
    assert document(here, "pr")["branch"] == "evogit/r/pr-2"
    here.git("merge", "-q", "--ff-only", branch)
    assert here.git("log", "--first-parent", "--format=%an", "main").split() == ["Ada", "Ada"]
    assert '"kind":"score"' in here.git("log", "-2", "--format=%N", "--notes=evogit/*", "main^2")


def test_a_target_that_moved_on_is_merged_in_memory(here: Checkout) -> None:
    base = here.git("rev-parse", "main")
    first = document(here, "pr")
    (here.path / "other.txt").write_text("new\n")
    tip = here.commit("main moves on")
    before = fingerprint(here.path, here.environment)
    again = document(here, "pr")
    assert (again["branch"], again["how"]) == (first["branch"], "updated")
    assert here.git("rev-parse", "evogit/r/pr-1^@") == tip
    assert here.git("diff", "--name-only", tip, "evogit/r/pr-1") == "knobs.py"
    assert f"before: its target {tip[:12]}" in said(here, "evogit/r/pr-1")
    assert document(here, "pr", "--onto", base)["onto"] == base[:12]
    assert changed(before, fingerprint(here.path, here.environment)) == {}


def test_a_target_that_conflicts_is_refused(here: Checkout) -> None:
    best, base = here.evogit("best", "-q").stdout.strip(), here.git("rev-parse", "main")
    (here.path / "knobs.py").write_text(BETTER.replace("3.0", "9.0").replace("30", "90"))
    here.commit("another way")
    before = refs(here)
    assert here.evogit("pr", expect=2).stderr == (
        f"evogit: {best[:12]} does not fit onto main, which moved on since run r began: conflict in knobs.py; start a "
        f"run there (evogit run --new), or propose it as it is: evogit pr --onto {base[:12]}\n"
    )
    assert refs(here) == before
    here.evogit("pr", "--onto", base[:12])
    here.git("reset", "-q", "--hard", best)
    assert "changes nothing on main" in here.evogit("pr", expect=2).stderr


@pytest.mark.heavy
def test_a_proposed_branch_that_is_checked_out_is_not_moved(here: Checkout, tmp_path: Path) -> None:
    here.evogit("pr")
    here.git("worktree", "add", "-q", str(tmp_path / "review"), "evogit/r/pr-1")
    before = refs(here)
    assert "is checked out, so it is not moved" in here.evogit("pr", "--signoff", expect=2).stderr
    assert document(here, "pr")["how"] == "unchanged"
    assert refs(here) == before
    review = Checkout(tmp_path / "review", here.environment)
    (review.path / "knobs.py").write_text(BETTER)
    review.commit("a reviewer's own")
    assert document(here, "pr")["branch"] == "evogit/r/pr-2"


def test_hostile_words_of_candidates_are_only_words(here: Checkout) -> None:
    commit = derived(here, {"knobs.py": BETTER, "a`|@bob<script>.txt": "x\n"}, _HOSTILE)
    branch = document(here, "pr", commit)["branch"]
    text = said(here, branch)
    trailers = here.git("interpret-trailers", "--parse", stdin=text.encode()).splitlines()
    assert trailers == ["Evogit-Run: r", f"Evogit-Best: {commit}"]
    for bad in ("@alice", "#7", "@bob", "<script", "<!--", "-->", "[skip ci]", "\x1b", "evil.invalid"):
        assert bad not in text
    assert not [line for line in text.splitlines() if line.startswith(("---", "diff", "Index:", "#", "From "))]
    patch = here.git("format-patch", "--stdout", "-1", branch)
    here.git("checkout", "-q", "-b", "again", "main")
    here.git("am", "-q", stdin=(patch + "\n").encode())
    assert here.git("diff", branch) == ""
    assert here.git("log", "-1", "--format=%s") == text.splitlines()[0]


def test_protected_files_stay_out(here: Checkout) -> None:
    commit = derived(here, {"knobs.py": BETTER, "bench.py": "cheat()\n", "extra.txt": "x\n"})
    done = document(here, "pr", commit)
    assert here.git("diff", "--name-only", "main", done["branch"]).split() == ["extra.txt", "knobs.py"]
    left = "left out, since protected files are not what was measured: `bench.py`"
    assert done["warnings"] == [left, "outside `editable`: `extra.txt`"]
    assert f"\n* {left}\n" in said(here, done["branch"])
    assert left in here.evogit("apply", commit).stderr
    assert here.git("diff", "--cached", "--name-only").split() == ["extra.txt", "knobs.py"]


@pytest.mark.parametrize(
    "state", [dirty, bare, *(pytest.param(s, marks=pytest.mark.heavy) for s in (detached, linked, merging))]
)
def test_whatever_state_the_repository_is_in(
    toy: Checkout, tmp_path: Path, state: Callable[[Checkout, Path], Checkout]
) -> None:
    (toy.path / "notes.txt").write_text("one\n")
    toy.commit("one")
    toy.git("tag", "v1")
    there = state(toy, tmp_path)
    there.evogit("run", "-n", "1", "--evals", "8", "--seed", "2", "--run", "r")
    before = fingerprint(there.path, there.environment)
    branch = document(there, "pr")["branch"]
    assert changed(before, fingerprint(there.path, there.environment)) == {}
    assert there.git("rev-parse", f"{branch}^") == there.git("rev-parse", "HEAD")
    assert there.git("diff", "--name-only", f"{branch}^", branch) == "knobs.py"


_WRONG = {
    ("nonsense",): "'nonsense' is no commit here",
    ("base",): "is the base of run r itself; there is nothing to propose",
    ("unrelated",): "does not descend from",
    ("--remote", "nowhere"): "'nowhere' is no remote, address, path or bundle file here; remotes: none",
    ("--onto", "nonsense"): "'nonsense' is no commit here",
    ("--repeat", "1"): "Invalid value for '--repeat'",
    ("--style", "rebase"): "Invalid value for '--style'",
    ("--run", "other"): "there is no run 'other'",
}


def test_wrong_words_are_one_error(here: Checkout) -> None:
    tree = here.git("rev-parse", "main^{tree}")
    here.git("branch", "unrelated", here.git("commit-tree", tree, "-m", "unrelated"))
    before = refs(here)
    for (code, output, errors), expected in zip(together(here, [("pr", *w) for w in _WRONG]), _WRONG.values()):
        assert (code, output) == (2, "")
        assert expected in errors
    assert refs(here) == before


def test_nobody_lands_without_a_name(here: Checkout) -> None:
    kept = {name: value for name, value in here.environment.items() if not name.startswith(("GIT_AUT", "GIT_COMM"))}
    nobody = Checkout(here.path, kept)
    told = nobody.evogit("pr", expect=2).stderr
    assert told.startswith("evogit: the commit is made in your name, and git does not know it; run `git config")
    here.git("config", "user.name", "Grace")
    here.git("config", "user.email", "grace@example.invalid")
    nobody.evogit("pr")
    assert here.git("log", "-1", "--format=%an %ce", "evogit/r/pr-1") == "Grace grace@example.invalid"


def test_it_is_signed_where_commits_are(here: Checkout, tmp_path: Path) -> None:
    here.git("config", "commit.gpgsign", "true")
    here.git("config", "gpg.program", str(tmp_path / "missing"))
    before = refs(here)
    told = here.evogit("pr", expect=2).stderr.splitlines()
    assert told[-1].startswith("evogit: commit.gpgsign is set and the commit cannot be signed: ")
    assert refs(here) == before
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen to sign with")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "allowed").write_text(f"ada@example.invalid {key.with_suffix('.pub').read_text()}")
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(key)),
                        ("gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))):  # fmt: skip
        here.git("config", name, value)
    here.evogit("pr")
    here.git("verify-commit", "evogit/r/pr-1")


def test_interrupted_it_leaves_nothing(here: Checkout, tmp_path: Path) -> None:
    started = tmp_path / "started"
    wait = f"import time, knobs\nif knobs.B == 30:\n    open({str(started)!r}, 'w').close()\n    time.sleep(100)\n"
    (here.path / "bench.py").write_text(wait + _BENCH)
    here.commit("a slow bench")
    here.evogit("run", "-n", "1", "--evals", "1", "--new", "--run", "slow")
    before = refs(here)
    running = here.start("pr", derived(here, {"knobs.py": BETTER}), "--run", "slow")
    while not started.exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=60)
    assert (running.returncode, output) == (130, "")
    assert [line.split()[:3] for line in errors.splitlines()] == [["evogit:", "before", "-22.25"]]
    assert refs(here) == before
    assert not list((Path(here.environment["TMPDIR"]) / f"evogit-{os.getuid()}").rglob("evaluate.*"))


@pytest.mark.heavy
def test_what_is_proposed_is_no_candidate(here: Checkout) -> None:
    done = document(here, "pr")
    mine = derived(here, {"knobs.py": BETTER})
    here.git("branch", "evogit/r/mine", mine)
    here.evogit("run", "-n", "1", "--evals", "8", "--seed", "3", "--run", "r")
    assert document(here, "show", mine)["proposal"]["operator"] == "human"
    assert document(here, "show", done["commit"])["proposal"] is None


@pytest.mark.heavy
def test_files_of_every_kind_land_as_they_are(new_checkout: NewCheckout, toy: Checkout, tmp_path: Path) -> None:
    names = ("knobs.py", "bench.py", "evogit.toml")
    files = {name: (toy.path / name).read_text() for name in names} | {
        "data/a": "1\n",
        "data/deep/b": "2\n",
        "x": "3\n",
    }
    here = new_checkout("kinds", files)
    here.evogit("run", "-n", "1", "--evals", "1", "--run", "r")
    index = Checkout(here.path, {**here.environment, "GIT_INDEX_FILE": str(tmp_path / "index")})
    index.git("read-tree", "main")
    index.git("rm", "-q", "-r", "--cached", "data", "x")
    knobs, other = (here.git("hash-object", "-w", "--stdin", stdin=text) for text in (BETTER.encode(), b"#!/bin/sh\n"))
    lines = (f"100644 {knobs}\tknobs.py", f"100755 {other}\tdata", f"120000 {other}\tx/link", f"100644 {other}\tx/a b")
    index.git("update-index", "--index-info", stdin="\n".join((*lines, "")).encode())
    index.git("update-index", "-z", "--index-info", stdin=f"100644 {other}\tna".encode() + b"\xefve\0")
    commit = index.git("commit-tree", index.git("write-tree"), "-p", "main", "-m", "all kinds")
    done = document(here, "pr", commit)
    assert here.git("rev-parse", f"{done['branch']}^{{tree}}") == here.git("rev-parse", f"{commit}^{{tree}}")
    assert done["warnings"][:2] == ["look at these links: `x/link`", "look at these executable files: `data`"]
    index.git("update-index", "-z", "--index-info", stdin=b"0 " + b"0" * 40 + b"\tna\xefve\0")  # not merged with others
    commit = index.git("commit-tree", index.git("write-tree"), "-p", "main", "-m", "most kinds")
    (here.path / "more.txt").write_text("main moves on\n")
    here.commit("more")
    moved = document(here, "pr", commit)
    assert here.git("diff", "--name-only", commit, moved["branch"]) == "more.txt"


def test_people_and_models_of_the_lineage_are_named(here: Checkout) -> None:
    grace = {"GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "grace@example.invalid"}
    other = Checkout(here.path, {**here.environment, **grace})
    middle = derived(other, {"knobs.py": BETTER}, "Look closer\n\nAssisted-by: evogit:vendor/model-1\n")
    best = derived(here, {"knobs.py": BETTER.replace("30", "35")}, "And closer\n\nEvogit-Model: evil model\n", middle)
    text = said(here, document(here, "pr", best, "--signoff")["branch"])
    assert f"| 1 | {middle[:12]} | Grace | human | - | `Look closer` |" in text
    assert "2 steps from" in text
    assert "2 people" in text
    assert here.git("interpret-trailers", "--parse", stdin=text.encode()).splitlines()[2:] == [
        "Assisted-by: evogit:vendor/model-1",
        "Co-authored-by: Grace <grace@example.invalid>",
        "Signed-off-by: Ada <ada@example.invalid>",
    ]
    lineage = said(here, document(here, "pr", best, "--style", "history")["branch"])
    assert "Co-authored-by" not in lineage


def test_a_recorded_score_is_not_believed(here: Checkout) -> None:
    best = here.evogit("best", "-q").stdout.strip()
    records = here.git("log", "-1", "--format=%N", "--notes=evogit/*", best).splitlines()
    score = next(json.loads(line) for line in records if '"kind":"score"' in line)
    worse = derived(here, {"knobs.py": BETTER.replace("B = 30", "B = 300")})
    forged = score | {"value": 999.0, "seq": 1000, "tree": here.git("rev-parse", f"{worse}^{{tree}}")}
    line = json.dumps(forged, sort_keys=True, separators=(",", ":"))
    here.git("notes", f"--ref=refs/notes/evogit/r/{score['agent']}.journal", "append", "-m", line, worse)
    assert here.evogit("best", "-q").stdout.strip() == worse
    before = refs(here)
    assert "is not proposed: no gain: -22.25 before, -676.25 after" in here.evogit("pr", expect=1).stderr
    assert refs(here) == before


@pytest.mark.heavy
@pytest.mark.parametrize("name", STATES)
def test_a_proposal_leaves_every_state_as_it_is(tmp_path: Path, world: dict[str, str], name: str) -> None:
    start = project(tmp_path / "repo", world)
    (tmp_path / "aside").mkdir()
    there = STATES[name](start, tmp_path / "aside")
    there.evogit("run", "-n", "1", "--evals", "1", "--run", "r")
    better = derived(there, {"knobs.ini": "A=7\nB=40\n"}, onto=document(there, "best")["commit"])
    before = fingerprint(there.path, there.environment)
    unsigned = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "commit.gpgsign", "GIT_CONFIG_VALUE_0": "false"}
    ran = tmp_path / "aside" / "ran"
    ran.unlink(missing_ok=True)
    branch = document(Checkout(there.path, {**there.environment, **unsigned}), "pr", better)["branch"]
    assert not ran.exists(), ran.read_text()
    assert changed(before, fingerprint(there.path, there.environment)) == {}
    assert there.git("diff-tree", "-r", "--name-only", f"{branch}^", branch) == "knobs.ini"
