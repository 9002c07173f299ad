"""`evogit.toml`: what it says when a key is wrong, and what the evaluator's digest depends on."""

from __future__ import annotations

import msgspec
import pytest

from evogit import resources
from evogit.config import MEANINGS, Definition, Evaluator, evaluator_digest, parse, parse_definition
from evogit.errors import ConfigError
from evogit.store import definitions

_EVALUATOR = '[evaluator]\ncommand = "x"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('goall = "x"\n' + _EVALUATOR, "evogit.toml: unknown key 'goall'; did you mean 'goal'?"),
        (_EVALUATOR + "timeot_s = 3", "evogit.toml: unknown key 'evaluator.timeot_s'; did you mean 'timeout_s'?"),
        ("stop = { evals = 0 }\n" + _EVALUATOR, "evogit.toml: stop.evals is 0: expected `int` >= 1"),
        ('direction = "up"\n' + _EVALUATOR, "evogit.toml: direction is 'up': use 'maximize' or 'minimize'"),
        ('goal = "x"', "evogit.toml: 'evaluator' is missing"),
        ("[evaluator]\ncommand = []", "evogit.toml: evaluator.command is []: expected `array` of length >= 1"),
        (_EVALUATOR + "timeout_s = inf", "evogit.toml: evaluator.timeout_s is inf: expected a finite number"),
        (
            _EVALUATOR + '[[agents]]\nuse = "../x"',
            "evogit.toml: agents[0].use is '../x': expected the name of an agent definition, such as 'tuner', "
            "or the path of a .toml file",
        ),
    ],
)
def test_each_mistake_is_named_with_its_value_and_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode())
    assert str(caught.value) == message


def test_what_is_no_toml_is_refused() -> None:
    for content in (b"goal = ", b"\xff\xfe\x00"):
        with pytest.raises(ConfigError, match="not valid TOML"):
            parse(content)


def test_the_digest_is_the_published_one() -> None:
    """FORMAT.md gives the bytes; these are the same, hashed by another program."""
    files = [(b"b.py", 0o100755, "2" * 40), (b"a.py", 0o100644, "1" * 40)]
    found = evaluator_digest(Evaluator(command="python bench.py", timeout_s=20.0), files)
    assert found == "6548e5f6d1349e1fec3cdfb156f06e925a095c7cc14394146eda3284e6426da9"


def test_the_digest_leaves_out_defaults_and_the_order_of_files() -> None:
    files = [(b"a", 0o100644, "1" * 40), (b"b", 0o100644, "2" * 40)]
    plain = evaluator_digest(Evaluator(command="x"), files)
    assert evaluator_digest(Evaluator(command="x", timeout_s=60.0, result="file"), files[::-1]) == plain
    assert evaluator_digest(Evaluator(command="x", timeout_s=61.0), files) != plain
    assert evaluator_digest(Evaluator(command="x"), [(b"a", 0o100755, "1" * 40), files[1]]) != plain
    assert evaluator_digest(Evaluator(command="x"), files[:1]) != plain


def test_shipped_definitions_are_valid() -> None:
    names = sorted(path.stem for path in resources.bundled("agents").glob("*.toml"))
    assert {"aider", "claude", "explorer", "merger", "minimizer", "surgeon", "transplanter", "tuner"} <= set(names)
    for name in names:
        found = definitions.find(None, name)
        assert found.definition.summary
        assert found.definition.needs
        assert not found.is_own


def test_every_key_of_a_definition_is_explained() -> None:
    assert set(MEANINGS) == {field.name for field in msgspec.structs.fields(Definition)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sumary = "x"', "d.toml: unknown key 'sumary'; did you mean 'summary'?"),
        ('summary = "x"\nproposer = "tunner"', "proposer is 'tunner': use 'command', 'model', 'surgeon' or 'tuner'"),
        ('summary = "x"\nproposer = "tuner"\nselection = "best"', "selection is 'best': use 'greedy', 'origin', "),
        ('summary = "x"\nproposer = "surgeon"\nstep = 0.1', "step is the tuner's, and proposer is 'surgeon'"),
        ('summary = "x"\nproposer = "tuner"\nmerges = 2', "d.toml: merges is 2: "),
        ('summary = "x"\nproposer = "tuner"\nreverts = 0.5', "reverts is a share of the transplants"),
        ('summary = "x"\nproposer = "model"', "d.toml: prompt is missing: proposer = 'model' asks with it"),
        (
            'summary = "x"\nproposer = "tuner"\nprompt = "x"',
            "prompt is for proposer = 'model', and it is 'tuner'",
        ),
        ('summary = "x"\nproposer = "surgeon"\nformat = "file"', "d.toml: format is for proposer = 'model'"),
        (
            'summary = "x"\nproposer = "command"\ncommand = ["x", "{prompt}"]\nprompt = "argument"',
            "d.toml: prompt is for proposer = 'model', and it is 'command'; how a tool gets its task says prompt_by",
        ),
        (
            'summary = "x"\nproposer = "model"\nprompt = "refiner"\nmodel = "openai/m"',
            "model is for a tool; which models proposer = 'model' asks say --model, EVOGIT_MODEL or [[models]]",
        ),
        (
            'summary = "x"\nproposer = "model"\nprompt = "refiner"\ncommand = ["x"]',
            "d.toml: command is for proposer = 'command', and it is 'model'; leave it out",
        ),
        (
            'summary = "x"\nproposer = "model"\nprompt = ["fixer", "Be Quick"]',
            "d.toml: prompt names 'Be Quick'; use a-z",
        ),
        ('summary = "x"\nproposer = "model"\nprompt = ["fixer", "fixer"]', "d.toml: prompt names 'fixer' twice"),
        ('summary = "x"\nproposer = "model"\nprompt = { "A b" = "x" }', "d.toml: prompt names 'A b'; use a-z"),
        (
            'summary = "x"\nproposer = "model"\nprompt = "x"\nchoosing = "b"',
            "choosing is 'b': use 'bandit' or 'weights'",
        ),
        ('summary = "x"\nproposer = "tuner"\nchoosing = "weights"', "d.toml: choosing is for proposer = 'model'"),
        ('summary = "x"\nproposer = "tuner"\nfallback = "tuner"', "d.toml: fallback is for proposer = 'model'"),
        ('summary = "x"\nproposer = "tuner"\nstep = 0', "d.toml: step is 0: "),
    ],
)
def test_mistakes_in_a_definition_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_definition(text.encode(), where="d.toml")
    assert message in str(caught.value)


def test_a_name_that_is_not_there_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        definitions.find(None, "tunner")
    assert str(caught.value) == (
        f"no agent definition 'tunner' (did you mean 'tuner'?); there are: {', '.join(definitions.names(None))}"
    )
