"""Runs a tool once on a parent, in a repository of the tool's own, and makes an edit of what it changed there."""

from __future__ import annotations

import base64
import os
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from evogit import edits
from evogit.command_table import BY_ACP, CommandKeys
from evogit.errors import ConfigError, StorageError
from evogit.model import CommitId, Edit, RepoPath, TreeId
from evogit.proposers.command import prompt, tries, usage
from evogit.proposers.command.conversation import Told, converse
from evogit.proposers.command.taking import taking
from evogit.proposers.command.tool import Places, Tool
from evogit.proposers.command.tries import Tries
from evogit.proposers.command.usage import Usage
from evogit.proposers.protocol import Answer, Request, Resting
from evogit.proposers.subjects import clean, place, told, told_at_length
from evogit.records import Call
from evogit.sandbox import MARK, Job, Launcher, Outcome
from evogit.store import disposable, leaks, leavings
from evogit.store.commits import plain_text
from evogit.store.export import empty_folder, remove
from evogit.store.leavings import Leavings
from evogit.store.repository import Repository
from evogit.store.task import Task
from evogit.store.trees import Entry

_KEPT_OUTPUT = 4 * 1024 * 1024
_WHY = 200
_BODY = 2000
_CUT_SHORT = ("failed", "stopped", "timeout")
"""Outcomes of a run that did not come to its end, and may have said nothing for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Where and for whom tools run: `folder` is theirs, `caller` the environment of who runs evogit."""

    repo: Repository
    task: Task
    folder: Path
    launcher: Launcher
    caller: Mapping[str, str]


