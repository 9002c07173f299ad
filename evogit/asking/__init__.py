"""Proposing by asking language models."""

from evogit.asking.proposer import ModelProposer, count_tokens

__all__ = ["ModelProposer", "count_tokens"]
