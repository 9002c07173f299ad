"""All hacks, in the order they are tried."""

from __future__ import annotations

from collections.abc import Sequence

from evogit.hacks import beside, inside, runner, shell
from evogit.hacks.hack import Hack

CORPUS: Sequence[Hack] = (*inside.HACKS, *runner.HACKS, *beside.HACKS, *shell.HACKS)
