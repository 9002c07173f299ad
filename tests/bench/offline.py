"""What agents without a model do on the examples, seed by seed: whether it holds on cases no candidate was scored by.

`python tests/bench/offline.py [NAME …] [--seeds 5] [--evals 300]`; a case takes about a minute for each seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from proofs import CASES, prove
from scene import environment


def main() -> None:
    """Print a table of all seeds, those that failed included."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evals", type=int, default=300)
    parser.add_argument("--sandbox", default="auto", choices=("auto", "bwrap", "landlock", "none"))
    options = parser.parse_args()
    for name in options.names:
        if name not in CASES:
            parser.error(f"{name!r} is no case; there are {', '.join(CASES)}")
    print("| case | seed | evaluations | score | held back | holds | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in options.names or CASES:
        held = sum(_line(name, seed, options) for seed in range(1, options.seeds + 1))
        print(f"| {name} | all | | | | {held} of {options.seeds} | |", flush=True)


def _line(name: str, seed: int, options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as top:
        home = Path(top) / "home"
        around = {**environment(home), "EVOGIT_SANDBOX": options.sandbox, "EVOGIT_I_TRUST_THIS_CODE": "1"}
        begun = time.monotonic()
        proof = prove(CASES[name], Path(top) / "work", around, seed=seed, evals=options.evals)
    print(
        f"| {name} | {seed} | {proof.evaluations} | {proof.score_before:.6g} → {proof.score_after:.6g} "
        f"| {proof.held_before:.6g} → {proof.held_after:.6g} | {'yes' if proof.holds else 'no'} "
        f"| {time.monotonic() - begun:.0f} |",
        flush=True,
    )
    return proof.holds


if __name__ == "__main__":
    main()
