"""`--sandbox` and `--i-trust-this-code`: which sandbox candidates of this call run in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from evogit.sandbox import NONE, Sandbox, Wish, choose
from evogit.store import user_git
from evogit.store.repository import Repository

_F = TypeVar("_F", bound=Callable[..., object])
_KIND, _TRUSTED, _PROBED = "evogit.sandbox", "evogit.trusted", "evogit.probed"
_YES = ("1", "true", "yes", "on")


def sandbox_options(function: _F) -> _F:
    """Add the options; they are kept with the call, for `sandbox`."""
    trusted = click.option(
        "--i-trust-this-code", is_flag=True, expose_value=False, callback=_keep(_TRUSTED),
        help="Allow candidates to run unconfined, with --sandbox none",
    )  # fmt: skip
    kind = click.option(
        "--sandbox", metavar="KIND", expose_value=False, callback=_keep(_KIND),
        help="What confines candidates: bwrap (bubblewrap), landlock, none, or auto: bwrap, else landlock, "
        "else nothing is run",
    )  # fmt: skip
    return kind(trusted(function))


def probed_option(function: _F) -> _F:
    """Add the option by which `evogit run` tells its agents that it has seen the sandbox hold."""
    return click.option("--probed", is_flag=True, hidden=True, expose_value=False, callback=_keep(_PROBED))(function)


def sandbox(repo: Repository) -> Sandbox:
    """Return the sandbox that was asked for; who launches in it closes it.

    The option wins over EVOGIT_SANDBOX, and that over `git config evogit.sandbox`.

    Raises:
        UsageError: there is no such kind, it is not to be had here, or `none` was not trusted.
    """
    name, where = _asked(repo)
    return choose(
        Wish(
            kind=name, where=where, trusted=name == NONE and _is_trusted(repo), caller=os.environ,
            probed=bool(_kept(_PROBED)), secret=(repo.common,),
            read_only=_read_only(repo) if name != NONE else (),
        )
    )  # fmt: skip


def given() -> list[str]:
    """Return the options of this call, for another process of ours."""
    name = _kept(_KIND)
    return [*([f"--sandbox={name}"] if name else []), *(["--i-trust-this-code"] if _kept(_TRUSTED) else [])]


def decided(chosen: Sandbox) -> list[str]:
    """Return the options that give another process of ours the same sandbox, which held here."""
    return [f"--sandbox={chosen.kind}", "--i-trust-this-code" if chosen.kind == NONE else "--probed"]


def _asked(repo: Repository) -> tuple[str, str]:
    """Return the kind that was asked for, and where."""
    if found := _kept(_KIND):
        return str(found), "--sandbox"
    if found := os.environ.get("EVOGIT_SANDBOX"):
        return found, "EVOGIT_SANDBOX"
    return _configured(repo, "evogit.sandbox") or "auto", "git config evogit.sandbox"


def _is_trusted(repo: Repository) -> bool:
    said = os.environ.get("EVOGIT_I_TRUST_THIS_CODE")
    if _kept(_TRUSTED) or said is not None:
        return bool(_kept(_TRUSTED)) or (said or "").lower() in _YES
    return _configured(repo, "evogit.iTrustThisCode").lower() in _YES


def _read_only(repo: Repository) -> list[Path]:
    """Return what the user wants every candidate to see: data and tools that are not found by themselves."""
    said = os.environ.get("EVOGIT_SANDBOX_READ") or _configured(repo, "evogit.sandboxRead")
    return [Path(os.path.normpath(name)) for name in said.split(os.pathsep) if name]


def _configured(repo: Repository, key: str) -> str:
    return user_git.run(repo, ["config", "--default", "", "--get", key], os.environ).decode("utf-8", "replace").strip()


def _keep(name: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def keep(ctx: click.Context, _: click.Parameter, value: object) -> None:
        ctx.meta[name] = value

    return keep


def _kept(name: str) -> object:
    return click.get_current_context().meta.get(name)
