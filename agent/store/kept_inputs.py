"""What the inputs must know again after a restart, as the records of the journal make it.

Nothing is done a message: see agent/core/recent.py for what may be delivered again.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.input_log import HoleTaken, OldestShed, Recovered, RowsMissing, RowWaits, Waiting
from agent.core.recent import Recent
from agent.store.records import (
    Arrived,
    Beat,
    Begun,
    Forgets,
    Kept,
    KeptInput,
    Listens,
    Lost,
    Noted,
    Record,
    SessionBegun,
)

PREPARED = 2048  # digests made a turn before a file is begun: some 6 ms
_Device = tuple[str, str]  # source and device
_Queue = deque[RowWaits | RowsMissing]


@dataclass(slots=True)
class _Input:
    """Of one broker.

    recent  what may be delivered again
    queues  by device: what waits, and holes; never empty, and never two holes in a row
    whose   topic of what waits -> its device, of as many rows
    """

    recent: Recent = field(default_factory=Recent)
    queues: dict[_Device, _Queue] = field(default_factory=dict)
    whose: dict[str, _Device] = field(default_factory=dict)
    n_of_topic: Counter[str] = field(default_factory=Counter)
    notes: dict[str, int] = field(default_factory=dict)

    def keep(self, changes: Sequence[Waiting]) -> None:
        """Changes were recorded; with rows that wait, their deliveries."""
        for change in changes:
            self.change(change)
        self.recent.add_rows(changes)

    def change(self, change: Waiting) -> None:
        device = change.source, change.device
        match change:
            case RowWaits():
                self.queues.setdefault(device, deque()).append(change)
                self.whose[change.topic] = device
                self.n_of_topic[change.topic] += 1
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
            if isinstance(queue[0], RowsMissing):
                queue.popleft()
            self._leave(queue)
            self._forget_empty(device)

    def waiting(self) -> list[Waiting]:
        return [change for queue in self.queues.values() for change in queue]

    def _shed(self, device: _Device) -> None:
        queue = self.queues.get(device, deque())
        hole = RowsMissing(*device)
        if queue and isinstance(queue[0], RowsMissing):
            queue.popleft()
        self._leave(queue)
        if not queue or isinstance(queue[0], RowWaits):
            queue.appendleft(hole)
        self.queues[device] = queue

    def _forget_empty(self, device: _Device) -> None:
        if not self.queues.get(device, True):
            del self.queues[device]

    def _leave(self, queue: _Queue) -> None:
        """The row at the head, if there is one, waits no more."""
        if queue and isinstance(row := queue.popleft(), RowWaits):
            self.n_of_topic[row.topic] -= 1
            if not self.n_of_topic[row.topic]:
                del self.n_of_topic[row.topic], self.whose[row.topic]


class KeptInputs:
    """Of all brokers, by name."""

    def __init__(self) -> None:
        self._inputs: dict[str, _Input] = {}
        self._n_left: int | None = None  # digests that the last `prepare` left to be made, None where that was done

    def begin(self, begun: Mapping[str, KeptInput]) -> None:
        """As the first record of a file has them."""
        self._inputs = {}
        for broker, kept in begun.items():
            one = self._inputs[broker] = _Input(recent=Recent(kept.recent), notes=dict(kept.notes))
            for change in kept.waiting:
                one.change(change)

    def apply(self, record: Record) -> None:
        """A record was written, or read again."""
        match record:
            case Arrived():
                if record.n_waited:
                    self._of(record.broker).take(record.topics[: record.n_waited])
                if record.packet_ids:
                    self._of(record.broker).recent.add(record.packet_ids, record.topics, record.payloads)
            case Kept():
                self._of(record.broker).keep(record.changes)
            case Noted():
                self._of(record.broker).notes[record.name] = record.value
            case SessionBegun():
                self._of(record.broker).recent.forget()
            case Begun() | Beat() | Listens() | Lost() | Forgets():
                pass

    def lose_history(self) -> None:
        """Messages may have been missed after the rows that wait."""
        for one in self._inputs.values():
            for device in one.queues:
                one.change(RowsMissing(*device))

    def prepare(self) -> bool:
        """Do some of the work of the next `keep`, turn after turn; whether little of it is left.

        Always more than what came since the last time, so that it comes to an end.
        """
        n_came = 0 if self._n_left is None else self._n_without() - self._n_left
        n_digests = max(PREPARED, 2 * n_came)
        for one in self._inputs.values():
            n_digests -= one.recent.prepare(n_digests)
        n_left = self._n_without()
        self._n_left = n_left if n_left > PREPARED else None
        return self._n_left is None

    def keep(self) -> dict[str, KeptInput]:
        """For the first record of a file."""
        return {
            broker: KeptInput(one.recent.digests(), one.waiting(), one.notes) for broker, one in self._inputs.items()
        }

    def recovered(self) -> dict[str, Recovered]:
        """For the inputs themselves."""
        return {broker: Recovered(one.recent, one.waiting, one.notes) for broker, one in self.keep().items()}

    def _n_without(self) -> int:
        return sum(one.recent.n_without for one in self._inputs.values())

    def _of(self, broker: str) -> _Input:
        return self._inputs.setdefault(broker, _Input())
