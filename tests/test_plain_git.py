"""Without evogit: every command of the review card, on a real run, in an environment that has git and a shell only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import Checkout, closed_environment

_SCORE = """. ./knobs.conf
awk -v a="$A" -v b="$B" 'BEGIN { printf "{\\"score\\": %.4f}\\n", 100 - (a - 3.5)^2 - (b - 40)^2 / 100 }' \\
  > "$EVOGIT_RESULT"
"""
_FILES = {
    "knobs.conf": "A=1.0\nB=10\n",
    "score.sh": _SCORE,
    "evogit.toml": 'goal = "Raise the score"\neditable = ["knobs.conf"]\n[evaluator]\ncommand = "sh score.sh"\n',
}
_TOOLS = ("git", "sh", "awk", "sed", "sort", "head", "cat", "tar", "mktemp", "grep", "uname", "rm", "mv", "tr", "perl")


@dataclass(frozen=True)
class Reviewer:
    """Somebody with a repository, git and a shell, and what is known of the run in it."""

    path: Path
    environment: Mapping[str, str]
    base: str
    best: str
    values: Mapping[str, float]
    agents: Mapping[str, str]

    def sh(self, line: str) -> str:
        """Run a line of shell and return what it prints."""
        done = subprocess.run(["sh", "-c", line], cwd=self.path, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def lineage(self) -> list[str]:
        """The steps from the base to the best, oldest first."""
        return self.sh(f"git rev-list --first-parent --reverse {self.base}..{self.best}").split()

    def first_to_reach(self, score: float) -> str:
        """Return the first step with at least this score, as evogit recorded it."""
        return next(commit for commit in self.lineage if self.values[commit] >= score)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A run of two agents, made with evogit."""
    top = tmp_path_factory.mktemp("plain")
    (top / "home" / "tmp").mkdir(parents=True)
    made = Checkout(top / "repo", closed_environment(top / "home"))
    made.path.mkdir()
    made.git("init", "-q", "-b", "main")
    for name, content in _FILES.items():
        (made.path / name).write_text(content)
    made.commit("init")
    made.evogit("run", "-n", "2", "--evals", "50", "--seed", "4", "--run", "toy")
    return made


@pytest.fixture(scope="module")
def reviewer(maker: Checkout) -> Reviewer:
    """Somebody without evogit in the repository of the run."""
    tools = maker.path.parent / "tools"
    tools.mkdir()
    for name in _TOOLS:
        (tools / name).symlink_to(shutil.which(name) or f"/missing/{name}")
    kept = {name: value for name, value in maker.environment.items() if not name.startswith("PYTHON")}
    assert shutil.which("evogit", path=str(tools)) is None
    log = json.loads(maker.evogit("log", "--all", "--json").stdout)["log"]
    return Reviewer(
        path=maker.path, environment={**kept, "PATH": str(tools)}, base=maker.git("rev-parse", "main"),
        best=maker.evogit("best", "-q").stdout.strip(), values={row["commit"]: row["value"] for row in log},
        agents={row["commit"]: row["agent"] for row in log},
    )  # fmt: skip


def test_branches_and_the_tree(reviewer: Reviewer) -> None:
    listed = reviewer.sh("git for-each-ref --format='%(refname:short) %(authorname) %(subject)' refs/heads/evogit/toy")
    agents = sorted(set(reviewer.agents.values()))
    assert len(agents) == 2
    assert [line.split()[:2] for line in listed.splitlines()] == [[f"evogit/toy/{name}", name] for name in agents]
    graph = reviewer.sh("git log --graph --format=%H --branches='evogit/toy/*'")
    assert set(reviewer.lineage) <= set(re.findall("[0-9a-f]{40}", graph))


def test_who_made_what(reviewer: Reviewer) -> None:
    counted = reviewer.sh("git shortlog -sn --group=trailer:evogit-agent --branches='evogit/toy/*'")
    found = {name: int(count) for count, name in (line.split() for line in counted.splitlines())}
    tips = reviewer.sh(f"git rev-list --branches='evogit/toy/*' ^{reviewer.base}").split()
    assert found == {name: sum(reviewer.agents[tip] == name for tip in tips) for name in found}
    assert found


def test_steps_with_their_scores(reviewer: Reviewer) -> None:
    said = reviewer.sh(f"git log --first-parent --notes='evogit/*' {reviewer.base}..{reviewer.best}")
    scores = [json.loads(line)["value"] for line in said.splitlines() if '"kind":"score"' in line]
    assert scores == [reviewer.values[commit] for commit in reversed(reviewer.lineage)]


def test_the_ranking_of_all_candidates(reviewer: Reviewer) -> None:
    said = reviewer.sh(
        "git log --glob='refs/notes/evogit/toy/*' --author=evogit.invalid --notes='evogit/*' --format='%H%n%N' |"
        " awk -F'\"value\":' 'NF == 1 && /^[0-9a-f]+$/ { commit = $0 }"
        ' /"kind":"score"/ && NF > 1 { print $NF + 0, commit }\' | sort -rg | head -3'
    )
    ranked = sorted((value for commit, value in reviewer.values.items() if commit != reviewer.base), reverse=True)
    assert [float(line.split()[0]) for line in said.splitlines()] == ranked[:3]
    assert reviewer.best in said


