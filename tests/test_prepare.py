"""What exports get beside their trees: the results of a setup, made once, and what is carried from the work tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import Checkout

from evogit import assembly
from evogit.errors import ConfigError, EvaluatorBroken
from evogit.evaluation import editable
from evogit.evaluation.meter import CommandMeter
from evogit.model import Measurement, Status, TreeId
from evogit.sandbox import Cancelled, Launcher, Sandbox, Wish, choose
from evogit.store import prepared, task
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository


@dataclass
class Crowd:
    """Agents' meters over one repository, each with a folder and a launcher of its own."""

    checkout: Checkout
    folder: Path
    environment: dict[str, str]
    launchers: list[Launcher] = field(default_factory=list)

    def meter(self, cancelled: Callable[[], bool] = lambda: False, sandbox: Sandbox | None = None) -> CommandMeter:
        """Return one more meter by the `evogit.toml` that is there."""
        self.launchers.append(Launcher(cancelled, sandbox))
        repo = open_repository(self.checkout.path)
        unwritten = task.unwritten(repo, freeze(repo).definition)
        folder = self.folder / f"agent-{len(self.launchers)}"
        return assembly.meter(repo, unwritten, folder, self.launchers[-1], self.environment)

    def measure(self, tree: str = "HEAD^{tree}") -> Measurement:
        """Return what a new meter says of a tree."""
        return self.meter().measure(self.tree(tree))

    def tree(self, name: str = "HEAD^{tree}") -> TreeId:
        """Return a tree's id."""
        return TreeId(self.checkout.git("rev-parse", name))

    def places(self) -> list[Path]:
        """Return the folders setups ran in."""
        return sorted((self.checkout.path / ".git/evogit/prepared.d").glob("*/tree-*"))


@pytest.fixture
def new_crowd(new_checkout: Callable[..., Checkout], tmp_path: Path) -> Iterator[Callable[..., Crowd]]:
    """Make a repository with these files, ready to be measured by many."""
    crowds: list[Crowd] = []

    def make(toml: str, files: dict[str, str], *, before: str = "") -> Crowd:
        text = f"{before}\n[evaluator]\nresult = 'regex'\npattern = 'score (\\S+)'\n{toml}\n"
        checkout = new_checkout("project", {"evogit.toml": text, **files})
        crowds.append(Crowd(checkout, tmp_path / "agents", dict(os.environ)))
        return crowds[-1]

    yield make
    for crowd in crowds:
        for launcher in crowd.launchers:
            launcher.close()


_COUNTED = "echo x >> {log}; mkdir -p deps/inner; echo 4 > deps/inner/value; echo 5 > src/made.txt"


def _counting(tmp_path: Path, *, more: str = "") -> str:
    return (
        f"setup = '{_COUNTED.format(log=tmp_path / 'log')}{more}'\nsetup_inputs = ['deps.lock']\n"
        "command = 'echo score $(($(cat src/a.txt) + $(cat deps/inner/value) + $(cat src/made.txt)))'"
    )


_FILES = {"src/a.txt": "1\n", "deps.lock": "one\n", ".gitignore": "deps/\n"}


def test_a_setup_runs_once_for_all_agents_and_its_results_are_in_every_export(
    new_crowd: Callable[..., Crowd], tmp_path: Path
) -> None:
    crowd = new_crowd(_counting(tmp_path), _FILES, before="editable = ['src/a.txt']")
    assert crowd.measure().value == 10.0
    assert crowd.measure().value == 10.0
    (crowd.checkout.path / "src/a.txt").write_text("2\n")
    crowd.checkout.commit()
    assert crowd.measure().value == 11.0  # another base, the same inputs
    assert (tmp_path / "log").read_text() == "x\n"
    (crowd.checkout.path / "deps.lock").write_text("two\n")
    assert crowd.measure().value == 11.0
    assert (tmp_path / "log").read_text() == "x\nx\n"
    assert crowd.checkout.git("status", "--porcelain") == "M deps.lock"


