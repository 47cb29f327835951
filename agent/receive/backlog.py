"""Rows that wait: what a device sends beyond its share is kept here, in order, and taken share after share.

Each device has a queue. While rows of it wait, its new ones go behind them. The queues have bounds, and what is beyond
a bound is shed. By the policy `newest` that is the row that comes, and from then on all rows of that device until those
that wait are taken: so history is lost in one place and not in many, and it is known in which. By `oldest` it is the
row that has waited longest. The place where rows are missing, a *hole*, stands in the queue. Rows on both sides of it
never leave the queue together, so the core can be told of it in between.

All devices share one room, and a device may have no more of it than is still free (the dynamic threshold of A. K.
Choudhury and E. L. Hahne, IEEE/ACM Transactions on Networking 6, 1998). So however many hogs there are, they leave some
for a device that comes later.

The rows are acknowledged with the read that brought them. In `snapshot` mode sessions are clean, so after a crash they
are lost in any case, like everything since the last snapshot. In `journal` mode they are recorded before: each change
of the queues is a plain value in `changes`, and `restore` makes the same queues again. Rows that `take` gives are
no change: they leave with the entry in which the core is given them.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from agent.core.input_log import HoleTaken, OldestShed, RowsMissing, RowWaits, Waiting

ROWS_OF_ONE_MAX = 4000  # a device
BYTES_OF_ONE_MAX = 2**24
ROWS_MAX = 20_000  # all devices together
BYTES_MAX = 2**26  # likewise, unless a journal has less room for them
Device = tuple[str, str]  # source and device


class Row(NamedTuple):
    """One message that waits; it keeps its own time of arrival. packet_id: 0 at QoS 0."""

    topic: str
    payload: bytes
    arrived_ns: int
    packet_id: int = 0

    @property
    def n_bytes(self) -> int:
        """Topics too as bytes: files of the journal begin with all rows, and a character may take four."""
        topic = self.topic
        return len(topic if topic.isascii() else topic.encode()) + len(self.payload)


@dataclass(slots=True)
class _Queue:
    rows: deque[Row | None] = field(default_factory=deque)  # never empty; None is a hole, never two in a row
    n_bytes: int = 0
    is_full: bool = False  # its newest row was shed: it ends with a hole, and nothing is put behind that

    @property
    def has_row(self) -> bool:
        return len(self.rows) > 1 or (bool(self.rows) and self.rows[0] is not None)


class Backlog:
    """The queues of all devices. `bytes_max` bounds the bytes of all of them.

    n_rows, n_bytes  how many rows wait, and how large they are
    changes          of the queues, since `take_changes`; none before `restore`
    """

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.n_rows = 0
        self.n_bytes = 0
        self.bytes_max = bytes_max
        self.changes: list[Waiting] = []
        self._has_changes = False
        self._queues: dict[Device, _Queue] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __contains__(self, device: Device) -> bool:
        return device in self._queues

    def add(self, device: Device, row: Row) -> bool:
        """Put a row behind those of its device; False where it must be shed instead."""
        queue = self._queues.setdefault(device, _Queue())
        if not queue.is_full and not self._has_room(queue, row.n_bytes):
            queue.is_full = True
            self._add_hole(device, queue)
        if queue.is_full:
            return False
        self._append(device, queue, row)
        return True

    def add_newest(self, device: Device, row: Row) -> int:
        """Put a row behind those of its device, of which the oldest make room; how many rows are shed for that.

        Where others have left no room at all, that is the row itself.
        """
        queue = self._queues.setdefault(device, _Queue())
        n_shed = 0
        while not self._has_room(queue, row.n_bytes):
            n_shed += 1
            if not queue.has_row:
                self._add_hole(device, queue)
                return n_shed
            self._shed_oldest(device, queue)
        self._append(device, queue, row)
        return n_shed

    def lose_rows(self, device: Device) -> None:
        """Rows of the device are missing after those that wait."""
        self._add_hole(device, self._queues.setdefault(device, _Queue()))

    def lose_history(self) -> None:
        """Messages may have been missed after the rows that wait."""
        for device, queue in self._queues.items():
            self._add_hole(device, queue)

    def restore(self, waiting: Iterable[Waiting], changes: Iterable[Waiting]) -> None:
        """Make the queues of an earlier process again, and tell of each change from now on.

        waiting  their rows and holes, each device's in order, within bounds
        changes  that make what was recorded into these, to be told of first
        """
        for change in waiting:
            device = change.source, change.device
            queue = self._queues.setdefault(device, _Queue())
            if isinstance(change, RowWaits):
                self._append(device, queue, Row(change.topic, change.payload, change.arrived_ns))
            else:
                self._add_hole(device, queue)
        self.changes = [*changes]
        self._has_changes = True

    def take_changes(self) -> list[Waiting]:
        """Those since the last call."""
        changes, self.changes = self.changes, []
        return changes

    def room(self, sources: Collection[str]) -> tuple[int, int]:
        """Rows and bytes that may still come before a device of these sources must be shed, whosever they are.

        Devices that are shed already do not count.
        """
        queues = [queue for (source, _), queue in self._queues.items() if source in sources and not queue.is_full]
        longest = max((len(queue.rows) for queue in queues), default=0)
        largest = max((queue.n_bytes for queue in queues), default=0)
        return (
            min(ROWS_OF_ONE_MAX - longest, (ROWS_MAX - self.n_rows - longest) // 2),
            min(BYTES_OF_ONE_MAX - largest, (self.bytes_max - self.n_bytes - largest) // 2),
        )

    def take(self, rows_max: int) -> tuple[list[Row], list[Device]]:
        """The next rows, at most `rows_max` a device, and the devices with a hole right before theirs.

        The first row of each device comes before the second of any, so that devices share their batches.
        """
        rounds: list[list[Row]] = []
        holes: list[Device] = []
        for device, queue in list(self._queues.items()):
            rows = queue.rows
            if rows[0] is None:
                self._take_hole(device, queue)
                holes.append(device)
            for number in range(rows_max):
                if not rows or (row := rows[0]) is None:
                    break
                rows.popleft()
                if number == len(rounds):
                    rounds.append([])
                rounds[number].append(row)
                self._leave(queue, row)
            if not rows:
                del self._queues[device]
        return list(chain.from_iterable(rounds)), holes

    def take_all(self, is_meant: Callable[[Device], bool], *, has_holes: bool) -> tuple[list[Row], list[Device]]:
        """All rows of some devices up to the next hole, and the devices with one right before theirs.

        has_holes  whether one at the head of a queue may go: no rows are given before these
        """
        taken: list[Row] = []
        holes: list[Device] = []
        for device in [device for device in self._queues if is_meant(device)]:
            queue = self._queues[device]
            if has_holes and queue.rows[0] is None and queue.has_row:
                self._take_hole(device, queue)
                holes.append(device)
            while queue.rows and (row := queue.rows[0]) is not None:
                queue.rows.popleft()
                self._leave(queue, row)
                taken.append(row)
            if not queue.rows:
                del self._queues[device]
        return taken, holes

    def _take_hole(self, device: Device, queue: _Queue) -> None:
        queue.rows.popleft()
        if self._has_changes:
            self.changes.append(HoleTaken(*device))

    def _leave(self, queue: _Queue, row: Row) -> None:
        queue.n_bytes -= row.n_bytes
        self.n_rows -= 1
        self.n_bytes -= row.n_bytes

    def _append(self, device: Device, queue: _Queue, row: Row) -> None:
        queue.rows.append(row)
        queue.n_bytes += row.n_bytes
        self.n_rows += 1
        self.n_bytes += row.n_bytes
        if self._has_changes:
            self.changes.append(RowWaits(*device, row.topic, row.payload, row.arrived_ns, row.packet_id))

    def _shed_oldest(self, device: Device, queue: _Queue) -> None:
        """Put a hole in place of the first row."""
        rows = queue.rows
        row = rows.popleft() or rows.popleft()
        assert row is not None, "two holes in a row"
        if not rows or rows[0] is not None:
            rows.appendleft(None)
        self._leave(queue, row)
        if self._has_changes:
            self.changes.append(OldestShed(*device))

    def _add_hole(self, device: Device, queue: _Queue) -> None:
        if not queue.rows or queue.rows[-1] is not None:
            queue.rows.append(None)
            if self._has_changes:
                self.changes.append(RowsMissing(*device))

    def _has_room(self, queue: _Queue, n_bytes: int) -> bool:
        return len(queue.rows) < min(ROWS_OF_ONE_MAX, ROWS_MAX - self.n_rows) and queue.n_bytes + n_bytes <= min(
            BYTES_OF_ONE_MAX, self.bytes_max - self.n_bytes
        )
