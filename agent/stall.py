"""Ends a process whose loop hangs: with systemd the watchdog does that, without it nobody would.

A thread looks whether the loop has turned. It counts its own looks and not time, so that a process that was stopped, or
whose host slept, is not taken for one that hangs: however long that was, it is one look. A hang within the interpreter
itself is beyond it, and the service manager's.
"""

import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from structlog.typing import FilteringBoundLogger

STALL_S = 120.0  # no turn takes so long: a held database is waited for 30 s, a slow model's portion some seconds
LOOK_S = 1.0
LAST_WORDS_S = 10  # for the log and the stacks; then the kernel ends the process, also when nobody reads them
FAILED = 1
_HERE = Path(__file__).parent


class Stall:
    """Watches the thread that makes it."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._thread = threading.get_ident()
        self._n_turns = 0

    def watch(self) -> None:
        """From now on the loop must turn."""
        threading.Thread(target=self._look, name="stall", daemon=True).start()

    def turn(self) -> None:
        """The loop has turned."""
        self._n_turns += 1

    def _look(self) -> None:
        looks, n_turns = threading.Event(), -1
        n_looks = 0
        while n_looks * LOOK_S < STALL_S:
            looks.wait(LOOK_S)
            n_looks = n_looks + 1 if n_turns == self._n_turns else 0
            n_turns = self._n_turns
        self._end()

    def _end(self) -> None:
        signal.alarm(LAST_WORDS_S)
        stage = stage_of(sys._current_frames().get(self._thread))
        next_step = "It ends now, with the stacks of all threads below: please report them."
        self._log.error("agent_hangs", stage=stage, since_s=STALL_S, next_step=next_step)
        faulthandler.dump_traceback(all_threads=True)
        os._exit(FAILED)


def stage_of(frame: FrameType | None) -> str:
    """The room of the innermost call that is ours: `step` for one in agent/step, "" for none."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_HERE):
            return path.relative_to(_HERE).parts[0].removesuffix(".py")
        frame = frame.f_back
    return ""
