"""Which sandbox there will be: the one that was asked for, or none at all; never a weaker one without a word.

Asked for none in particular, it is bubblewrap, and where that does not work Landlock, which hides less and says so.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evogit.errors import UsageError
from evogit.sandbox import slots
from evogit.sandbox.bubblewrap import Bubblewrap, Programs, Sight
from evogit.sandbox.landlock import Landlock
from evogit.sandbox.plain import Plain, Sandbox
from evogit.sandbox.probe import probe

AUTO, BWRAP, LANDLOCK, NONE = "auto", "bwrap", "landlock", "none"
KINDS = (AUTO, BWRAP, LANDLOCK, NONE)
_OLDEST, _TRIED = (0, 7), (0, 8)
_LIMIT_S = 10
WITHOUT = "--sandbox none --i-trust-this-code"
"""The options that do without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for; `where` names who did. `caller` is their environment.

    `trusted` allows to run candidates unconfined, `probed` says that another process has seen the sandbox hold just
    now. `secret` are folders to keep out of sight whatever else is shown, `read_only` is what every job sees beside its
    own.
    """

    kind: str
    where: str
    trusted: bool
    caller: Mapping[str, str]
    probed: bool = False
    secret: Sequence[Path] = ()
    read_only: Sequence[Path] = ()


def choose(wish: Wish) -> Sandbox:
    """Return the sandbox; the caller closes it.

    Raises:
        UsageError: there is no such kind, it is not to be had here, `none` was not trusted, or what is to be seen is
            not there.
    """
    if wish.kind not in KINDS:
        raise UsageError(f"{wish.where} is {wish.kind!r}; use {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if wish.kind == NONE:
        if not wish.trusted:
            raise UsageError(
                f"{wish.where} is none: candidates would run as you, with your files, keys and network in reach; "
                "say --i-trust-this-code as well (or EVOGIT_I_TRUST_THIS_CODE=1) if that is what you want"
            )
        return Plain()
    for path in wish.read_only:
        if not path.is_absolute() or not path.exists():
            raise UsageError(f"{str(path)!r} is to be seen in the sandbox, and is no absolute path of something there")
    try:
        return _confined(wish)
    except UsageError as error:
        raise UsageError(f"there is no sandbox: {error}; or run candidates unconfined: {WITHOUT}") from error


def _confined(wish: Wish) -> Sandbox:
    sight = Sight(homes=_homes(wish.caller), secret=wish.secret, read_only=wish.read_only)
    if wish.kind == LANDLOCK:
        return _proved(wish, Landlock(sight), "Landlock")
    try:
        return _proved(wish, Bubblewrap(_programs(wish.caller), sight), "bubblewrap")
    except UsageError as error:
        if wish.kind == BWRAP:
            raise
        try:
            return _proved(wish, Landlock(sight, instead=str(error)), "Landlock")
        except UsageError as other:
            raise UsageError(f"{error}; and in its place, {other}") from other


def _proved(wish: Wish, sandbox: Sandbox, name: str) -> Sandbox:
    """Return the sandbox that was tried, or close it."""
    reason: str | None = "the probe was broken off"
    try:
        reason = None if wish.probed else probe(sandbox)
    finally:
        if reason is not None:
            sandbox.close()
    if reason is not None:
        raise UsageError(f"{name} does not work here: {reason}")
    return sandbox


def _programs(caller: Mapping[str, str]) -> Programs:
    path = caller.get("PATH", os.defpath)
    bwrap, setpriv = (shutil.which(name, path=path) for name in ("bwrap", "setpriv"))
    if sys.platform != "linux":
        raise UsageError(f"bubblewrap needs Linux, and this is {sys.platform}")
    if bwrap is None:
        raise UsageError("bubblewrap is not installed; install it (apt install bubblewrap)")
    if setpriv is None and slots.are_there():
        raise UsageError("setpriv is not installed, which root needs; install it (apt install util-linux)")
    return Programs(bwrap=bwrap, setpriv=setpriv, version=_version(bwrap))


def _version(bwrap: str) -> tuple[int, ...]:
    """Return the version; a program that does not say is tried as if it were new enough.

    Raises:
        UsageError: it is too old.
    """
    try:
        said = subprocess.run([bwrap, "--version"], capture_output=True, env={}, timeout=_LIMIT_S).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{bwrap} does not start: {error}") from error
    version = tuple(map(int, re.findall(rb"\d+", said)[:3])) or _TRIED
    if version < _OLDEST:
        raise UsageError(f"{bwrap} is version {'.'.join(map(str, version))}, and 0.7 is needed; install a newer one")
    return version


def _homes(caller: Mapping[str, str]) -> list[Path]:
    """Return the home folders of who runs evogit, by all their names."""
    named = [caller.get("HOME", "")]
    with suppress(KeyError):
        named.append(pwd.getpwuid(os.getuid()).pw_dir)
    found = {Path(place) for name in named if os.path.isabs(name) for place in (name, os.path.realpath(name))}
    return sorted(found - {Path("/")})
