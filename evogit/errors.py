"""Every error evogit raises on purpose, and the exit code each one ends a command with.

EvogitError                 1   the command could not do what was asked
├── NotBetter               1   what was to be proposed did not prove better when it was measured again
├── ProposerBroken          1   an agent's proposals come to nothing, one after another, and cost something
├── UsageError              2   the caller's input is wrong
│   ├── ConfigError         2   evogit.toml or an agent definition is wrong
│   └── RepositoryError     2   the repository is in a state evogit cannot work in
├── StorageError            6   Git refused a read or a write that should work
│   ├── RefMoved            6   another writer moved a ref between our read and our write
│   └── RemoteUnreachable   6   another repository could not be reached, or said nothing of use
├── NotAuthenticated        4   whoever serves a model refused the key, or there is none
├── Untrusted               5   the definition of a run came from elsewhere, and nobody here said that it may run
└── EvaluatorBroken         2   the user's evaluator itself does not work

A bad candidate is never an exception: it is a score with a status.
"""

from __future__ import annotations


class EvogitError(Exception):
    """Base of all expected errors; its text names the thing, the value and the remedy."""

    exit_code = 1


class NotBetter(EvogitError):
    """What was to be proposed did not prove better when it was measured again."""


class ProposerBroken(EvogitError):
    """An agent's proposals come to nothing, one after another, and cost something; or nobody answers it any more."""


class NotAuthenticated(EvogitError):
    """Whoever serves a model refused the key, or there is none."""

    exit_code = 4


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


class RemoteUnreachable(StorageError):
    """Another repository could not be reached, or said nothing of use."""


class Untrusted(EvogitError):
    """The definition of a run came from elsewhere, and nobody here said that its command may run."""

    exit_code = 5


class EvaluatorBroken(EvogitError):
    """The user's evaluator itself does not work, so no candidate can be scored."""

    exit_code = 2