def test_without_inputs_the_whole_base_is_what_a_setup_reads(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(f"setup = 'echo x >> {tmp_path}/log'\ncommand = 'echo score 1'", {"a.txt": "1\n"})
    crowd.measure()
    (crowd.checkout.path / "a.txt").write_text("2\n")
    crowd.measure()
    assert (tmp_path / "log").read_text() == "x\n"
    crowd.checkout.commit()
    crowd.measure()
    assert (tmp_path / "log").read_text() == "x\nx\n"


def test_what_an_evaluation_does_to_links_is_undone(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(_counting(tmp_path), _FILES, before="editable = ['src/a.txt']")
    meter = crowd.meter()
    export = tmp_path / "agents/agent-1/tree"
    assert meter.measure(crowd.tree()).value == 10.0
    assert (export / "deps").is_symlink()
    (export / "deps").unlink()
    (export / "deps/inner").mkdir(parents=True)
    (export / "deps/inner/value").write_text("1000")
    (export / "src/made.txt").unlink()
    assert meter.measure(crowd.tree()).value == 10.0
    assert (crowd.places()[0] / "deps/inner/value").read_text() == "4\n"


def test_a_candidate_cannot_bring_what_the_setup_makes(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(_counting(tmp_path), _FILES, before="editable = ['src/a.txt']")
    meter = crowd.meter()
    meter.measure(crowd.tree())
    (crowd.checkout.path / "deps/inner").mkdir(parents=True)
    (crowd.checkout.path / "deps/inner/value").write_text("1000\n")
    (crowd.checkout.path / "src/made.txt").write_text("1000\n")
    (crowd.checkout.path / "src/a.txt").write_text("3\n")
    crowd.checkout.git("add", "-f", ".")
    candidate = TreeId(crowd.checkout.git("write-tree"))
    assert meter.measure(candidate).value == 12.0
    assert meter.measure(crowd.tree()).value == 10.0


def test_results_are_read_only(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(_counting(tmp_path), _FILES)
    crowd.measure()
    place = crowd.places()[0]
    assert {oct(path.stat().st_mode & 0o777) for path in place.rglob("*") if path.is_file()} == {"0o444"}
    assert not (place / "src/a.txt").exists()  # the base's own files are gone: nothing can measure them by mistake
    assert not (place / "deps.lock").exists()


def test_a_setup_that_fails_says_why_and_leaves_nothing(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd("setup = 'echo half > part; echo no such package; exit 4'\ncommand = 'echo score 1'", {"a": "1"})
    for _ in range(2):
        with pytest.raises(EvaluatorBroken) as caught:
            crowd.measure()
        assert str(caught.value) == (
            "the setup `echo half > part; echo no such package; exit 4`: exit code 4\nno such package"
        )
    assert crowd.places() == []


def test_a_run_with_a_broken_setup_says_so(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd("setup = 'echo oh no; exit 4'\ncommand = 'echo score 1'", {"a.txt": "1"})
    said = crowd.checkout.evogit("run", "-n", "1", "--evals", "3", expect=2).stderr
    assert "the setup `echo oh no; exit 4`: exit code 4" in said
    assert "oh no" in said


def test_inputs_that_match_nothing_are_refused(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd("setup = 'true'\nsetup_inputs = ['pakage.json']\ncommand = 'x'", {"package.json": "{}"})
    with pytest.raises(ConfigError, match=r"evaluator\.setup_inputs names 'pakage\.json', which matches no file"):
        crowd.meter()


def test_many_agents_wait_for_the_one_that_makes_it(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(_counting(tmp_path, more="; sleep 1"), _FILES)
    program = (
        "import sys; sys.path[:0] = sys.argv[1:2]; from test_prepare import measure_once; measure_once(*sys.argv[2:])"
    )
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                program,
                str(Path(__file__).parent),
                str(crowd.checkout.path),
                str(tmp_path / f"p{n}"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(6)
    ]
    assert [process.communicate(timeout=100)[0] for process in running] == ["10.0\n"] * 6
    assert (tmp_path / "log").read_text() == "x\n"


def measure_once(path: str, folder: str) -> None:
    """Be a process that measures the base of a repository once."""
    launcher = Launcher()
    repo = open_repository(Path(path))
    unwritten = task.unwritten(repo, freeze(repo).definition)
    meter = assembly.meter(repo, unwritten, Path(folder), launcher, dict(os.environ))
    print(meter.measure(unwritten.base_tree).value)
    launcher.close()


def test_a_setup_whose_agent_is_killed_is_made_again(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    wait = f"; test -e {tmp_path}/go || {{ echo $$ > {tmp_path}/pid; sleep 500; }}"
    crowd = new_crowd(_counting(tmp_path, more=wait), _FILES)
    program = (
        "import sys; sys.path[:0] = sys.argv[1:2]; from test_prepare import measure_once; measure_once(*sys.argv[2:])"
    )
    agent = subprocess.Popen(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(crowd.checkout.path), str(tmp_path / "p")]
    )
    setup = _wait_for(lambda: int((tmp_path / "pid").read_text() or 0) if (tmp_path / "pid").exists() else 0)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    assert len(crowd.places()) == 1  # half prepared, and never used
    _wait_for(lambda: not Path(f"/proc/{setup}").exists() or "Z" in Path(f"/proc/{setup}/stat").read_text())
    (tmp_path / "go").touch()
    assert crowd.measure().value == 10.0
    assert (tmp_path / "log").read_text() == "x\nx\n"
    assert len(crowd.places()) == 1


def test_who_waits_for_a_setup_can_be_stopped(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(_counting(tmp_path, more="; sleep 500"), _FILES)
    stop = threading.Event()
    first = subprocess.Popen(crowd.checkout.command("doctor"), cwd=crowd.checkout.path, stdout=subprocess.DEVNULL)
    _wait_for((tmp_path / "log").exists)
    threading.Timer(1, stop.set).start()
    with pytest.raises(Cancelled):
        crowd.meter(stop.is_set).measure(crowd.tree())
    first.terminate()
    first.wait()


def test_results_in_use_are_kept(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(_counting(tmp_path), _FILES)
    crowd.measure()
    repo = open_repository(crowd.checkout.path)
    assert list(prepared.unused(repo)) == []
    program = (
        "import sys; sys.path[:0] = sys.argv[1:2]; from test_prepare import measure_once; measure_once(*sys.argv[2:])"
    )
    (crowd.checkout.path / "deps.lock").write_text("two\n")
    subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(crowd.checkout.path), str(tmp_path / "p")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert len(list(prepared.unused(repo))) == 1


def _wait_for(ask: Callable[[], object]) -> int:
    for _ in range(600):
        found = ask()
        if found:
            return int(found) if isinstance(found, int) else 1
        time.sleep(0.05)
    raise AssertionError("waited 30 s in vain")


_SETUPTOOLS = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "pack"
version = "1"

[tool.setuptools.packages.find]
where = ["{}"]
include = ["pack"]
"""
_HOST = f"sysconfig.get_path('purelib') + '/host.pth', 'w').write('{sysconfig.get_path('purelib')}"
_VENV = (
    # Offline: pip and setuptools are those of the environment that runs the tests.
    f'python -m venv --without-pip .venv && .venv/bin/python -c "import sysconfig; open({_HOST}\')" && '
    ".venv/bin/python -m pip install -q --no-index --no-build-isolation --no-deps"
)


@pytest.mark.parametrize("layout", ["", "src/"])
def test_an_editable_install_by_the_setup_sees_the_candidate(new_crowd: Callable[..., Crowd], layout: str) -> None:
    crowd = new_crowd(
        f"setup = '''{_VENV} -e .'''\nsetup_inputs = ['pyproject.toml']\ntimeout_s = 60\n"
        "command = '.venv/bin/python bench/run.py'",
        {
            "pyproject.toml": _SETUPTOOLS.format("src" if layout else "."),
            f"{layout}pack/__init__.py": "from .code import value\n",
            f"{layout}pack/code.py": "value = 3\n",
            "bench/run.py": "import pack; print('score', pack.value)\n",
            ".gitignore": ".venv/\n*.egg-info/\nbuild/\n",
        },
    )
    meter = crowd.meter()
    found = meter.measure(crowd.tree())
    assert found.value == 3.0, found.feedback
    (crowd.checkout.path / f"{layout}pack/code.py").write_text("value = 4\n")
    crowd.checkout.commit()
    assert meter.measure(crowd.tree()).value == 4.0
    assert crowd.checkout.git("status", "--porcelain", "--ignored") == ""


def test_a_carried_environment_with_the_project_in_place_sees_the_candidate(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd(
        "carry = ['.venv']\ncommand = '.venv/bin/python bench/run.py'",
        {
            "src/pack.py": "value = 3\n",
            "bench/run.py": "import pack; print('score', pack.value)\n",
            ".gitignore": ".venv/\n",
        },
    )
    work = crowd.checkout.path
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(work / ".venv")], check=True)
    packages = next((work / ".venv/lib").glob("python*/site-packages"))
    (packages / "__editable__.pack-1.pth").write_text(f"{work}/src\n")
    meter = crowd.meter()
    assert meter.measure(crowd.tree()).value == 3.0
    (work / "src/pack.py").write_text("value = 5\n")
    crowd.checkout.git("commit", "-qam", "better")
    (work / "src/pack.py").write_text("value = 1000\n")  # what the work tree says does not count
    assert meter.measure(crowd.tree()).value == 5.0


def test_where_environments_import_in_place(tmp_path: Path) -> None:
    packages = tmp_path / "env/lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    (packages / "a.pth").write_text(f"import os\n{tmp_path}/work/src\n/elsewhere\n../relative\n")
    (packages / "__editable___b_finder.py").write_text(
        f"X = 1\nMAPPING: dict[str, str] = {{'b': '{tmp_path}/work/b', 'c': '/elsewhere/c'}}\nNAMESPACES = {{}}\n"
    )
    (packages / "__editable___c_finder.py").write_text("MAPPING = {open('/etc/passwd')}\n")
    assert editable.folders([tmp_path / "env"], [tmp_path / "work"]) == ("src", ".")
    assert editable.folders([tmp_path / "env"], [tmp_path, tmp_path / "work"]) == ("src", ".")
    assert editable.folders([tmp_path / "none"], [tmp_path / "work"]) == ()


def test_modules_of_node_are_carried(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd(
        "carry = ['node_modules/']\ncommand = 'sh node_modules/.bin/say $(cat a.txt)'",
        {"a.txt": "3\n", ".gitignore": "node_modules\n"},
        before="editable = ['a.txt']",
    )
    folder = crowd.checkout.path / "node_modules"
    (folder / "say").mkdir(parents=True)
    (folder / ".bin").mkdir()
    (folder / "say/index.sh").write_text("echo score $1\n")
    (folder / ".bin/say").symlink_to("../say/index.sh")
    assert crowd.measure().value == 3.0


@pytest.mark.parametrize(
    ("carry", "message"),
    [
        ("src", "names 'src', which is a tracked or protected file or folder; it is in every export anyway"),
        ("src/a.txt", "names 'src/a.txt', which is a tracked or protected file or folder"),
        ("deps", "names 'deps', which is not in "),
        ("out", "names 'out', which leads out of "),
    ],
)
def test_what_cannot_be_carried_is_refused(
    new_crowd: Callable[..., Crowd], tmp_path: Path, carry: str, message: str
) -> None:
    crowd = new_crowd(f"carry = ['{carry}']\ncommand = 'echo score 1'", _FILES)
    (crowd.checkout.path / "out").symlink_to(tmp_path)
    with pytest.raises(EvaluatorBroken) as caught:
        crowd.measure()
    assert message in str(caught.value)


def test_a_library_in_c_is_compiled_once_and_linked_to_each_candidate(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd(
        "setup = 'mkdir target && gcc -c lib/slow.c -o target/slow.o && ar rcs target/libslow.a target/slow.o'\n"
        "setup_inputs = ['lib/*']\n"
        "command = 'gcc src/main.c -Ltarget -lslow -o $TMPDIR/main && $TMPDIR/main'",
        {
            "lib/slow.c": "int slow(void) { return 40; }\n",
            "src/main.c": '#include <stdio.h>\nint slow(void);\nint main(void) { printf("score %d", slow() + 2); }\n',
        },
        before="editable = ['src/*']",
    )
    assert crowd.measure().value == 42.0
    (crowd.checkout.path / "src/main.c").write_text("int main(void) { return syntax; }\n")
    crowd.checkout.commit()
    assert crowd.measure().status is Status.FAILED
    assert len(crowd.places()) == 1


def test_an_extension_built_in_place_is_found(new_crowd: Callable[..., Crowd]) -> None:
    build = "gcc -shared -fPIC native/fast.c -o pack/_fast.so"
    crowd = new_crowd(
        f"setup = '{build}'\nsetup_inputs = ['native/*']\ncommand = 'python -m pack'",
        {
            "native/fast.c": "int fast(int n) { return n * 2; }\n",
            "pack/__init__.py": "",
            "pack/__main__.py": "import ctypes\nfrom pathlib import Path\nfrom pack.number import N\n"
            "print('score', ctypes.CDLL(str(Path(__file__).parent / '_fast.so')).fast(N))\n",
            "pack/number.py": "N = 4\n",
        },
    )
    assert crowd.measure().value == 8.0


def test_a_setup_gets_no_key_and_no_git(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(f"setup = 'env > {tmp_path}/env'\ncommand = 'echo score 1'", {"a.txt": "1"})
    crowd.environment |= {
        "OPENAI_API_KEY": "canary",
        "GIT_DIR": "canary",
        "HTTPS_PROXY": "kept",
        "PIP_INDEX_URL": "kept",
    }
    crowd.measure()
    said = (tmp_path / "env").read_text()
    assert "canary" not in said
    assert "HTTPS_PROXY=kept" in said
    assert "PIP_INDEX_URL=kept" in said


def test_an_install_into_the_environment_that_is_active_is_refused(
    new_crowd: Callable[..., Crowd], tmp_path: Path
) -> None:
    crowd = new_crowd(
        "setup = 'echo $PWD > $VIRTUAL_ENV/lib/python3/site-packages/x.pth'\ncommand = 'true'", {"a": "1"}
    )
    (tmp_path / "env/lib/python3/site-packages").mkdir(parents=True)
    crowd.environment["VIRTUAL_ENV"] = str(tmp_path / "env")
    with pytest.raises(EvaluatorBroken, match=r"installed into \S*/env, which is yours"):
        crowd.measure()
    assert crowd.places() == []


def test_a_setup_has_a_limit_of_its_own(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd("setup = 'echo begun; sleep 500'\nsetup_timeout_s = 1\ncommand = 'true'", {"a": "1"})
    with pytest.raises(EvaluatorBroken) as caught:
        crowd.measure()
    assert str(caught.value) == "the setup `echo begun; sleep 500`: longer than 1 s\nbegun"


def test_what_the_table_names_is_protected_and_tools_are_not(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd(
        "pytest = '-p plugin -k \"not slow\" checks/test_a.py::test_x more'\nsetup = '.venv/bin/python make_it.py'\n"
        "setup_inputs = ['data/*']\ngates = ['node_modules/.bin/lint .', 'sh gate.sh']\ncarry = ['tools']\n"
        "stages = [{ command = 'sh stage.sh && tools/run.sh', threshold = 1 }]",
        {
            **dict.fromkeys(("checks/test_a.py", "checks/b.py", "more/c.py", "make_it.py", "data/d", "gate.sh"), "x\n"),
            **dict.fromkeys(("stage.sh", "src/x.py"), "x\n"),
        },
        before="editable = ['data/*', 'src/**', 'gate.sh']",
    )
    text = (crowd.checkout.path / "evogit.toml").read_text().replace("result = 'regex'\npattern = 'score (\\S+)'\n", "")
    (crowd.checkout.path / "evogit.toml").write_text(text)
    for tool in (".venv/bin/python", "node_modules/.bin/lint", "tools/run.sh", ".venv/pyvenv.cfg", "more/untracked.py"):
        (crowd.checkout.path / tool).parent.mkdir(parents=True, exist_ok=True)
        (crowd.checkout.path / tool).write_text("x\n")
    definition = freeze(open_repository(crowd.checkout.path)).definition
    assert sorted(path.decode() for path in definition.files) == [
        "checks/test_a.py", "data/d", "evogit.toml", "make_it.py", "more/c.py", "more/untracked.py", "stage.sh",
    ]  # fmt: skip
    assert not definition.is_editable(b"data/d")  # a candidate cannot change what the setup has read
    assert definition.is_editable(b"gate.sh")  # named in a command, but expressly editable


def test_who_is_asked_to_trust_a_run_is_told_what_it_would_see(new_crowd: Callable[..., Crowd]) -> None:
    crowd = new_crowd("setup = 'sh prepare.sh'\ncarry = ['.env']\ncommand = 'echo score 1'", {"a.txt": "1\n"})
    (crowd.checkout.path / ".env").write_text("KEY=x\n")
    crowd.checkout.evogit("run", "-n", "1", "--evals", "1", "--run", "one", expect=2)  # there is no prepare.sh
    (crowd.checkout.path / ".git/evogit/trusted.txt").unlink()
    said = crowd.checkout.evogit("agent", "tuner", "--run", "one", expect=5).stderr
    assert "it would run `sh prepare.sh && echo score 1` as you" in said
    assert ", in sight of .env of your work tree: look at both" in said


def test_clean_removes_setups_with_the_last_run_and_not_before(new_crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    crowd = new_crowd(_counting(tmp_path), _FILES, before="editable = ['src/a.txt']")
    crowd.checkout.evogit("run", "-n", "1", "--evals", "1", "--run", "one")
    crowd.checkout.evogit("clean")
    assert len(crowd.places()) == 1
    crowd.checkout.evogit("clean", "--run", "one", "--yes")
    assert crowd.places() == []


def _sandbox(environment: dict[str, str], kind: str) -> Sandbox:
    return choose(Wish(kind=kind, where="a test", trusted=False, caller=environment))


def test_in_a_sandbox_what_is_beside_the_tree_is_there_and_read_only(
    new_crowd: Callable[..., Crowd], tmp_path: Path, kind: str
) -> None:
    tries = "echo 9 > deps/inner/value; rm -f src/made.txt/; echo 9 > $(readlink src/made.txt)"
    crowd = new_crowd(_counting(tmp_path).replace("command = '", f"command = '{tries}; "), _FILES)
    assert crowd.meter(sandbox=_sandbox(crowd.environment, kind)).measure(crowd.tree()).value == 10.0
    place = crowd.places()[0]
    assert [(place / name).read_text() for name in ("deps/inner/value", "src/made.txt")] == ["4\n", "5\n"]


def test_in_a_sandbox_a_carried_environment_finds_its_interpreter(new_crowd: Callable[..., Crowd], kind: str) -> None:
    crowd = new_crowd(
        "carry = ['.venv']\ncommand = '.venv/bin/python bench/run.py'",
        {"src/pack.py": "value = 3\n", "bench/run.py": "import pack; print('score', pack.value)\n"},
    )
    work = crowd.checkout.path
    (work / ".git/info/exclude").write_text(".venv\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(work / ".venv")], check=True)
    packages = next((work / ".venv/lib").glob("python*/site-packages"))
    (packages / "pack.pth").write_text(f"{work}/src\n")
    sandbox = _sandbox(crowd.environment, kind)
    crowd.environment = {**crowd.environment, "PATH": "/usr/bin:/bin"}
    found = crowd.meter(sandbox=sandbox).measure(crowd.tree())
    assert found.value == 3.0, found.feedback


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user to become")
def test_an_ordinary_user_cannot_write_results_but_can_remove_them(
    new_crowd: Callable[..., Crowd], tmp_path: Path
) -> None:
    crowd = new_crowd(_counting(tmp_path), _FILES, before="editable = ['src/a.txt']")
    (tmp_path / "log").touch()
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 65534, 65534)
    for folder in tmp_path.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    assert _as_nobody("measure_once(here, there); try_to_write(here)", crowd, tmp_path) == "10.0\n" + "refused\n" * 3
    assert len(crowd.places()) == 1
    assert _as_nobody("remove_unused(here)", crowd, tmp_path) == "[True]\n"
    assert crowd.places() == []


def _as_nobody(act: str, crowd: Crowd, tmp_path: Path) -> str:
    program = (
        "import os, sys, tempfile\nsys.path[:0] = sys.argv[1:2]\n"
        "from test_prepare import measure_once, remove_unused, try_to_write\n"
        "here, there = sys.argv[2:]\ntempfile.tempdir = there\n"
        "os.setgid(65534); os.setuid(65534)\n"  # from here on nothing can be imported: the interpreter may be root's
    )
    arguments = [str(Path(__file__).parent), str(crowd.checkout.path), str(tmp_path / "nobody")]
    (tmp_path / "nobody").mkdir(exist_ok=True)
    os.chown(tmp_path / "nobody", 65534, 65534)
    environment = {**os.environ, "HOME": str(tmp_path / "nobody")}
    done = subprocess.run(
        [sys.executable, "-c", program + act, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def try_to_write(path: str) -> None:
    """Try what an evaluation without a sandbox could do to the results of the setup."""
    made = next(Path(path).glob(".git/evogit/prepared.d/*/tree-0/deps/inner/value"))
    for act in (lambda: made.write_text("5"), (made.parent / "new").touch, made.unlink):
        try:
            act()
        except PermissionError:
            print("refused")


def remove_unused(path: str) -> None:
    """Remove what no agent uses."""
    repo = open_repository(Path(path))
    print([prepared.remove(repo, folder) for folder in prepared.unused(repo)])
