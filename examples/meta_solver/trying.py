"""What runs in the worker, beside the designer: takes its steps, tries solvers on a small task, and runs them.

No instance that scores is here; those are sent when the designer's process has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypedDict


class Task(TypedDict):
    """A small task to try a solver on."""

    sizes: list[int]
    capacity: int


Solve = Callable[[list[int], int], list[int]]
_steps: Generator[str, str, str] | None = None
_solve: Solve | None = None


def begin(task: Task) -> dict[str, str]:
    """Start the designer; return its first prompt as `ask`, or its result as `solver`."""
    global _steps
    import designer  # a solver runs in a process that never imports it

    _steps = designer.design(task)
    return _step(lambda steps: next(steps))


def reply(answer: str) -> dict[str, str]:
    """Hand the model's answer on; return what `begin` returns."""
    return _step(lambda steps: steps.send(answer))


def _step(go_on: Callable[[Generator[str, str, str]], str]) -> dict[str, str]:
    if _steps is None:
        raise RuntimeError("the designer has not begun")
    try:
        return {"ask": go_on(_steps)}
    except StopIteration as end:
        return {"solver": end.value}


def load(source: str) -> bool:
    """Define the function `solve` of a source from now on.

    Raises:
        TypeError: it defines none; whatever else running it raises.
    """
    global _solve
    _solve = _loaded(source)
    return True


def pack(sizes: list[int], capacity: int) -> list[int]:
    """Return the bins the solver puts items into, unchecked."""
    if _solve is None:
        raise RuntimeError("no solver is loaded")
    return _solve(sizes, capacity)


def complaint(source: str, task: Task) -> str:
    """Return what is wrong with what a source does on a small task, or nothing: what a designer can tell the model."""
    try:
        bins = _loaded(source)(list(task["sizes"]), task["capacity"])
    except Exception as error:  # noqa: BLE001 - whatever the model wrote
        return f"{type(error).__name__}: {error}"
    return wrong(task["sizes"], task["capacity"], bins)


def wrong(sizes: list[int], capacity: int, bins: object) -> str:
    """Return what is wrong with a packing, or nothing."""
    if not isinstance(bins, list) or len(bins) != len(sizes):
        return "it did not return one bin for each item"
    if any(type(number) is not int for number in bins):
        return "a bin's number is no whole number"
    loads: dict[int, int] = {}
    for size, number in zip(sizes, bins):
        loads[number] = loads.get(number, 0) + size
        if loads[number] > capacity:
            return f"bin {number} holds {loads[number]}, and {capacity} fit in"
    return ""


def _loaded(source: str) -> Solve:
    names: dict[str, Any] = {"__name__": "solver"}
    exec(compile(source, "solver.py", "exec"), names)
    if not callable(names.get("solve")):
        raise TypeError("there is no function solve")
    solve: Solve = names["solve"]
    return solve
