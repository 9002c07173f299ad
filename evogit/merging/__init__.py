"""Merging as crossover: which lineages to bring together, and how."""

from evogit.merging.combine import Combined, Hunk, combine, conflicts, meeting_point
from evogit.merging.pairs import Mates

__all__ = ["Combined", "Hunk", "Mates", "combine", "conflicts", "meeting_point"]
