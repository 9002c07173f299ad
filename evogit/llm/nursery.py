"""The process that imports litellm once for all agents of one `evogit run`, and forks one that asks for each.

It asks nothing itself. It has one thread and no connection, so that nothing is half done when it forks; what it forks
is told apart from a `service` of its own by nothing but how it began, and outlives it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, NoReturn

from evogit.llm import rehearsal, service
from evogit.llm.sharing import HANDED, REQUEST

_PARENT_DEATH_SIGNAL = 1


def main() -> None:
    """Fork for whoever sends a request, until nobody is left to send one; argument: the number of our parent."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        return  # it died before we asked to die with it
    requests = socket.socket(fileno=os.dup(0))
    os.dup2(1, 0)
    Nursery(requests).live()
    os._exit(0)


class Nursery:
    """Imports, and forks."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._litellm: Any = None

    def live(self) -> None:
        """Fork until nobody is left to ask for it, or it is not safe any more."""
        self._litellm = service.imported()
        is_ready = False
        while _has_one_thread():
            if not is_ready and not select.select([self._requests], [], [], 0)[0]:
                # Who came before waits for no more than the import.
                rehearsal.rehearse(self._litellm)
                _bury_children()
                gc.collect()
                gc.freeze()  # else a child's first collection would copy every page there is
                is_ready = True
                continue
            try:
                said, descriptors, _, _ = socket.recv_fds(self._requests, 32, HANDED, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return
            if not said:
                return
            if said == REQUEST and len(descriptors) == HANDED:
                self._fork(descriptors)
            for descriptor in descriptors:
                os.close(descriptor)

    def _fork(self, descriptors: list[int]) -> None:
        reply = descriptors[-1]
        try:
            child = os.fork()
        except OSError:
            return
        if child == 0:
            try:
                self._be_a_service(*descriptors)
            finally:
                os._exit(1)
        with suppress(OSError), socket.socket(fileno=os.dup(reply)) as channel:
            held = os.pidfd_open(child)
            try:
                socket.send_fds(channel, [b"%d" % child], [held], socket.MSG_DONTWAIT)
            finally:
                os.close(held)

    def _be_a_service(self, in_: int, out: int, errors: int, folder: int, reply: int) -> NoReturn:
        """What the child does: the same as a process that was started for one agent, without the import."""
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._requests.close()
        os.fchdir(folder)
        for number, descriptor in enumerate((in_, out, errors)):
            os.dup2(descriptor, number)
        for descriptor in (in_, out, errors, folder, reply):
            os.close(descriptor)
        service.answer(self._litellm, service.hush())
        os._exit(0)


def _bury_children() -> None:
    """See to it that none stays as a zombie: nobody asks how one ended, its agent sees that it did."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _has_one_thread() -> bool:
    """Whether a fork of this process is a whole one: of other threads, a child has nothing but the locks they hold."""
    return len(os.listdir("/proc/self/task")) == 1


if __name__ == "__main__":
    main()
