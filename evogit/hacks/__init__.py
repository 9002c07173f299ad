"""Candidates that are worth nothing and try to get a good score all the same; nothing here runs one."""

from evogit.hacks.corpus import CORPUS
from evogit.hacks.hack import Hack, Planted, Remedy, Subject

__all__ = ["CORPUS", "Hack", "Planted", "Remedy", "Subject"]
