"""Everything of Git's: the only importer of pygit2."""

from __future__ import annotations

import os

_CERTIFICATES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.path.dirname(__file__)}


def _import_pygit2() -> None:
    """Import pygit2 without the system's certificates.

    It reads all of them whenever it is imported, which takes half of the time of a short command, and cannot be
    imported where a machine has none. Nothing here asks libgit2 for a network: that is the git program's.
    """
    before = {name: os.environ.get(name) for name in _CERTIFICATES}
    os.environ.update(_CERTIFICATES)
    try:
        import pygit2  # noqa: F401
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_import_pygit2()
