"""What is noticed, in the words of a report."""

from __future__ import annotations

FRAMES = "callers are left alone"
MEMORY = "memory is left alone"
TRACES = "nobody else looks on"
FILES = "files of the tests are left alone"
PROGRAMS = "no program is started"
NATIVE = "the interpreter is left alone"
CODE = "code goes by its own name"
VALUES = "values do not equal everything"
HOOKS = "pytest calls nobody else"
ITEMS = "tests are what they were"
JUDGES = "pytest stays as it was"
SEEN = "no test passed that was seen to fail"
ALL = (FRAMES, MEMORY, TRACES, FILES, PROGRAMS, NATIVE, CODE, VALUES, HOOKS, ITEMS, JUDGES, SEEN)
