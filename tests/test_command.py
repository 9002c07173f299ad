"""Tools as proposers: what they are given, what is taken of what they leave, how far they reach."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cage import run_as_nobody, why_not
from conftest import CONFIG, Checkout
from fingerprint import fingerprint
from workshops import TOOL, Workshops, table

from evogit import config
from evogit.errors import ConfigError
from evogit.model import Edit, RepoPath
from evogit.proposers.command import usage
from evogit.proposers.protocol import Answer

_KEY = "canary-9f8e7d6c5b4a"
_WIDE = CONFIG.replace('editable = ["knobs.py"]', 'editable = ["knobs.py", "lib/**"]')
_KINDS = ("none", "bwrap", "landlock")
Run = Callable[..., Answer]


@pytest.fixture
def repo(toy: Checkout) -> Checkout:
    """A repository where more than one file may be changed, with some history."""
    (toy.path / "lib").mkdir()
    (toy.path / "lib" / "data.txt").write_text("one\n")
    (toy.path / ".gitignore").write_text("build/\n")
    (toy.path / "evogit.toml").write_text(_WIDE)
    toy.commit("Widen")
    return toy


@pytest.fixture
def run(repo: Checkout, tmp_path: Path) -> Iterator[Run]:
    """What runs a shell script as the tool on HEAD, confined as asked, and returns the answer."""
    shops = Workshops(tmp_path / "shop" / "tool")

    def run(script: str, kind: str = "none", caller: dict[str, str] | None = None, **keys: object) -> Answer:
        return shops.run(repo, _definition(script, **keys), kind, caller=caller)

    yield run
    shops.close()


def _definition(script: str, **keys: object) -> str:
    """Return a definition whose tool is a shell script, which gets its task on standard input."""
    return table({**TOOL, "command": ["sh", "-c", script], "prompt_by": "stdin", **keys})


def _edit(answer: Answer) -> Edit:
    assert answer.edit is not None, answer.why
    return answer.edit


@pytest.mark.parametrize("kind", _KINDS)
def test_what_it_changes_is_the_edit(run: Run, kind: str) -> None:
    """Changed, new, deleted, executable; its own summary is the subject."""
    answer = run(
        "sed -i 's/1.0/3.0/' knobs.py; rm lib/data.txt; mkdir -p lib/deep; echo x > lib/deep/new.py;"
        "echo '#!/bin/sh' > lib/tool; chmod +x lib/tool; echo 'Summary: Raise A, and more'",
        kind,
    )
    edit = _edit(answer)
    assert set(edit.files) == {"knobs.py", "lib/data.txt", "lib/deep/new.py", "lib/tool"}
    assert (edit.files[RepoPath("knobs.py")] or b"").startswith(b"A = 3.0\n")
    assert edit.files[RepoPath("lib/data.txt")] is None
    assert edit.executable == {"lib/tool"}
    assert edit.subject == "Raise A, and more"
    (call,) = answer.calls
    assert (call.model, call.outcome, call.tokens_in, call.usd) == ("sh", "ok", None, None)


def test_it_gets_the_task_as_asked_for(run: Run) -> None:
    for prompt_by, script in (("stdin", "cat"), ("file", "cat {prompt_file}"), ("argument", "echo '{prompt}'")):
        edit = _edit(run(f"{script} > lib/said.txt", prompt_by=prompt_by))
        assert (edit.files[RepoPath("lib/said.txt")] or b"").strip() == b"The task"


@pytest.mark.parametrize("kind", _KINDS)
def test_its_commits_are_one_candidate_with_their_message(run: Run, kind: str) -> None:
    commit = "sed -i 's/= {}/= {}/' knobs.py; git add -A; git commit -qm '{}'; "
    one = _edit(run(commit.format("1.0", "2.0", "Raise A, and say why"), kind))
    assert one.subject == "Raise A, and say why"
    assert one.body == ""
    more = "Since it is low. Closes #1, thanks @ada.\n\nSigned-off-by: Eve <eve@example.invalid>"
    with_body = _edit(run(commit.format("1.0", "2.0", f"Raise A\n\n{more}"), kind))
    assert (with_body.subject, with_body.body.partition("\n")[0]) == (
        "Raise A",
        "Since it is low. Closes # 1, thanks @ ada.",
    )
    two = _edit(run(commit.format("1.0", "2.0", "First") + commit.format("0", "9", "Then raise B"), kind))
    assert two.subject == "Then raise B (and 1 more)"
    # One that does not come from what it was given says nothing.
    apart = _edit(run("echo 'A = 2.0' >> knobs.py; git checkout -q --orphan o; git commit -qam 'Alone'"))
    assert apart.subject == "Change knobs.py"


def test_its_repository_leads_nowhere(repo: Checkout, run: Run) -> None:
    """Git works there and shows a clean tree; there are no remotes, no objects of others, and so much history."""
    script = (
        "git status --porcelain; git fsck 2>&1; git log --format=%s; git remote; git branch -a; git stash list;"
        "cat .git/objects/info/alternates 2>/dev/null; git config --get-regexp 'url|remote|hook|credential'"
    )
    seen = "{ " + script + "; } > lib/seen.txt; true"
    repo.git("config", "remote.origin.url", "https://u:secret@example.invalid/x")
    said = (_edit(run(seen, history=5)).files[RepoPath("lib/seen.txt")] or b"").decode()
    # The file itself is there while it looks.
    assert [line for line in said.splitlines() if "lib/seen" not in line] == ["Widen", "init", "* main"]
    said = (_edit(run(seen)).files[RepoPath("lib/seen.txt")] or b"").decode()
    assert [line for line in said.splitlines() if "lib/seen" not in line] == ["Widen", "* main"]


def test_answers_of_a_scorer_are_in_none_of_its_objects(repo: Checkout, run: Run) -> None:
    split = 'mode = "split"\ncommand = "python score.py"\ntrusted = ["answers/**"]'
    for name, text in {"score.py": "print('scorer')\n", "answers/all.txt": "canary-of-answers\n"}.items():
        (repo.path / name).parent.mkdir(exist_ok=True)
        (repo.path / name).write_text(text)
    (repo.path / "evogit.toml").write_text(_WIDE.replace('command = "python bench.py"', split))
    repo.commit("Answers")
    (repo.path / "answers" / "all.txt").write_text("canary-of-other-answers\n")
    repo.commit("Other answers")
    looks = "{ git cat-file --batch --batch-all-objects; ls -R; git log --stat; } | cat > ../found; "
    edit = _edit(run(looks + "cp ../found lib/found.txt; strings -n 4 lib/found.txt > lib/f 2>/dev/null || "
                     "tr -cd '[:print:]\\n' < lib/found.txt > lib/f; rm lib/found.txt", history=9))  # fmt: skip
    found = (edit.files[RepoPath("lib/f")] or b"").decode()
    assert "Widen" in found  # it has looked
    assert "canary-of" not in found
    assert "all.txt" not in found


_HOSTILE = {
    "hooks": "printf '#!/bin/sh\\ntouch {marker}\\n' > .git/hooks/post-checkout; chmod +x .git/hooks/*;"
    "git config core.fsmonitor 'touch {marker}'; git config core.hooksPath .git/hooks",
    "no .git": "rm -rf .git",
    ".git is a link": "rm -rf .git; ln -s {repo}/.git .git",
    ".git is a file": "rm -rf .git; echo 'gitdir: {repo}/.git' > .git",
    "HEAD waits for ever": "rm .git/HEAD; mkfifo .git/HEAD",
    "HEAD leads out": "echo 'ref: refs/heads/../../../../x' > .git/HEAD",
    "objects are links": "git add -A; git commit -qm x; rm -rf .git/objects; ln -s / .git/objects",
    "a huge object": "git add -A; git commit -qm x; f=$(git rev-parse HEAD | sed 's#^..#.git/objects/&/#');"
    "rm -f $f; truncate -s 9G $f",
    "locks and rights taken": "git add -A; chmod 000 .git lib",
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_hostile_repository_is_never_opened(repo: Checkout, run: Run, tmp_path: Path, name: str) -> None:
    before = fingerprint(repo.path, repo.environment)
    marker = tmp_path / "marker"
    script = _HOSTILE[name].format(marker=marker, repo=repo.path)
    edit = _edit(run(f"sed -i 's/1.0/3.0/' knobs.py; {script}"))
    assert set(edit.files) == {"knobs.py"}
    assert edit.subject == "Change knobs.py"
    assert not marker.exists()
    assert fingerprint(repo.path, repo.environment) == before


def test_what_is_no_plain_text_is_left_where_it_is(run: Run) -> None:
    edit = _edit(run(
        "echo 'B = 1' >> knobs.py; ln -s /etc/passwd lib/passwd; ln -s / lib/root; mkfifo lib/pipe;"
        "truncate -s 9G lib/huge; printf 'a\\0b' > lib/binary; rm lib/data.txt; ln -s /etc/hostname lib/data.txt;"
        "mkdir -p lib/inner/.git; echo x > lib/inner/.git/config; touch 'lib/new\nline'"
    ))  # fmt: skip
    assert set(edit.files) == {"knobs.py"}


def test_folders_without_end_are_refused(run: Run) -> None:
    answer = run("cd lib; for i in $(seq 80); do mkdir d; cd d; done; echo x > f")
    assert answer.edit is None
    assert answer.why == "refused: it made folders more than 64 deep"
    assert answer.calls[0].outcome == "refused"


def test_droppings_are_no_part_of_the_edit(run: Run) -> None:
    """What the definition names, what Git ignores, caches; a `.gitignore` of the tool's own decides nothing."""
    edit = _edit(run(
        "echo 'B = 1' >> knobs.py; mkdir -p build lib/__pycache__ lib/.tool.d; echo x > build/out; "
        "echo x > lib/__pycache__/a.pyc; echo x > lib/.tool.log; echo x > lib/.tool.d/state; echo '*' > lib/.gitignore;"
        "echo kept > lib/kept.txt",
        droppings=[".tool*", "lib/.gitignore"],
    ))  # fmt: skip
    assert set(edit.files) == {"knobs.py", "lib/kept.txt"}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("true", "no change: sh changed nothing that may be changed"),
        ("echo 'x = 1' > bench.py; rm evogit.toml", "no change: sh changed nothing that may be changed"),
        ("echo x > new", "no change: sh changed nothing that may be changed; left out new: it is not among the "
         "editable files"),
        ("rm -rf * .[a-z]*", "refused: it deleted every file that may be changed"),
        ("echo 'A = 5' > knobs.py; echo 'not today' >&2; exit 3", "failed: sh ended with exit code 3: not today"),
        ("cd ..; rm -rf work", "refused: its folder is gone"),
    ],
)  # fmt: skip
def test_what_comes_to_nothing_says_why(run: Run, script: str, why: str) -> None:
    answer = run(script)
    assert answer.edit is None
    assert answer.why == why
    assert answer.calls[0].outcome == why.partition(":")[0]


