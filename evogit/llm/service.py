"""The process that asks models, for one agent: it has litellm and the keys. One line of JSON in, one out.

Each question has a thread, so that none waits for another; what is said carries the question's number.
Not part of an agent: litellm takes seconds and 165 MB to import, starts threads, and waits in ways nobody can
interrupt; an agent ends this process instead. Among agents of one `evogit run` a `nursery` forks it, which has
imported litellm for all of them.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, BinaryIO

import msgspec

from evogit.llm import failures, keys
from evogit.llm.messages import Ask, Completion, Failure, Known, Line, Look, Message, Ready, Request, Told, Trouble
from evogit.model_table import ModelUse

_MAX_TEXT = 2 * 1024 * 1024
_MAX_TOKENS = 1_000_000_000
_BYTES_A_TOKEN = 3
"""Fewer than in any usual text, so that what is reckoned with it is rather too dear."""
_MAX_WORDS = 300
_SETTLED_S = 1.0
"""How long nothing is imported by a thread that is done with it."""


def main() -> None:
    """Answer until the other side closes the pipe."""
    out = hush()
    answer(imported(), out)


def hush() -> BinaryIO:
    """Return what answers are to be written to; what litellm prints goes where errors go."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def imported() -> Any:  # noqa: ANN401 - a module without types
    """Return litellm as it is to be used."""
    # Set before the import: it would ask the network for prices, and load a .env of any folder above.
    os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR")
    import litellm

    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.telemetry = False
    return litellm


def answer(litellm: Any, out: BinaryIO) -> None:  # noqa: ANN401
    """Answer what comes in as standard input until it ends."""
    mouth = _Mouth(out)
    mouth.say(Ready())
    read = msgspec.json.Decoder(Request).decode
    met: set[str] = set()
    with open(0, "rb", closefd=False) as questions:
        for line in questions:
            asked = read(line)
            # Nobody waits for a thread at the end: it may wait for ever.
            thread = threading.Thread(target=_serve, args=(litellm, mouth, asked), daemon=True)
            thread.start()
            if isinstance(asked, Ask) and asked.model.name not in met:
                met.add(asked.model.name)
                _let_import(thread)


def _let_import(thread: threading.Thread) -> None:
    """Wait until a question has imported what it needs.

    litellm imports hundreds of modules with the first question to a provider, in circles; a second thread that imports
    them at the same time may be given half of one.
    """
    known = -1
    while known != len(sys.modules) and thread.is_alive():
        known = len(sys.modules)
        thread.join(_SETTLED_S)


