"""Rows that wait: what a device sends beyond its share is kept here, in order, and taken share after share.

Each device has a queue. While rows of it wait, its new ones go behind them. The queues have bounds, and what is beyond
a bound is shed. From then on all rows of that device are shed until those that wait are taken: so history is lost in
one place and not in many, and it is known in which. Such a place, a *hole*, stands in the queue. Rows on both sides of
it never leave the queue together, so the core can be told of it in between.

The rows are acknowledged with the read that brought them. Sessions are clean, so after a crash they are lost in any
case, like everything since the last snapshot.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

ROWS_OF_ONE_MAX = 4000  # a device
BYTES_OF_ONE_MAX = 2**24
ROWS_MAX = 20_000  # all devices together
BYTES_MAX = 2**26
Device = tuple[str, str]  # source and device


class Row(NamedTuple):
    """One message that waits; it keeps its own time of arrival."""

    topic: str
    payload: bytes
    arrived_ns: int

    @property
    def n_bytes(self) -> int:
        """Characters of the topic count as bytes."""
        return len(self.topic) + len(self.payload)


@dataclass(slots=True)
class _Queue:
    rows: deque[Row | None] = field(default_factory=deque)  # never empty; None is a hole, never two in a row
    n_bytes: int = 0
    is_full: bool = False  # a row was shed: it ends with a hole, and nothing is put behind that


class Backlog:
    """The queues of all devices. `n_rows` is how many rows wait, `n_bytes` how large they are."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.n_bytes = 0
        self._queues: dict[Device, _Queue] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __contains__(self, device: Device) -> bool:
        return device in self._queues

    def add(self, device: Device, row: Row) -> bool:
        """Put a row behind those of its device; False where it must be shed instead."""
        queue = self._queues.setdefault(device, _Queue())
        n_bytes = row.n_bytes
        if not queue.is_full and not self._has_room(queue, n_bytes):
            queue.is_full = True
            _add_hole(queue)
        if queue.is_full:
            return False
        queue.rows.append(row)
        queue.n_bytes += n_bytes
        self.n_rows += 1
        self.n_bytes += n_bytes
        return True

    def lose_history(self) -> None:
        """Messages may have been missed after the rows that wait."""
        for queue in self._queues.values():
            _add_hole(queue)

    def take(self, rows_max: int) -> tuple[list[Row], list[Device]]:
        """The next rows, at most `rows_max` a device, and the devices with a hole right before theirs.

        The first row of each device comes before the second of any, so that devices share their batches.
        """
        rounds: list[list[Row]] = []
        holes: list[Device] = []
        for device, queue in list(self._queues.items()):
            rows = queue.rows
            if rows[0] is None:
                rows.popleft()
                holes.append(device)
            for number in range(rows_max):
                if not rows or (row := rows[0]) is None:
                    break
                rows.popleft()
                if number == len(rounds):
                    rounds.append([])
                rounds[number].append(row)
                queue.n_bytes -= row.n_bytes
                self.n_rows -= 1
                self.n_bytes -= row.n_bytes
            if not rows:
                del self._queues[device]
        return list(chain.from_iterable(rounds)), holes

    def _has_room(self, queue: _Queue, n_bytes: int) -> bool:
        return (
            len(queue.rows) < ROWS_OF_ONE_MAX
            and queue.n_bytes + n_bytes <= BYTES_OF_ONE_MAX
            and self.n_rows < ROWS_MAX
            and self.n_bytes + n_bytes <= BYTES_MAX
        )


def _add_hole(queue: _Queue) -> None:
    if not queue.rows or queue.rows[-1] is not None:
        queue.rows.append(None)
