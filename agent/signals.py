"""What signals ask of the daemon; it looks between two turns."""

import os
import signal
from types import FrameType

STOPPED_TWICE = 130


class Signals:
    """To end after this turn, and at once when that is asked for a second time, or to read the configuration again.

    Logs nothing, since it may interrupt a log call.
    """

    def __init__(self) -> None:
        self.stop = 0  # number of the signal, once it has come
        self.reload = False

    def catch(self) -> None:
        """From here on SIGTERM, SIGINT and SIGHUP only leave a mark."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    @property
    def name(self) -> str:
        """Of the signal that asked for the end."""
        return signal.Signals(self.stop).name

    def _on_stop(self, number: int, _: FrameType | None) -> None:
        if self.stop:
            os._exit(STOPPED_TWICE)
        self.stop = number

    def _on_reload(self, _: int, __: FrameType | None) -> None:
        self.reload = True
