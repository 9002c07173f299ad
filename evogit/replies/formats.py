"""What a model is told of the format it is to answer in."""

from __future__ import annotations

_BEFORE = """\
Begin with your hypothesis: one line `Subject: ` with what you change (at most 70 characters), then one to five lines \
that say why this should score better. Then the edit, and nothing after it.
"""
_COMMANDS = """\
To delete a file write a line `### DELETE `path``, to rename one `### RENAME `old path` -> `new path``.
"""
_AFTER = """\
Paths are from the top of the repository. Where a file has lines with EVOLVE-BLOCK-START and EVOLVE-BLOCK-END, change \
only what is between them. All of the edit must apply, or none of it is taken.
"""

_BLOCKS = """\
The edit is one or more blocks: a line with the file's path, the lines to look for, copied exactly and enough of them \
to be found once, and the lines to put in their place. Several blocks and files are possible. An empty search makes a \
new file. If a text has such marker lines itself, make all three markers of the block longer.

Example:

Subject: Skip the sort when the items are in order
Most instances come sorted, and the sort takes half of the time.

### `{path}`
<<<<<<< SEARCH
def order(items):
    return sorted(items)
=======
def order(items):
    if all(a <= b for a, b in zip(items, items[1:])):
        return list(items)
    return sorted(items)
>>>>>>> REPLACE
"""
_FUNCTION = """\
The edit is one or more whole functions, each complete, in a fence below a line with the file's path. A function takes \
the place of the one with the same name; a method stands in its `class`. Only functions and imports count. A new file, \
or one that is no code, is given whole in the same way.

Example:

Subject: Skip the sort when the items are in order
Most instances come sorted, and the sort takes half of the time.

### `{path}`
```python
def order(items):
    if all(a <= b for a, b in zip(items, items[1:])):
        return list(items)
    return sorted(items)
```
"""
_FILE = """\
The edit is one or more whole files, each complete, in a fence below a line with its path. Files that are not given \
stay as they are. If a file has fences itself, use a longer fence around it.

Example:

Subject: Skip the sort when the items are in order
Most instances come sorted, and the sort takes half of the time.

### `{path}`
```python
import sys


def order(items):
    if all(a <= b for a, b in zip(items, items[1:])):
        return list(items)
    return sorted(items)
```
"""
_DIFF = """\
The edit is one unified diff in a fence, with three lines of context around each change, enough to be found once; line \
numbers do not count. `/dev/null` stands for a file that is new or goes.

Example:

Subject: Skip the sort when the items are in order
Most instances come sorted, and the sort takes half of the time.

```diff
--- a/{path}
+++ b/{path}
@@ -4,2 +4,4 @@
 def order(items):
+    if all(a <= b for a, b in zip(items, items[1:])):
+        return list(items)
     return sorted(items)
```
"""

_TOLD = {"blocks": _BLOCKS, "function": _FUNCTION, "file": _FILE, "diff": _DIFF}
FORMATS = tuple(_TOLD)
"""The names of the formats: search and replace blocks, whole functions, whole files, unified diffs."""


EXAMPLE_PATH = "src/pack.py"
"""The path in an example where no file is named."""
_EXAMPLE = "    if all(a <= b for a, b in zip(items, items[1:])):\n        return list(items)"


def instructions(format: str, path: str = EXAMPLE_PATH) -> str:
    """Return what tells a model this format, with an example for the file `path`, as Markdown.

    Raises:
        KeyError: there is no such format; `FORMATS` has them.
    """
    return f"{_BEFORE}\n{_TOLD[format].replace('{path}', path)}\n{_COMMANDS}{_AFTER}"


def is_example(text: str) -> bool:
    """Return whether a text has the code of the examples in it."""
    return _EXAMPLE in text.replace("\n+", "\n")
