"""What the service manager is told, and whether the agent gets on: systemd's notify protocol with a watchdog.

The protocol is one datagram of VARIABLE=value lines to $NOTIFY_SOCKET (sd_notify(3)). No timer feeds the watchdog,
but by progress: a loop that hangs never comes here, and one that turns while work waits and none is done is `stuck`, so
that the manager ends the process and starts it anew. Silence of devices and an absent broker are no work that waits.
"""

import os
import socket
import time
from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

LOOK_EVERY_S = 10.0  # without a watchdog
SEND_TIMEOUT_S = 1.0
EXTEND_EVERY_S = 5.0  # so often a start that takes long asks for more time:
EXTEND_BY_S = 60
STEP_PATIENCE_S = 10.0


class Stage:
    """A place where work may wait: stuck when it waits and none is done for longer than `patience_s`."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._mark: object = None
        self._since_s = 0.0

    def is_stuck(self, now_s: float, *, waits: bool, mark: object) -> bool:
        """now_s on any clock that only goes forward; `mark` differs from the last one when work was done."""
        if not waits or mark != self._mark:
            self._mark, self._since_s = mark, now_s
        return now_s - self._since_s > self._patience_s


class Progress:
    """Which stage of the daemon is stuck."""

    def __init__(self, outbox_patience_s: float) -> None:
        self._step = Stage(STEP_PATIENCE_S)
        self._outbox = Stage(outbox_patience_s)

    def stuck(self, now_s: float, *, read: int, stepped: int, waiting: int, settled: int, connection: int) -> str:
        """The stage that is stuck, "" for none. To be asked again and again, at least once in its patience.

        read, stepped  messages since the start; read 0 while what comes cannot be kept, which is the disk's fault
        waiting        messages in the outbox that may be sent: those that the broker has refused do not wait
        settled        messages that have left the outbox since the start, and those that were refused: where the broker
                       takes none of them, and new ones come all the time, some always wait
        connection     number of the output's connection, 0 while there is none; a new one is a new chance
        """
        step = self._step.is_stuck(now_s, waits=read > stepped, mark=stepped)
        is_sending = bool(connection and waiting)
        outbox = self._outbox.is_stuck(now_s, waits=is_sending, mark=(connection, settled))
        return "step" if step else "outbox" if outbox else ""


class Supervisor:
    """The service manager as $NOTIFY_SOCKET and $WATCHDOG_USEC name it; without them nothing is sent."""

    def __init__(self, environ: Mapping[str, str], log: FilteringBoundLogger) -> None:
        self._log = log
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        own = str(os.getpid())
        watchdog_s = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
        self._has_watchdog = watchdog_s > 0 and environ.get("WATCHDOG_PID", own) == own
        self.look_every_s = watchdog_s / 2 if self._has_watchdog else LOOK_EVERY_S
        self._stuck = ""
        self._is_lost = False
        self._extended_s = time.monotonic()

    def starting(self) -> None:
        """The start goes on: to be called as often as something of it is done, however long all of it takes."""
        if time.monotonic() - self._extended_s >= EXTEND_EVERY_S:
            self._extended_s = time.monotonic()
            self._tell(f"EXTEND_TIMEOUT_USEC={EXTEND_BY_S * 10**6}")

    def ready(self) -> None:
        """All is loaded and the loop begins."""
        self._tell("READY=1")

    def say(self, status: str) -> None:
        """What `systemctl status` shows: one line."""
        self._tell(f"STATUS={' '.join(status.split())}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` says that this is over."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The process ends by itself now."""
        self._tell("STOPPING=1")

    def heed(self, stuck: str) -> None:
        """Feed the watchdog, unless the stage `stuck` is; that is said once."""
        if stuck and stuck != self._stuck:
            self._log.error("agent_stuck", stage=stuck, next_step="Under a watchdog it is ended and started anew.")
        self._stuck = stuck
        if self._has_watchdog and not stuck:
            self._tell("WATCHDOG=1")

    def _tell(self, what: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_TIMEOUT_S)
                sender.sendto(what.encode(errors="replace"), self._address)
        except OSError as error:
            if not self._is_lost:  # one line, not one a message
                self._log.warning("service_manager_lost", why=str(error))
            self._is_lost = True
