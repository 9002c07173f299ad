"""What a model answers, read as an edit of files: whole, or not at all."""

from evogit.replies.formats import EXAMPLE_PATH, FORMATS, instructions
from evogit.replies.parsing import parse
from evogit.replies.reply import Reply
from evogit.replies.texts import decoded

__all__ = ["EXAMPLE_PATH", "FORMATS", "Reply", "decoded", "instructions", "parse"]
