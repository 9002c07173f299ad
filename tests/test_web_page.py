"""The example of a page without a number: what its gate lets through, and how models, a judge and a person grow it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Checkout
from model_server import KEY, ModelServer, Say
from patient import proposals
from proofs import EXAMPLES, run_block, run_readme
from proposals import document
from test_judging import comparisons

_PAGE = EXAMPLES / "web_page"


def _checked(folder: Path, world: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "check.py"], cwd=folder, env=world, capture_output=True, text=True)


def test_the_page_it_begins_with_passes_and_its_goal_is_that_of_the_first_stage(world: dict[str, str]) -> None:
    done = _checked(_PAGE, world)
    assert done.returncode == 0, done.stdout
    assert "the tool shed" in done.stdout
    assert (_PAGE / "goals" / "1-newcomer.md").read_text() in (_PAGE / "evogit.toml").read_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("index.html", "</ul>", "", "</section> closes <ul>"),
        ("index.html", "</body>\n</html>\n", "", "<html> of line 2 is never closed"),
        ("index.html", "</h1>", "</h2>", "</h2> closes <h1>"),
        ("index.html", '<section id="join">', '<section id="hours">', "the id hours is there twice"),
        ("index.html", "<!doctype html>", "", "there is no <!doctype html>"),
        ("index.html", "<h1>The Tool Shed</h1>", "<p/>", "<p/> is no end"),
        ("index.html", "</main>", "<script>alert(1)</script></main>", "<script> is not wanted"),
        ("index.html", "<header>", '<header onclick="x()">', "has the attribute onclick"),
        ("index.html", "mailto:shed@example.org", "javascript:alert(1)", "a link leads to 'javascript:alert(1)'"),
        ("index.html", "mailto:shed@example.org", "#nowhere", "a link leads to #nowhere"),
        ("index.html", "<h1>", '<img alt="" src="https://x.invalid/a.png"><h1>', "<img src> leads to 'https:"),
        ("index.html", "<h1>", '<img alt="" src="../other.png"><h1>', "<img src> leads to '../other.png'"),
        ("index.html", "20 euros", "200 euros", "#join does not say '20 euros a year'"),
        ("index.html", 'id="find"', 'id="found"', "no element has the id find"),
        ("index.html", "</p>", "</p>" + "<p>more</p>" * 2000, "and 20000 are enough"),
        ("style.css", "}", "", "opens 7 braces and closes 6"),
        ("style.css", "margin: 0 auto", "background: url(//x.invalid/a.png)", "style.css loads something"),
        ("style.css", "margin: 0 auto", "background: u\\72l(//x.invalid/a.png)", "has a backslash"),
    ],
)
def test_the_gate_names_what_is_wrong(
    file: str, old: str, new: str, said: str, tmp_path: Path, world: dict[str, str]
) -> None:
    shutil.copytree(_PAGE, tmp_path / "page")
    changed = tmp_path / "page" / file
    assert old in changed.read_text()
    changed.write_text(changed.read_text().replace(old, new, 1))
    done = _checked(tmp_path / "page", world)
    assert done.returncode == 1, done.stdout
    assert said in done.stdout


def test_the_gate_lets_through_what_pages_have(tmp_path: Path, world: dict[str, str]) -> None:
    shutil.copytree(_PAGE, tmp_path / "page")
    page = tmp_path / "page" / "index.html"
    drawn = '<svg viewBox="0 0 9 9" role="img"><title>&amp; a dot</title><circle r="4" fill="url(#a)"/></svg>'
    more = f'<nav><a href="#join">Join</a><br><a href="https://example.org">Friends</a></nav>{drawn}<h1>'
    page.write_text(page.read_text().replace("<h1>", more))
    assert _checked(tmp_path / "page", world).returncode == 0


_SIGN = re.compile(r"VERDICT ([0-9a-f]{6}): FIRST")
_LEAD = "    <p>Tools of the neighbourhood, kept in one place.</p>\n"
_QUESTIONS = """    <section id="questions">
      <h2>Questions</h2>
      <p>What if something breaks? Tell us: wear is ours, the rest we share.</p>
      <p>Can I give you tools? Yes, on Saturdays, if they work.</p>
      <p>Do you show me how to use them? Yes, on Wednesdays.</p>
    </section>
