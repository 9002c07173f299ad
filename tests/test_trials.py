"""What agents learn from everybody's records: counts of operations and places, and what was tried on equals."""

from __future__ import annotations

import json

import pytest
from conftest import Checkout

from evogit.cli import context
from evogit.phylogeny import Trials
from evogit.proposers.protocol import EDIT, OPERATION, PLACE

_CODE = {
    "lib.py": "def pick(items):\n    best = items[0]\n    for item in items:\n        if item < best:\n"
    "            best = item\n    return best\n",
    "bench.py": (
        "import json, os, lib\ncases = [[1, 2, 3], [5, 9, 4], [2, 2], [7, 1]]\n"
        "score = sum(lib.pick(case) == max(case) for case in cases)\n"
        'with open(os.environ["EVOGIT_RESULT"], "w") as file:\n    json.dump({"score": score}, file)\n'
    ),
    "evogit.toml": (
        'editable = ["lib.py"]\nstop = { evals = 60, target = 4.0 }\n'
        '[evaluator]\ncommand = "python bench.py"\ntimeout_s = 10\n'
        '[[agents]]\nuse = "surgeon"\ncount = 2\n'
    ),
}  # fmt: skip


def test_a_run_of_surgeons_repairs_and_its_records_are_learned_from(
    toy: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in _CODE.items():
        (toy.path / name).write_text(content)
    toy.git("rm", "-q", "-f", "knobs.py")
    toy.commit("A wrong sign")
    toy.evogit("run", "--run", "r", "--seed", "3")
    assert json.loads(toy.evogit("best", "--json").stdout)["value"] == 4
    monkeypatch.chdir(toy.path)
    reading = context.read_run("r")
    trials = Trials(reading.graph, counted=(OPERATION, PLACE), edit=EDIT)
    trials.refresh()
    made = [one for one in reading.snapshot.candidates.values() if one.proposal and OPERATION in one.proposal.params]
    mutations = [one.proposal for one in made if one.proposal and one.proposal.operator == "mutate"]
    assert mutations
    counts = trials.counts(OPERATION).values()
    assert sum(count.tried for count in counts) == len(mutations)
    assert 1 <= sum(count.improved for count in counts) <= sum(count.changed for count in counts)
    assert sum(count.tried for count in trials.counts(PLACE).values()) == len(mutations)
    edits = {one.params[EDIT] for one in mutations if EDIT in one.params}
    values = {value for one in reading.graph.members() if (value := reading.graph.value(one)) is not None}
    assert set().union(*(trials.edits(value) for value in values)) == edits
    known = len(edits)
    trials.refresh()  # nothing new: nothing is counted twice
    assert sum(count.tried for count in trials.counts(OPERATION).values()) == len(mutations)
    assert known <= len(mutations)
