"""Comparing candidates where there is no number: who is asked, about which two, and what the answers come to."""

from evogit.judging.by_command import CommandJudge
from evogit.judging.by_model import ModelJudge
from evogit.judging.judge import Answer, Exhibit, Heard, Judge, Question
from evogit.judging.panel import Panel

__all__ = ["Answer", "CommandJudge", "Exhibit", "Heard", "Judge", "ModelJudge", "Panel", "Question"]
