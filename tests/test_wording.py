"""What a model is told of the format of its answers: with a path it is shown, and in whole functions if need be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from evogit.asking import ModelProposer
from evogit.llm import Caller, Completion, Message, Models, Pause, Question, Said, lead
from evogit.model import RepoPath, SourceFile
from evogit.model_table import ModelUse
from evogit.prompts import File, Material, build
from evogit.proposers.protocol import Answer, Request
from evogit.replies import FORMATS, instructions, parse
from evogit.sandbox import Launcher

_FILES = {
    RepoPath("second.py"): "def g():\n    return 2\n",
    RepoPath("a/long/way/first.py"): "def f():\n    return 1\n",
}
_SHOWN = tuple(File(path=path, content=text) for path, text in reversed(_FILES.items()))
_USELESS = "Subject: Try\n\n### `second.py`\n<<<<<<< SEARCH\nno such line\n=======\nx\n>>>>>>> REPLACE\n"
_WHOLE = "Subject: Try\n\n### `second.py`\n```python\ndef g():\n    return 3\n```\n"
Make = Callable[..., ModelProposer]


@pytest.fixture
def make(tmp_path: Path, world: dict[str, str]) -> Iterator[Make]:
    """What makes a proposer of a format that may ask these models; the tests answer in their place."""
    launcher = Launcher()

    def made(format: str, *names: str) -> ModelProposer:
        caller = Caller(launcher, tmp_path, world, lambda: False)
        uses = [ModelUse(name=name) for name in names or ("small",)]
        models = Models(uses, caller, time.monotonic, time.sleep, lambda: False)
        return ModelProposer(models=models, templates={"one": "{{ files }}"}, format=format, repairs=1)

    yield made
    launcher.close()


def _led(proposer: ModelProposer, answer: str, seed: int = 0) -> tuple[Answer, list[Message], str]:
    """Lead one conversation with the same answer each time; return what came of it, and the first question's model."""

    def question(template: str, limit_tokens: int) -> str:
        return build(Material(files=_SHOWN), limit_tokens, len, template)

    files = [SourceFile(path=path, content=text.encode()) for path, text in _FILES.items()]
    asked: list[Question] = []

    def meet(step: Question | Pause) -> Said | None:
        if isinstance(step, Pause):
            return None
        asked.append(step)
        return Said(Completion(text=answer, is_whole=True), 1.0)

    made = lead(proposer.talk(Request(files=files, question=question, seed=seed), Random(seed)), meet)
    assert isinstance(made, Answer)
    return made, asked[0].messages, asked[0].use.name


@pytest.mark.parametrize("format", FORMATS)
def test_the_example_is_of_the_file_that_is_shown_first(make: Make, format: str) -> None:
    _, messages, _ = _led(make(format), "nothing")
    assert messages[0].content == instructions(format, "a/long/way/first.py")
    assert "src/pack.py" not in messages[0].content
    assert messages[1].content.startswith("### `a/long/way/first.py`")


@pytest.mark.parametrize("format", FORMATS)
def test_who_copies_the_example_is_told_so(format: str) -> None:
    example = instructions(format, "second.py").partition("Example:\n")[2].rpartition("To delete a file")[0]
    found = parse(example, format=format, files=_FILES)
    assert found.edit is None
    assert found.problems == ["This is the example of the instructions; change the files that you were shown."]


@pytest.mark.parametrize("format", ["blocks", "diff"])
def test_who_cannot_copy_lines_is_asked_for_whole_functions(make: Make, format: str) -> None:
    proposer = make(format)
    for _ in range(2):  # two answers each
        made, messages, _ = _led(proposer, _USELESS)
        assert messages[0].content == instructions(format, "a/long/way/first.py")
        assert [call.outcome for call in made.calls] == ["unusable"] * 2
    made, messages, _ = _led(proposer, _WHOLE)
    assert messages[0].content == instructions("function", "a/long/way/first.py")
    assert made.edit is not None
    assert made.edit.files == {"second.py": b"def g():\n    return 3\n"}
    for _ in range(2):
        _led(proposer, "I would rather not.")
    _, messages, _ = _led(proposer, _WHOLE)
    assert messages[0].content == instructions(format, "a/long/way/first.py"), "that is no better, and so back"


def test_one_model_is_no_other(make: Make) -> None:
    proposer = make("blocks", "small", "large")
    for _ in range(2):
        _led(proposer, _USELESS, _seed_of(make, "small"))
    _, messages, model = _led(proposer, _USELESS, _seed_of(make, "large"))
    assert model == "large"
    assert messages[0].content == instructions("blocks", "a/long/way/first.py")


def _seed_of(make: Make, model: str) -> int:
    """Return a seed that draws this model."""
    return next(seed for seed in range(99) if _led(make("blocks", "small", "large"), _WHOLE, seed)[2] == model)


@pytest.mark.parametrize("format", ["function", "file"])
def test_who_is_asked_for_what_needs_no_copying_is_asked_on(make: Make, format: str) -> None:
    proposer = make(format)
    for _ in range(4):
        _, messages, _ = _led(proposer, "I would rather not.")
        assert messages[0].content == instructions(format, "a/long/way/first.py")
