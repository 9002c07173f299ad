"""Tools that edit code by themselves, coding agents above all, as a proposer: run apart, and read as strangers."""

from evogit.proposers.command.proposer import Command, Workshop
from evogit.proposers.command.tool import Tool

__all__ = ["Command", "Tool", "Workshop"]
