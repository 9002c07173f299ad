"""The proposer that asks a language model: a prompt from the parent and its family, an answer read as an edit.

What cannot be applied goes back with the reason, a limited number of times; every call is accounted for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from msgspec import structs

from evogit import replies
from evogit.asking.choosing import all_shares, choose
from evogit.asking.wording import Formats
from evogit.llm import BANDIT, Asked, Completion, Message, Models, Talk, Trouble
from evogit.model import Edit, RepoPath
from evogit.proposers import subjects
from evogit.proposers.protocol import EDIT, OPERATION, PLACE, Answer, Proposer, Request, Resting
from evogit.records import MODEL, PROMPT, Call, spent

_LIMIT_TOKENS = 32_000
"""How long a question may be where the models' own limits are not set."""
_LEAST_TOKENS = 512
"""How short one may be at least."""
_MAX_CALLS = 48
_MAX_QUOTED = 20_000
_BYTES_A_TOKEN = 3
_NOT_INHERITED = frozenset({OPERATION, PLACE, EDIT})


@dataclass(slots=True, kw_only=True)
class ModelProposer:
    """Proposes what a model writes: `templates` are those of its questions, `format` is how it is to write edits.

    `repairs` is how often an answer goes back to it. `fallback` proposes while no model answers. `choosing` is how one
    of several models or templates is chosen, as `shares` takes it.
    """

    models: Models
    templates: Mapping[str, str]
    format: str
    repairs: int
    fallback: Proposer | None = None
    choosing: str = BANDIT
    formats: Formats = field(init=False)

    def __post_init__(self) -> None:
        self.formats = Formats(self.format)

    def propose(self, request: Request, rng: Random) -> Edit | Answer | Resting | None:
        """Return what `talk` does, and wait for it."""
        return self.models.lead(self.talk(request, rng))

    def talk(self, request: Request, rng: Random) -> Talk[Edit | Answer | Resting | None]:
        """Return what came of asking a model for an edit of the parent, with all calls it took.

        Returns:
            An answer when calls were made; Resting when none may be made now; the fallback's edit where it made one
            without any; None when there is nothing to show to a model.
        """
        files = {file.path: text for file in request.files if (text := replies.decoded(file.content)) is not None}
        if not files:
            return None
        weights = {MODEL: self.models.weights, PROMPT: dict.fromkeys(self.templates, 1.0)}
        is_choice = any(len(given) > 1 for given in weights.values())
        found = all_shares(weights, request.askings(), self.choosing) if is_choice else {}
        choices, orders = choose(weights, found, request.seed)
        made = yield from _Conversation(self, request, rng, files, orders, question_tokens(self.models)).answer()
        return replace(made, choices=choices) if isinstance(made, Answer) else made


