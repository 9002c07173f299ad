"""A program that tries to get out of a sandbox, and prints as JSON what it managed to do.

It runs inside, on its own: its text is handed to an interpreter, and it knows nothing of evogit.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_CLONE_NEWUSER = 0x10000000
_MANY = 12


def attempt(plan: dict[str, Any]) -> list[str]:
    """Return in words what the sandbox should have kept this process from."""
    managed = []
    for words, act in _ATTEMPTS.items():
        with suppress(OSError, ValueError):
            if act(plan):
                managed.append(words)
    _leave_a_daemon()
    return managed


def _reads(plan: dict[str, Any]) -> bool:
    with open(plan["secret"], "rb") as file:
        return bool(file.read())


def _writes(plan: dict[str, Any]) -> bool:
    # A folder inside may be one of the same name as one outside: whether it was the one outside is seen there.
    for folder in plan["folders"]:
        with suppress(OSError), open(os.path.join(folder, plan["name"]), "w"):
            pass
    for folder in ("/", "/usr", "/etc", "/dev"):
        with suppress(OSError), open(os.path.join(folder, plan["name"]), "w"):
            return True
    return False


def _connects(plan: dict[str, Any]) -> bool:
    with socket.create_connection(("127.0.0.1", plan["port"]), 1):
        return True


def _connects_locally(plan: dict[str, Any]) -> bool:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect("\0" + plan["name"])
        return True


def _connects_by_path(plan: dict[str, Any]) -> bool:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(plan["socket"])
        return True


def _changes_the_mode(plan: dict[str, Any]) -> bool:
    os.chmod(plan["secret"], 0o777)
    return os.stat(plan["secret"]).st_mode & 0o777 == 0o777


def _signals(plan: dict[str, Any]) -> bool:
    # Numbers of a sandbox of its own are other processes', so it is asked what that process is, too.
    os.kill(plan["process"], 0)
    with open(f"/proc/{plan['process']}/stat", "rb") as file:
        return bool(file.read().rpartition(b")")[2].split()[19] == plan["begun"].encode())


def _sees_keys(plan: dict[str, Any]) -> bool:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() == plan["environment"]:
                return True
    return False


def _sees_processes(plan: dict[str, Any]) -> bool:
    return not plan["is_shared"] and sum(map(str.isdecimal, os.listdir("/proc"))) > _MANY


def _has_rights(plan: dict[str, Any]) -> bool:
    with open("/proc/self/status") as file:
        said = dict(line.split(":", 1) for line in file)
    # What may be gained at most is nothing to a process that gains nothing, and takes a right to give up.
    names = ("CapPrm", "CapEff", "CapAmb", *(() if plan["is_shared"] else ("CapBnd",)))
    rights = any(int(said[name], 16) for name in names)
    return rights or said["NoNewPrivs"].strip() != "1" or os.getuid() == 0


def _makes_a_namespace(_: dict[str, Any]) -> bool:
    return bool(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) == 0)


_ATTEMPTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "read a file outside": _reads,
    "write a file outside": _writes,
    "connect to a server of this machine": _connects,
    "connect to a local socket of this machine": _connects_locally,
    "connect to a local socket by its path": _connects_by_path,
    "change the mode of a file outside": _changes_the_mode,
    "signal a process of this machine": _signals,
    "read the environment of evogit": _sees_keys,
    "see processes of this machine": _sees_processes,
    "keep rights of root": _has_rights,
    "make a user namespace": _makes_a_namespace,
}


def _leave_a_daemon() -> None:
    """Leave a process behind that nobody waits for."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            time.sleep(600)
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(attempt(json.loads(sys.argv[1]))))
