"""From material to a question: a template's words around what fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NoReturn

import jinja2
from jinja2 import meta, sandbox
from jinja2.exceptions import SecurityError

from evogit.errors import ConfigError
from evogit.prompts.budget import Costs, fill
from evogit.prompts.material import Material
from evogit.prompts.sections import sections

_TRIES = 12
_MAX_TEMPLATE = 64 * 1024
_RUNTIME = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class _Sandbox(sandbox.ImmutableSandboxedEnvironment):
    """Templates are a repository's own and may be anybody's: no way to Python from them, and no endless text."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: object, right: object) -> NoReturn:
        raise SecurityError(f"{operator} is not for templates of prompts")


def build(material: Material, limit_tokens: int, count: Callable[[str], int], template: str) -> str:
    """Return a question of at most `limit_tokens` tokens, as `count` counts them.

    `template` is Markdown for Jinja; in it stand `goal`, `scores`, `instances`, `feedback`, `files`, `map`, `lineage`,
    `tried`, `inspirations`, `partners`, `conflicts` and `lessons`: texts, each empty where there is nothing to say or
    no room.

    Raises:
        ConfigError: the template is wrong, or not even a part of the first file, or of the first partner, fits beside
            its own words.
    """
    made, used = _compiled(template)
    every = sections(material)
    chosen = [section for section in every if section.name in used]
    needed = [name for name in ("files", "partners") if name in used and getattr(material, name)]
    empty = {section.name: "" for section in every}
    costs = Costs(count, limit_tokens)
    room = limit_tokens - count(_rendered(made, empty))
    for _ in range(_TRIES):
        if room <= 0:
            break
        filled = fill(chosen, room, costs)
        text = _rendered(made, {**empty, **filled})
        over = count(text) - limit_tokens
        if over <= 0 and all(filled.get(name) for name in needed):
            return text
        if over <= 0:
            break
        room = min(room - over, room * 9 // 10)
    raise ConfigError(
        f"a prompt of at most {limit_tokens} tokens has no room for the code to be changed; use a model with a longer "
        "context, or a shorter template"
    )


@lru_cache(maxsize=16)
def _compiled(template: str) -> tuple[jinja2.Template, frozenset[str]]:
    if len(template) > _MAX_TEMPLATE:
        raise ConfigError(f"a template of a prompt has {len(template)} characters; at most {_MAX_TEMPLATE} are allowed")
    environment = _Sandbox(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, cache_size=0
    )
    try:
        used = meta.find_undeclared_variables(environment.parse(template))
        return environment.from_string(template), frozenset(used)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"a template of a prompt, line {error.lineno}: {error.message}") from error


def _rendered(template: jinja2.Template, texts: Mapping[str, str]) -> str:
    try:
        return template.render(texts).strip() + "\n"
    except (jinja2.TemplateError, *_RUNTIME) as error:
        names = ", ".join(sorted(texts))
        raise ConfigError(f"a template of a prompt: {error}; there are {names}") from error
