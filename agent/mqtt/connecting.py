"""A connection that is being made, in a thread of its own.

Looking a name up, TCP and TLS may each take seconds, and nothing else may wait for them: not the clock of silence, not
alerts on their way to another broker, not SIGTERM. The thread ends with the attempt; callbacks are not its business.
"""

import threading
from collections.abc import Callable

import paho.mqtt.client as paho


class Attempt:
    """One try to connect `client`; `fault` says why it failed, "" when it did not."""

    def __init__(self, client: paho.Client, connect: Callable[[], object]) -> None:
        self.client = client
        self.fault = ""
        self._connect = connect
        self._thread = threading.Thread(target=self._run, name="connect", daemon=True)
        self._thread.start()

    def is_over(self, timeout_s: float) -> bool:
        """Whether it has ended, waiting for that at most `timeout_s`."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._connect()
        except OSError as error:  # refused, unreachable, unknown host, time-out, TLS
            self.fault = str(error)
