"""From the receiver to the core: one read a turn, in portions, so that no turn is long however much has come.

What a turn leaves waits for the next one, and nothing more is read meanwhile. A read is acknowledged when all of it was
taken. Devices of which history is lost are marked before the read whose rows are the first ones behind the loss.
"""

import math
import time
from collections.abc import Callable

from agent.core import Core
from agent.core.entries import Heartbeat, HistoryLost, Messages
from agent.log import DropLog, ShedLog
from agent.receive.client import Receiver
from agent.receive.inbox import Received
from agent.words import Taken

PORTION_MESSAGES = 2048
TAKE_S_MAX = 0.25  # of a turn; the portion that is begun then is the last one


class Feed:
    """Gives the core what comes, and `finish` what the core made of it.

    n_read  messages that the core should have taken
    lag_s   age of the newest message when it was stepped, None when none has come
    """

    def __init__(
        self, receiver: Receiver, core: Core, finish: Callable[[Taken], None], drop_log: DropLog, shed_log: ShedLog
    ) -> None:
        self.n_read = core.n_messages
        self.lag_s: float | None = None
        self._receiver = receiver
        self._core = core
        self._finish = finish
        self._drop_log = drop_log
        self._shed_log = shed_log
        self._received = Received()

    def turn(self, wait_s: float) -> None:
        """Take a new read, for whose first message it waits at most `wait_s`, or go on with the one that is left."""
        if self._received.is_taken:
            self._begin(wait_s)
        else:
            self._receiver.keep_alive()
        begun_s = time.monotonic()
        self._take(begun_s + TAKE_S_MAX)
        self._receiver.inbox.share.spend(time.monotonic() - begun_s)

    def nap(self, longest_s: float) -> None:
        """Let some messages come together, where nothing is left to do."""
        if self._received.is_taken:
            self._receiver.nap(longest_s)

    def close(self) -> None:
        """Take what has been read and what waits, and say goodbye."""
        while not self._received.is_taken:
            self._take(time.monotonic())
        while self._receiver.inbox.backlog:
            self._accept(self._receiver.inbox.release())
            self._take(math.inf)
        self._receiver.close()

    def _begin(self, wait_s: float) -> None:
        received = self._receiver.read(wait_s)
        if received.history_lost:
            self._core.apply(HistoryLost())
        self._accept(received)
        self._drop_log.hear(received.drops, self._receiver.inbox.counts)
        self._shed_log.hear(received.shed, time.monotonic())
        if received.is_taken:
            self._finish(self._core.apply(Heartbeat(self._receiver.now_ns())))
            self._receiver.acknowledge(received.packet_ids)

    def _accept(self, received: Received) -> None:
        self._received = received
        self.n_read += len(received.topics)
        for source, device in received.gaps:
            self._core.apply(HistoryLost(source, [device]))

    def _take(self, until_s: float) -> None:
        """Portion after portion until monotonic `until_s`, at least one where there is one."""
        received = self._received
        while not received.is_taken:
            topics, payloads, arrived_ns = received.portion(PORTION_MESSAGES)
            self._finish(self._core.apply(Messages(topics, payloads, arrived_ns)))
            self.lag_s = (self._receiver.now_ns() - arrived_ns[-1]) / 1e9
            if received.is_taken:
                self._receiver.acknowledge(received.packet_ids)
            elif time.monotonic() >= until_s:
                return
