"""The tail of the journal, taken by a child first, where earlier starts have ended in the middle of it.

A record at which Python fails is counted by who takes it (failed_record.py). Where native code ends the process, or
never returns, nobody is left to count. So a child takes the tail and says at which record it is. What ends it by a
signal of its own would end the agent too; that it was killed says nothing about the record.
"""

import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from typing import NoReturn

OWN_SIGNALS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGALRM}  # the last by STILL_S
)
STILL_S = 60  # no record takes so long
LOOK_S = 0.05
_RECORD = struct.Struct("<Q16s")

Mark = Callable[[int, str], None]


def rehearse(take: Callable[[Mark], object], waiting: Callable[[], None]) -> tuple[int, str] | None:
    """At which record `take` ends a process, None for none: the entry at which it begins, and its digest.

    take     runs in the child, and calls what it is given with the same of each record before it takes it
    waiting  is called again and again meanwhile
    """
    with mmap.mmap(-1, _RECORD.size) as record:
        parent, child = os.getpid(), os.fork()
        if child == 0:
            _rehearse(take, record, parent)
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            waiting()
            time.sleep(LOOK_S)
        entry, digest = _RECORD.unpack(record[:])
    is_own = -os.waitstatus_to_exitcode(ended[1]) in OWN_SIGNALS
    return (entry, digest.decode()) if is_own and any(digest) else None


def _rehearse(take: Callable[[Mark], object], record: mmap.mmap, parent: int) -> NoReturn:
    def mark(entry: int, digest: str) -> None:
        if os.getppid() != parent:  # which has the lock: the next agent waits for us
            os._exit(1)
        record[:] = _RECORD.pack(entry, digest.encode())
        signal.alarm(STILL_S)

    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        take(mark)
    finally:  # nothing of the parent's is flushed, closed or caught here
        os._exit(0)