def test_one_note_of_one_agent(reviewer: Reviewer) -> None:
    agent = reviewer.agents[reviewer.best]
    said = reviewer.sh(f"git notes --ref=refs/notes/evogit/toy/{agent}.journal show {reviewer.best}")
    # An agent that gave up a merge of it has said so on the same commit, after the score.
    assert "score" in [json.loads(line)["kind"] for line in said.splitlines()]


def test_which_agent_wrote_a_line(reviewer: Reviewer) -> None:
    said = reviewer.sh(f"git blame --line-porcelain {reviewer.best} -- knobs.conf")
    authors = [line.removeprefix("author ") for line in said.splitlines() if line.startswith("author ")]
    assert len(authors) == 2
    assert set(authors) & set(reviewer.agents.values())
    for commit, author in zip(re.findall("^([0-9a-f]{40}) ", said, re.MULTILINE), authors):
        assert reviewer.agents.get(commit, author) == author


def test_two_agents_ways_side_by_side(reviewer: Reviewer) -> None:
    one, other = reviewer.sh("git for-each-ref --format='%(refname:short)' refs/heads/evogit/toy").split()
    said = reviewer.sh(f"git range-diff --no-color {reviewer.base} {one} {other}")
    steps = reviewer.sh(f"git rev-list --count --no-merges {reviewer.base}..{one}").strip()
    assert len(re.findall(r"^ *\d+: ", said, re.MULTILINE)) == int(steps)


def test_the_task_as_it_was(reviewer: Reviewer) -> None:
    assert reviewer.sh("git show refs/evogit/toy/task:evogit.toml") == _FILES["evogit.toml"]
    assert reviewer.sh("git show refs/evogit/toy/task:protected/score.sh") == _SCORE


def test_bisect_by_running_the_evaluator(reviewer: Reviewer, tmp_path: Path) -> None:
    reviewer.sh(f"git worktree add -q --detach '{tmp_path}/bisect' {reviewer.best}")
    there = replace(reviewer, path=tmp_path / "bisect")
    (tmp_path / "reached.sh").write_text(
        'export EVOGIT_RESULT="$(mktemp)"\nsh score.sh || exit 125\n'
        "awk -F'\"score\": ' 'NF > 1 { known = 1; score = $2 + 0 } END { exit known ? (score >= 95) : 125 }' "
        '"$EVOGIT_RESULT"\n'
    )
    there.sh(
        "git bisect start --first-parent --term-old=before --term-new=reached "
        f"{reviewer.best} {reviewer.base} && git bisect run sh {tmp_path}/reached.sh > {tmp_path}/said"
    )
    assert f"{reviewer.first_to_reach(95)} is the first reached commit" in (tmp_path / "said").read_text()
    there.sh("git bisect reset")
    reviewer.sh(f"git worktree remove --force '{tmp_path}/bisect'")


def test_a_clone_of_a_plain_server_has_it_all(maker: Checkout, reviewer: Reviewer, tmp_path: Path) -> None:
    """The commands in the text of a proposal, as they stand there, in a fresh clone of somebody without evogit."""
    hub = Checkout(tmp_path / "hub.git", maker.environment)
    hub.path.mkdir()
    hub.git("init", "-q", "--bare", "-b", "main")
    maker.git("push", "-q", str(hub.path), "main", "refs/notes/evogit/*:refs/notes/evogit/*", "refs/evogit/toy/task")
    maker.evogit("pr", "--remote", str(hub.path))
    text = hub.git("log", "-1", "--format=%B", "evogit/toy/pr-1")
    blocks = re.findall(r"(?:^    \S.*\n)(?:^    .*\n)*", text + "\n", re.MULTILINE)
    check, look = (re.sub("^    ", "", block, flags=re.MULTILINE) for block in blocks[-2:])
    reviewer.sh(f"git clone -q '{hub.path}' '{tmp_path}/clone'")
    there = replace(reviewer, path=tmp_path / "clone")
    measured = there.sh(f"set -e\n{check}")
    assert json.loads(measured)["score"] == reviewer.values[reviewer.best]
    said = there.sh(look)
    assert "Notes (evogit-remote/origin/toy/" in said
    half = (reviewer.values[reviewer.base] + reviewer.values[reviewer.best]) / 2
    assert f"{reviewer.first_to_reach(half)} is the first reached commit" in said
    assert there.sh("git status --porcelain") == ""
    assert there.sh("git fsck --strict 2>&1") == ""


def test_nothing_here_needs_evogit(reviewer: Reviewer) -> None:
    assert sorted(os.listdir(reviewer.environment["PATH"])) == sorted(_TOOLS)
    assert reviewer.sh("command -v evogit python python3 || true") == ""