@pytest.mark.parametrize("kind", ["none", "bwrap"])
def test_one_that_never_ends_is_ended_with_all_it_started(run: Run, tmp_path: Path, kind: str) -> None:
    """Endless output, a daemon that leaves its session, an ignored signal: the time limit ends them all."""
    mark = f"evogit-test-{os.getpid()}-{kind}"
    answer = run(
        f"(exec setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' {mark}) & trap '' TERM; exec yes", kind,
        time_limit_s=2,
    )  # fmt: skip
    assert answer.edit is None
    assert answer.why == "timeout: sh was not done after 2 s"
    assert answer.calls[0].outcome == "timeout"
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert mark not in running.replace("ps -eo args", "")


def test_a_daemon_left_behind_is_gone_before_its_files_are_read(run: Run) -> None:
    answer = run("echo 'A = 3.0' > knobs.py; (setsid sh -c 'while :; do echo 1 >> lib/more.txt; done' &) ; sleep 0.3")
    assert (_edit(answer).files[RepoPath("knobs.py")]) == b"A = 3.0\n"
    assert subprocess.run(["pgrep", "-f", "echo 1 >> lib/more.tx[t]"], capture_output=True).returncode == 1


@pytest.mark.parametrize("kind", _KINDS)
def test_it_gets_the_variables_it_is_allowed_and_no_others(run: Run, kind: str) -> None:
    caller = {
        "MY_API_KEY": "",
        "BASE": "http://127.0.0.1:1",
        "OTHER_TOKEN": _KEY,
        "SSH_AUTH_SOCK": "/x",
        "GIT_DIR": "/x",
    }
    script = (
        "env | cut -d= -f1 | sort > lib/names; echo $BASE $FIXED $OWN $HOME > lib/values; ls -A $HOME >> lib/values"
    )
    edit = _edit(run(script, kind, caller, environment=["BASE"], variables={"FIXED": "{home}/x", "OWN": "1"},
                     home={".conf/a": "x"}))  # fmt: skip
    names = (edit.files[RepoPath("lib/names")] or b"").decode().split()
    assert {"BASE", "FIXED", "OWN", "HOME", "PATH"} <= set(names)
    assert not {"OTHER_TOKEN", "SSH_AUTH_SOCK", "MY_API_KEY", "GIT_DIR"} & set(names)
    base, fixed, own, home, listed = (edit.files[RepoPath("lib/values")] or b"").decode().split()
    assert (base, fixed, own, listed) == ("http://127.0.0.1:1", f"{home}/x", "1", ".conf")
    assert home != os.environ["HOME"]


