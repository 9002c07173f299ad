"""The data files that ship with evogit: agent definitions."""

from __future__ import annotations

from pathlib import Path

from evogit.config import Definition, parse_definition
from evogit.errors import ConfigError, EvogitError

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


def definition(name: str) -> Definition:
    """Return the shipped agent definition called `name`.

    Raises:
        ConfigError: there is none of that name, or it is not valid.
    """
    known = sorted(path.stem for path in bundled("agents").glob("*.toml"))
    if name not in known:
        raise ConfigError(f"no agent definition {name!r}; there are: {', '.join(known)}")
    path = bundled("agents") / f"{name}.toml"
    return parse_definition(path.read_bytes(), where=str(path))
