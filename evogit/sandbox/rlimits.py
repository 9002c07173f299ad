"""The limits that the kernel keeps, of each process or of all of a user."""

from __future__ import annotations

import resource
from collections.abc import Mapping

from evogit.sandbox.job import Limits

_LOCKED_MB = 8


def of(limits: Limits, processes: int) -> Mapping[int, int]:
    """Return the value of each limit by its number, where its user may have so many processes."""
    return {
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: _LOCKED_MB << 20,
        **({} if limits.disk_mb is None else {resource.RLIMIT_FSIZE: limits.disk_mb << 20}),
    }
