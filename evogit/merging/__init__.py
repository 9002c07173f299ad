"""Merging as crossover: which lineages to bring together, and how."""

from evogit.merging.combine import Combined, combine
from evogit.merging.pairs import Mates

__all__ = ["Combined", "Mates", "combine"]
