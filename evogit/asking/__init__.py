"""Proposing, and learning, by asking language models."""

from evogit.asking.choosing import Weights, all_shares, choose
from evogit.asking.proposer import ModelProposer, count_tokens
from evogit.asking.reflector import Reflection, Reflector

__all__ = ["ModelProposer", "Reflection", "Reflector", "Weights", "all_shares", "choose", "count_tokens"]
