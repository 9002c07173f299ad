"""Agents that ask a language model, from the command line to the commit, through litellm and HTTP on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from conftest import _BENCH, CONFIG, Checkout
from model_server import KEY, Fault, ModelServer, Say
from patient import EDIT, SMITH, asking, assert_nowhere, proposals, shown
from proposals import document


def _better(number: int, messages: list[dict[str, Any]]) -> Say:
    """Answer with another number each time, so that no tree comes twice."""
    old = shown(messages)
    return Say(EDIT.format(old=old, new=f"{float(old) + 1 + number / 1000:.3f}"))


def _checkout(toy: Checkout, server: ModelServer, keys: Mapping[str, str] | None = None, **table: object) -> Checkout:
    return asking(toy, server, keys, table=table, smith=SMITH)


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_model_improves_code_until_the_budget_is_spent(toy: Checkout) -> None:
    """One useless answer, one that is mended, and edits; the money of all of them counts, and no key is stored."""

    def script(number: int, messages: list[dict[str, Any]]) -> Say:
        if number == 0:
            return Say("I would rather not.")
        return _better(number, messages)

    with ModelServer(script) as server:
        here = _checkout(toy, server)
        done = here.evogit("run", "--agent", "smith", "--run", "r", "--budget-usd", "0.07", expect=3)
    assert "0.07 USD are enough for about" in done.stderr
    asked = proposals(here)
    outcomes = [call["outcome"] for made in asked for call in made["calls"]]
    assert outcomes[:2] == ["unusable", "ok"]
    assert "Your edit was not applied" in server.asked[1]["messages"][-1]["content"]
    spent = sum(call["usd"] for made in asked for call in made["calls"])
    assert spent == pytest.approx(0.02 * len(outcomes))
    assert 0.07 <= spent < 0.07 + 0.02, "one agent overshoots by one call at most"
    status = document(here, "status")
    assert status["spent"] == {"usd": pytest.approx(spent), "calls": len(outcomes), "unknown": 0}
    assert f"spent    {spent:.4f} USD in {len(outcomes)} calls" in here.evogit("status").stdout
    message = here.git("log", "-1", "--format=%B", asked[0]["on"])
    assert message.startswith("Raise A to ")
    trailers = here.git("log", "-1", "--format=%(trailers:only,unfold)", asked[0]["on"])
    assert "Evogit-Model: openai/scripted\nAssisted-by: smith:openai/scripted" in trailers
    assert "Signed-off-by" not in trailers
    assert "#1" not in message
    assert "@ada" not in message
    assert_nowhere(here, KEY, done.stdout + done.stderr)


def test_without_a_model_nothing_begins(toy: Checkout) -> None:
    said = toy.evogit("run", "--agent", "tuner", "--model", "openai/scripted", expect=2).stderr
    assert "none of these agents asks a model" in said
    said = toy.evogit("run", "--agent", "refiner", expect=2).stderr
    assert "agent refiner asks a language model: name one with --model NAME" in said
    (toy.path / ".evogit" / "agents").mkdir(parents=True)
    (toy.path / ".evogit" / "agents" / "smith.toml").write_text(SMITH.replace("refiner", "refinr"))
    wrong = "no prompt 'refinr'; there are: crossover, explorer, fixer, refiner; or give its text"
    assert wrong in toy.evogit("agents", "check", "smith", expect=1).stdout
    assert wrong in toy.evogit("run", "--agent", "smith", "--model", "openai/scripted", expect=2).stderr


@pytest.mark.heavy
def test_without_a_key_nothing_begins(toy: Checkout) -> None:
    with ModelServer(_better) as server:
        here = _checkout(toy, server, keys={})
        said = here.evogit("run", "--agent", "smith", "--run", "r", expect=4).stderr
        assert "model openai/scripted: there is no key for it; set OPENAI_API_KEY" in said
        assert here.git("for-each-ref", "refs/evogit") == ""
    assert server.asked == []


@pytest.mark.heavy
def test_a_refused_key_ends_the_agent_with_one_line(toy: Checkout) -> None:
    with ModelServer(_better) as server:
        here = _checkout(toy, server, keys={"OPENAI_API_KEY": "sk-wrong-canary-77d1"})
        done = here.evogit("run", "--agent", "smith:2", "--run", "r", expect=4)
    assert "the key was refused or is missing" in done.stderr.splitlines()[-1]
    assert "sk-wrong" not in done.stderr
    assert [call["outcome"] for made in proposals(here) for call in made["calls"]] == ["auth"] * 2
    assert_nowhere(here, "sk-wrong-canary-77d1", done.stdout + done.stderr)


@pytest.mark.heavy
def test_a_budget_needs_a_price(toy: Checkout) -> None:
    with ModelServer(_better) as server:
        here = _checkout(toy, server, price_in=None, price_out=None)
        said = here.evogit("run", "--agent", "smith", "--budget-usd", "1", expect=2).stderr
        assert "nobody knows what it costs, so no budget can hold" in said
        assert server.asked == []
        here.evogit("run", "--agent", "smith", "--evals", "3", "--run", "r")
    calls = [call for made in proposals(here) for call in made["calls"]]
    assert calls
    assert all("usd" not in call and call["tokens_in"] == 1000 for call in calls)
    assert document(here, "status")["spent"]["unknown"] == len(calls)


@pytest.mark.heavy
def test_a_budget_holds_over_agents(toy: Checkout) -> None:
    with ModelServer(_better) as server:
        here = _checkout(toy, server)
        here.evogit("run", "--agent", "smith:3", "--run", "r", "--budget-usd", "0.3", expect=3)
    spent = sum(call["usd"] for made in proposals(here) for call in made["calls"])
    assert spent == pytest.approx(0.02 * len(server.asked)), "every question that was answered is on record"
    assert 0.3 <= spent + 1e-9 < 0.3 + 3 * 0.02 + 1e-9


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(status=429, headers={"Retry-After": "1"}), "rate limit"),
        (Fault(status=500), "server error"),
        (Fault(status=529), "server error"),
        (Fault("cut"), "no connection"),
        (Fault("html"), "server error"),
        (Fault("bare"), "malformed"),
        (Fault("hang"), "timeout"),
        (Fault("drip"), "timeout"),
        (Say("", usage=(0, 0)), "unusable"),
        (Say(EDIT.format(old="1.0", new="9.0"), finish="length"), "truncated"),
        (Say("x" * 3_000_000), "malformed"),
        (Say(f"Subject: Tell\n\n### `knobs.py`\n```\nA = '{KEY}'\n```\n"), "held a key"),
        (Say(EDIT.format(old="7777.0", new="9.0")), "unusable"),
        (Say(EDIT.format(old="1.0", new="9.0").replace("knobs.py", "bench.py")), "unusable"),
    ],
)
def test_one_bad_answer_changes_nothing_and_stops_nobody(toy: Checkout, fault: Say | Fault, outcome: str) -> None:
    """A fault at the first question; what follows is good. With a fallback nothing waits for a model."""

    def script(number: int, messages: list[dict[str, Any]]) -> Say | Fault:
        return fault if number == 0 else _better(number, messages)

    with ModelServer(script) as server:
        # The first call imports for seconds: only where there is nothing to wait for may it be cut short.
        never = isinstance(fault, Fault) and fault.kind in ("hang", "drip")
        here = _checkout(toy, server, timeout_s=3 if never else 600)
        definition = here.path / ".evogit" / "agents" / "smith.toml"
        definition.write_text(SMITH + 'fallback = "tuner"\n')
        here.evogit("run", "--agent", "smith", "--run", "r", "--evals", "3")
    calls = [call for made in proposals(here) for call in made["calls"]]
    assert calls[0]["outcome"] == outcome
    assert document(here, "status")["evaluations"] >= 3
    assert "9.0" not in here.git("log", "--all", "-p", "--format=", "--", "knobs.py", "bench.py").replace("9.00", "")
    if isinstance(fault, Fault):
        assert "usd" not in calls[0]
    else:
        assert calls[0]["usd"] > 0, "an answer that is of no use costs as much"
    assert_nowhere(here, KEY, "")


@pytest.mark.heavy
def test_without_a_fallback_a_dead_model_ends_the_agent(toy: Checkout) -> None:
    with ModelServer(lambda *_: Fault(status=404)) as server:
        here = _checkout(toy, server)
        done = here.evogit("run", "--agent", "smith", "--run", "r", expect=1)
    assert "no such model" in done.stderr
    assert len(server.asked) == 1


@pytest.mark.heavy
def test_the_other_model_is_asked_when_one_fails(toy: Checkout) -> None:
    with ModelServer(lambda *_: Fault(status=404)) as dead, ModelServer(_better) as good:
        here = _checkout(toy, dead, name="openai/dead", weight=1000)
        config = here.path / "evogit.toml"
        config.write_text(config.read_text() + good.table())
        here.evogit("run", "--agent", "smith", "--run", "r", "--evals", "4")
    assert len(dead.asked) == 1, "what is not there is asked once"
    assert {call["model"] for made in proposals(here) for call in made["calls"]} == {"openai/dead", "openai/scripted"}


@pytest.mark.heavy
def test_the_model_that_gains_more_for_its_money_is_asked_more(toy: Checkout) -> None:
    """One goes up by 1, the other by a hundredth for ten times the price; each plan can be made again."""
    (toy.path / "knobs.py").write_text("A = 1.0\n\n\ndef value():\n    return A\n")

    def by(step: float) -> Callable[[int, list[dict[str, Any]]], Say]:
        def script(number: int, messages: list[dict[str, Any]]) -> Say:
            old = shown(messages)
            return Say(EDIT.format(old=old, new=f"{float(old) + step + number / 1e6:.6f}"))

        return script

    with ModelServer(by(1.0)) as good, ModelServer(by(0.01)) as poor:
        here = _checkout(toy, good, name="openai/good")
        config = here.path / "evogit.toml"
        config.write_text(config.read_text() + poor.table(name="openai/poor", price_in=100.0, price_out=1000.0))
        here.evogit("run", "--agent", "smith:2", "--run", "r", "--evals", "30")
    asked = proposals(here)
    shares = document(here, "plan", "--agent", "smith")["shares"]
    assert list(shares) == ["model"], "there is one prompt, and so nothing to choose"
    assert shares["model"]["openai/good"] > 0.8, "whoever was asked how often: a good one that is cheap has the most"
    choices = [made["choices"]["model"] for made in asked]
    assert all(choice["weights"] == {"openai/good": 1.0, "openai/poor": 1.0} for choice in choices)
    assert [choice["chosen"] for choice in choices] == [made["calls"][0]["model"] for made in asked]
    first = min(asked, key=lambda made: made["at"])
    assert first["choices"]["model"]["shares"] == {"openai/good": 0.5, "openai/poor": 0.5}, "nothing was known"
    assert "of the questions  model openai/good" in here.evogit("plan", "--agent", "smith", "--draws", "9").stdout
    assert "  asks with model openai/" in here.evogit("plan", "--agent", "smith").stdout
    _assert_chosen_again(here, asked)


def _assert_chosen_again(here: Checkout, asked: list[dict[str, Any]]) -> None:
    """Check on some plans that they are made again from what was known, with the same choices, and that these show."""
    edits = sorted((made for made in asked if made["outcome"] == "candidate"), key=lambda made: made["at"])
    for made in edits[::5]:
        again = document(here, "plan", "--replay", made["on"])
        assert again["same"]
        assert again["plan"]["chosen"] == {kind: choice["chosen"] for kind, choice in made["choices"].items()}
    said = here.evogit("show", edits[0]["on"]).stdout
    for kind, choice in edits[0]["choices"].items():
        assert f"chosen   {kind} {choice['chosen']} by its share of {choice['shares'][choice['chosen']]:.0%}" in said


@pytest.mark.heavy
def test_the_prompt_that_gains_more_is_used_more(toy: Checkout) -> None:
    """One of them is the repository's own; what it says is with the run, and the model listens to it."""
    (toy.path / "knobs.py").write_text("A = 1.0\n\n\ndef value():\n    return A\n")

    def script(number: int, messages: list[dict[str, Any]]) -> Say:
        old, step = shown(messages), 1.0 if "Be bold" in messages[1]["content"] else 0.0
        return Say(EDIT.format(old=old, new=f"{float(old) + step - number / 1e6:.6f}"))

    with ModelServer(script) as server:
        here = _checkout(toy, server)
        prompts = here.path / ".evogit" / "agents" / "prompts"
        prompts.mkdir()
        (prompts / "bold.md").write_text('Be bold, [do not] "hesitate":\n{{ files }}\n')
        definition = here.path / ".evogit" / "agents" / "smith.toml"
        definition.write_text(SMITH.replace('"refiner"', '["refiner", "bold"]'))
        here.evogit("run", "--agent", "smith:2", "--run", "r", "--evals", "24")
    asked = proposals(here)
    shares = document(here, "plan", "--agent", "smith")["shares"]
    assert list(shares) == ["prompt"], "there is one model, and so nothing to choose"
    assert shares["prompt"]["bold"] > 0.6, "even where the other was used once only"
    questions = [said["messages"][1]["content"] for said in server.asked]
    bold = sum(len(made["calls"]) for made in asked if made["choices"]["prompt"]["chosen"] == "bold")
    assert sum("Be bold" in question for question in questions) == bold
    _assert_chosen_again(here, asked)


