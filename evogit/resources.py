"""The data files that ship with evogit: agent definitions and templates of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from evogit.errors import EvogitError

_PACKAGE = Path(__file__).parent


def bundled(folder: str) -> Path:
    """Return the directory of shipped data called `folder`: in the wheel, else in a source checkout.

    Raises:
        EvogitError: the installation lacks it.
    """
    installed = _PACKAGE / "_bundled" / folder
    if installed.is_dir():
        return installed
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / folder).is_dir():
        return checkout / folder
    raise EvogitError(f"this installation of evogit lacks its {folder!r} data; install it again")


@cache
def definitions() -> Mapping[str, bytes]:
    """Return the text of each agent definition that ships with evogit, by name.

    Raises:
        EvogitError: the installation lacks them.
    """
    return {path.stem: path.read_bytes() for path in sorted(bundled("agents").glob("*.toml"))}


@cache
def reflection() -> str:
    """Return the template of the question what is to be learned.

    Raises:
        EvogitError: the installation lacks it.
    """
    return (bundled("agents") / "reflection.md").read_text("utf-8")


@cache
def prompts() -> Mapping[str, str]:
    """Return each template of a prompt that ships with evogit, by name.

    Raises:
        EvogitError: the installation lacks them.
    """
    folder = bundled("agents") / "prompts"
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.md"))}
