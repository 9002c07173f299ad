"""Proposing, and learning, by asking language models."""

from evogit.asking.choosing import Weights, all_shares, choose
from evogit.asking.flights import Flights, Landed
from evogit.asking.proposer import ModelProposer, count_tokens
from evogit.asking.reflector import Reflection, Reflector

__all__ = [
    "Flights", "Landed", "ModelProposer", "Reflection", "Reflector", "Weights", "all_shares", "choose", "count_tokens",
]  # fmt: skip
