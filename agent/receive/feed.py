"""From the receivers to the core: a read of each a turn, in portions, so that no turn is long however much has come.

Each broker has a receiver. They take turns portion by portion, so one that brings much or nothing holds up no other.
What a turn leaves of a read waits for the next one, and nothing more is read from that broker meanwhile. A read is
acknowledged when all of it was taken, and what the log keeps of it is on disk: its messages, the rows of it that wait
from now on, and the numbers that the input must know after a restart. While the log can keep nothing, nothing is taken
or read. Devices of which history is lost are marked before the read whose rows are the first ones behind the loss;
those of other brokers have lost nothing.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from agent.core import Core
from agent.core.entries import Heartbeat, HistoryLost, Listening, Messages
from agent.core.input_log import InputLog, NotRecorded, Origin
from agent.log import DropLog, ShedLog
from agent.receive.client import Receiver
from agent.receive.inputs import Inputs
from agent.receive.received import Received
from agent.sources import Source
from agent.words import Taken

PORTION_MESSAGES = 2048
PORTION_BYTES = 2**20  # of payloads: what they ask for in rows of many channels is held at once
FEWER_MESSAGES = 256  # where few bytes may ask for much: a payload may bring 2^16 numbers
MANY_CHANNELS = 128  # a reading is some bytes at least, so that with fewer channels PORTION_BYTES bounds it
TAKE_S_MAX = 0.25  # of a turn; the portion that is begun then is the last one


def portion_messages(source: Source) -> int:
    """How many messages of a source are decoded at once at most, so that their numbers take some 100 MB."""
    is_dense = source.compression == "none" and len(source.channels) <= MANY_CHANNELS
    return PORTION_MESSAGES if is_dense else FEWER_MESSAGES


@dataclass(slots=True)
class _Line:
    """What a receiver has brought and the core has not taken yet.

    broker           name of its table
    first            to be recorded, and applied, before what is left of the read
    last             to be recorded after it
    is_acknowledged  the read is done with
    took_s           how long its rows took in this turn
    """

    broker: str
    receiver: Receiver
    received: Received = field(default_factory=Received)
    first: deque[Callable[[], object]] = field(default_factory=deque)
    last: deque[Callable[[], object]] = field(default_factory=deque)
    is_acknowledged: bool = True
    took_s: float = 0.0


class Feed:
    """Gives the core what comes, and `finish` what the core made of it.

    n_read  messages that the core should have taken
    lag_s   age of the newest message when it was stepped, None when none has come
    why_held  why nothing is taken for now: what comes cannot be kept; "" while it can
    """

    def __init__(
        self,
        inputs: Inputs,
        core: Core,
        input_log: InputLog,
        finish: Callable[[Taken], None],
        drop_log: DropLog,
        shed_log: ShedLog,
    ) -> None:
        self.n_read = core.n_messages
        self.lag_s: float | None = None
        self.why_held = ""
        self._inputs = inputs
        self._core = core
        self._log = input_log
        self._finish = finish
        self._drop_log = drop_log
        self._shed_log = shed_log
        self._portion_messages = min(map(portion_messages, core.sources), default=PORTION_MESSAGES)
        self._granted: frozenset[str] | None = None  # the sources that may be read, as the core knows it
        self._unfinished: Taken | None = None  # what the core has made of the last entry, until it is finished
        self._lines = deque(_Line(*named) for named in inputs.by_broker.items())  # the next one's turn comes first

    def turn(self, wait_s: float) -> None:
        """Take new reads, for whose first message it waits at most `wait_s`, or go on with what is left."""
        first_s = self._inputs.wait(wait_s) if self._has_taken_all else 0.0
        for line in self._lines:
            if line.is_acknowledged:
                self._begin(line, first_s)
            else:
                line.receiver.keep_alive()
        is_quiet = all(line.received.is_taken for line in self._lines)
        try:
            self._finish_last()
            self._say_who_is_heard()
            self._take(time.monotonic() + TAKE_S_MAX)
            if is_quiet:
                self._finish_last()
                self._unfinished = self._log.apply(Heartbeat(self._inputs.now_ns()))
                self._finish_last()
            self.why_held = ""
        except NotRecorded as error:
            self.why_held = str(error) or "it cannot be recorded"
            time.sleep(wait_s)
        for line in self._lines:
            line.receiver.inbox.overload.share.spend(line.took_s)
            line.took_s = 0.0

    def nap(self, longest_s: float) -> None:
        """Let some messages come together, where nothing is left to do."""
        if self._has_taken_all:
            self._inputs.nap(longest_s)

    def close(self) -> None:
        """Take what has been read and what waits, and say goodbye."""
        with suppress(NotRecorded):  # it was not acknowledged either
            self._take(math.inf)
            for line in [*self._lines]:
                while line.receiver.inbox.overload.backlog:
                    self._accept(line, line.receiver.inbox.release())
                    self._take(math.inf)
        for line in self._lines:
            line.receiver.close()

    @property
    def _has_taken_all(self) -> bool:
        return all(line.is_acknowledged for line in self._lines)

    def _say_who_is_heard(self) -> None:
        """Tell the core which sources the brokers let us read, where that has changed. Raises NotRecorded."""
        granted = self._inputs.granted()
        if granted == self._granted:
            return
        if granted != self._core.listening():
            self._log.apply(Listening(tuple(sorted(granted))))
        self._granted = granted

    def _begin(self, line: _Line, wait_s: float) -> None:
        receiver = line.receiver
        received = receiver.read(wait_s)
        if received.is_new_session:
            line.first.append(partial(self._log.begin_session, line.broker))
        some = received.lost_sources if self._core.n_messages else ()  # before the first message nobody has a history
        lost_sources = receiver.sources if received.history_lost else some
        line.first.extend(partial(self._log.apply, HistoryLost(source)) for source in lost_sources)
        self._accept(line, received)
        self._drop_log.hear(received.drops, self._inputs.counts)
        self._shed_log.hear(received.shed, time.monotonic())

    def _accept(self, line: _Line, received: Received) -> None:
        line.received = received
        line.is_acknowledged = False
        self.n_read += len(received.topics)
        lost: dict[str, list[str]] = {}
        for source, device in received.gaps:
            lost.setdefault(source, []).append(device)
        for source, devices in lost.items():
            line.first.append(partial(self._log.apply, HistoryLost(source, devices if all(devices) else [])))
        if received.changes_before:
            line.first.append(partial(self._log.keep, line.broker, received.changes_before))
        if received.changes:
            line.last.append(partial(self._log.keep, line.broker, received.changes))
        line.last.extend(partial(self._log.note, line.broker, *note) for note in received.notes.items())

    def _take(self, until_s: float) -> None:
        """Portion after portion until monotonic `until_s`, at least one where there is one. Raises NotRecorded."""
        self._finish_last()
        while not self._has_taken_all:
            line = self._lines[0]
            self._lines.rotate(-1)
            if line.is_acknowledged:
                continue
            begun_s = time.monotonic()
            _do(line.first)
            if not line.received.is_taken:
                self._take_portion(line)
            if line.received.is_taken:
                _do(line.last)
                self._log.before_acknowledge()
                line.receiver.inbox.remember(line.received)
                line.receiver.acknowledge(line.received.packet_ids)
                line.is_acknowledged = True
            now_s = time.monotonic()
            line.took_s += now_s - begun_s
            if now_s >= until_s:
                return

    def _finish_last(self) -> None:
        """Raises NotRecorded when its alerts cannot be kept for now; it is tried again before anything else is."""
        if self._unfinished is not None:
            self._finish(self._unfinished)
            self._unfinished = None

    def _take_portion(self, line: _Line) -> None:
        received = line.received
        before = received.n_taken
        topics, payloads, arrived_ns = received.portion(self._portion_messages, PORTION_BYTES)
        entry = Messages(topics, payloads, arrived_ns, self._inputs.among(line.receiver))
        ids = () if received.message_ids is None else received.message_ids[before : received.n_taken]
        n_waited = min(max(0, received.n_waited - before), len(topics))
        try:
            self._unfinished = self._log.apply(entry, Origin(line.broker, ids, n_waited))
        except NotRecorded:
            received.n_taken = before
            raise
        self._finish_last()
        self.lag_s = (self._inputs.now_ns() - arrived_ns[-1]) / 1e9


def _do(steps: deque[Callable[[], object]]) -> None:
    """One after the other; one that raises NotRecorded is still the first."""
    while steps:
        steps[0]()
        steps.popleft()
