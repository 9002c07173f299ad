"""Asking language models: the only package that knows litellm, which runs in a process of its own."""

from evogit.llm.caller import Caller
from evogit.llm.messages import Completion, Failure, Known, Message, Trouble
from evogit.llm.models import Asked, Models
from evogit.llm.shares import BANDIT, order, shares
from evogit.llm.sharing import Shared, inherited
from evogit.llm.talk import Pause, Question, Said, Talk, lead

__all__ = [
    "BANDIT", "Asked", "Caller", "Completion", "Failure", "Known", "Message", "Models", "Pause", "Question", "Said",
    "Shared", "Talk", "Trouble", "inherited", "lead", "order", "shares",
]  # fmt: skip
