"""A filter of system calls, as the bytes of a BPF program: what no score command needs and exploits begin with."""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator, Mapping
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
_SHARED: Mapping[str, tuple[int, int]] = {
    # memory, counters and queues that other processes of the user share
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # names of files that others make
    "inotify_init1": (294, 26),
}  # fmt: skip
"""Calls that fail as if the kernel had none, where the user's other processes are in reach."""
_REACHING: Mapping[str, tuple[int, int]] = {
    "connect": (42, 203), "bind": (49, 200), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "fchown": (93, 55), "fchownat": (260, 54),
}  # fmt: skip
"""Calls that fail with EPERM, where the user's other processes and files are in reach."""
_CONNECTING = ("connect", "bind")
_ATTRIBUTES: Mapping[str, tuple[int, int]] = {
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463), "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}  # fmt: skip
"""Calls that fail there as on a disk that knows no such attributes: programs that copy files get along with that."""
_OF_A_PROCESS: Mapping[str, tuple[int, int]] = {
    "prlimit64": (302, 261), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
}  # fmt: skip
"""Calls that may change the calling thread alone: their first argument is the number of a process, 0 the caller's."""
_PRIORITY: Mapping[str, tuple[int, int]] = {"setpriority": (141, 140), "ioprio_set": (251, 30)}
"""Calls that may change the calling thread alone: they say whose in two arguments."""
_ASKED: Mapping[str, tuple[int, int]] = {
    "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "utimensat": (280, 88),
}  # fmt: skip
"""Calls that Landlock has no right for and many programs need: a process outside decides."""
_ASKED_ON_X86: Mapping[str, int] = {"chmod": 90, "utime": 132, "utimes": 235, "futimesat": 261}
_REFUSED_ON_X86: Mapping[str, int] = {"chown": 92, "lchown": 94, "inotify_init": 253}
"""The same under names that younger machines do not have."""
_NEW_NAMESPACES = 0x7E020000
_LOCAL = 1
_FAMILIES = (_LOCAL, 2, 10, 16)
"""Sockets of the local kind, IPv4, IPv6, and netlink, which C libraries ask for addresses; not those of a host."""
_TERMINAL_INPUT = (0x5412, 0x541C)
"""ioctls that type into a terminal."""
_FLAGS_OF_A_FILE = (0x40086602, 0x401C5820)
"""ioctls that change a file which is only read."""
_LEASE = 1024
"""The operation of fcntl that lets others wait who open a file."""
_STREAM, _ORDERED, _KIND_OF_SOCKET = 1, 5, 0xF
LINE = 8
"""The bytes of one line of a program."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
_ALLOW, _KILL, _FAIL, _ASK = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
_X32 = 0x40000000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    column: int
    audit: int
    clone: int
    socket: int
    ioctl: int
    socketpair: int
    fcntl: int


_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(column=0, audit=0xC000003E, clone=56, socket=41, ioctl=16, socketpair=53, fcntl=72),
    "aarch64": _Machine(column=1, audit=0xC00000B7, clone=220, socket=198, ioctl=29, socketpair=199, fcntl=25),
}
_Line = tuple[int, int, str | None, str | None]
"""Code, constant, and where to go on: if it holds, if not; None is the next line."""


def program(machine: str | None = None, *, is_shared: bool = False, has_network: bool = False) -> bytes | None:
    """Return the filter for a machine (default: this one), or None for one whose numbers are not known here.

    `is_shared` is for a process that has no namespaces of its own: it makes no socket but pairs, and reaches neither
    shared memory nor attributes of files. It asks about modes and times of files; somebody has to answer.

    `has_network` is for one that may use the machine's network: it makes sockets for that, and none of the local kind
    but pairs, since those others listen at are in its reach by their names.
    """
    found = _MACHINES.get(machine or platform.machine())
    if found is None:
        return None
    return _assemble([*_begin(found), *_lines(found, is_shared=is_shared, has_network=has_network)])


def asked(machine: str | None = None) -> Mapping[int, str]:
    """Return the calls a shared process asks about: their names by their numbers."""
    found = _MACHINES[machine or platform.machine()]
    return {number: name for name, number in _asked(found)}


def _asked(machine: _Machine) -> Iterator[tuple[str, int]]:
    yield from ((name, numbers[machine.column]) for name, numbers in _ASKED.items())
    yield from _ASKED_ON_X86.items() if machine.column == 0 else ()


def _begin(machine: _Machine) -> Iterator[_Line | str]:
    yield (_LOAD, _ARCHITECTURE, None, None)
    yield (_EQUAL, machine.audit, None, "kill")
    yield (_LOAD, _NUMBER, None, None)
    if machine.column == 0:
        yield (_AT_LEAST, _X32, "absent", None)


def _lines(machine: _Machine, *, is_shared: bool, has_network: bool) -> Iterator[_Line | str]:
    """Yield what is done about each call, its number loaded: a string is a label for the line after it."""
    yield (_EQUAL, machine.clone, "clone", None)
    yield (_EQUAL, machine.socket, "no socket" if is_shared and not has_network else "socket", None)
    yield (_EQUAL, machine.ioctl, "ioctl", None)
    yield from _named(_ABSENT, machine, "absent")
    yield from _named(_REFUSED, machine, "refused")
    yield from _lines_of_the_shared(machine, has_network=has_network) if is_shared else ()
    yield "allow"
    yield (_RETURN, _ALLOW, None, None)
    yield "clone"
    yield (_LOAD, _ARGUMENT_0, None, None)
    yield (_ANY_BIT, _NEW_NAMESPACES, "refused", "allow again")
    yield "socket"
    yield (_LOAD, _ARGUMENT_0, None, None)
    for family in _FAMILIES:
        if family != _LOCAL or not has_network:
            yield (_EQUAL, family, "allow again", None)
    yield (_RETURN, _FAIL | errno.EAFNOSUPPORT, None, None)
    yield "ioctl"
    yield (_LOAD, _ARGUMENT_1, None, None)
    for request in (*_TERMINAL_INPUT, *(_FLAGS_OF_A_FILE if is_shared else ())):
        yield (_EQUAL, request, "refused", None)
    yield "allow again"
    yield (_RETURN, _ALLOW, None, None)
    yield "refused"
    yield (_RETURN, _FAIL | errno.EPERM, None, None)
    yield "no socket"
    yield (_RETURN, _FAIL | errno.EACCES, None, None)
    yield "unsupported"
    yield (_RETURN, _FAIL | errno.EOPNOTSUPP, None, None)
    yield "absent"
    yield (_RETURN, _FAIL | errno.ENOSYS, None, None)
    yield "ask"
    yield (_RETURN, _ASK, None, None)
    yield "kill"
    yield (_RETURN, _KILL, None, None)


def _lines_of_the_shared(machine: _Machine, *, has_network: bool) -> Iterator[_Line | str]:
    yield from _named(_SHARED, machine, "absent")
    reaching = {name: _REACHING[name] for name in _REACHING if not has_network or name not in _CONNECTING}
    yield from _named(reaching, machine, "refused")
    yield from _named(_ATTRIBUTES, machine, "unsupported")
    yield from _named(_OF_A_PROCESS, machine, "of a process")
    if machine.column == 0:
        for number in _REFUSED_ON_X86.values():
            yield (_EQUAL, number, "refused", None)
    for _, number in _asked(machine):
        yield (_EQUAL, number, "ask", None)
    for name, numbers in _PRIORITY.items():
        yield (_EQUAL, numbers[machine.column], name, None)
    yield (_EQUAL, machine.fcntl, "fcntl", None)
    yield (_EQUAL, machine.socketpair, "pair", "allow")
    yield "of a process"
    yield (_LOAD, _ARGUMENT_0, None, None)
    yield (_EQUAL, 0, "allow", "refused")
    for name, process in (("setpriority", 0), ("ioprio_set", 1)):
        yield name
        yield (_LOAD, _ARGUMENT_0, None, None)
        yield (_EQUAL, process, None, "refused")
        yield (_LOAD, _ARGUMENT_1, None, None)
        yield (_EQUAL, 0, "allow", "refused")
    yield "fcntl"
    yield (_LOAD, _ARGUMENT_1, None, None)
    yield (_EQUAL, _LEASE, "refused", "allow")
    yield "pair"  # one of datagrams could be pointed at another socket's name
    yield (_LOAD, _ARGUMENT_1, None, None)
    yield (_AND, _KIND_OF_SOCKET, None, None)
    yield (_EQUAL, _STREAM, "allow", None)
    yield (_EQUAL, _ORDERED, "allow", "no socket")


def _named(calls: Mapping[str, tuple[int, int]], machine: _Machine, label: str) -> Iterator[_Line]:
    for numbers in calls.values():
        yield (_EQUAL, numbers[machine.column], label, None)


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
