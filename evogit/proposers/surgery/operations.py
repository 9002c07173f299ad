"""All operations by number: the number stands in records, so it never changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evogit.proposers.surgery import additions, expressions, literals, names, speed, statements
from evogit.proposers.surgery.syntax import Change, Operate, Region

MOST = 4_000
"""Changes of one operation in one region that are looked at; of more, every second, third, …"""


class Operation(NamedTuple):
    """One operation: its number, how it works, how often it is worth a try before anything is known, its words.

    In `words`, `{old}` is what was there, `{new}` what is there now, and `{what}` the statement that is spoken of.
    """

    number: float
    operate: Operate
    weight: float
    words: str
    many: bool = False
    """Whether it nearly always has hundreds of changes, so that they are made only when it is drawn."""
    faster: bool = False
    """Whether it is no repair."""
    repair: float = 0.0
    """How often it is what repairs a fault, if that differs from `weight`."""

    @property
    def repairs(self) -> float:
        """How often it is what repairs a fault: the weight among operations while tests fail."""
        return self.repair or (self.weight / 8 if self.faster else self.weight)


_ALL = (
    Operation(1.0, expressions.boundary, 3.0, "Replace {old} by {new}", repair=4.0),
    Operation(2.0, expressions.comparison, 0.6, "Replace {old} by {new}", repair=1.0),
    Operation(3.0, expressions.arithmetic, 2.0, "Replace {old} by {new}", repair=3.0),
    Operation(4.0, expressions.boolean, 2.0, "Replace {old} by {new}", repair=3.0),
    Operation(5.0, expressions.negate, 2.0, "Negate {old}", repair=2.0),
    Operation(6.0, expressions.fix, 0.5, "Replace {old} by {new}"),
    Operation(7.0, expressions.drop_part, 2.0, "Keep {new} of {old}", repair=1.5),
    Operation(8.0, expressions.add_part, 1.0, "Ask {new}, not {old}", many=True, repair=1.5),
    Operation(9.0, expressions.off_by_one, 4.0, "Replace {old} by {new}", repair=5.0),
    Operation(10.0, names.name, 5.0, "Replace {old} by {new}", repair=6.0),
    Operation(11.0, names.attribute, 1.5, "Replace {old} by {new}"),
    Operation(12.0, names.same_shape, 1.5, "Replace {old} by {new}", repair=3.0),
    Operation(13.0, names.function, 0.3, "Call {new}, not {old}"),
    Operation(14.0, expressions.arguments, 1.5, "Give {new}, not {old}", repair=3.0),
    Operation(15.0, literals.constant, 1.5, "Replace {old} by {new}", repair=1.5),
    Operation(16.0, literals.literal, 0.7, "Replace {old} by {new}"),
    Operation(17.0, literals.container, 0.3, "List {new}, not {old}"),
    Operation(18.0, expressions.subscript, 1.5, "Replace {old} by {new}"),
    Operation(19.0, literals.exception, 0.4, "Replace {old} by {new}"),
    Operation(20.0, expressions.augmented, 1.0, "Replace {old} by {new}"),
    Operation(21.0, expressions.number, 0.5, "Replace {old} by {new}"),
    Operation(22.0, expressions.operands, 0.8, "Turn {old} round"),
    Operation(23.0, expressions.call, 1.0, "Replace {old} by {new}", many=True, repair=0.7),
    Operation(24.0, statements.jump, 1.5, "Replace {old} by {new}"),
    Operation(25.0, literals.key, 1.5, "Add {new}"),
    Operation(26.0, names.other_name, 2.0, "Replace {old} by {new}", repair=3.0),
    Operation(27.0, names.expression, 2.0, "Replace {old} by {new}", repair=1.5),
    Operation(28.0, additions.operand, 1.5, "Replace {old} by {new}", repair=1.2),
    Operation(29.0, additions.part, 1.0, "Take a part of it: {new}", repair=0.5),
    Operation(30.0, statements.delete, 1.5, "Delete {what}", repair=2.5),
    Operation(31.0, statements.copy, 4.0, "Copy {what}", repair=5.0),
    Operation(32.0, statements.move, 1.0, "Move {what}", repair=1.0),
    Operation(33.0, statements.swap, 1.5, "Swap {what} with the next"),
    Operation(34.0, statements.replace, 0.5, "Put {what} for {old}", many=True, repair=0.4),
    Operation(36.0, statements.guard, 0.7, "Ask {what} first", many=True, repair=0.7),
    Operation(37.0, statements.unwrap, 0.7, "Unwrap {old}"),
    Operation(38.0, statements.early_return, 0.7, "Return earlier: {new}", many=True, repair=0.7),
    Operation(39.0, statements.level, 1.5, "Move {what} to another block"),
    Operation(40.0, statements.branch, 0.5, "Replace {old} by {new}"),
    Operation(41.0, additions.bound, 1.5, "Replace {old} by {new}"),
    Operation(42.0, additions.condition, 1.0, "Ask {new}, not {old}", repair=0.7),
    Operation(43.0, additions.statement, 1.0, "Add {what}", many=True, repair=0.7),
    Operation(44.0, statements.missing_return, 1.5, "Return {new}", repair=4.0),
    Operation(45.0, additions.presence, 1.0, "Ask {new}, not {old}", repair=2.5),
    Operation(46.0, statements.result, 0.7, "Return {new}, not {old}", repair=3.0),
    Operation(50.0, speed.hoist, 0.7, "Move {what} out of the loop", faster=True),
    Operation(51.0, speed.memoise, 0.5, "Remember results", faster=True),
    Operation(52.0, speed.membership, 0.7, "Replace {old} by {new}", faster=True),
    Operation(53.0, speed.early_break, 0.7, "Leave the loop early", faster=True),
    Operation(54.0, speed.range_start, 1.0, "Replace {old} by {new}", repair=1.5),
    Operation(55.0, speed.lazy, 0.4, "Make {old} a generator", faster=True),
    Operation(56.0, speed.skip_known, 0.3, "Go on when known", faster=True),
)
OPERATIONS: Mapping[float, Operation] = {operation.number: operation for operation in _ALL}
FROM_ELSEWHERE = Operation(35.0, lambda region: iter(()), 0.3, "Take {what} from another file")
LINES = 60.0
"""Numbers from here on are of `lines`."""


ASSUMED = 150
"""Changes of an operation that has many."""


def size(operation: Operation, region: Region) -> int:
    """Return how many changes an operation has in a region; for one that has many, the same number anywhere."""
    return ASSUMED if operation.many or operation is FROM_ELSEWHERE else len(changes(operation, region))


def changes(operation: Operation, region: Region) -> Sequence[Change]:
    """Return what an operation could do in a region, each once; kept with the region."""
    if operation.number not in region.found:
        region.found[operation.number] = _thinned(region, list(dict.fromkeys(operation.operate(region))))
    return region.found[operation.number]


def _thinned(region: Region, found: Sequence[Change]) -> Sequence[Change]:
    content = region.unit.content
    real = [change for change in found if content[change.start : change.end] != change.text]
    return real[:: 1 + len(real) // MOST]
