"""Whole hunks as moves: what fits where, what never moves, who gives, and what is left of a bloated candidate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from conftest import Checkout
from family import Family

from evogit.drafting import Draft, Drafter, Means
from evogit.hunks import Differences, Donors, Minimizer, Transplanter
from evogit.llm import lead
from evogit.model import CommitId, Craft, Operator, Plan, RunName, TreeId
from evogit.planning import Planner, Policy
from evogit.proposers.protocol import EDIT, OPERATION, PLACE, Turn
from evogit.proposers.tuner import Tuner
from evogit.store import freeze, lines, merge, task, trees
from evogit.store.task import Task

_TEXT = "".join(f"line {number}\n" for number in range(30))
_CONFIG = 'direction = "maximize"\nprotected = ["judge/**"]\n[evaluator]\ncommand = "sh score.sh"\n'


@pytest.fixture
def family(new_checkout: Callable[..., Checkout]) -> Iterator[Family]:
    """A run from a base with a few texts, which scores 1."""
    files = {"a.txt": _TEXT, "b.txt": _TEXT, "judge/rule.txt": "1\n", "score.sh": "true\n", "evogit.toml": _CONFIG}
    made = Family(new_checkout("repo", files).path)
    made.score(made.base, 1.0)
    yield made
    made.close()


def _task(family: Family) -> Task:
    return task.unwritten(family.repo, freeze.freeze(family.repo).definition)


def _differences(family: Family) -> Differences:
    return Differences(family.repo, _task(family).definition)


def _tree(family: Family, commit: CommitId) -> TreeId:
    return TreeId(str(family.repo.commit(commit).tree_id))


def _files(family: Family, tree: TreeId) -> dict[str, bytes]:
    found = trees.files(family.repo, trees.oid(tree))
    return {path.decode(): trees.read_blob(family.repo, entry.id) for path, entry in found.items()}


def _text(**changed: str) -> bytes:
    found = _TEXT.splitlines()
    for number, line in changed.items():
        found[int(number[1:])] = line
    return "".join(f"{line}\n" for line in found).encode()


def _all_onto(family: Family, old: CommitId, new: CommitId, target: CommitId) -> tuple[dict[str, bytes], int]:
    differences = _differences(family)
    found = differences.between(_tree(family, old), _tree(family, new))
    made, taken = differences.with_parts(found, range(len(found.parts)), _tree(family, target))
    return _files(family, merge.write(family.repo, made, {})), taken


@pytest.mark.parametrize("seed", range(20))
def test_spans_put_in_give_the_new_text(seed: int) -> None:
    """Also with CRLF, bytes that are no UTF-8, and without a line feed at the end."""
    rng = Random(seed)
    words = [b"a\n", b"b\n", b"\n", b"c\r\n", b"\xff\xfe\n", b"\r\n", b"long line\n"]
    texts = [b"".join(rng.choices(words, k=rng.randrange(12))) for _ in range(2)]
    old, new = (text if rng.random() < 0.7 else text + b"no end" for text in texts)
    found = lines.spans(old, new)
    assert lines.splice(old, found) == new
    for span in found:  # and each alone fits the text it was taken from
        assert lines.moved(span, []) == span


@pytest.mark.parametrize("seed", range(8))
def test_what_fits_everywhere_is_what_git_merges(family: Family, seed: int, world: dict[str, str]) -> None:
    rng = Random(seed)
    sides = []
    for side in "LR":
        changed = {f"n{number}": side for number in range(0, 30) if rng.random() < 0.06}
        sides.append(family.child(family.base, value=2.0, files={"a.txt": _text(**changed)}))
    left, right = sides
    theirs = Checkout(Path(str(family.repo.work)), world).git("merge-tree", "--write-tree", *sides, check=False)
    found = _differences(family).between(_tree(family, family.base), _tree(family, right))
    moved, taken = _all_onto(family, family.base, right, left)
    if len(theirs.splitlines()) == 1:
        assert (moved, taken) == (_files(family, TreeId(theirs.strip())), len(found.parts))
    else:
        assert taken < len(found.parts)


def test_a_hunk_is_found_where_its_lines_have_moved_to(family: Family) -> None:
    donor = family.child(family.base, value=2.0, files={"a.txt": _text(n20="better")})
    parent = family.child(family.base, value=2.0, files={"a.txt": b"new top\n" * 7 + _TEXT.encode()})
    moved, taken = _all_onto(family, family.base, donor, parent)
    assert taken == 1
    assert moved["a.txt"] == b"new top\n" * 7 + _text(n20="better")


def test_what_the_parent_has_or_has_changed_itself_does_not_fit(family: Family) -> None:
    donor = family.child(family.base, value=2.0, files={"a.txt": _text(n3="x", n20="y"), "new.txt": b"n\n"})
    same = family.child(family.base, value=2.0, files={"a.txt": _text(n3="x", n20="y"), "new.txt": b"n\n"})
    other = family.child(family.base, value=2.0, files={"a.txt": _text(n3="mine", n20="mine"), "new.txt": b"mine\n"})
    for parent in (same, other):
        assert _all_onto(family, family.base, donor, parent) == (_files(family, _tree(family, parent)), 0)


def test_hostile_files_move_whole_or_not_at_all(family: Family) -> None:
    """CRLF and Latin-1 by lines; binary files, new and deleted ones whole; a missing line feed glues nothing."""
    old = {
        "crlf.txt": b"a\r\nb\r\nc\r\n",
        "latin.txt": b"\xe9\n1\n2\n3\n",
        "data": b"\0\1",
        "gone": b"x\n",
        "end.txt": b"k\nl\na",
    }
    start = family.child(family.base, value=2.0, files=old)
    new = {"crlf.txt": b"a\r\nB\r\nc\r\n", "latin.txt": b"\xe9\n1\n2\n\xe8\n", "data": b"\0\2", "gone": None,
           "end.txt": b"k\nl\na\nb", "added": b"\0new"}  # fmt: skip
    donor = family.child(start, value=3.0, files=new)
    parent = family.child(
        start, value=2.5, files={"crlf.txt": b"top\r\n\r\na\r\nb\r\nc\r\n", "latin.txt": b"\xe8\n1\n2\n3\n"}
    )
    moved, taken = _all_onto(family, start, donor, parent)
    assert taken == 6
    assert moved["crlf.txt"] == b"top\r\n\r\na\r\nB\r\nc\r\n"
    assert moved["latin.txt"] == b"\xe8\n1\n2\n\xe8\n"
    assert (moved["data"], moved["added"], moved["end.txt"]) == (b"\0\2", b"\0new", b"k\nl\na\nb")
    assert "gone" not in moved
    longer = family.child(start, value=2.5, files={"end.txt": b"0\nk\nl\na"})
    assert _all_onto(family, start, donor, longer)[0]["end.txt"] == b"0\nk\nl\na\nb"
    assert lines.splice(b"a", [lines.Span(1, 1, (b"b\n",))]) is None


def test_modes_renames_links_and_places_that_are_taken(family: Family, world: dict[str, str]) -> None:
    checkout = Checkout(Path(str(family.repo.work)), world)
    checkout.git("checkout", "-q", "-b", "donor")
    (checkout.path / "a.txt").chmod(0o755)
    checkout.git("mv", "b.txt", "moved.txt")
    (checkout.path / "link").symlink_to("a.txt")
    (checkout.path / "folder").mkdir()
    (checkout.path / "folder" / "x").write_text("x\n")
    donor = CommitId(checkout.commit("donor"))
    found = _differences(family).between(_tree(family, family.base), _tree(family, donor))
    assert len(found.parts) == 3  # the mode, both halves of the rename, the new file; a link is nothing agents move
    moved, taken = _all_onto(family, family.base, donor, family.base)
    assert taken == 3
    assert "b.txt" not in moved
    assert moved["moved.txt"] == _TEXT.encode()
    # The half of a rename that fits is not taken without the other; a file is no place for a folder.
    parent = family.child(family.base, value=2.0, files={"moved.txt": b"mine\n", "folder": b"a file\n"})
    moved, taken = _all_onto(family, family.base, donor, parent)
    assert taken == 1
    assert (moved["b.txt"], moved["moved.txt"], moved["folder"]) == (_TEXT.encode(), b"mine\n", b"a file\n")
    differences = _differences(family)
    for number in range(3):
        made = differences.without(found, {number})
        assert made is not None
        left = trees.files(family.repo, trees.oid(merge.write(family.repo, made, {})))
        assert (left[b"a.txt"].mode == trees.FILE_MODE) == any(
            type(piece).__name__ == "Mode" for piece in found.parts[number]
        )
        assert (b"b.txt" in left) == (b"moved.txt" not in left)


def test_protected_files_never_move(family: Family) -> None:
    donor = family.child(family.base, value=9.0, files={"judge/rule.txt": b"0\n", ".evogit/agents/x.toml": b"x\n"})
    found = _differences(family).between(_tree(family, family.base), _tree(family, donor))
    assert found.parts == ()


def test_donors_gained_and_are_of_other_lineages(family: Family) -> None:
    one = family.child(family.base, value=2.0)
    parent = family.child(one, value=3.0)
    much = family.child(family.base, value=9.0)
    little = family.child(family.base, value=1.1)
    family.child(family.base, value=0.5)
    pruned = family.child(family.base, value=8.0)
    family.say(pruned, "prune")
    family.child(pruned, value=8.5)
    donors = Donors(family.graph())
    drawn = [donors.choose(parent, Random(seed)) for seed in range(200)]
    assert set(drawn) == {much, little}
    assert drawn.count(much) > drawn.count(little)
    assert drawn == [donors.choose(parent, Random(seed)) for seed in range(200)]


def test_a_far_lineage_weighs_more_than_a_step_aside(family: Family) -> None:
    near = family.child(family.base, value=9.0)
    far = family.base
    for step in range(6):
        far = family.child(far, value=0.9 - step / 10)
    last = family.child(far, value=3.5)
    parent = family.child(family.base, value=0.8)
    donors = Donors(family.graph())
    drawn = [donors.choose(parent, Random(seed)) for seed in range(600)]
    assert set(drawn) == {near, last}
    assert drawn.count(last) > 0.4 * len(drawn)  # by their gains alone it would be a third


def _drafted(family: Family, plan: Plan) -> object:
    means = Means(left_usd=lambda: 0.0, attempt=lambda _plan, _draft: "nothing is measured here")
    drafting = Drafter(family.repo, _task(family), family.graph(), Tuner(), means).draft(plan, Turn())
    return lead(drafting, lambda step: pytest.fail(f"nobody is to be asked {step}"))


def test_a_transplant_says_where_it_came_from_and_can_be_made_again(family: Family) -> None:
    donor = family.child(family.base, value=4.0, files={"a.txt": _text(n3="x", n20="y")})
    parent = family.child(family.base, value=3.0, files={"b.txt": _text(n5="z")})
    plan = Plan(operator=Operator.MUTATE, parents=(parent,), seed=5, craft=Craft.TRANSPLANT, inspirations=(donor,))
    drafts = [_drafted(family, plan) for _ in range(2)]
    first = drafts[0]
    assert isinstance(first, Draft)
    assert first.donor == donor
    assert first.params["transplant"] in (1, 2)
    assert donor[:9] in first.subject
    trees_made = {draft.write() for draft in drafts if isinstance(draft, Draft)}
    assert len(trees_made) == 1
    made = _files(family, trees_made.pop())
    assert made["b.txt"] == _text(n5="z")
    assert made["a.txt"] in (_text(n3="x"), _text(n20="y"), _text(n3="x", n20="y"))


def test_taking_back_leaves_something(family: Family) -> None:
    donor = family.child(family.base, value=4.0, files={"a.txt": _text(n3="x", n20="y"), "new": b"n\n"})
    mover = Transplanter(_differences(family))
    seen = set()
    for seed in range(40):
        moved = mover.take_back(_tree(family, family.base), _tree(family, donor), Random(seed))
        assert moved is not None
        seen.add(merge.write(family.repo, moved.made, {}))
    assert len(seen) == 6  # all but nothing and everything
    assert not seen & {_tree(family, family.base), _tree(family, donor)}


def test_moved_hunks_do_not_count_as_the_edit_their_parent_was(family: Family) -> None:
    learned = {"step": 0.1, OPERATION: 7.0, PLACE: 8.0, EDIT: 9.0, "transplant": 2.0}
    parent = family.child(family.base, value=4.0, files={"a.txt": _text(n3="x", n20="y")}, params=learned)
    draft = _drafted(family, Plan(operator=Operator.MUTATE, parents=(parent,), seed=1, craft=Craft.MINIMIZE))
    assert isinstance(draft, Draft)
    assert draft.params == {"step": 0.1, "minimize": 1.0}


def test_where_nothing_can_be_moved_the_proposer_edits(family: Family) -> None:
    for craft in (Craft.REVERT, Craft.MINIMIZE):
        draft = _drafted(family, Plan(operator=Operator.MUTATE, parents=(family.base,), seed=1, craft=craft))
        assert isinstance(draft, Draft)
        assert "op" in draft.params


def test_policies_without_shares_plan_as_they_did(family: Family) -> None:
    family.child(family.base, value=2.0)
    graph = family.graph()
    old, new = (
        Planner(family.repo, graph, Policy(selection="tournament", merges=0.3, reverts=reverts))
        for reverts in (0.0, 0.5)
    )
    assert [old.plan(seed) for seed in range(50)] == [new.plan(seed) for seed in range(50)]
    mixed = Planner(family.repo, graph, Policy(selection="greedy", minimizes=0.3, transplants=0.6, reverts=0.3))
    plans = [mixed.plan(seed) for seed in range(300)]
    assert {plan.craft for plan in plans if plan} >= {Craft.EDIT, Craft.MINIMIZE, Craft.REVERT}
    assert plans == [mixed.plan(seed) for seed in range(300)]


@pytest.mark.parametrize("needed", [{2}, {1, 14}, {0, 7, 8, 15}])
def test_what_does_not_matter_is_left_out(family: Family, needed: set[int]) -> None:
    """Sixteen hunks of which few make the score: only those stay, and no tree is measured twice."""
    words = {f"n{2 * number}": f"changed {number}" for number in range(15)}
    files: dict[str, bytes | None] = {"a.txt": _text(**words), "new.txt": b"fifteen\n"}
    best = family.child(family.base, value=1.0 + len(needed), files=files)
    marks = [line.encode() for line in (f"changed {number}\n" for number in range(15))]

    def score(found: dict[str, bytes]) -> float:
        present = {number for number, mark in enumerate(marks) if mark in found["a.txt"]}
        present |= {15} if "new.txt" in found else set()
        return 1.0 + len(needed & present)

    snapshot = family.snapshot()
    graph = family.graph(snapshot)
    minimizer = Minimizer(_differences(family), snapshot)
    measured = {_tree(family, best)}
    for seed in range(300):
        parent = graph.best()
        assert parent is not None
        moved = minimizer.leave_out(_tree(family, family.base), _tree(family, parent.id), Random(seed))
        if moved is None:
            break
        tree = merge.write(family.repo, moved.made, {})
        assert tree not in measured
        measured.add(tree)
        found = _files(family, tree)
        changed = {path: found.get(path) for path in ("a.txt", "new.txt")}
        family.child(parent.id, value=score(found), files=changed)
        family.graph(snapshot)
        graph.refresh()
    else:
        raise AssertionError("it never came to an end")
    assert len(measured) < 120
    last = graph.best()
    assert last is not None
    found = _files(family, _tree(family, last.id))
    assert {number for number, mark in enumerate(marks) if mark in found["a.txt"]} == needed - {15}
    assert ("new.txt" in found) == (15 in needed)


_SCORE = """import json, os
text = open("code.txt").read()
wanted = sum(word in text for word in ("alpha = 1", "beta = 2", "gamma = 3"))
json.dump({"score": wanted}, open(os.environ["EVOGIT_RESULT"], "w"))
"""
_RUN = """direction = "maximize"
editable = ["*.txt"]
[evaluator]
command = "python bench.py"
"""
_MOVER = """summary = "The transplanter, but for its merges, by which a conflict may be settled by chance"
proposer = "tuner"
selection = "tournament"
transplants = 0.7
reverts = 0.2
"""


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_agents_with_hunks_keep_the_gain_and_lose_the_rest(new_checkout: Callable[..., Checkout]) -> None:
    """Two people change one file, with much that does not matter; real agents bring the best of both together.

    They change one line both, so merging by lines has a conflict, and only hunks can be taken over: nobody merges here.
    """
    from plain_reader import read_run

    base = "".join(f"text {number}\n" for number in range(60))
    files = {"code.txt": base, "bench.py": _SCORE, "evogit.toml": _RUN, ".evogit/agents/mover.toml": _MOVER}
    repo = new_checkout("two", files)
    repo.evogit("run", "--agent", "minimizer", "--agent", "mover", "--evals", "1", "--run", "r")
    for name, changed in (
        ("ada", {5: "alpha = 1", 20: "noise"}),
        ("eve", {9: "beta = 2", 20: "other noise", 40: "gamma = 3"}),
    ):
        repo.git("switch", "-q", "-c", f"evogit/r/{name}", "main")
        text = base.splitlines()
        for number, line in changed.items():
            text[number] = line
        (repo.path / "code.txt").write_text("".join(f"{line}\n" for line in text))
        repo.commit(f"of {name}")
    repo.git("switch", "-q", "main")

    def changed_lines() -> int:
        rows = repo.git("diff", "--numstat", "main", repo.evogit("best", "-q").stdout.strip()).splitlines()
        return sum(int(number) for row in rows for number in row.split()[:2])

    for _ in range(4):  # which agent is when at what is chance
        repo.evogit("run", "--agent", "mover", "--agent", "minimizer", "--evals", "100", "--run", "r")
        if changed_lines() == 6:
            break
    assert json.loads(repo.evogit("best", "--json").stdout)["value"] == 3
    assert changed_lines() < 10  # all that the two changed
    reading = read_run(repo.path, "r", repo.environment)
    made = [record for records in reading["records"].values() for record in records if record["kind"] == "proposal"]
    taken = [
        (commit, record) for commit, records in reading["records"].items() for record in records if "donor" in record
    ]
    assert any("minimize" in record.get("params", {}) for record in made)
    assert taken
    for commit, record in taken:
        assert record["donor"] in reading["records"]
        assert f"Evogit-Inspired-By: {record['donor']}" in repo.git("log", "-1", "--format=%B", commit)
        assert "follows from" in repo.evogit("plan", "--replay", commit).stdout
    assert RunName("r") in repo.evogit("status").stdout
