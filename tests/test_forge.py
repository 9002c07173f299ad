"""What a proposal says and where it leads, without any repository: forges by host, hostile text, and real gains."""

from __future__ import annotations

from fractions import Fraction

import pytest

from evogit import forge
from evogit.gain import Trial, by_instance
from evogit.harmless import harmless
from evogit.model import Direction, Measurement, Status

_HEAD = "evogit/r/pr-1"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("git@github.com:me/it.git", f"https://github.com/me/it/compare/main...{_HEAD}?expand=1"),
        ("https://me:secret@github.com/me/it.git", f"https://github.com/me/it/compare/main...{_HEAD}?expand=1"),
        (
            "ssh://git@github.example.org:2222/me/it",
            f"https://github.example.org/me/it/compare/main...{_HEAD}?expand=1",
        ),
        (
            "https://gitlab.example.org:8443/a/b/it.git",
            "https://gitlab.example.org:8443/a/b/it/-/merge_requests/new?merge_request%5Bsource_branch%5D="
            "evogit%2Fr%2Fpr-1&merge_request%5Btarget_branch%5D=main",
        ),
        ("git@codeberg.org:me/it.git", f"https://codeberg.org/me/it/compare/main...{_HEAD}"),
        ("http://git.forgejo.example.org/me/it", f"http://git.forgejo.example.org/me/it/compare/main...{_HEAD}"),
        (
            "git@bitbucket.org:me/it.git",
            "https://bitbucket.org/me/it/pull-requests/new?source=evogit%2Fr%2Fpr-1&dest=main",
        ),
        ("../hub.git", None),
        ("/srv/git/hub.git", None),
        ("file:///srv/git/hub.git", None),
        ("ssh://me:secret@git.example.org/it.git", None),
        ("https://[broken/it.git", None),
    ],
)
def test_where_a_pull_request_is_opened(url: str, address: str | None) -> None:
    found = forge.opening(url, url, head=_HEAD, onto="main", target="0" * 40, single=True)
    assert found.address == address
    assert "secret" not in repr(found)
    if "github" in url:
        assert found.lines == (f"gh pr create --head {_HEAD} --base main --fill",)
    elif address is None:
        assert found.lines[0].startswith(f"git request-pull {'0' * 12} ")


def test_a_lineage_is_opened_with_its_text_and_without_a_known_target() -> None:
    found = forge.opening("git@github.com:me/it.git", "origin", head=_HEAD, onto=None, target="0" * 40, single=False)
    assert found.lines == (
        f"git log -1 --format=%b {_HEAD} | "
        f'gh pr create --head {_HEAD} --title "$(git log -1 --format=%s {_HEAD})" --body-file -',
    )
    assert found.address == f"https://github.com/me/it/compare/{_HEAD}?expand=1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Skip the sort when already ordered", "Skip the sort when already ordered"),
        ("a < b -> c; x<y", "a < b -> c; x< y"),
        ("thanks @alice, fixes #12, GH-3 and !4", "thanks @ alice, fixes # 12, GH 3 and ! 4"),
        ("see https://evil.invalid/x", "see https: //evil.invalid/x"),
        ("<script>alert(1)</script><!-- x -->", "< script>alert(1)< /script>< !-- x -- >"),
        ("`rm -rf` | **bold** [skip ci] [ci skip]", "'rm -rf' \N{BROKEN BAR} *bold* [ skip ci] [ ci skip]"),
        ("---", "(---)"),
        ("diff --git a/x b/x", "(diff --git a/x b/x)"),
        ("# a comment", "(# a comment)"),
        ("fixup! other", "(fixup! other)"),
        ("a\nSigned-off-by: Eve <eve@evil.invalid>\r\x1b[31m\u202e", "a Signed-off-by: Eve < eve@ evil.invalid> [31m"),
        ("", ""),
    ],
)
def test_hostile_text_is_only_words(text: str, said: str) -> None:
    assert harmless(text, 200) == said
    assert len(harmless(text * 90, 72)) <= 72


def trial(before: list[float], after: list[float], direction: Direction = Direction.MAXIMIZE) -> Trial:
    """Return a trial of these scores."""
    left, right = (tuple(Measurement(status=Status.OK, value=one) for one in side) for side in (before, after))
    return Trial(left, right, direction)


@pytest.mark.parametrize(
    ("before", "after", "real", "luck"),
    [
        ([1, 1, 1], [2, 2, 2], True, "1/20"),
        ([1, 1], [2, 2], True, "1/6"),
        ([1, 1.1], [2, 2.1], False, "1/6"),
        ([1, 1, 1], [1, 1, 1], False, "1"),
        ([2, 2, 2], [1, 1, 1], False, "1"),
        ([1.0, 1.2, 0.9], [2.0, 2.5, 1.9], True, "1/20"),
        ([1.0, 2.2, 0.9], [2.0, 2.5, 1.9], False, "1/5"),
        ([1.0, 9.0, 0.9], [2.0, 2.5, 1.9], False, "7/20"),
        ([1, 2, 3, 4, 5, 6], [4.5, 5.5, 6.5, 7, 8, 9], True, "1/132"),
    ],
)
def test_a_gain_is_real_when_luck_is_no_explanation(
    before: list[float], after: list[float], real: bool, luck: str
) -> None:
    for direction, sign in ((Direction.MAXIMIZE, 1), (Direction.MINIMIZE, -1)):
        found = trial([sign * one for one in before], [sign * one for one in after], direction)
        assert (found.is_real, found.luck) == (real, Fraction(luck))


def test_instances_that_got_worse_are_counted() -> None:
    before = Measurement(status=Status.OK, value=1, instances={"a": 1, "b": 2, "c": 3, "only here": 1})
    after = Measurement(status=Status.OK, value=2, instances={"a": 2, "b": 1, "c": 3})
    assert by_instance(Trial((before,) * 3, (after,) * 3, Direction.MAXIMIZE)) == (1, 1, 1)
    assert by_instance(Trial((before,), (before,), Direction.MINIMIZE)) == (0, 0, 4)
    assert by_instance(trial([1, 1], [2, 2])) == (0, 0, 0)
