"""A filter of system calls, as the bytes of a BPF program: what no score command needs and exploits begin with."""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_REFUSED: Mapping[str, tuple[int, int]] = {
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # wide doors into the kernel
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "fanotify_init": (300, 262), "lookup_dcookie": (212, 18),
    # the machine itself
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "syslog": (103, 116), "quotactl": (179, 60), "quotactl_fd": (443, 443),
}  # fmt: skip
"""Numbers on x86_64 and aarch64 of the calls that fail with EPERM."""
_ABSENT: Mapping[str, tuple[int, int]] = {
    "clone3": (435, 435),  # its flags are out of a filter's sight; every C library falls back to clone
    "memfd_create": (319, 279),  # memory that belongs to no process's count
    "memfd_secret": (447, 447),
}
"""Calls that fail as if the kernel had none."""
_NEW_NAMESPACES = 0x7E020000
_FAMILIES = (1, 2, 10, 16)
"""Sockets of the local kind, IPv4, IPv6, and netlink, which C libraries ask for addresses; not those of a host."""
_TERMINAL_INPUT = (0x5412, 0x541C)
"""ioctls that type into a terminal."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    column: int
    audit: int
    clone: int
    socket: int
    ioctl: int


_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(column=0, audit=0xC000003E, clone=56, socket=41, ioctl=16),
    "aarch64": _Machine(column=1, audit=0xC00000B7, clone=220, socket=198, ioctl=29),
}
_Line = tuple[int, int, str | None, str | None]
"""Code, constant, and where to go on: if it holds, if not; None is the next line."""


def program(machine: str | None = None) -> bytes | None:
    """Return the filter for a machine (default: this one), or None for one whose numbers are not known here."""
    found = _MACHINES.get(machine or platform.machine())
    return None if found is None else _assemble(list(_lines(found)))


def _lines(machine: _Machine) -> Iterable[_Line | str]:
    """Yield the program: a string is a label for the line after it."""
    yield (_LOAD, _ARCHITECTURE, None, None)
    yield (_EQUAL, machine.audit, None, "kill")
    yield (_LOAD, _NUMBER, None, None)
    if machine.column == 0:
        yield (_AT_LEAST, _X32, "absent", None)
    yield (_EQUAL, machine.clone, "clone", None)
    yield (_EQUAL, machine.socket, "socket", None)
    yield (_EQUAL, machine.ioctl, "ioctl", None)
    for numbers in _ABSENT.values():
        yield (_EQUAL, numbers[machine.column], "absent", None)
    for numbers in _REFUSED.values():
        yield (_EQUAL, numbers[machine.column], "refused", None)
    yield "allow"
    yield (_RETURN, _ALLOW, None, None)
    yield "clone"
    yield (_LOAD, _ARGUMENT_0, None, None)
    yield (_ANY_BIT, _NEW_NAMESPACES, "refused", "allow again")
    yield "socket"
    yield (_LOAD, _ARGUMENT_0, None, None)
    for family in _FAMILIES:
        yield (_EQUAL, family, "allow again", None)
    yield (_RETURN, _FAIL | errno.EAFNOSUPPORT, None, None)
    yield "ioctl"
    yield (_LOAD, _ARGUMENT_1, None, None)
    for request in _TERMINAL_INPUT:
        yield (_EQUAL, request, "refused", None)
    yield "allow again"
    yield (_RETURN, _ALLOW, None, None)
    yield "refused"
    yield (_RETURN, _FAIL | errno.EPERM, None, None)
    yield "absent"
    yield (_RETURN, _FAIL | errno.ENOSYS, None, None)
    yield "kill"
    yield (_RETURN, _KILL, None, None)


def _assemble(lines: list[_Line | str]) -> bytes:
    places: dict[str, int] = {}
    code: list[_Line] = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(code)
        else:
            code.append(line)
    found = b""
    for at, (operation, constant, yes, no) in enumerate(code):
        jumps = [places[label] - at - 1 if label else 0 for label in (yes, no)]
        found += struct.pack("<HBBI", operation, *jumps, constant)
    return found
