"""The scorer: asks the model for the designer, which it never holds, and packs with the solver that comes of it.

What the solver makes of the held-back instances goes to the artifacts, which people see and no agent.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from instances import CAPACITY, bound, excess, instances
from trying import wrong

from evogit.evaluator import CandidateFailed, candidate, report

CALLS = 3
"""How many prompts of a candidate are answered."""
LONGEST = 4000
"""How many characters a prompt may have."""
ANSWER_S = 240
SMALL = {"sizes": [60, 50, 90, 40, 100, 20, 70, 30], "capacity": CAPACITY}


class NoModel(Exception):
    """The relay cannot be reached, or the model does not answer: not the candidate's fault."""


def ask(prompt: str) -> str:
    """Return the model's answer, by way of relay.py, whose socket stands in the carried folder.

    Raises:
        NoModel: there is none.
    """
    try:
        with socket.socket(socket.AF_UNIX) as relay:
            relay.settimeout(ANSWER_S)
            relay.connect("model/socket")
            with relay.makefile("rw", encoding="utf-8") as lines:
                lines.write(json.dumps({"prompt": prompt}) + "\n")
                lines.flush()
                answer = json.loads(lines.readline() or '{"error": "the relay hung up"}')
    except OSError as error:
        raise NoModel(f"model/socket: {error}; does relay.py run?") from None
    if "text" not in answer:
        raise NoModel(answer["error"])
    return str(answer["text"])


def designed() -> tuple[str, list[str]]:
    """Return the solver's source, and the answers it came of.

    Raises:
        CandidateFailed: the designer asks too much, or its result is no piece of an answer.
        NoModel: there is no answer.
    """
    answers: list[str] = []
    with candidate("trying:begin", "trying:reply") as (begin, reply):
        said = begin(SMALL)
        while isinstance(said, dict) and isinstance(said.get("ask"), str):
            if len(answers) == CALLS:
                raise CandidateFailed(f"the designer asks more than {CALLS} times")
            if len(said["ask"]) > LONGEST:
                raise CandidateFailed(f"a prompt has {len(said['ask'])} characters; {LONGEST} are allowed")
            answers.append(ask(said["ask"]))
            said = reply(answers[-1])
    source = said.get("solver") if isinstance(said, dict) else None
    if not isinstance(source, str) or not source.strip():
        raise CandidateFailed("the designer came to no solver" + shown(answers))
    if not any(source.strip() in answer for answer in answers):
        raise CandidateFailed("the solver is no piece of an answer: the model is to write it, not the designer")
    return source, answers


def shown(answers: list[str]) -> str:
    """Return the last answer, for the feedback."""
    return f"; the model's last answer:\n{answers[-1][:1500]}" if answers else ""


def packed(source: str, part: str) -> float:
    """Return the mean excess of a solver over the bound in percent, on the instances of a part.

    Raises:
        CandidateFailed: the solver fails, or packs wrongly.
    """
    wanted = instances(part)
    with candidate("trying:load", "trying:pack", timeout=20) as (load, pack):
        load(source)
        packings = pack.map([(sizes, CAPACITY) for sizes in wanted])
    for sizes, bins in zip(wanted, packings):
        if problem := wrong(sizes, CAPACITY, bins):
            raise CandidateFailed(f"the solver packs wrongly: {problem}")
    used = sum(len(set(bins)) for bins in packings)
    return excess(used, sum(map(bound, wanted)))


def held_back(source: str) -> str:
    """Return, in words, what a solver makes of instances that score nobody."""
    try:
        return f"{packed(source, 'held back'):.3f} % over the bound"
    except CandidateFailed as failure:
        return f"failed: {failure}"


def main() -> int:
    """Score the candidate; 125 says that it could not be tested."""
    try:
        source, answers = designed()
    except NoModel as why:
        print(why, file=sys.stderr)
        return 125
    try:
        value = packed(source, "scored")
    except CandidateFailed as failure:
        raise CandidateFailed(f"{failure}{shown(answers)}") from None
    left = Path(os.environ["EVOGIT_ARTIFACTS"])
    (left / "held_back").write_text(held_back(source))
    (left / "solver.py").write_text(source)
    report(value, metrics={"calls": len(answers)}, feedback=f"The solver:\n{source[:3000]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
