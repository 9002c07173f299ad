"""The lines a note is made of: the only encoder and decoder of records.

A record is one line of JSON with sorted keys. Knows nothing of Git: FORMAT.md says where the lines are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Literal

import msgspec

from evogit.model import Artifact, Operator, Status

VERSION = 1
MAX_LINE_BYTES = 64 * 1024
MAX_NOTE_BYTES = 4 * 1024 * 1024
MAX_FEEDBACK_BYTES = 4 * 1024
MAX_CALLS = 64
PERSON = "person"
"""What a proposal's `use` says of a commit that a person made; whoever scores it first writes that proposal."""
MODEL, PROMPT = "model", "prompt"
"""What there is to choose from, by the names `choices` has for it."""
MAX_SIZE = 2**53
"""Greatest size of a difference: what every reader of JSON takes for a whole number."""

_Hex40 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]
_Hex64 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Short = Annotated[str, msgspec.Meta(max_length=256)]
_Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Weight = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", gc=False):
    """What every line says: the format's version, who wrote it, in which run, its count, and when (RFC 3339, UTC)."""

    v: Literal[1]
    agent: _Short
    run: _Short
    seq: Annotated[int, msgspec.Meta(ge=0)]
    at: _Short
    session: _Short = ""


class Score(Record, frozen=True, kw_only=True, omit_defaults=True, tag="score", gc=False):
    """One measurement of a candidate's tree by one evaluator; `seconds` is wall time.

    `ok` without a value is said where a judge compares candidates: it passed the gates.
    """

    status: Status
    value: float | None = None
    metrics: dict[str, float] = {}
    instances: dict[str, float] = {}
    evaluator: _Hex64
    tree: _Hex40
    seconds: float
    sandbox: _Short
    host: _Short
    feedback: str = ""
    artifacts: dict[str, Artifact] = {}
    artifacts_left_out: Annotated[int, msgspec.Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.status is not Status.OK and self.value is not None:
            raise ValueError(f"status {self.status} with value {self.value}")

    @property
    def is_passed(self) -> bool:
        """Whether it says that a candidate may be compared with others, which then is what decides."""
        return self.status is Status.OK and self.value is None


class Merge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a merge began with: the common ancestor of its parents, and the scores that were known then.

    `values` are those of the parents, in their order. The score of the merge itself is a record of its own.
    """

    base: _Hex40
    base_value: float
    values: Annotated[list[float], msgspec.Meta(min_length=2, max_length=16)]


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One question to a model, or one run of a tool that asks models itself; `seconds` is wall time.

    `outcome` is `ok`, or what went wrong. None is unknown, which is never 0. The cost of a question without the tokens
    was reckoned from lengths.
    """

    model: _Short
    outcome: _Short
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    tokens_in: _Tokens | None = None
    tokens_out: _Tokens | None = None
    usd: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


def spent(calls: Iterable[Call]) -> float:
    """Return the USD these calls are known to have cost."""
    return sum(call.usd for call in calls if call.usd is not None)


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a proposal chose of several: by which shares it was drawn, and the weights that people gave."""

    chosen: _Short
    shares: Annotated[dict[_Short, _Part], msgspec.Meta(max_length=MAX_CALLS)]
    weights: Annotated[dict[_Short, _Weight], msgspec.Meta(max_length=MAX_CALLS)]


class Proposal(Record, frozen=True, kw_only=True, omit_defaults=True, tag="proposal", gc=False):
    """How a candidate was made: the operator, its definition, the seed of the plan, and the operator's own numbers.

    `seen` says what the plan was made from: for each journal, the first sequence number that was not known yet. A
    useless proposal stands on its first planned parent, has all of them in `parents`, and says `why`. `donor` is the
    candidate a change was taken from, and `size` that of the difference from the base where the maker measured it.
    `calls` are those of models, useless ones, too; `choices` say which of several models was to be asked
    first (`model`), and which prompt it was asked with (`prompt`).
    """

    operator: Operator
    use: _Short
    seed: int
    outcome: Literal["candidate", "useless"]
    params: dict[str, float] = {}
    parents: Annotated[list[_Hex40], msgspec.Meta(max_length=16)] = []
    merge: Merge | None = None
    donor: _Hex40 | None = None
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)] | None = None
    seen: dict[str, int] = {}
    why: _Short = ""
    calls: Annotated[list[Call], msgspec.Meta(max_length=MAX_CALLS)] = []
    choices: Annotated[dict[_Short, Choice], msgspec.Meta(max_length=16)] = {}


class Lesson(Record, frozen=True, kw_only=True, omit_defaults=True, tag="lesson", gc=False):
    """What a model made of what was tried, in a sentence, and the candidates it goes by, which need not be known.

    `model` said it, and `seed` is that of the choice of the model. The first lesson of a question has its `calls`; a
    question that taught nothing leaves one without a text.
    """

    text: Annotated[str, msgspec.Meta(max_length=400)] = ""
    evidence: Annotated[list[_Hex40], msgspec.Meta(max_length=16)] = []
    model: _Short = ""
    seed: int
    calls: Annotated[list[Call], msgspec.Meta(max_length=MAX_CALLS)] = []


class Lease(Record, frozen=True, kw_only=True, omit_defaults=True, tag="lease", gc=False):
    """A claim to score this candidate that ends by itself at `until`."""

    until: _Short


class Verdict(Record, frozen=True, kw_only=True, omit_defaults=True, tag="verdict", gc=False):
    """What a person says of a candidate: take it up, leave it and all that comes of it alone, or words only."""

    verdict: Literal["promote", "prune", "comment"]
    text: Annotated[str, msgspec.Meta(max_length=4096)] = ""


Word = Literal["first", "second", "tie", "none"]
"""Which of two was said to be better by the place in which it was shown; `none`: there was no answer of any use."""


def points(verdicts: tuple[Word, Word]) -> float | None:
    """Return 1 when what was first in the first of two verdicts is better, 0 when the other one is, 0.5 for a tie.

    What is preferred in one place only is preferred for its place, and that is a tie. None: there is no answer.
    """
    if "none" in verdicts:
        return None
    return {("first", "second"): 1.0, ("second", "first"): 0.0}.get(verdicts, 0.5)


class Comparison(Record, frozen=True, kw_only=True, omit_defaults=True, tag="comparison", gc=False):
    """The candidate it stands on, compared with another one, `than`, by the goal whose SHA-256 is `goal`.

    `verdicts` are two: what was said when the candidate was shown first, and what when it was shown second. `seed` is
    that of the order of asking. `calls` are those of models. `text` are a person's words, or why there was no answer.
    """

    than: _Hex40
    evaluator: _Hex64
    goal: _Hex64
    by: Literal["command", "model", "person"]
    verdicts: tuple[Word, Word]
    seed: int = 0
    text: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    calls: Annotated[list[Call], msgspec.Meta(max_length=MAX_CALLS)] = []

    @property
    def points(self) -> float | None:
        """1 when the candidate is better, 0 when the other one is, 0.5 for a tie, None where there is no answer."""
        return points(self.verdicts)


class Successor(Record, frozen=True, kw_only=True, omit_defaults=True, tag="successor", gc=False):
    """The journal it stands in stands for another one, that of the agent `of`, as it was at its commit `tip`."""

    of: _Short
    tip: _Hex40


class Judged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is left of one score when its candidate was dropped."""

    evaluator: _Hex64
    status: Status
    value: float | None = None


class Paid(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is left of the calls of one dropped proposal, which `at` and `seed` tell from others on its candidate.

    `calls` is how many there were, `usd` what is known of their cost, and `unknown` counts those of unknown cost.
    """

    at: _Short
    seed: int
    calls: Annotated[int, msgspec.Meta(ge=1)]
    usd: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0
    unknown: Annotated[int, msgspec.Meta(ge=0)] = 0


class Tombstone(Record, frozen=True, kw_only=True, omit_defaults=True, tag="tombstone", gc=False):
    """What is left of all that the agent `of` had recorded on the candidate `id`, which was dropped.

    `operator` is how it was made, when it was this agent that said so; `paid` is what its proposals cost.
    """

    of: _Short
    id: _Hex40
    tree: _Hex40
    parents: list[_Hex40]
    scores: list[Judged] = []
    operator: Operator | None = None
    paid: list[Paid] = []


AnyRecord = Score | Proposal | Lesson | Lease | Verdict | Comparison | Successor | Tombstone

_encoder = msgspec.json.Encoder(order="sorted")
_decode: Callable[[bytes], AnyRecord] = msgspec.json.Decoder(AnyRecord).decode


class _Header(msgspec.Struct):
    v: int = 0
    kind: str = ""


def encode(record: AnyRecord) -> bytes:
    """Return the record as one line, newline included.

    Raises:
        ValueError: it is longer than a line may be, or holds a number JSON cannot hold.
    """
    line = _encoder.encode(record)
    if len(line) >= MAX_LINE_BYTES:
        raise ValueError(f"a record of {len(line)} bytes; a line holds at most {MAX_LINE_BYTES}")
    try:
        read = _decode(line)  # msgspec writes NaN as null: what we cannot read back must not be stored
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a valid record: {error}") from error
    if isinstance(record, Score) and isinstance(read, Score) and read.is_passed != record.is_passed:
        raise ValueError(f"not a valid record: a score of {record.value}")
    return line + b"\n"


def decode(line: bytes) -> AnyRecord | None:
    """Return the record in `line`, or None for a blank line, a person's prose, an unknown kind or a newer version.

    Raises:
        ValueError: the line claims to be of this version and a known kind but is not a valid record.
    """
    if not line.startswith(b"{") and not line.lstrip().startswith(b"{"):
        return None
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"a line of {len(line)} bytes; at most {MAX_LINE_BYTES} are read")
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if _is_foreign(line):
            return None
        raise ValueError(str(error)) from error


def decode_note(blob: bytes) -> Iterator[AnyRecord | ValueError]:
    """Yield each record of a note in order, and a ValueError in the place of each broken line."""
    return decode_lines(blob.splitlines())


def decode_lines(lines: Iterable[bytes]) -> Iterator[AnyRecord | ValueError]:
    """Yield each record of these lines in order, and a ValueError in the place of each broken one."""
    for line in lines:
        try:
            record = decode(line)
        except ValueError as error:
            yield error
        else:
            if record is not None:
                yield record


def _is_foreign(line: bytes) -> bool:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return header.v > VERSION or (header.v == VERSION and header.kind not in _KINDS)


_KINDS: Mapping[str, type[Record]] = {
    **{"score": Score, "proposal": Proposal, "lesson": Lesson, "lease": Lease, "verdict": Verdict},
    **{"comparison": Comparison, "successor": Successor, "tombstone": Tombstone},
}