@pytest.mark.parametrize(
    "script",
    [
        "echo \"KEY = '$MY_API_KEY'\" > lib/settings.py",
        "echo $MY_API_KEY | tr -d '\\n' | base64 > lib/settings.py",
        "echo 'B = 1' >> knobs.py; echo ghp_$(printf 'a%.0s' $(seq 36)) > lib/token",
    ],
)
def test_a_key_in_what_it_writes_is_refused(run: Run, script: str) -> None:
    answer = run(script, caller={"MY_API_KEY": _KEY}, keys=["MY_API_KEY"])
    assert answer.edit is None
    assert answer.why.startswith("refused: lib/")
    assert "looks as if it holds" in answer.why
    assert _KEY not in answer.why


def test_a_key_in_what_it_says_is_left_out(run: Run) -> None:
    caller = {"MY_API_KEY": _KEY}
    said = run("echo wrong key $MY_API_KEY given >&2; exit 1", caller=caller, keys=["MY_API_KEY"])
    assert said.why == "failed: sh ended with exit code 1: wrong key … given"
    edit = _edit(run("echo B = 1 >> knobs.py; echo Summary: with $MY_API_KEY", caller=caller, keys=["MY_API_KEY"]))
    assert edit.subject == "with …"
    edit = _edit(run('echo B = 1 >> knobs.py; git commit -qam "with $MY_API_KEY"', caller=caller, keys=["MY_API_KEY"]))
    assert edit.subject == "with …"


