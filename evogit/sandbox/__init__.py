"""Launching a candidate's process, confining it, and leaving nothing of it behind; it knows nothing of candidates."""

from evogit.sandbox.choice import BWRAP, LANDLOCK, NONE, Wish, choose
from evogit.sandbox.companion import Companion
from evogit.sandbox.handed import Handed
from evogit.sandbox.job import MARK, Cancelled, Job, Outcome
from evogit.sandbox.launcher import Launcher
from evogit.sandbox.plain import Plain, Sandbox
from evogit.sandbox.tools import KEPT

__all__ = [
    "BWRAP", "KEPT", "LANDLOCK", "MARK", "NONE", "Cancelled", "Companion", "Handed", "Job", "Launcher", "Outcome",
    "Plain", "Sandbox", "Wish", "choose",
]  # fmt: skip
