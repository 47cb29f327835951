"""What the inputs must know again after a restart, as the records of the journal make it.

Nothing is done a message: of what may be delivered again the lists that were recorded are referred to, and digests are
made when they are asked for.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.input_log import (
    REDELIVERED_MAX,
    HoleTaken,
    OldestShed,
    Recovered,
    RowsMissing,
    RowWaits,
    Waiting,
    digest_of,
)
from agent.store.records import Arrived, Beat, Begun, Kept, KeptInput, Listens, Lost, Noted, Record, SessionBegun

_Device = tuple[str, str]  # source and device
_Queue = deque[RowWaits | RowsMissing]


@dataclass(slots=True)
class _Delivered:
    """Messages that were recorded together, one element each."""

    packet_ids: Sequence[int]
    topics: Sequence[str]
    payloads: Sequence[bytes]


@dataclass(slots=True)
class _Input:
    """Of one broker.

    older   digests by packet id, of messages before `newer`
    queues  by device: what waits, and holes; never empty, and never two holes in a row
    whose   topic of what waits -> its device
    """

    older: dict[int, bytes] = field(default_factory=dict)
    newer: deque[_Delivered] = field(default_factory=deque)
    n_newer: int = 0
    queues: dict[_Device, _Queue] = field(default_factory=dict)
    whose: dict[str, _Device] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def deliver(self, packet_ids: Sequence[int], topics: Sequence[str], payloads: Sequence[bytes]) -> None:
        """Messages were recorded: the newest REDELIVERED_MAX of all may come again."""
        self.newer.append(_Delivered(packet_ids, topics, payloads))
        self.n_newer += len(packet_ids)
        while self.n_newer - len(self.newer[0].packet_ids) >= REDELIVERED_MAX:
            self.n_newer -= len(self.newer.popleft().packet_ids)
        if self.n_newer >= REDELIVERED_MAX:
            self.older.clear()

    def recent(self) -> dict[int, bytes]:
        digests = dict(self.older)
        for one in self.newer:
            for packet_id, topic, payload in zip(one.packet_ids, one.topics, one.payloads, strict=True):
                if packet_id:
                    digests.pop(packet_id, None)  # so that the newest is the last one
                    digests[packet_id] = digest_of(topic, payload)
        return dict([*digests.items()][-REDELIVERED_MAX:])

    def forget_deliveries(self) -> None:
        self.older.clear()
        self.newer.clear()
        self.n_newer = 0

    def keep(self, changes: Sequence[Waiting]) -> None:
        """Changes were recorded; with rows that wait, their deliveries."""
        for change in changes:
            self.change(change)
        rows = [change for change in changes if isinstance(change, RowWaits) and change.packet_id]
        if rows:
            self.deliver([row.packet_id for row in rows], [row.topic for row in rows], [row.payload for row in rows])

    def change(self, change: Waiting) -> None:
        device = change.source, change.device
        match change:
            case RowWaits():
                self.queues.setdefault(device, deque()).append(change)
                self.whose[change.topic] = device
            case RowsMissing():
                queue = self.queues.setdefault(device, deque())
                if not queue or isinstance(queue[-1], RowWaits):
                    queue.append(change)
            case OldestShed():
                self._shed(device)
            case HoleTaken():
                queue = self.queues.get(device, deque())
                if queue and isinstance(queue[0], RowsMissing):
                    queue.popleft()
                self._forget_empty(device)

    def take(self, topics: Sequence[str]) -> None:
        """Rows of these topics have left the queues, each the head of its own, with the hole before it."""
        for topic in topics:
            device = self.whose.get(topic)
            queue = self.queues.get(device) if device is not None else None
            if queue is None or device is None:
                continue
            if isinstance(queue.popleft(), RowsMissing) and queue:
                queue.popleft()
            self._forget_empty(device)

    def waiting(self) -> list[Waiting]:
        return [change for queue in self.queues.values() for change in queue]

    def _shed(self, device: _Device) -> None:
        queue = self.queues.get(device, deque())
        hole = RowsMissing(*device)
        if queue and isinstance(queue[0], RowsMissing):
            queue.popleft()
        if queue:
            queue.popleft()
        if not queue or isinstance(queue[0], RowWaits):
            queue.appendleft(hole)
        self.queues[device] = queue

    def _forget_empty(self, device: _Device) -> None:
        if not self.queues.get(device, True):
            del self.queues[device]
        if not self.queues:
            self.whose.clear()


class KeptInputs:
    """Of all brokers, by name."""

    def __init__(self) -> None:
        self._inputs: dict[str, _Input] = {}

    def begin(self, begun: Mapping[str, KeptInput]) -> None:
        """As the first record of a file has them."""
        self._inputs = {}
        for broker, kept in begun.items():
            one = self._inputs[broker] = _Input(older=dict(kept.recent), notes=dict(kept.notes))
            for change in kept.waiting:
                one.change(change)

    def apply(self, record: Record) -> None:
        """A record was written, or read again."""
        match record:
            case Arrived():
                if record.n_waited:
                    self._of(record.broker).take(record.topics[: record.n_waited])
                if record.packet_ids:
                    self._of(record.broker).deliver(record.packet_ids, record.topics, record.payloads)
            case Kept():
                self._of(record.broker).keep(record.changes)
            case Noted():
                self._of(record.broker).notes[record.name] = record.value
            case SessionBegun():
                self._of(record.broker).forget_deliveries()
            case Begun() | Beat() | Listens() | Lost():
                pass

    def keep(self) -> dict[str, KeptInput]:
        """For the first record of a file."""
        return {broker: KeptInput(one.recent(), one.waiting(), one.notes) for broker, one in self._inputs.items()}

    def recovered(self) -> dict[str, Recovered]:
        """For the inputs themselves."""
        return {broker: Recovered(one.recent, one.waiting, one.notes) for broker, one in self.keep().items()}

    def _of(self, broker: str) -> _Input:
        return self._inputs.setdefault(broker, _Input())