class Command:
    """Proposes what a tool makes of a parent."""

    def __init__(self, keys: CommandKeys, workshop: Workshop) -> None:
        self.tool = Tool(keys, workshop.caller)
        self._keys, self._shop = keys, workshop
        folder = workshop.folder
        self._places = Places(
            work=folder / "work", home=folder / "home", temporary=folder / "tmp", prompt=folder / "task" / "task.md"
        )

    def propose(self, request: Request, rng: Random) -> Answer | Resting | None:
        """Return what came of running the tool on the request's parent; nothing is run when the budget is spent.

        Raises:
            Cancelled: the caller wants to stop; the tool was ended.
        """
        if request.parent is None or request.family is None:
            return None
        if request.left_usd() <= 0:
            return Resting()
        try:
            text = prompt.write(
                self._shop.repo, self._shop.task, request.family, request.parent, request.feedback,
                tries=self._keys.tries, program=tries.program(self._shop.folder),
            )  # fmt: skip
            answer = self.run(request.parent, text, [file.path for file in request.files], self._scorer(request))
            return self._within_budget(answer, request)
        except (OSError, StorageError) as error:
            why = self._shown(f"failed: {self.tool.name} could not be run: {error}")
            return Answer(calls=[Call(model=self._model, outcome="failed", seconds=0.0)], why=why)
        finally:
            self._clear()

    def _within_budget(self, answer: Answer, request: Request) -> Answer:
        """Return the answer; where there is a budget and the tool came to its end without a word of cost, an error."""
        (call,) = answer.calls
        if call.usd is not None or call.outcome in _CUT_SHORT or request.left_usd() == float("inf"):
            return answer
        fatal = ConfigError(
            f"{self.tool.name} does not say what its calls cost, so no budget can hold: leave the budget out, or use a "
            "tool that says it"
        )
        return Answer(calls=answer.calls, why=str(fatal), fatal=fatal)

    @property
    def _model(self) -> str:
        return (self._keys.model or self.tool.name)[:256]

    def _scorer(self, request: Request) -> Callable[[Edit], Mapping[str, object]]:
        """Return what has an edit of the request's parent measured, and says what the tool is told of it."""

        def score(edit: Edit) -> Mapping[str, object]:
            said = request.attempt(edit, self._model)
            family, parent = request.family, request.parent
            before = family.value(parent) if family and parent else None
            if isinstance(said, str) or family is None or before is None:
                return tries.told(said)
            return tries.told(said, better=said.value is not None and family.snapshot.is_better(said.value, before))

        return score

    def run(
        self, parent: CommitId, text: str, files: list[RepoPath],
        score: Callable[[Edit], Mapping[str, object]] | None = None,
    ) -> Answer:  # fmt: skip
        """Run the tool with a task on a commit; what it leaves stays until the next time.

        With `score`, which measures an edit and says what the tool hears of it, the tool may ask for that as often as
        its definition says. The seconds this takes are none of its time.

        Raises:
            Cancelled: the caller wants to stop.
            OSError, StorageError: the tool cannot be started, or not be given what it works on.
        """
        shop, definition = self._shop, self._shop.task.definition
        start = self._prepare(parent, text)
        before = disposable.files(shop.repo, definition, TreeId(str(shop.repo.commit(parent).tree_id)))
        asked = self._tries(before, start, score) if score else None
        try:
            told = self._tell(self._job(text, files, asked), text, asked.look if asked else None)
        finally:
            if asked:
                asked.close()
        answer = told.why or self._left(before, start, told.said)
        edit = answer if isinstance(answer, Edit) else None
        why = "" if isinstance(answer, Edit) else self._shown(answer)
        calls = [self._call(told, "ok" if edit else why.partition(":")[0])]
        return Answer(calls=calls, edit=edit, why=why)

    def _tell(self, job: Job, text: str, meanwhile: Callable[[], float] | None) -> Told:
        """Let the tool work to its end, in the way it is told of its task."""
        if self._keys.prompt_by == BY_ACP:
            return converse(self._shop.launcher, job, self.tool.name, text, meanwhile)
        outcome = self._shop.launcher.launch(job, meanwhile=meanwhile)
        return Told(self._failure(outcome), usage.read(outcome.output), outcome.seconds)

    def _tries(
        self, before: Mapping[bytes, Entry], start: CommitId, score: Callable[[Edit], Mapping[str, object]]
    ) -> Tries | None:
        def attempt(number: int) -> Mapping[str, object]:
            edit = self._left(before, start, Usage(), number)
            return tries.told(edit) if isinstance(edit, str) else score(edit)

        return Tries(self._shop.folder, self._keys.tries, attempt) if self._keys.tries else None

    def _prepare(self, parent: CommitId, text: str) -> CommitId:
        """Make all folders anew, and return the commit that the tool starts from."""
        shop, places = self._shop, self._places
        self._clear()
        for folder in (places.home, places.temporary, places.prompt.parent):
            empty_folder(folder)
        start = disposable.make(
            shop.repo, shop.task.definition, places.work, parent,
            history=self._keys.history, owner=shop.launcher.owner,
        )  # fmt: skip
        places.prompt.write_text(text, encoding="utf-8", errors="replace")
        for name, content in self.tool.home_files().items():
            path = places.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        if shop.launcher.owner is not None:
            disposable.hand_over(places.home, shop.launcher.owner)
        return start

    def _clear(self) -> None:
        remove(os.fsencode(self._shop.folder))

    def _job(self, text: str, files: list[RepoPath], asked: Tries | None) -> Job:
        places, keys = self._places, self._keys
        environment = {**self.tool.environment(places), MARK: str(self._shop.folder.parent / "result.json")}
        if asked:
            environment["PATH"] = f"{asked.desk}{os.pathsep}{environment['PATH']}"
        return Job(
            argv=self.tool.arguments(places, text, files),
            cwd=places.work,
            environment=environment,
            timeout_s=keys.time_limit_s,
            writable=(places.home, places.temporary, *((asked.asked,) if asked else ())),
            read_only=(places.prompt.parent, *((asked.desk,) if asked else ())),
            memory_mb=keys.memory_mb,
            network=keys.network,
            tool=self.tool.program,
            input=places.prompt if keys.prompt_by == "stdin" else None,
            kept=_KEPT_OUTPUT,
        )

    def _failure(self, outcome: Outcome) -> str:
        """Return why nothing is taken of what it did, in words, or nothing."""
        if outcome.stopped:
            return f"stopped: {outcome.stopped}"
        if outcome.exit_code is None:
            return f"timeout: {self.tool.name} was not done after {self._keys.time_limit_s:g} s"
        if outcome.exit_code:
            last = outcome.output.decode("utf-8", "replace").strip().rpartition("\n")[2]
            return f"failed: {self.tool.name} ended with exit code {outcome.exit_code}: {last}"
        return ""

    def _left(self, before: Mapping[bytes, Entry], start: CommitId, said: Usage, number: int = 0) -> Edit | str:
        """Return what stands in the tool's folder as an edit, or why it is none; `number` is that of a try."""
        shop, definition = self._shop, self._shop.task.definition
        wanted = taking(shop.repo, definition, before, self._keys.droppings)
        try:
            return self._edit(leavings.read(self._places.work, before, wanted), before, start, said, number)
        except ValueError as error:
            return f"refused: {error}"

    def _edit(
        self, found: Leavings, before: Mapping[bytes, Entry], start: CommitId, said: Usage, number: int
    ) -> Edit | str:
        if not found.files:
            left = f"; left out {'; '.join(found.left_out[:3])}" if found.left_out else ""
            return f"no change: {self.tool.name} changed nothing that may be changed{left}"
        if all(content is None for content in found.files.values()):
            kept = [path for path in before if path not in found.files and self._shop.task.definition.is_editable(path)]
            if not kept:
                return "refused: it deleted every file that may be changed"
        for path, content in found.files.items():
            if content is not None and (kind := self._leak(content, _old(self._shop.repo, before, path))):
                return f"refused: {_name(path)} looks as if it holds {kind}"
        made = leavings.messages(self._places.work, start)
        edit = Edit(
            files={_name(path): content for path, content in found.files.items()},
            subject=self._subject(found, made, said, number),
            body=self._body(made),
            executable=frozenset(_name(path) for path in found.executable),
        )
        old = {path: _old(self._shop.repo, before, path) for path in found.files}
        known = {_name(path): old.get(path, b"") for path in before}
        refused = edits.refusal(edit, self._shop.task.definition, known)
        return f"refused: {refused}" if refused else edit

    def _subject(self, found: Leavings, made: Sequence[str], said: Usage, number: int) -> str:
        """Return the subject of its newest commit, or its own summary, or the names of what it changed."""
        more = f" (and {len(made) - 1} more)" if len(made) > 1 else ""
        first = made[0].partition("\n")[0] if made else ""
        shown = self._shown(first + more if first.strip() else said.summary)
        if shown and not self._leak(shown.encode("utf-8", "replace")):
            return told(shown)
        names = sorted(_name(path) for path in found.files)
        more = f" and {len(names) - 1} more files" if len(names) > 1 else ""
        return f"Change {place(names[0], 40)}{more}" + (f" (try {number})" if number else "")

    def _body(self, made: Sequence[str]) -> str:
        """Return the rest of the message of its newest commit; nothing where that may hold a key."""
        words = made[0].partition("\n")[2].strip()[:_BODY] if made else ""
        return "" if self._leak(words.encode("utf-8", "replace")) else told_at_length(words)

    def _leak(self, content: bytes, known: bytes = b"") -> str | None:
        for secret in self.tool.secrets():
            if any(form in content for form in _forms(secret)):
                return "a key of the tool's"
        return leaks.found(content, known)

    def _shown(self, text: str) -> str:
        """Return words of a stranger on one line, without keys, cut."""
        line = clean(plain_text(text), 10 * _WHY)
        for secret in self.tool.secrets():
            line = line.replace(secret, "…")
        return "words left out: they look as if they hold a key" if self._leak(line.encode()) else line[:_WHY]

    def _call(self, told: Told, word: str) -> Call:
        said = told.said
        return Call(
            model=self._model, outcome=word, seconds=round(told.seconds, 3),
            tokens_in=said.tokens_in, tokens_out=said.tokens_out, usd=said.usd,
        )  # fmt: skip


def _forms(secret: str) -> list[bytes]:
    raw = secret.encode()
    return [raw, base64.b64encode(raw).rstrip(b"="), urllib.parse.quote(secret, safe="").encode()]


def _old(repo: Repository, before: Mapping[bytes, Entry], path: bytes) -> bytes:
    entry = before.get(path)
    return repo.content(entry.id, "blob") if entry else b""


def _name(path: bytes) -> RepoPath:
    return RepoPath(path.decode("utf-8", "surrogateescape"))
