"""What came of asking models, from the records of the whole run: what each proposal gained, and what it cost."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

from evogit.model import CommitId, Direction
from evogit.phylogeny.graph import Phylogeny
from evogit.records import MODEL, PROMPT, Call, Proposal
from evogit.store.candidate import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What one proposal had of one model, or of the prompt it was asked with.

    `gain` is how much better the candidate is than the best of its parents and the base, relative to the larger of the
    two scores, from 0 to 2; 0 when it is not better, and when the edit is not this model's. `usd` and `tokens` are None
    where nobody knows them, and `usd` for a prompt.
    """

    name: str
    gain: float = 0.0
    usd: float | None = None
    tokens: float | None = None


def askings(graph: Phylogeny, tools: Container[str] = ()) -> Mapping[str, Sequence[Asking]]:
    """Return what came of each proposal that asked models and was judged, whoever made it: by model, and by prompt.

    Agents whose definition is in `tools` are left out: theirs is the work of a program, which asks as it likes. A call
    that says neither tokens nor a cost, and came to nothing, was not answered, and says nothing of the model. What was
    measured in another epoch is compared within that.
    """
    found: dict[str, list[Asking]] = {MODEL: [], PROMPT: []}
    known: set[tuple[CommitId, str, int]] = set()
    for commit, candidate in graph.snapshot.candidates.items():
        for made in (*candidate.useless, candidate.proposal):
            # Records that an agent wrote again under a new name count once.
            if made is None or not made.calls or made.use in tools or (commit, made.at, made.seed) in known:
                continue
            known.add((commit, made.at, made.seed))
            gain = 0.0 if made is not candidate.proposal else _gain(graph, candidate)
            if gain is not None:
                found[MODEL].extend(_of_models(made, gain))
                found[PROMPT].extend(_of_prompt(made, gain))
    return found


def _gain(graph: Phylogeny, candidate: Candidate) -> float | None:
    """Return what a candidate gained by the evaluator in force, else by that it was made under; None: not known."""
    snapshot = graph.snapshot
    evaluator = snapshot.evaluator if candidate.is_scored(snapshot.evaluator) else candidate.born_under
    if evaluator is None or not candidate.is_scored(evaluator):
        return None
    parents = graph.ancestry.parents(candidate.id) if candidate.id in graph.ancestry else ()
    ancestors = [snapshot.candidates[one] for one in (*parents, graph.base) if one in snapshot.candidates]
    before = [value for one in ancestors if (value := one.value(evaluator)) is not None]
    if not before:
        return None
    after = candidate.value(evaluator)
    best = max(before) if snapshot.direction is Direction.MAXIMIZE else min(before)
    if after is None or not snapshot.is_better(after, best):
        return 0.0
    return min(abs(after - best) / max(abs(after), abs(best)), 2.0)  # the difference alone may be infinite


def _of_models(made: Proposal, gain: float) -> Iterator[Asking]:
    """Yield what each model had in one proposal; the edit is that of the last call, where it is an edit at all."""
    winner = made.calls[-1].model if _is_edit(made) else None
    for model in dict.fromkeys(call.model for call in made.calls):
        yield from _of(model, [call for call in made.calls if call.model == model], gain if model == winner else 0.0)


def _of_prompt(made: Proposal, gain: float) -> Iterator[Asking]:
    """Yield what the prompt had in one proposal, if there were several to choose from.

    Its cost is in tokens only: what they cost is a matter of the model it happened to go to.
    """
    if PROMPT in made.choices:
        for asking in _of(made.choices[PROMPT].chosen, made.calls, gain if _is_edit(made) else 0.0):
            yield replace(asking, usd=None)


def _of(name: str, calls: Sequence[Call], gain: float) -> Iterator[Asking]:
    answered = [call for call in calls if _was_answered(call)]
    if answered:
        usd, tokens = _sum([call.usd for call in answered]), _sum([_tokens(call) for call in answered])
        yield Asking(name=name, gain=gain, usd=usd, tokens=tokens)


def _is_edit(made: Proposal) -> bool:
    """Return whether the candidate is what a model wrote, and not what was done without an answer."""
    return made.outcome == "candidate" and made.calls[-1].outcome == "ok"


def _was_answered(call: Call) -> bool:
    return call.outcome == "ok" or call.usd is not None or call.tokens_out is not None


def _tokens(call: Call) -> int | None:
    return None if call.tokens_in is None or call.tokens_out is None else call.tokens_in + call.tokens_out


def _sum(amounts: Sequence[float | None]) -> float | None:
    """Return a sum; None where a part of it is not known."""
    known = [amount for amount in amounts if amount is not None]
    return fsum(known) if len(known) == len(amounts) else None
