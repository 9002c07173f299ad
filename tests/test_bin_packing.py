"""The example: it starts as best fit, its instances are what they are said to be, and a bad rule gets no score."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from conftest import Checkout

_EXAMPLE = Path(__file__).parent.parent / "examples" / "bin_packing"
sys.path.insert(0, str(_EXAMPLE))


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, _EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _best_fit(items: list[int], capacity: int) -> int:
    """Pack as a textbook says: into the fullest bin that has room."""
    bins: list[int] = []
    for size in items:
        rooms = [room for room in bins if room >= size]
        if rooms:
            bins[bins.index(min(rooms))] -= size
        else:
            bins.append(capacity - size)
    return len(bins)


def test_the_start_is_exactly_best_fit() -> None:
    bench, rule = _load("bench"), _load("rule")
    for kind, capacity in bench.SETS.items():
        instances = [items[:700] for items in bench.read(_EXAMPLE / "data" / f"{kind}-evolve.txt")]
        used, least = bench.measure(rule.priority, instances, kind)
        assert used == sum(_best_fit(items, capacity) for items in instances)
        assert least == sum(-(-sum(items) // capacity) for items in instances)


def test_any_rule_packs_validly_and_by_preference() -> None:
    """An order of rooms that prefers empty bins opens one for each item; one that prefers full ones is best fit."""
    bench = _load("bench")
    items = bench.read(_EXAMPLE / "data" / "uniform-evolve.txt")[0]
    by_room = {size: list(range(size, 151)) for size in set(items)}
    assert bench.pack(items, 150, by_room) == _best_fit(items, 150)
    assert bench.pack(items, 150, {size: [150] for size in set(items)}) == len(items)
    assert [bench.bands(room) for room in (0, 1, 5, 150)] == [
        (0, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0), (2, 2, 1, 0, 0, 0, 0), (2, 2, 4, 8, 16, 32, 86),
    ]  # fmt: skip


def test_the_instances_are_those_the_generator_writes() -> None:
    for name, text in _load("make_instances").texts().items():
        assert (_EXAMPLE / "data" / name).read_text() == text, name
    uniform = _load("bench").read(_EXAMPLE / "data" / "uniform-held-out.txt")
    assert {len(items) for items in uniform} == {500}
    assert (min(map(min, uniform)), max(map(max, uniform))) == (20, 100)


def test_no_evolved_weight_stands_in_the_repository() -> None:
    rule = (_EXAMPLE / "rule.py").read_text()
    assert set(re.findall(r"\d+\.\d+", rule)) == {"1.0"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return worth(after", "return float('nan') + worth(after", "is nan, no finite number"),
        ("return worth(after", "return True or worth(after", "is True, no finite number"),
        ("return worth(after", "raise OSError('no rule')\n    worth(after", "no rule"),
    ],
)
def test_a_bad_rule_gets_no_score(old: str, new: str, said: str, tmp_path: Path, world: dict[str, str]) -> None:
    for path in _EXAMPLE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = tmp_path / path.relative_to(_EXAMPLE)
            target.parent.mkdir(exist_ok=True)
            target.write_text(path.read_text().replace(old, new) if path.name == "rule.py" else path.read_text())
    result = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, "bench.py"],
        cwd=tmp_path,
        env={**world, "EVOGIT_RESULT": str(result)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert not result.exists()


def test_the_readme_shows_what_the_score_command_prints(world: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "bench.py"], cwd=_EXAMPLE, env=world, capture_output=True, text=True, check=True
    )
    assert done.stdout in (_EXAMPLE / "README.md").read_text()
    assert json.loads(done.stdout)["score"] > 0


_FAKES = 'import sys\nsys.modules["__main__"].pack = lambda *_: 0\n'


@pytest.mark.heavy
def test_a_rule_can_fake_the_score_it_shares_a_process_with_and_no_other(new_checkout: Callable[..., Checkout]) -> None:
    files = {
        str(path.relative_to(_EXAMPLE)): path.read_text()
        for path in _EXAMPLE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    scores = []
    for table in ("evogit.toml", "split.toml"):
        checkout = new_checkout(table, {**files, "evogit.toml": files[table]})
        honest = json.loads(checkout.evogit("evaluate", "--json").stdout)
        (checkout.path / "rule.py").write_text(_FAKES + files["rule.py"])
        checkout.commit()
        fake = json.loads(checkout.evogit("evaluate", "--json").stdout)
        scores.append([round(found["value"], 5) for found in (honest, fake)])
    assert scores == [[4.60682, -100.0], [4.60682, 4.60682]]


@pytest.mark.heavy
def test_a_short_demo_says_what_came_of_it(tmp_path: Path, world: dict[str, str]) -> None:
    target = tmp_path / "demo"
    shown = _demo(target, world, "--evals", "80")
    before, after = _excess(shown, "evolved on")
    assert sum(after) <= sum(before)
    assert len(_excess(shown, "held back")) == 2
    assert "git -C demo log --oneline" in shown
    again = subprocess.run(
        [*_DEMO, "--evals", "80", "--directory", str(_EXAMPLE.parent)],
        env=world, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert "was not made by this demo" in again.stderr


@pytest.mark.heavy
def test_the_demo_beats_best_fit_on_held_back_instances(tmp_path: Path, world: dict[str, str]) -> None:
    """With a third of the evaluations it has by default, for most seeds; which agent is first is luck as well."""
    gains = []
    for seed in ("1", "2", "3"):
        shown = _demo(tmp_path / f"demo{seed}", world, "--evals", "300", "--seed", seed)
        before, after = _excess(shown, "held back")
        gains.append(sum(before) - sum(after))
        assert "+++ b/rule.py" in shown
    assert sorted(gains)[1] > 0.5, gains


_DEMO = [sys.executable, str(_EXAMPLE / "demo.py")]


def _demo(target: Path, world: dict[str, str], *options: str) -> str:
    done = subprocess.run(
        [*_DEMO, *options, "--directory", str(target)],
        env=world | {"COLUMNS": "100"}, capture_output=True, text=True, timeout=300, cwd=target.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _excess(shown: str, part: str) -> list[list[float]]:
    """Return the excess in per cent of both kinds of instances, before and after."""
    found = re.findall(part + r" +[\d,]+ +[\d,]+ +([\d.]+) % +[\d,]+ +([\d.]+) %", shown)
    assert len(found) == 2, shown
    return [[float(value) for value in column] for column in zip(*found, strict=True)]
