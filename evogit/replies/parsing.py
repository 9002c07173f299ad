"""From a reply to an edit: the hypothesis before it, the edit in its format, and what is wrong with either."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from evogit.model import RepoPath
from evogit.replies import blocks, diffs, fences, functions, whole
from evogit.replies.fences import Part
from evogit.replies.formats import FORMATS, is_example
from evogit.replies.reply import MAX_BODY, MAX_PROBLEMS, MAX_REPLY, MAX_SUBJECT, Reply
from evogit.replies.texts import lines_of
from evogit.replies.workspace import Workspace

_THOUGHT = re.compile(r"\s*<(think|thinking|reasoning)>")
_THOUGHT_END = re.compile(r"^.*</think>[ \t]*$", re.MULTILINE)
"""Some models are made to begin a thought by their own template, so that only its end is in the reply."""
_SUBJECT = re.compile(r"[\s#*_>-]*(?:subject|hypothesis|title)[\s*_]*:[\s*_]*(.*)", re.IGNORECASE)
_LOST = {
    "blocks": "There is no search and replace block in the reply.",
    "function": "There is no function in a fence in the reply.",
    "file": "There is no file in a fence in the reply.",
    "diff": "There is no diff in a fence in the reply.",
}
_APPLY: Mapping[str, Callable[[Sequence[Part], Workspace], None]] = {
    "function": functions.apply, "file": whole.apply, "diff": diffs.apply,
}  # fmt: skip


def parse(text: str, *, format: str, files: Mapping[RepoPath, str]) -> Reply:
    """Return a model's reply, read as an edit of `files`: the text files it was shown, byte order marks and all.

    Whether agents may change these paths at all is not looked at here.

    Raises:
        KeyError: there is no such format; `FORMATS` has them.
    """
    if format not in FORMATS:
        raise KeyError(format)
    if len(text) > MAX_REPLY:
        return Reply("", "", None, [f"The reply has {len(text)} characters; at most {MAX_REPLY} are read."])
    answer = _without_thought(text)
    if answer is None:
        return Reply("", "", None, ["The reply was cut off before its answer; think less, and answer shorter."])
    if is_example(answer) and not any("def order(items)" in content for content in files.values()):
        return Reply("", "", None, ["This is the example of the instructions; change the files that you were shown."])
    lines = lines_of(answer)
    work = Workspace(files)
    if format == "blocks":
        began = blocks.apply(lines, work)
        said = lines if began is None else lines[:began]
    else:
        parts = list(fences.parts(lines))
        began = next((number for number, part in enumerate(parts) if not isinstance(part, str)), None)
        said = [part for part in parts[:began] if isinstance(part, str)]
        _APPLY[format](parts, work)
    if began is None:
        work.problems[:] = [_LOST[format]]
    subject, body = _hypothesis(said, is_before=began is not None)
    edit = work.result()
    return Reply(subject, body, edit, _told(work.problems))


def _without_thought(text: str) -> str | None:
    """Return a reply without what some models think aloud at its beginning; None when that never ends."""
    found = _THOUGHT.match(text)
    if found is None:
        ended = _THOUGHT_END.search(text)
        return text[ended.end() :] if ended else text
    _, end, answer = text.partition(f"</{found[1]}>")
    return answer if end else None


def _hypothesis(lines: Sequence[str], *, is_before: bool) -> tuple[str, str]:
    """Return the subject and the body among the lines before an edit."""
    said = [line.rstrip() for line in lines]
    if is_before:
        said = _without_heading(said)
    start = next((number for number, line in enumerate(said) if _SUBJECT.fullmatch(line)), None)
    if start is None:
        start = next((number for number, line in enumerate(said) if line.strip()), None)
    if start is None:
        return "", ""
    named = _SUBJECT.fullmatch(said[start])
    subject = " ".join((named[1] if named else said[start]).strip("#* ").split())
    body = "\n".join(said[start + 1 :]).strip()
    return _cut(subject, MAX_SUBJECT), _cut(body, MAX_BODY)


def _without_heading(lines: list[str]) -> list[str]:
    """Return the lines without what belongs to the edit at their end: the path of its first file, an open fence."""
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("```") or fences.path_of(lines[-1])):
        lines = lines[:-1]
    return lines


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _told(problems: Sequence[str]) -> list[str]:
    """Return the problems, each once; what comes of the first ones often is the rest."""
    once = list(dict.fromkeys(problems))
    more = len(once) - MAX_PROBLEMS
    return [*once[:MAX_PROBLEMS], *([f"There are {more} more such problems."] if more > 0 else [])]
