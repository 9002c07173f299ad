"""Which model is asked, and with which prompt: drawn by shares that follow from what everybody's asking came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from evogit.llm import order, shares
from evogit.phylogeny import Asking
from evogit.records import Choice

Weights = Mapping[str, Mapping[str, float]]
"""What people gave each of what there is to choose from, by kind (model, prompt) and name."""


def all_shares(weights: Weights, learned: Mapping[str, Sequence[Asking]], how: str) -> dict[str, dict[str, float]]:
    """Return the shares of each kind of which there are several, as records keep them: to six places, none 0."""
    return {
        kind: {name: max(round(share, 6), 1e-6) for name, share in shares(given, learned.get(kind, ()), how).items()}
        for kind, given in weights.items()
        if len(given) > 1
    }


def choose(
    weights: Weights, found: Mapping[str, Mapping[str, float]], seed: int
) -> tuple[dict[str, Choice], dict[str, list[str]]]:
    """Return what a plan's seed draws by these shares, and for each kind all names, the drawn one first.

    Of what there is only one, there is no choice to record.
    """
    # Generators of their own: what is drawn for an edit does not depend on how many models there are.
    orders = {
        kind: order(found[kind], Random(f"{seed}/{kind}")) if kind in found else list(given)
        for kind, given in weights.items()
    }
    choices = {
        kind: Choice(chosen=orders[kind][0], shares=dict(of), weights=dict(weights[kind])) for kind, of in found.items()
    }
    return choices, orders
