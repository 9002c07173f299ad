"""The family tree agrees with git's own answers, and does not depend on the order in which records became known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from random import Random

import networkx
import pytest
from conftest import Checkout
from family import Family

from evogit.model import CommitId, Direction, TreeId
from evogit.phylogeny import Clades, Phylogeny, advance, by_agent, by_operator, to_networkx
from evogit.phylogeny.ancestry import Ancestry


def _grow(family: Family, seed: int, count: int, near: int = 8) -> list[CommitId]:
    """Make a merge-rich random tree by three agents, some of it without a score; return its candidates."""
    rng = Random(seed)
    made = [family.base]
    for number in range(count):
        parents = rng.sample(made[-near:], min(len(made), rng.choice((1, 1, 1, 2, 2, 3))))
        value = None if rng.random() < 0.15 else round(rng.gauss(number, 5), 3)
        made.append(family.child(*parents, value=value, by=f"a-{rng.randrange(3)}-000000"))
    return made


def _facts(graph: Phylogeny) -> object:
    """Return everything that is derived, in a form that compares."""
    clades = Clades(graph)
    clades.refresh()
    best = graph.best()
    return (
        {
            commit: (
                graph.value(commit), graph.is_gain(commit), graph.may_build_on(commit), graph.is_preferred(commit),
                graph.ancestry.parents(commit), graph.ancestry.children(commit), graph.ancestry.generation(commit),
                clades.counts(commit), graph.lineage(commit),
            )
            for commit in graph.members()
        },
        graph.members(), graph.tips(), best.id if best else None, graph.tried,
        [(ranking.ids, ranking.leaders, ranking.best, ranking.top(64))
         for ranking in (graph.field, graph.gains, graph.preferred)],
        by_agent(graph), by_operator(graph),
    )  # fmt: skip


def test_ancestry_agrees_with_git(family: Family, toy: Checkout) -> None:
    made = _grow(family, 1, 40, near=5)
    graph = family.graph()
    several = 0
    for one, other in combinations(made[-24:], 2):
        ours = graph.ancestry.common_ancestors(one, other)
        assert ours == sorted(toy.git("merge-base", "--all", one, other).split())
        several += len(ours) > 1
    assert several, "no pair with several best common ancestors: the test does not see the hard case"
    for commit in made[::3]:
        assert {*graph.ancestry.ancestors(commit), commit} == set(toy.git("rev-list", commit).split())
        first = toy.git("rev-list", "--first-parent", "--reverse", commit).split()
        assert graph.lineage(commit) == first
    for one, other in combinations(made[::3], 2):
        assert graph.ancestry.is_ancestor(one, other) == (one in graph.ancestry.ancestors(other))


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_that_followed_knows_what_a_fresh_one_knows(family: Family, seed: int) -> None:
    """Scores, repeated scores, verdicts and given-up merges in any order, read after each or all at once."""
    rng = Random(seed)
    followed = family.graph()
    clades = Clades(followed)
    made = _grow(family, seed, 12)
    for _ in range(25):
        act = rng.randrange(5)
        if act == 0:
            family.score(rng.choice(made), rng.gauss(10, 5), by=f"b-{rng.randrange(2)}-000000")
        elif act == 1:
            family.say(rng.choice(made), rng.choice(("prune", "promote", "comment")), by=f"u-{rng.randrange(2)}-000000")
        elif act == 2:
            family.give_up(*rng.sample(made, 2))
        else:
            made.append(family.child(*rng.sample(made[-6:], rng.choice((1, 2))), value=rng.gauss(len(made), 5)))
        followed.snapshot.refresh()
        followed.refresh()
        clades.refresh()
    fresh = family.graph()
    assert _facts(followed) == _facts(fresh)
    counted = Clades(fresh)
    counted.refresh()
    assert all(clades.counts(commit) == counted.counts(commit) for commit in made)


def test_a_long_run_read_at_once_is_the_same(family: Family) -> None:
    """Many new candidates at once are taken in by another way than a few."""
    followed = family.graph()
    clades = Clades(followed)
    rng = Random(11)
    made = [family.base]
    for number in range(620):
        parents = rng.sample(made[-9:], 2) if number % 9 == 8 else [rng.choice(made[-9:])]
        files = {"knobs.py": b"A = %d\n" % number}
        made.append(family.child(*parents, value=rng.gauss(number, 30), by=f"a-{number % 3}-000000", files=files))
        if number % 40 == 0:
            followed.snapshot.refresh()
            followed.refresh()
            clades.refresh()
    followed.snapshot.refresh()
    followed.refresh()
    clades.refresh()
    fresh = family.graph()
    assert _facts(fresh) == _facts(followed)
    counted = Clades(fresh)
    counted.refresh()
    assert [counted.counts(commit) for commit in made] == [clades.counts(commit) for commit in made]


def test_another_clone_sees_the_same_tree(family: Family, toy: Checkout, new_checkout: Callable[..., Checkout]) -> None:
    _grow(family, 5, 30)
    other = new_checkout("clone", commit=False)
    other.git("fetch", "-q", str(toy.path), "main", "refs/notes/evogit/*:refs/notes/evogit/*")
    other.git("reset", "-q", "--hard", "FETCH_HEAD")
    assert _facts(Family(other.path).graph()) == _facts(family.graph())


def test_a_merges_descendants_count_once_in_a_clade(family: Family) -> None:
    left = family.child(family.base, value=2.0)
    right = family.child(family.base, value=3.0)
    merge = family.child(left, right, value=4.0)
    worse = family.child(merge, value=3.5)
    failed = family.child(merge, value=None)
    graph = family.graph()
    assert graph.ancestry.clade(family.base) == {family.base, left, right, merge, worse, failed}
    clades = Clades(graph)
    clades.refresh()
    assert clades.counts(family.base) == (3, 2)
    assert clades.counts(left) == clades.counts(right) == (2, 2)
    assert clades.counts(merge) == (1, 2)


def test_pruned_lineages_are_not_built_on_but_what_is_promoted_in_them_is(family: Family) -> None:
    hack = family.child(family.base, value=99.0)
    child = family.child(hack, value=100.0)
    honest = family.child(family.base, value=5.0)
    family.say(hack, "prune")
    graph = family.graph()
    assert not graph.may_build_on(hack)
    assert not graph.may_build_on(child)
    assert graph.field.leaders == [honest]
    family.say(child, "promote")
    graph.snapshot.refresh()
    graph.refresh()
    assert graph.field.leaders == [child]
    assert graph.preferred.ids == [child]
    assert not graph.may_build_on(hack)


def test_a_score_on_a_commit_of_another_history_is_never_built_on(family: Family, toy: Checkout) -> None:
    toy.git("checkout", "-q", "--orphan", "other")
    alien = CommitId(toy.commit("another history"))
    family.score(alien, 1000.0)
    best = family.child(family.base, value=2.0)
    graph = family.graph()
    assert not graph.may_build_on(alien)
    assert graph.field.leaders == [best]
    assert alien not in graph.members()


def test_commits_without_records_join_what_is_known(family: Family, toy: Checkout) -> None:
    """A person commits twice, and only the second is scored."""
    toy.git("commit", "-q", "--allow-empty", "-m", "first step")
    first = CommitId(toy.git("rev-parse", "HEAD"))
    toy.git("commit", "-q", "--allow-empty", "-m", "second step")
    second = CommitId(toy.git("rev-parse", "HEAD"))
    family.score(second, 4.0)
    graph = family.graph()
    assert graph.lineage(second) == [family.base, first, second]
    assert graph.value(first) is None
    assert graph.field.leaders == [second]


def test_minimizing_turns_all_comparisons_round(toy: Checkout) -> None:
    family = Family(toy.path, direction=Direction.MINIMIZE)
    family.score(family.base, 5.0)
    low, high = family.child(family.base, value=4.0), family.child(family.base, value=6.0)
    graph = family.graph()
    assert graph.field.top(3) == [low, family.base, high]
    assert graph.is_gain(low)
    assert not graph.is_gain(high)
    family.close()


def test_networkx_has_the_same_graph(family: Family) -> None:
    made = _grow(family, 9, 25)
    graph = family.graph()
    exported = to_networkx(graph)
    assert networkx.is_directed_acyclic_graph(exported)
    assert set(exported) == set(graph.members())
    for commit in made:
        assert set(exported.predecessors(commit)) == set(graph.ancestry.parents(commit))
        assert exported.nodes[commit].get("value") == graph.value(commit)
        assert networkx.descendants(exported, commit) | {commit} == graph.ancestry.clade(commit)
    steps = networkx.single_source_shortest_path_length(exported.to_undirected(as_view=True), made[-1])
    assert graph.ancestry.distance(made[-1], family.base) == networkx.shortest_path_length(
        exported, family.base, made[-1]
    )
    assert all((graph.ancestry.distance(made[-1], commit) or 0) >= steps[commit] for commit in made)


def test_what_is_new_is_all_the_work(family: Family) -> None:
    """A refresh reads only new commits: those of the known ones may even be gone."""
    made = _grow(family, 3, 20)
    graph = family.graph()
    for commit in made[1:]:
        (family.repo.objects / commit[:2] / commit[2:]).rename(family.repo.objects / f"{commit}.hidden")
    new = family.child(family.base, value=50.0)
    graph.snapshot.refresh()
    graph.refresh()
    assert graph.field.leaders == [new]
    assert len(graph.members()) == len(made) + 1


def test_a_journal_that_is_read_before_its_parents_marks_nothing_anew(family: Family) -> None:
    graph = family.graph()
    before = graph.version
    parent = family.child(family.base, value=1.0, by="b-1-000000")
    child = family.child(parent, value=2.0, by="a-1-000000")
    graph.snapshot.refresh()
    order = list(dict.fromkeys(graph.snapshot.touched))
    assert order.index(child) < order.index(parent), "the child was not read first: nothing is shown"
    graph.refresh()
    assert graph.version == before
    assert graph.is_gain(child)


def test_what_made_scores_better_is_the_lineages_own_or_a_gain_of_others(family: Family) -> None:
    lineage = [family.base]
    for value in range(5):
        lineage.append(family.child(lineage[-1], value=10.0 + value))
    gain, loss = family.child(family.base, value=20.0), family.child(family.base, value=-5.0)
    graph = family.graph()
    found = {advance(graph, lineage[-1], Random(seed)) for seed in range(300)}
    own = {(lineage[-1 - up], lineage[-1]) for up in (1, 2, 4, 5)}
    assert own <= found
    assert (family.base, gain) in found
    assert all(pair and loss not in pair for pair in found)
    assert {advance(graph, family.base, Random(seed)) for seed in range(50)} > {None}


def test_ancestry_is_small() -> None:
    """Two parents and a generation for each of many commits, whatever networkx would take for them."""
    ancestry = Ancestry()
    ids = [CommitId(f"{number:040x}") for number in range(20_000)]
    ancestry.add(ids[0], [])
    for number, commit in enumerate(ids[1:], 1):
        ancestry.add(commit, [ids[number - 1]] if number % 7 else [ids[number - 1], ids[number // 2]])
    assert ancestry.common_ancestors(ids[-1], ids[-2]) == [ids[-2]]
    assert len(ancestry.clade(ids[10_000])) == 10_000
    assert ancestry.distance(ids[0], ids[7]) == 4


def test_trees_of_candidates_are_what_they_say(family: Family) -> None:
    """The helper of these tests makes what it claims to: a merge has its first parent's tree and one file more."""
    left = family.child(family.base, value=2.0, files={"knobs.py": b"A = 2.0\n"})
    tree = TreeId(str(family.repo.commit(left).tree_id))
    assert family.graph().snapshot.measured(tree) == left