"""
_CHANGES = (
    ("index.html", "  </main>\n", f"{_QUESTIONS}  </main>\n"),
    ("index.html", _LEAD, "    <p>Borrow a drill for a week. Open Wednesdays and Saturdays.</p>\n"),
    ("style.css", "  max-width: 40rem;\n", "  max-width: 44rem;\n"),
    ("style.css", "  background: #fbfaf7;\n", "  background: #fdf8ee;\n"),
)
"""The first is wanted by the second goal only."""
_SPOILT = ("index.html", "      </ul>\n", "")


def _shown(said: str, file: str) -> str:
    """Return a file as a question for an edit shows it."""
    found = re.search(
        rf"(?ms)^[^\n]*{re.escape(file)}[^\n]*\n\n?(```+)\w*\n(.*?)\n\1$", said[said.rindex("# The files") :]
    )
    assert found, said
    return found[2] + "\n"


def _grown(text: str, goal: str) -> int:
    """Return how far a page has come towards a goal."""
    return sum(new in text for _, _, new in (_CHANGES if "`questions`" in goal else _CHANGES[1:]))


def _answer(number: int, messages: list[dict[str, Any]]) -> Say:
    """Answer each question for an edit with the next step, the first with a page that is spoilt; compare by steps."""
    told, said = messages[0]["content"], messages[1]["content"]
    if sign := _SIGN.search(told):
        return _compared(said, sign[1])
    return _edit(number, said, is_whole="whole files" in told + said)


def _compared(said: str, sign: str) -> Say:
    first, second = said.index("\n# FIRST"), said.index("\n# SECOND")
    goal = said[: said.index("# From FIRST")]
    one, two = (_grown(side, goal) for side in (said[first:second], said[second:]))
    return Say(f"VERDICT {sign}: {'TIE' if one == two else 'FIRST' if one > two else 'SECOND'}")


def _edit(number: int, said: str, *, is_whole: bool) -> Say:
    texts = {file: _shown(said, file) for file in ("index.html", "style.css")}
    wanted = _CHANGES if "`questions`" in said[: said.index("# The files")] else _CHANGES[1:]
    left = [change for change in wanted if change[1] in texts[change[0]] and change[2] not in texts[change[0]]]
    file, old, new = _SPOILT if number == 0 else left[0] if left else ("style.css", "footer {\n", "footer {\n")
    new += f"<!-- {number} -->\n" if file == "index.html" else f"/* {number} */\n"  # no two trees are the same
    block = f"<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"
    body = f"```\n{texts[file].replace(old, new)}```\n" if is_whole else block
    return Say(f"Subject: Step {number}\nThe page says it sooner.\n\n### `{file}`\n{body}")


@pytest.mark.heavy
@pytest.mark.timeout(1500)
def test_models_grow_a_page_a_judge_compares_and_a_person_has_the_next_stage(
    new_checkout: Callable[..., Checkout],
) -> None:
    here = new_checkout("page", commit=False)
    with ModelServer(_answer) as server:
        keyed = {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": server.base, "MODEL": "openai/scripted"}
        run_readme("web_page", here.path, {**here.environment, **keyed})
        made = {one["on"] for one in proposals(here) if one["kind"] == "proposal"}
        scores = {commit: known[0] for commit in made if (known := document(here, "show", commit)["scores"])}
        # The spoilt page is known as such, and was compared with nothing.
        failed = [commit for commit, score in scores.items() if score["status"] == "failed"]
        assert len(failed) == 1
        assert "</section> closes <ul>" in scores[failed[0]]["feedback"]
        by_model = [one for one in comparisons(here) if one["by"] == "model"]
        assert failed[0] not in {one[key] for one in by_model for key in ("on", "than")}
        assert all(one["calls"] for one in by_model)
        status = document(here, "status")
        assert status["compared"]["by_people"] == 1
        assert status["goal"] == (_PAGE / "goals" / "2-questions.md").read_text().strip()
        # The second goal reached those who write and those who compare.
        answered = {one["on"] for one in by_model if 'id="questions"' in here.git("show", f"{one['on']}:index.html")}
        liked = [commit for commit in answered if (document(here, "show", commit)["value"] or 0) > 0]
        assert liked
        run_block("web_page", 1, here.path, {**here.environment, **keyed, "REV": liked[0]})
    assert 'id="questions"' in here.git("show", "HEAD:index.html")
    assert len({run["base"] for run in document(here, "runs")["runs"]}) == 2
