"""The files a reply is applied to: a copy that is given back only when nothing went wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from evogit import marked
from evogit.model import RepoPath
from evogit.replies.reply import MAX_STEPS
from evogit.replies.texts import Text


class Workspace:
    """A copy of the files, changed in steps; each step that cannot be done leaves a sentence in `problems`."""

    def __init__(self, files: Mapping[RepoPath, str]) -> None:
        self.problems: list[str] = []
        self._before = files
        self._steps = 0
        self._texts: dict[RepoPath, Text] = {}
        self._gone: set[RepoPath] = set()

    def is_spent(self) -> bool:
        """Count a step that is about to be done; return whether there were too many, which is a problem."""
        self._steps += 1
        if self._steps == MAX_STEPS + 1:
            self.problems.append(f"The edit has more than {MAX_STEPS} parts; change less at once.")
        return self._steps > MAX_STEPS

    @property
    def paths(self) -> list[RepoPath]:
        """The files as they are now, those that are there from the beginning first."""
        return [path for path in dict.fromkeys([*self._before, *self._texts]) if path not in self._gone]

    def has(self, path: str) -> bool:
        """Return whether there is such a file now."""
        known = RepoPath(path)
        return known not in self._gone and (known in self._texts or known in self._before)

    def find(self, name: str) -> RepoPath | None:
        """Return the file a model means by a name: that of the path, or the only one whose path ends so."""
        for path in dict.fromkeys((name, plain(name))):
            if self.has(path):
                return RepoPath(path)
        ending = [path for path in self.paths if path.endswith("/" + plain(name))]
        return ending[0] if len(ending) == 1 else None

    def need(self, name: str) -> RepoPath | None:
        """Return as `find` does; where there is no such file, that is a problem."""
        found = self.find(name)
        if found is None:
            near = difflib.get_close_matches(name[:300], self.paths[:2000], n=3, cutoff=0.4) or self.paths[:3]
            instead = f"; there are {listed(near)}" if near else ""
            self.problems.append(f"There is no file {shown(name)} among those that may be changed{instead}.")
        return found

    def text(self, path: RepoPath) -> Text:
        """Return a file as it is now."""
        return self._texts.get(path) or Text.of(self._before[path])

    def put(self, path: RepoPath, text: Text) -> None:
        """Give a file another text."""
        self._texts[path] = text

    def create(self, name: str, lines: Sequence[str]) -> None:
        """Make a new file; it is a problem when there is one."""
        path = RepoPath(plain(name))
        if self.has(path):
            self.problems.append(f"{shown(path)} is there already; change it, or choose another name.")
            return
        self._gone.discard(path)
        self._texts[path] = Text(tuple(lines), ("\n",) * len(lines))

    def delete(self, name: str) -> None:
        """Let a file go."""
        path = self.need(name)
        if path is not None:
            self._texts.pop(path, None)
            self._gone.add(path)

    def rename(self, name: str, to: str) -> None:
        """Give a file, as it is now, another path."""
        path, new = self.need(name), RepoPath(plain(to))
        if path is None or path == new:
            return
        if self.has(new):
            self.problems.append(f"{shown(path)} cannot be renamed: there is a {shown(new)} already.")
            return
        text = self.text(path)
        self._texts.pop(path, None)
        self._gone.add(path)
        self._gone.discard(new)
        self._texts[new] = text

    def result(self) -> Mapping[RepoPath, bytes | None] | None:
        """Return all that is another now, or None when there is a problem: nothing at all has changed, for one."""
        edit: dict[RepoPath, bytes | None] = {path: None for path in self._gone if path in self._before}
        for path, text in self._texts.items():
            content = _encoded(text.whole)
            if content is None:
                self.problems.append(f"{shown(path)} would hold a NUL or half a character pair; write plain text.")
            elif not text.lines and self._before.get(path):
                self.problems.append(
                    f"Nothing would be left in {shown(path)}; a file that is to go is deleted by name."
                )
            elif text.whole != self._before.get(path):
                edit[path] = content
        for path, new in edit.items():
            before = self._before.get(path)
            reason = before is not None and marked.refusal(before.encode("utf-8", "surrogatepass"), new)
            if reason:
                self.problems.append(f"{shown(path)}: {reason}.")
        if not self.problems and not edit:
            self.problems.append("The files would be what they are: the reply changes nothing.")
        if self._before and not self.paths:
            self.problems.append("No file would be left.")
        return None if self.problems else edit


def plain(name: str) -> str:
    """Return a path as Git has it: without `./` before it."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def shown(name: str) -> str:
    """Return a name for a sentence, whatever is in it."""
    kept = "".join(sign if sign.isprintable() and sign != "`" else "?" for sign in name[:200])
    return f"`{kept}`"


def listed(names: Sequence[str]) -> str:
    """Return some names for a sentence."""
    return ", ".join(map(shown, names))


def _encoded(content: str) -> bytes | None:
    try:
        found = content.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return None if b"\0" in found else found
