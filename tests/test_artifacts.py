"""What an evaluation leaves for people: kept cut, whatever a candidate puts there, and shown."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import cage
import msgspec
import pytest
from conftest import Checkout
from plain_reader import read_run

from evogit.evaluation.artifacts import MAX_ARTIFACTS, MAX_TEXT_BYTES, MAX_TOTAL_BYTES, added
from evogit.model import Artifact, Measurement, Status
from evogit.records import MAX_LINE_BYTES
from evogit.store.redaction import shareable

_KEY = "ghp_" + "a1B2" * 9
_REMOVED = "left out: it looks as if it holds a GitHub token"
_GOOD = Measurement(status=Status.OK, value=1.0)


def _left(folder: Path) -> Measurement:
    """Return what is kept of a folder, within every bound."""
    found = added(_GOOD, folder)
    assert len(found.artifacts) <= MAX_ARTIFACTS
    assert sum(len(msgspec.json.encode({name: one})) for name, one in found.artifacts.items()) <= MAX_TOTAL_BYTES
    for name, one in found.artifacts.items():
        assert len(name) <= 103
        assert len(one.text.encode()) <= MAX_TEXT_BYTES
        assert all(character == "\n" or character == "\t" or character.isprintable() for character in one.text)
        assert name.isprintable()
    return found


def test_texts_and_small_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "trace.txt").write_text("one\ntwo\tthree\n")
    (tmp_path / "plots" / "a.png").write_bytes(b"\x89PNG\0\1")
    (tmp_path / "plots" / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty").touch()
    found = _left(tmp_path)
    png, latin = (hashlib.sha256(content).hexdigest() for content in (b"\x89PNG\0\1", b"caf\xe9"))
    assert dict(found.artifacts) == {
        "empty": Artifact(bytes=0),
        "plots/a.png": Artifact(bytes=6, sha256=png),
        "plots/latin.txt": Artifact(bytes=4, sha256=latin),
        "trace.txt": Artifact(bytes=14, text="one\ntwo\tthree\n"),
    }
    assert found.artifacts_left_out == 0
    assert added(_GOOD, tmp_path / "nothing") == _GOOD


@pytest.mark.parametrize("letters", ["x", "é", "€", "𝄞"])
def test_a_long_text_keeps_its_head_and_its_end_and_says_what_is_missing(tmp_path: Path, letters: str) -> None:
    for size in (MAX_TEXT_BYTES // len(letters.encode()) + 1, 20_000, 300_000):
        content = ("begin " + letters * size + " end").encode()
        (tmp_path / "long").write_bytes(content)
        kept = _left(tmp_path).artifacts["long"]
        head, middle, tail = kept.text.split("\n")
        assert (kept.bytes, head[:6], tail[-4:], kept.sha256) == (len(content), "begin ", " end", "")
        assert set(head[6:] + tail[:-4]) == {letters}
        missing = len(content) - len((head + tail).encode())
        assert middle == f"… {missing} bytes left out …"


def test_links_devices_and_pipes_are_left_out(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "file").write_text("not the candidate's")
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / "link").symlink_to(outside / "file")
    (folder / "folder").symlink_to(outside)
    (folder / "gone").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
    (folder / "good").write_text("fine")
    found = _left(folder)
    assert (list(found.artifacts), found.artifacts_left_out) == (["good"], 5)
    replaced = tmp_path / "replaced"
    replaced.symlink_to(outside)
    assert added(_GOOD, replaced) == _GOOD
    assert added(_GOOD, folder / "good") == _GOOD


def test_a_huge_file_costs_nothing(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(10 << 30)
    with open(tmp_path / "text", "wb") as file:
        file.write(b"begin\n" + b"x" * 99_994)
        file.truncate(10 << 30)
        file.seek(10 << 30)
        file.write(b"x" * 100_000 + b"\nend")
    found = _left(tmp_path)
    assert found.artifacts["sparse"] == Artifact(bytes=10 << 30)
    kept = found.artifacts["text"]
    assert kept.bytes == (10 << 30) + 100_004
    assert kept.text.startswith("begin\n")
    assert kept.text.endswith("\nend")


def test_names_are_made_safe(tmp_path: Path) -> None:
    hostile = [b"\x1b[31mred", b"two\nlines", b"caf\xe9", "right\u202eleft".encode(), b"n" * 250, b"~", b"\xff\xfe"]
    for name in hostile:
        (Path(os.fsdecode(bytes(tmp_path) + b"/" + name))).write_text("x")
    found = _left(tmp_path)
    assert len(found.artifacts) == len(hostile)
    assert {"?[31mred", "two?lines", "caf\ufffd", "right?left", "n" * 100, "~", "\ufffd\ufffd"} == set(found.artifacts)


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("of the folder")
    (tmp_path / "a\x01b").write_text("1")
    (tmp_path / "a\x02b").write_text("2")
    said = Measurement(status=Status.OK, value=1.0, artifacts={"trace": Artifact(bytes=3, text="own")})
    kept = added(said, tmp_path).artifacts
    assert {name: one.text for name, one in kept.items()} == {
        "trace": "own", "a?b": "1", "a?b~2": "2", "trace~2": "of the folder",
    }  # fmt: skip


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.heavy)])
def test_too_many_and_too_deep_are_left_out(tmp_path: Path, count: int) -> None:
    many, deep = tmp_path / "many", tmp_path / "deep"
    many.mkdir()
    for number in range(count):
        (many / f"{number:06}").touch()
    (deep / "/".join("abc")).mkdir(parents=True)
    (deep / "a" / "b" / "c" / "seen").write_text("x")
    (deep / "a" / "b" / "c" / "d").mkdir()
    (deep / "a" / "b" / "c" / "d" / "unseen").write_text("x")
    found = _left(many)
    assert (len(found.artifacts), found.artifacts_left_out) == (MAX_ARTIFACTS, 1000 - MAX_ARTIFACTS)
    found = _left(deep)
    assert (list(found.artifacts), found.artifacts_left_out) == (["a/b/c/seen"], 1)


def test_together_they_stay_within_a_record(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}").write_text('"\\\n' * 1300)
    found = _left(tmp_path)
    assert 0 < len(found.artifacts) < 12
    assert len(found.artifacts) + found.artifacts_left_out == 12
    wide = {f"a number with a long name, {number}": 1.0 for number in range(1600)}
    big = Measurement(status=Status.OK, value=1.0, instances=wide, artifacts=found.artifacts, artifacts_left_out=1)
    kept = shareable(big)
    assert (kept.artifacts, kept.artifacts_left_out) == ({}, 1 + len(found.artifacts))
    assert kept.instances == wide
    assert len(msgspec.json.encode(kept)) < MAX_LINE_BYTES
    assert shareable(found) == found


@pytest.mark.parametrize("before", [0, 1300, 2690, 2720, 5000, 80_000])
def test_a_key_is_not_kept_not_even_half_of_it(tmp_path: Path, before: int) -> None:
    (tmp_path / "trace").write_text("x" * before + f" {_KEY} " + "y" * 1350)
    found = _left(tmp_path)
    assert _KEY[:12] not in found.artifacts["trace"].text
    assert found.artifacts["trace"].text == _REMOVED


def test_a_key_in_a_name_or_in_feedback_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / _KEY).write_text("x")
    measured = added(_GOOD, tmp_path)
    kept = shareable(
        Measurement(
            status=Status.OK, value=1.0, feedback=f"I found {_KEY}", metrics={_KEY: 1.0, "n": 2.0},
            instances={f"a {_KEY}": 1.0}, artifacts={**measured.artifacts, "t": Artifact(bytes=9, text=_KEY)},
        )
    )  # fmt: skip
    assert _KEY not in msgspec.json.encode(kept).decode()
    assert (kept.feedback, kept.metrics, kept.instances) == (_REMOVED, {"n": 2.0}, {})
    assert {name: one.text for name, one in kept.artifacts.items()} == {"1": "x", "t": _REMOVED}


_BENCH = """import json, os, knobs
os.makedirs(os.environ["EVOGIT_ARTIFACTS"] + "/steps", exist_ok=True)
with open(os.environ["EVOGIT_ARTIFACTS"] + "/steps/log", "w") as file:
    file.write("A is %r\\n\\x1b[2J" % knobs.A + "line\\n" * 100)
