"""All hacks, in the order they are tried."""

from __future__ import annotations

from collections.abc import Sequence

from evogit.hacks import beside, inside, returned, runner, shell
from evogit.hacks.hack import Hack

CORPUS: Sequence[Hack] = (*returned.HACKS, *inside.HACKS, *runner.HACKS, *beside.HACKS, *shell.HACKS)