@pytest.mark.heavy
def test_a_paid_proposal_outlives_its_agent(toy: Checkout) -> None:
    """Killed while it evaluates; the next start scores what was paid for, and asks for nothing in its place."""
    slow = "if knobs.A != 1.0 and not os.path.exists(GO): time.sleep(600)\n"
    go = toy.path.parent / "go"
    (toy.path / "bench.py").write_text(f"import os, time, knobs\nGO = {str(go)!r}\n{slow}{_BENCH}")
    with ModelServer(_better) as server:
        here = _checkout(toy, server)
        config = here.path / "evogit.toml"
        config.write_text(config.read_text().replace("timeout_s = 20", "timeout_s = 300"))
        started = here.start("run", "--agent", "smith", "--run", "r", "--evals", "2")
        deadline = time.monotonic() + 600
        while not proposals(here) and time.monotonic() < deadline:
            time.sleep(0.2)
        (made,) = proposals(here)
        children = subprocess.run(["pgrep", "-P", str(started.pid)], capture_output=True, text=True).stdout.split()
        for pid in (*map(int, children), started.pid):
            os.kill(pid, signal.SIGKILL)
        started.communicate()
        go.touch()
        before = len(server.asked)
        here.evogit("run", "--agent", "smith", "--run", "r", "--evals", "1")
        assert len(server.asked) == before
    scores = document(here, "show", made["on"])["scores"]
    assert [score["status"] for score in scores] == ["ok"]


