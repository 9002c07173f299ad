"""The gate: index.html is well-formed, safe to open, small, and holds what `must_hold.txt` asks for.

What it prints of a page that passes is shown to the judge, who reads files and sees no picture.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

HERE = Path(__file__).parent
LIMITS = {"index.html": 20_000, "style.css": 10_000}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
BANNED = {"base", "embed", "form", "iframe", "object", "script", "style"}
"""A page of these could run code, go elsewhere, or hide its style from the check of style.css."""
ADDRESSES = {"action", "background", "data", "formaction", "href", "ping", "poster", "src", "srcset", "xlink:href"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}

Attributes = Sequence[tuple[str, str | None]]


class Page(HTMLParser):
    """What a page says, by the ids of its elements, and what is wrong with it."""

    def __init__(self, text: str) -> None:
        """Read a whole page."""
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.texts: dict[str, str] = {}
        self.headings: list[str] = []
        self.counts: dict[str, int] = {}
        self.links: list[str] = []
        self.words = 0
        self._open: list[tuple[str, str, int]] = []
        self._is_declared = False
        self.feed(text)
        self.close()
        for tag, _, line in self._open:
            self.problems.append(f"<{tag}> of line {line} is never closed")
        if not self._is_declared:
            self.problems.append("there is no <!doctype html>")

    def handle_decl(self, decl: str) -> None:
        """Note the document type."""
        self._is_declared = self._is_declared or decl.lower() == "doctype html"

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        """Note an element, and leave it open unless it has no end."""
        known = {name: value or "" for name, value in attrs}
        self._look_at(tag, attrs, known)
        if not self._is_drawn():
            self.counts[tag] = self.counts.get(tag, 0) + 1
        name = known.get("id", "")
        if name in self.texts:
            self._problem(f"the id {name} is there twice")
        elif name:
            self.texts[name] = ""
        if tag in HEADINGS:
            self.headings.append("")
        if tag not in VOID:
            self._open.append((tag, name, self.getpos()[0]))

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        """Note an element that ends at once, as those of SVG may."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            if not self._is_drawn():
                self._problem(f"<{tag}/> is no end for a browser: write <{tag}></{tag}>")
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last, which must be this one."""
        if not self._open or self._open[-1][0] != tag:
            within = f"<{self._open[-1][0]}> of line {self._open[-1][2]}" if self._open else "nothing"
            self._problem(f"</{tag}> closes {within}")
        if any(tag == outer for outer, _, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Note words for all elements around them."""
        self.words += len(data.split())
        for tag, name, _ in self._open:
            if name:
                self.texts[name] += data
            if tag in HEADINGS:
                self.headings[-1] += data

    def _is_drawn(self) -> bool:
        """Return whether this is a part of a drawing, where elements end and are named in their own way."""
        return any(outer == "svg" for outer, _, _ in self._open)

    def _look_at(self, tag: str, attrs: Attributes, known: dict[str, str]) -> None:
        if tag in BANNED or (tag == "meta" and "http-equiv" in known):
            self._problem(f"<{tag}> is not wanted here")
        if len(known) != len(attrs):
            self._problem(f"<{tag}> has an attribute twice")
        if tag == "img" and "alt" not in known:
            self._problem("<img> has no alt text")
        for name, value in known.items():
            if name == "style" or name.startswith("on"):
                self._problem(f"<{tag}> has the attribute {name}: style.css is the place for style, and nothing runs")
            if name in ADDRESSES:
                if tag == "a" and name == "href":
                    self.links.append(value)
                elif not _is_local(value):
                    self._problem(f"<{tag} {name}> leads to {value[:60]!r}, which is no file beside the page")
            elif re.search(r"url\((?!#)", value, re.IGNORECASE):
                self._problem(f"<{tag} {name}> loads something by url()")

    def _problem(self, what: str) -> None:
        self.problems.append(f"line {self.getpos()[0]}: {what}")


def _is_local(address: str) -> bool:
    return address.startswith("#") or (re.fullmatch(r"[\w.-]+", address) is not None and (HERE / address).is_file())


def of_page(page: Page) -> Iterator[str]:
    """Yield what is wrong with a page as a whole."""
    yield from page.problems
    for tag in ("html", "head", "title", "body", "main", "h1"):
        if page.counts.get(tag, 0) != 1:
            yield f"there are {page.counts.get(tag, 0)} elements <{tag}>, and there should be one"
    for link in page.links:
        if link.startswith("#") and link[1:] not in page.texts:
            yield f"a link leads to {link}, and no element has that id"
        elif not link.startswith(("#", "https://", "mailto:", "tel:")):
            yield f"a link leads to {link[:60]!r}"


def of_style(text: str) -> Iterator[str]:
    """Yield what is wrong with a style sheet."""
    bare = re.sub(r"/\*.*?\*/|\"[^\"\n]*\"|'[^'\n]*'", " ", text, flags=re.DOTALL)
    if bare.count("{") != bare.count("}"):
        yield f"style.css opens {bare.count('{')} braces and closes {bare.count('}')}"
    if re.search(r"url\(|image-set\(|@import|\\|</", text, re.IGNORECASE):
        yield "style.css loads something (url(), @import) or has a backslash, behind which that could hide"


def of_content(page: Page, wanted: str) -> Iterator[str]:
    """Yield what the page lacks of what must be there; spaces and capitals do not matter."""
    for line in wanted.splitlines():
        name, _, words = line.partition(": ")
        if line.strip() and not line.startswith("#"):
            found = page.texts.get(name)
            if found is None:
                yield f"no element has the id {name}"
            elif _plain(words) not in _plain(found):
                yield f"#{name} does not say {words!r}"


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def main() -> int:
    """Print what is wrong and return 1, or print the page's outline and return 0."""
    texts = {}
    for name, limit in LIMITS.items():
        content = (HERE / name).read_bytes()
        if len(content) > limit:
            print(f"{name} has {len(content)} bytes, and {limit} are enough")
            return 1
        texts[name] = content.decode()
    page = Page(texts["index.html"])
    wrong = [*of_page(page), *of_style(texts["style.css"])]
    wrong += of_content(page, (HERE / "must_hold.txt").read_text())
    if wrong:
        print("\n".join(wrong))
        return 1
    print(f"{page.words} words, {sum(map(len, texts.values()))} characters; headings:")
    print("\n".join(f"  {_plain(heading)}" for heading in page.headings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