with open(os.environ["EVOGIT_RESULT"], "w") as file:
    json.dump({"score": knobs.value(), "artifacts": {"note": "seen: " + str(os.path.exists("log"))}}, file)
"""


def _leaving(new_checkout: Callable[..., Checkout], toy: Checkout, evaluator: str) -> Checkout:
    config = (toy.path / "evogit.toml").read_text()
    begin, end = config.index("[evaluator]"), config.index("[[agents]]")
    files = {
        "knobs.py": (toy.path / "knobs.py").read_text(),
        "bench.py": _BENCH,
        "evogit.toml": f"{config[:begin]}[evaluator]\n{evaluator}\n\n{config[end:]}",
    }
    return new_checkout("leaving", files)


def test_they_are_recorded_and_shown(new_checkout: Callable[..., Checkout], toy: Checkout) -> None:
    checkout = _leaving(new_checkout, toy, 'command = "python bench.py"')
    checkout.evogit("run", "-n", "1", "--evals", "3", "--run", "r")
    shown = checkout.evogit("show", "base").stdout
    assert "  artifact  note  11 bytes\n  | seen: False\n  artifact  steps/log  513 bytes\n  | A is 1.0\n" in shown
    assert "  | ?[2Jline\n" in shown
    assert "  … 61 more lines; --json has them" in shown
    assert "\x1b" not in shown
    [score] = json.loads(checkout.evogit("show", "base", "--json").stdout)["scores"]
    assert score["artifacts"]["note"] == {"bytes": 11, "text": "seen: False"}
    assert score["artifacts"]["steps/log"]["text"].count("line\n") == 100
    assert "seen: False" not in checkout.evogit("log", "--json").stdout + checkout.evogit("log").stdout
    records = read_run(checkout.path, "r", checkout.environment)["records"]
    stored = [line["artifacts"] for lines in records.values() for line in lines if line["kind"] == "score"]
    assert len(stored) == 3
    assert all(set(one) == {"note", "steps/log"} for one in stored)


def test_each_command_begins_with_an_empty_folder_and_the_one_that_refuses_is_heard(
    new_checkout: Callable[..., Checkout], toy: Checkout
) -> None:
    first = 'ls -A \\"$EVOGIT_ARTIFACTS\\" > seen; echo one > \\"$EVOGIT_ARTIFACTS/one\\"'
    refuses = 'ls -A \\"$EVOGIT_ARTIFACTS\\" > \\"$EVOGIT_ARTIFACTS/before\\"; exit 3'
    checkout = _leaving(new_checkout, toy, f'command = "true"\ngates = ["{first}", "{refuses}"]')
    said = json.loads(checkout.evogit("evaluate", "--json", expect=1).stdout)
    assert said["feedback"].endswith("exit code 3")
    assert said["artifacts"] == {"before": {"bytes": 7, "text": "before\n"}}


@pytest.mark.heavy
def test_of_several_runs_those_of_the_median_are_kept(
    new_checkout: Callable[..., Checkout], toy: Checkout, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    count.write_text("")
    command = (
        f"printf x >> {count}; n=$(wc -c < {count}); echo $n > $EVOGIT_ARTIFACTS/run; "
        'echo \\"{\\\\\\"score\\\\\\": $((n * n % 7))}\\" > $EVOGIT_RESULT'
    )
    checkout = _leaving(new_checkout, toy, f'command = "{command}"\nrepeat = 3')
    said = json.loads(checkout.evogit("evaluate", "--json").stdout)
    assert (said["value"], said["artifacts"]["run"]["text"]) == (2.0, "3\n")  # of 1, 4 and 2


@pytest.mark.skipif(cage.why_not() is not None, reason=f"no sandbox: {cage.why_not()}")
def test_they_come_out_of_the_sandbox(new_checkout: Callable[..., Checkout], toy: Checkout) -> None:
    checkout = _leaving(new_checkout, toy, 'command = "python bench.py; ln -s /etc/passwd $EVOGIT_ARTIFACTS/passwd"')
    said = json.loads(checkout.evogit("evaluate", "--sandbox", "bwrap", "--json").stdout)
    assert (list(said["artifacts"]), said["artifacts_left_out"]) == (["note", "steps/log"], 1)


@pytest.mark.heavy
def test_costs_have_artifacts_as_well(new_checkout: Callable[..., Checkout], toy: Checkout) -> None:
    checkout = _leaving(new_checkout, toy, 'command = "python bench.py"\nresult = "cpu-time"')
    config = checkout.path / "evogit.toml"
    config.write_text(config.read_text().replace('"maximize"', '"minimize"'))
    said = json.loads(checkout.evogit("evaluate", "--json").stdout)
    assert list(said["artifacts"]) == ["steps/log"]