@pytest.mark.heavy
def test_ctrl_c_does_not_wait_for_a_model(toy: Checkout) -> None:
    with ModelServer(lambda *_: Fault("hang")) as server:
        here = _checkout(toy, server, timeout_s=3000)
        started = here.start("run", "--agent", "smith", "--run", "r")
        deadline = time.monotonic() + 600
        while not server.asked and time.monotonic() < deadline:
            time.sleep(0.1)
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=600)
    assert started.returncode == 130
    assert [call["outcome"] for made in proposals(here) for call in made["calls"]] == ["cancelled"]


@pytest.mark.heavy
def test_check_says_whether_a_model_can_make_an_edit(toy: Checkout) -> None:
    with ModelServer(_better) as server:
        here = _checkout(toy, server)
        assert "10 USD in, 100 out for a million tokens" in here.evogit("agents", "check", "smith").stdout
        assert server.asked == []
        said = here.evogit("agents", "check", "smith", "--try", "--json").stdout
        done = json.loads(said)["said"]
        assert (done["calls"], done["usd"], done["edit"]) == (1, pytest.approx(0.02), "Raise A to 2.000")
    assert here.git("for-each-ref", "refs/evogit", "refs/notes/evogit") == ""


def test_a_repository_has_prompts_of_its_own(toy: Checkout) -> None:
    prompts = toy.path / ".evogit" / "agents" / "prompts"
    prompts.mkdir(parents=True)
    (prompts / "refiner.md").write_text('Make it "better":\n{{ files }}\n')
    told = document(toy, "agents", "show", "refiner")
    assert told["from"] == ".evogit/agents/prompts/refiner.md"
    assert told["keys"]["prompt"]["value"] == 'Make it "better":\n{{ files }}\n'
    several = prompts.parent / "several.toml"
    several.write_text(SMITH.replace('"refiner"', '[\n  "explorer",  # [bold]\n  "refiner",\n]'))
    told = document(toy, "agents", "show", "several")
    assert told["from"] == ".evogit/agents/several.toml and .evogit/agents/prompts/refiner.md"
    wanted = {"explorer": "explorer", "refiner": 'Make it "better":\n{{ files }}\n'}
    assert told["keys"]["prompt"]["value"] == wanted
    several.write_text(SMITH.replace('"refiner"', '{ quick = "Be quick: {{ files }}\\n", refiner = "refiner" }'))
    said = toy.evogit("agents", "show", "several", expect=2).stderr
    assert "several.toml: write `prompt`, which names 'refiner', as a list of names on lines of its own" in said


def test_offline_agents_import_no_litellm(toy: Checkout) -> None:
    program = "import sys; sys.argv = ['evogit', 'agent', 'tuner', '--run', 'r', '--evals', '4']\n"
    program += "from evogit.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    toy.evogit("run", "-n", "1", "--evals", "2", "--run", "r")
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=toy.path, env=toy.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {"litellm", "openai", "httpx"} & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('name = "a b"', "models[0].name is 'a b'"),
        ('name = "m"\nprice_in = 1', "models has one price for 'm'; set both"),
        ('name = "m"\napi_key = "sk-1"', "unknown key 'models[0].api_key'; did you mean 'api_key_env'?"),
        ('name = "m"\napi_base = "https://user:word@host/v1"', "models[0].api_base is "),
        ('name = "m"\n[[models]]\nname = "m"', "models names 'm' twice"),
    ],
)
def test_a_wrong_table_is_one_clear_error(table: str, said: str, toy: Checkout) -> None:
    (toy.path / "evogit.toml").write_text(f"{CONFIG}\n[[models]]\n{table}\n")
    assert said in toy.evogit("run", expect=2).stderr