@pytest.fixture
def listener() -> Iterator[int]:
    """A port at 127.0.0.1 where everybody is answered with a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def answer() -> None:
            while not ended.is_set():
                try:
                    with server.accept()[0] as one:
                        one.sendall(b"hello\n")
                except TimeoutError:
                    continue

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join()


_CONNECT = """
import os, socket
found = []
for name, reach in {
    "tcp": lambda: socket.create_connection(("127.0.0.1", PORT), 5).recv(5).decode(),
    "local": lambda: socket.socket(socket.AF_UNIX),
    "pair": lambda: socket.socketpair() and "yes",
    "repository": lambda: os.listdir("REPO/.git") and "yes",
    "outside": lambda: open("REPO/bench.py", "a").close() or "yes",
}.items():
    try:
        found.append(f"{name} {reach()}")
    except OSError as error:
        found.append(f"{name} no")
open("lib/found", "w").write("\\n".join(found))
"""


@pytest.mark.parametrize("kind", ["bwrap", "landlock"])
def test_network_is_what_the_definition_says(repo: Checkout, run: Run, listener: int, kind: str) -> None:
    """With it, other machines and this one; never the sockets that others listen at by a name, nor the repository."""
    program = _CONNECT.replace("PORT", str(listener)).replace("REPO", str(repo.path))
    script = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"
    for network, tcp in ((True, "hello"), (False, "no")):
        edit = _edit(run(script, kind, network=network))
        found = dict(line.split(" ", 1) for line in (edit.files[RepoPath("lib/found")] or b"").decode().splitlines())
        assert found.pop("tcp") == tcp
        assert found.pop("pair") == "yes"
        if network:
            assert found.pop("local") == "no"
        assert set(map(found.get, ("repository", "outside"))) == {"no"}


def test_a_tool_that_is_not_on_the_path_is_seen_with_what_it_needs(run: Run, tmp_path: Path) -> None:
    """A program of Node.js in its packages, by a link, and one of a virtual environment: both need their neighbours."""
    if reason := why_not("bwrap"):
        pytest.skip(reason)
    packages = tmp_path / "apps" / "node_modules"
    (packages / "tool" / "bin").mkdir(parents=True)
    (packages / "other").mkdir()
    (packages / ".bin").mkdir()
    (packages / "other" / "word").write_text("3.0")
    program = packages / "tool" / "bin" / "tool.sh"
    program.write_text(f"#!/bin/sh\nsed -i s/1.0/$(cat {packages}/other/word)/ knobs.py\n")
    program.chmod(0o755)
    link = packages / ".bin" / "tool"
    link.symlink_to("../tool/bin/tool.sh")
    for folder in (tmp_path, *tmp_path.parents):  # root's jobs are those of another user
        if folder != Path("/") and folder.is_relative_to("/tmp") and os.stat(folder).st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    edit = _edit(run("", "bwrap", command=[str(link), "{prompt_file}"], prompt_by="file"))
    assert (edit.files[RepoPath("knobs.py")] or b"").startswith(b"A = 3.0\n")


@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs these tests already")
def test_the_same_holds_for_an_ordinary_user() -> None:
    done = run_as_nobody(["test_command.py"], "-k", "bwrap or landlock")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"type":"result","result":"Done.\\nSummary: A","total_cost_usd":0.25,"usage":{"input_tokens":10,'
         '"cache_read_input_tokens":5,"output_tokens":7}}', (15, 7, 0.25, "A")),
        ('noise\n{"type":"item.completed","item":{"type":"agent_message","text":"Summary: B"}}\n'
         '{"type":"turn.completed","usage":{"input_tokens":11,"cached_input_tokens":4,"output_tokens":2}}',
         (11, 2, None, "B")),
        ('{"type":"step_finish","part":{"tokens":{"input":1,"output":2,"reasoning":3,"cache":{"read":4,"write":0}},'
         '"cost":0.5}}\n{"type":"text","part":{"text":"Summary: C"}}\n'
         '{"type":"step_finish","part":{"tokens":{"input":1,"output":1},"cost":0.25}}', (6, 6, 0.75, "C")),
        ('{\n "response": "I did.\\nSummary: D",\n "stats": {"models": {"m": {"tokens": {"prompt": 8, "candidates": 2,'
         '\n"thoughts": 1}}}}\n}', (8, 3, None, "D")),
        ('[{"type":"system"},{"type":"result","result":"Summary: E","usage":{"input_tokens":9,"output_tokens":3,'
         '"cache_read_input_tokens":5}}]', (9, 3, None, "E")),
        ("Tokens: 1.2k sent, 30 received. Cost: $0.01 message, $0.02 session.\nSummary: F\n"
         "Tokens: 100 sent, 200 cache hit, 5 received. Cost: $0.01 message, $0.03 session.", (1300, 35, 0.03, "F")),
        ("mini-swe-agent (step 1, $0.01):\nmini-swe-agent (step 2, $0.04):\n**Summary:** G", (None, None, 0.04, "G")),
        ('{"type":"result","total_cost_usd":-1,"usage":{"input_tokens":-5,"output_tokens":1e300}}\n{"type":"result",'
         '"total_cost_usd":NaN,"usage":[]}\n\x1b[31mSummary: H\x1b[0m', (None, None, None, "H")),
        ("[" * 100_000 + "\n" + "{\n" * 1000, (None, None, None, "")),
        ("\xff\x00 nothing", (None, None, None, "")),
    ],
)  # fmt: skip
def test_what_a_tool_says_of_its_cost_is_read(output: str, expected: tuple[object, ...]) -> None:
    found = usage.read(output.encode("latin-1"))
    assert (found.tokens_in, found.tokens_out, found.usd, found.summary) == expected


def test_every_definition_that_ships_names_its_key_and_its_model() -> None:
    by_protocol = [f"{name}-acp" for name in ("claude", "codex", "gemini", "opencode", "qwen")]
    for name in ("aider", "claude", "codex", "gemini", "mini", "opencode", "qwen", *by_protocol):
        text = (Path(__file__).parent.parent / "agents" / f"{name}.toml").read_bytes()
        found = config.parse_definition(text, where=name)
        assert found.network
        assert found.keys
        assert "{model}" in " ".join((*found.command, *found.variables.values(), *found.home.values()))
        assert (found.prompt_by == "acp") == (name in by_protocol)
        assert found.model


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"command": []}, "command is missing: proposer = 'command' runs it"),
        ({"command": ["x", "{promt}"]}, "command has {promt}, which stands for nothing; did you mean {prompt}?"),
        ({"prompt_by": "file"}, "prompt_by is 'file', so command needs {prompt_file}"),
        ({"command": ["x", "{model}"]}, "command has {model}, and model is missing"),
        ({"command": ["x", "--in={files}"]}, "{files} in command has to be an argument of its own"),
        ({"command": ["x", "{env:URL}"]}, "command has {env:URL}, which is neither in environment nor in variables"),
        ({"command": ["x", "{env:A_KEY}"], "environment": ["A_KEY"]}, "everybody on the machine can read"),
        ({"home": {"../x": ""}}, "home has '../x'"),
        ({"environment": ["A=B"]}, "environment"),
        ({"prompt_by": "mail"}, "prompt_by is 'mail': use 'file', 'stdin', 'argument' or 'acp'"),
        ({"time_limit_s": 0}, "time_limit_s is 0"),
        ({"proposer": "tuner"}, "command is for proposer = 'command', and it is 'tuner'; leave it out"),
    ],
)
def test_a_wrong_definition_is_refused(keys: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse_definition(_definition("true", **keys).encode(), where="mine.toml")
    assert str(caught.value).startswith("mine.toml: ")
    assert why in str(caught.value)
