"""Lineages brought together by a model: from the question over the merge commit to its score, through HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from conftest import Checkout
from model_server import Fault, ModelServer, Say
from patient import asking, proposals
from proposals import document

_CROSSER = """summary = "Brings lineages together"
proposer = "model"
prompt = "crossover"
format = "file"
repairs = 0
selection = "base"
crosses = 1.0
"""
_FILE = """Subject: {subject}

### `knobs.py`
```python
A = {a}
B = {b}


def value():
    return -((A - 3.5) ** 2) - ((B - 40) / 10) ** 2
```
"""
_TOGETHER = "You bring two versions of a repository together."


def _script(number: int, messages: list[dict[str, Any]]) -> Say | Fault:
    """Answer for one lineage, for another one that changes the line beside, then nonsense, then edits of the base."""
    if _TOGETHER in messages[1]["content"]:
        return Say(_FILE.format(subject="Have both A and B near their best", a=3.0, b=30))
    edits = [("Raise A", 3.0, 0), ("Raise B", 1.0, 30)]
    subject, a, b = edits[number] if number < len(edits) else (f"Go on {number}", 0.5, number)
    return Say(_FILE.format(subject=subject, a=a, b=b))


@pytest.mark.heavy
def test_two_lineages_that_lines_cannot_merge_become_one_commit(toy: Checkout) -> None:
    """What was asked, what was committed with which parents, what it is worth, and that nobody asks about it again."""
    with ModelServer(_script) as server:
        here = asking(toy, server, crosser=_CROSSER)
        here.evogit("run", "--agent", "crosser", "--run", "r", "--evals", "6")
    asked = [one["messages"][1]["content"] for one in server.asked]
    together = [text for text in asked if _TOGETHER in text]
    assert len(together) == 1, "a pair is asked about once"
    assert "Make one change that follows" in asked[0], "without a pair it is asked for an edit"
    for words in (
        "-A = 1.0\n+A = 3.0",
        "-B = 0\n+B = 30",
        "where the two parted",
        "# What both changed in different ways",
    ):
        assert words in together[0]
    best = document(here, "best")["commit"]
    shown = document(here, "show", best)
    assert shown["subject"] == "Have both A and B near their best"
    sides = {document(here, "show", parent)["subject"] for parent in shown["parents"]}
    assert sides == {"Raise A", "Raise B"}
    made = shown["proposal"]
    assert made["operator"] == "merge"
    assert made["merge"]["values"] == [document(here, "show", parent)["value"] for parent in shown["parents"]]
    assert [call["outcome"] for call in made["calls"]] == ["ok"]
    assert here.git("log", "-1", "--format=%(trailers:key=Evogit-Model,valueonly)", best) == "openai/scripted"
    assert re.search(r"together \+\S+, the sum is \+\S+: interaction", here.evogit("show", best).stdout)
    assert " M+ " in here.evogit("tree", "--all").stdout
    assert "follows from" in here.evogit("plan", "--replay", best).stdout
    assert document(here, "status")["operators"]["merge"]["gains"] == 1


@pytest.mark.heavy
def test_while_no_model_answers_the_pair_waits_and_the_first_of_it_is_edited(toy: Checkout) -> None:
    """The fallback's candidate has one parent and follows from the plan; the pair stays for when a model is back."""

    def script(number: int, messages: list[dict[str, Any]]) -> Say | Fault:
        if _TOGETHER in messages[1]["content"] and number < 6:
            return Fault(status=500)
        return _script(number, messages)

    with ModelServer(script) as server:
        here = asking(toy, server, crosser=_CROSSER + 'fallback = "tuner"\n')
        here.evogit("run", "--agent", "crosser", "--run", "r", "--evals", "12")
    lost = [made for made in proposals(here) if made["calls"][-1]["outcome"] == "server error"]
    assert lost
    for made in lost:
        assert made["operator"] == "mutate"
        assert document(here, "show", made["on"])["parents"] == [here.git("rev-parse", made["on"] + "^")]
        assert "follows from" in here.evogit("plan", "--replay", made["on"]).stdout


@pytest.mark.heavy
def test_a_useless_answer_about_a_pair_is_remembered(toy: Checkout) -> None:
    def script(number: int, messages: list[dict[str, Any]]) -> Say | Fault:
        return Say("I would rather not.") if _TOGETHER in messages[1]["content"] else _script(number, messages)

    with ModelServer(script) as server:
        here = asking(toy, server, crosser=_CROSSER)
        here.evogit("run", "--agent", "crosser", "--run", "r", "--evals", "5")
    asked = [one["messages"][1]["content"] for one in server.asked]
    assert sum(_TOGETHER in text for text in asked) == 1
    (useless,) = [made for made in proposals(here) if made["outcome"] == "useless"]
    assert useless["operator"] == "merge"
    assert len(useless["parents"]) == 2


def test_only_what_asks_models_crosses(toy: Checkout) -> None:
    folder = toy.path / ".evogit" / "agents"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('summary = "x"\nproposer = "tuner"\ncrosses = 0.5\n')
    said = toy.evogit("agents", "check", "mine", expect=1).stdout
    assert "crosses is for proposer = 'model', and it is 'tuner'; leave it out" in said
    assert json.loads(toy.evogit("agents", "show", "crossover", "--json").stdout)["keys"]["crosses"]["value"] == 1.0
