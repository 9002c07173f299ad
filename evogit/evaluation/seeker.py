"""Looks for files by their content wherever it can read, which is inside a sandbox, from a worker's place.

It runs there on its own: its text is handed to an interpreter, and it knows nothing of evogit.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from itertools import islice

_SKIPPED = ("/proc", "/sys", "/dev", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc")
"""What every sandbox shows of the system."""
_MOST = 20


def seek(wanted: Mapping[str, int], sizes: frozenset[int]) -> Iterator[tuple[int, str]]:
    """Yield the numbers in `wanted` (by the SHA-256 of their content) of what is found, and where it is."""
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in _SKIPPED]
        for name in names:
            path = os.path.join(folder, name)
            try:
                status = os.lstat(path)
                if not stat.S_ISREG(status.st_mode) or status.st_size not in sizes:
                    continue
                with open(path, "rb") as file:
                    known = wanted.get(hashlib.sha256(file.read()).hexdigest())
            except OSError:
                continue
            if known is not None:
                yield known, path


if __name__ == "__main__":
    _plan = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(list(islice(seek(_plan["wanted"], frozenset(_plan["sizes"])), _MOST))))
