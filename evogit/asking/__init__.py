"""Proposing by asking language models."""

from evogit.asking.choosing import Weights, all_shares, choose
from evogit.asking.proposer import ModelProposer, count_tokens

__all__ = ["ModelProposer", "Weights", "all_shares", "choose", "count_tokens"]
