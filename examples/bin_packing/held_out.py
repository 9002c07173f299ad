"""Measures a rule on instances it was not evolved on: `python held_out.py [RULE]`."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from bench import HERE, SETS, Priority, excess, measure, read


def load(path: Path) -> Priority:
    """Return the rule in a file."""
    spec = importlib.util.spec_from_file_location("measured_rule", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rule: Priority = module.priority
    return rule


def figures(rule: Priority) -> dict[str, dict[str, float]]:
    """Return bins, bound and excess in percent for each set, `<kind>-evolve` and `<kind>-held-out`."""
    found = {}
    for part in ("evolve", "held-out"):
        for kind in SETS:
            used, least = measure(rule, read(HERE / "data" / f"{kind}-{part}.txt"), kind)
            found[f"{kind}-{part}"] = {"bins": used, "bound": least, "excess": excess(used, least)}
    return found


if __name__ == "__main__":
    print(json.dumps(figures(load(Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "rule.py"))), indent=2))
