"""Measuring one tree: export it, launch the user's commands on it, and read the result strictly."""

from evogit.evaluation.meter import CommandMeter, Context, Meter
from evogit.evaluation.results import parse_result

__all__ = ["CommandMeter", "Context", "Meter", "parse_result"]
