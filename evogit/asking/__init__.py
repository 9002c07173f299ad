"""Proposing by asking language models."""

from evogit.asking.proposer import ModelProposer, choose, count_tokens

__all__ = ["ModelProposer", "choose", "count_tokens"]