class _Mouth:
    """Says one whole line after another, whichever thread it comes from."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def say(self, line: Line) -> None:
        with self._lock:
            self._pipe.write(msgspec.json.encode(line) + b"\n")
            self._pipe.flush()


def _serve(litellm: Any, mouth: _Mouth, asked: Request) -> None:  # noqa: ANN401 - a module without types
    begun = time.monotonic()
    reply = _known(litellm, asked.model) if isinstance(asked, Look) else _answer(litellm, asked)
    mouth.say(Told(number=asked.number, seconds=time.monotonic() - begun, reply=reply))


def _answer(litellm: Any, asked: Ask) -> Completion | Failure:  # noqa: ANN401
    use = asked.model
    known = keys.secrets(os.environ, [use.api_key_env] if use.api_key_env else [])
    if use.api_key_env and not os.environ.get(use.api_key_env):
        return Failure(trouble=Trouble.AUTH, words=f"model {use.name}: the environment has no {use.api_key_env}")
    try:
        response = litellm.completion(
            model=use.name, messages=[msgspec.to_builtins(message) for message in asked.messages],
            num_retries=0, max_retries=0, timeout=use.timeout_s, **_settings(use),
        )  # fmt: skip
        return _read(litellm, use, asked.messages, response, known)
    except Exception as error:  # noqa: BLE001 - litellm passes on what any of its providers' clients raises
        return _failed(use, error, known)


def _settings(use: ModelUse) -> dict[str, object]:
    wanted = {
        "max_tokens": use.max_tokens, "temperature": use.temperature, "api_base": use.api_base,
        "api_key": os.environ.get(use.api_key_env) if use.api_key_env else None,
    }  # fmt: skip
    return {name: value for name, value in wanted.items() if value is not None}


def _failed(use: ModelUse, error: Exception, known: list[str]) -> Failure:
    kind = failures.trouble(error)
    said = " ".join(keys.without(str(error), known).split())[:_MAX_WORDS]
    if kind is Trouble.AUTH:
        # What servers say to a wrong key has parts of it.
        where = use.api_key_env or ", ".join(_missing(use)) or "the provider's variable"
        said = f"the key was refused or is missing (see {where})"
    return Failure(
        trouble=kind, words=f"model {use.name}: {kind.value}: {said}", retry_after_s=failures.retry_after(error)
    )


def _read(
    litellm: Any,  # noqa: ANN401
    use: ModelUse,
    messages: list[Message],
    response: Any,  # noqa: ANN401
    known: list[str],
) -> Completion | Failure:
    choices = getattr(response, "choices", None)
    choice = choices[0] if choices else None
    text = getattr(getattr(choice, "message", None), "content", None)
    if not isinstance(text, str):
        text = ""
    finish = str(getattr(choice, "finish_reason", "") or "")
    usage = getattr(response, "usage", None)
    into, out = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    usd = _cost(litellm, use, (into, out), messages, text)
    if found := _unfit(text, finish, known):
        words = f"model {use.name}: {found[1]}"
        return Failure(trouble=found[0], words=words, tokens_in=into, tokens_out=out, usd=usd)
    return Completion(text=text, is_whole=finish != "length", tokens_in=into, tokens_out=out, usd=usd)


def _unfit(text: str, finish: str, known: list[str]) -> tuple[Trouble, str] | None:
    """Return why an answer goes no further, or None."""
    if len(text) > _MAX_TEXT:
        return Trouble.MALFORMED, f"an answer of {len(text)} characters"
    if keys.holds(text, known):
        return Trouble.LEAK, "the answer had a key in it and was dropped"
    if finish == "content_filter":
        return Trouble.REFUSED, "the answer was withheld by a content filter"
    return None


def _tokens(usage: object, name: str) -> int | None:
    """Return a number of tokens as the server counted them; what cannot be one is not known."""
    found = getattr(usage, name, None)
    return found if isinstance(found, int) and 0 < found <= _MAX_TOKENS else None


def _cost(
    litellm: Any,  # noqa: ANN401
    use: ModelUse,
    counted: tuple[int | None, int | None],
    messages: list[Message],
    text: str,
) -> float | None:
    """Return what an answer cost in USD, reckoned from lengths where tokens are not known; None without a price."""
    known = _known(litellm, use)
    if known.usd_in is None or known.usd_out is None:
        return None
    sent = sum(len(message.content.encode("utf-8", "replace")) for message in messages)
    guess = sent // _BYTES_A_TOKEN + 1, len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN + 1
    into, out = (guess[i] if tokens is None else tokens for i, tokens in enumerate(counted))
    return round(into * known.usd_in + out * known.usd_out, 9)


def _known(litellm: Any, use: ModelUse) -> Known:  # noqa: ANN401
    try:
        info = litellm.get_model_info(use.name)
    except Exception:  # noqa: BLE001 - it raises what it likes for a model it does not know
        info = {}
    usd_in, usd_out = _price(info, "input_cost_per_token"), _price(info, "output_cost_per_token")
    if use.price_in is not None and use.price_out is not None:
        usd_in, usd_out = use.price_in / 1e6, use.price_out / 1e6
    window = info.get("max_input_tokens")
    return Known(
        usd_in=usd_in, usd_out=usd_out, missing=_missing(use),
        context_tokens=use.context_tokens or (window if isinstance(window, int) and window > 0 else None),
    )  # fmt: skip


def _price(info: Any, name: str) -> float | None:  # noqa: ANN401
    found = info.get(name)
    return float(found) if isinstance(found, int | float) and found >= 0 else None


def _missing(use: ModelUse) -> list[str]:
    """Return the variables a key is looked for in and is not."""
    if use.api_key_env:
        return [] if os.environ.get(use.api_key_env) else [use.api_key_env]
    import litellm

    try:
        found = litellm.validate_environment(use.name, api_base=use.api_base)
    except Exception:  # noqa: BLE001 - as above
        return []
    return [str(name) for name in found.get("missing_keys", []) if str(name).endswith("_KEY")]


if __name__ == "__main__":
    main()
