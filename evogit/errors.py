"""Every error evogit raises on purpose, and the exit code each one ends a command with.

EvogitError                 1   the command could not do what was asked
├── NotBetter               1   what was to be proposed did not prove better when it was measured again
├── UsageError              2   the caller's input is wrong
│   ├── ConfigError         2   evogit.toml or an agent definition is wrong
│   └── RepositoryError     2   the repository is in a state evogit cannot work in
├── StorageError            6   Git refused a read or a write that should work
│   └── RefMoved            6   another writer moved a ref between our read and our write
└── EvaluatorBroken         2   the user's evaluator itself does not work

A bad candidate is never an exception: it is a score with a status.
"""

from __future__ import annotations


class EvogitError(Exception):
    """Base of all expected errors; its text names the thing, the value and the remedy."""

    exit_code = 1


class NotBetter(EvogitError):
    """What was to be proposed did not prove better when it was measured again."""


class UsageError(EvogitError):
    """The caller's input is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """`evogit.toml` or an agent definition is wrong."""


class RepositoryError(UsageError):
    """The repository is in a state evogit cannot work in."""


class StorageError(EvogitError):
    """Git refused a read or a write that should work."""

    exit_code = 6


class RefMoved(StorageError):
    """Another writer moved a ref between our read and our write."""


class EvaluatorBroken(EvogitError):
    """The user's evaluator itself does not work, so no candidate can be scored."""

    exit_code = 2