class _Conversation:
    """One conversation with one or more models about one parent."""

    def __init__(
        self,
        proposer: ModelProposer,
        request: Request,
        rng: Random,
        files: dict[RepoPath, str],
        orders: Mapping[str, Sequence[str]],
        limit: int,
    ) -> None:
        self._proposer, self._request, self._rng, self._files = proposer, request, rng, files
        self._order, self._limit = orders[MODEL], limit
        self._format = proposer.formats.of(self._order[0])
        self._template = proposer.templates[orders[PROMPT][0]]
        self._calls: list[Call] = []

    def answer(self) -> Talk[Edit | Answer | Resting | None]:
        """Ask until there is an edit, or no point in it any more."""
        messages, why, halved = self._question(), "no answer could be applied", False
        left = self._proposer.repairs + 1
        while left:
            asked = yield from self._proposer.models.asking(messages, self._order, self._may_call)
            self._calls += asked.calls
            if asked.answer is None:
                if asked.failure and asked.failure.trouble is Trouble.CONTEXT and not halved:
                    halved, self._limit = True, max(_LEAST_TOKENS, self._limit // 2)
                    messages = self._question()
                    continue
                return self._without(asked, why)
            if fatal := asked.unpriced(self._request.left_usd):
                return Answer(why=str(fatal), calls=self._calls, fatal=fatal)
            edit = self._read(asked)
            if isinstance(edit, Edit):
                return Answer(edit=edit, calls=self._calls)
            left -= 1
            why = edit[0]
            messages = [*messages, *_returned(asked.answer, edit)]
        return Answer(why=why, calls=self._calls)

    def _question(self) -> list[Message]:
        longest = max(self._files, key=len)
        room = max(_LEAST_TOKENS, self._limit - count_tokens(replies.instructions(self._format, longest)))
        question = self._request.question(self._template, room)
        # Small models copy the path of the example.
        places = {path: at for path in self._files if (at := question.find(f"### `{path}`")) >= 0}
        first = min(places, key=lambda path: places[path], default=replies.EXAMPLE_PATH)
        return [Message("system", replies.instructions(self._format, first)), Message("user", question)]

    def _may_call(self, calls: Sequence[Call]) -> bool:
        room = len(self._calls) + len(calls) < _MAX_CALLS
        return room and self._request.left_usd() > spent(self._calls) + spent(calls)

    def _read(self, asked: Asked) -> Edit | list[str]:
        """Return the edit an answer makes, or what is wrong with it."""
        assert asked.answer is not None
        if not asked.answer.is_whole:
            return ["Your answer was cut off, and nothing of it was used; change less, and answer in fewer words."]
        reply = replies.parse(asked.answer.text, format=self._format, files=self._files)
        self._proposer.formats.heard(asked.model, self._format, is_applied=reply.edit is not None)
        problems = list(reply.problems)
        if reply.edit is not None:
            params = {name: value for name, value in self._request.params.items() if name not in _NOT_INHERITED}
            edit = Edit(
                files=reply.edit,
                subject=subjects.told(reply.subject),
                body=subjects.told_at_length(reply.body),
                params=params,
            )
            if not (why := self._request.refusal(edit)):
                return edit
            problems = [f"The edit is not allowed: {why}."]
        self._calls[-1] = structs.replace(self._calls[-1], outcome="unusable")
        return problems or ["There is no edit in your answer."]

    def _without(self, asked: Asked, why: str) -> Edit | Answer | Resting | None:
        """Return what is done without an answer: the fallback's edit, or nothing."""
        fatal = asked.fatal
        trouble = asked.failure.trouble if asked.failure else None
        gone = trouble is None or trouble.may_pass or trouble is Trouble.MALFORMED
        may_go_on = not fatal and not self._proposer.models.is_ending
        if self._proposer.fallback and gone and may_go_on and self._request.left_usd() > spent(self._calls):
            edit = self._proposer.fallback.propose(self._request, self._rng)
            if isinstance(edit, Edit):
                return Answer(edit=edit, calls=self._calls) if self._calls else edit
            if edit is None and not self._calls:
                return None
        if not self._calls:
            return Resting()
        if gone and not self._proposer.fallback:
            fatal = fatal or self._proposer.models.give_up()
        return Answer(why=asked.failure.words if asked.failure else why, calls=self._calls, fatal=fatal)


def question_tokens(models: Models) -> int:
    """Return how many tokens a question to any of these models may have."""
    return max(_LEAST_TOKENS, models.smallest_context or _LIMIT_TOKENS)


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has, rather more than fewer, without any model's own tokenizer."""
    return len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN + 1


def _returned(answer: Completion, problems: Sequence[str]) -> list[Message]:
    """Return what follows in a conversation whose last answer could not be used."""
    quoted = answer.text[:_MAX_QUOTED] if answer.is_whole else "(an answer that was cut off)"
    listed = "\n".join(f"- {problem}" for problem in problems)
    asking = f"Your edit was not applied, nothing was changed:\n{listed}\n\nGive the whole answer again, mended."
    return [Message("assistant", quoted or "(nothing)"), Message("user", asking)]
