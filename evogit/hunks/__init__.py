"""Whole hunks as moves: taken over from another lineage, taken back, or left out where they do not matter."""

from evogit.hunks.difference import Differences
from evogit.hunks.donors import Donors
from evogit.hunks.minimize import Minimizer
from evogit.hunks.transplant import Transplanter

__all__ = ["Differences", "Donors", "Minimizer", "Transplanter"]
