"""More than can be taken at once: what of a read is taken now, what waits, and what is left out.

A source may have a rate; what is beyond it is dropped (rate.py). A device has a share; what is beyond it waits
(share.py, backlog.py) and is taken share after share. When no more may wait, the source's policy says what happens:

    newest  the rows that come are shed, until those that wait are taken
    oldest  the rows that have waited longest are shed
    block   nothing is read from the broker until there is room, for all sources of the connection. After half a
            keepalive at most, rows are shed as by `newest`, until half of the room is free again

Whatever is left out is counted, and the device says `gap` where it is missing.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

from agent.receive import backlog
from agent.receive.backlog import Backlog, Device, Row
from agent.receive.commands import Commands
from agent.receive.rate import Rate
from agent.receive.received import BYTES_MAX, MESSAGES_MAX, Received
from agent.receive.share import Share
from agent.words import Drop, DropCounts, Shed

SHED_DEVICES_MAX = 1000  # that are counted one by one; beyond it the lesser half is forgotten
READ_BYTES = 2**20  # more than one look at the socket brings beyond what was asked for


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one source. rate_max: messages a second, 0 for any number."""

    overload: Literal["block", "oldest", "newest"] = "newest"
    rate_max: float = 0.0


class Overload:
    """Rates, shares and waiting rows of one connection.

    share     who has taken how much
    backlog   the rows that wait
    shed_of   rows that were shed of a device since the start, (source, device) -> count, at least for the worst ones
    """

    def __init__(
        self,
        policies: Mapping[str, Policy],
        share: Share,
        source_of: Callable[[str], str],
        gap_of: Callable[[Device], Device],
        commands: Commands,
        counts: DropCounts,
        *,
        stop_s_max: float,
        waiting_bytes_max: int = backlog.BYTES_MAX,
    ) -> None:
        """What it is for.

        policies     by source; a source that joins another has that one's `overload`
        source_of    topic -> the source that it matches
        gap_of       device of a row -> whose history is lost with it
        commands     go behind the rows of their devices, however many wait
        stop_s_max   the longest that reading stops
        waiting_bytes_max  bound of the rows that wait
        """
        self.share = share
        self.backlog = Backlog(waiting_bytes_max)
        self.shed_of: Counter[Device] = Counter()
        self._source_of = source_of
        self._gap_of = gap_of
        self._commands = commands
        self._counts = counts
        self._rates = {name: Rate(policy.rate_max) for name, policy in policies.items() if policy.rate_max}
        self._sheds_oldest = {name for name, policy in policies.items() if policy.overload == "oldest"}
        self._blocks = {name for name, policy in policies.items() if policy.overload == "block"}
        self._stop_s_max = stop_s_max
        self._stopped_s = math.inf  # since when there is too little room for what comes

    def room(self, now_s: float) -> tuple[int, int]:
        """Messages and bytes that a read may bring, at monotonic now_s; none while reading stops."""
        if not self._blocks:
            return MESSAGES_MAX, BYTES_MAX
        rows, n_bytes = self.backlog.room(self._blocks)
        n_bytes -= READ_BYTES
        bytes_of_one = min(backlog.BYTES_OF_ONE_MAX, self.backlog.bytes_max // 4)
        if rows >= backlog.ROWS_OF_ONE_MAX // 2 and n_bytes >= bytes_of_one // 2:
            self._stopped_s = math.inf
        elif rows <= 0 or n_bytes <= 0:
            self._stopped_s = min(self._stopped_s, now_s)
        if now_s - self._stopped_s >= self._stop_s_max:
            return MESSAGES_MAX, BYTES_MAX
        return max(0, min(MESSAGES_MAX, rows)), max(0, min(BYTES_MAX, n_bytes))

    def settle(self, received: Received, now_s: float) -> None:
        """Let wait what devices bring beyond their share, and put before the read the rows whose turn it is."""
        is_loss = received.history_lost or bool(received.lost_sources)
        if is_loss:
            self.backlog.lose_history()
        due: list[Row] = []
        if now_s >= self.share.ends_s:
            self.share.begin(now_s)
            if self.backlog and not is_loss:  # that loss lies behind the rows that wait
                due = self._take(received)
        commands = self._commands.places(received) if not is_loss else {}
        if commands:
            rows, holes = self.backlog.take_all(lambda device: self._place(device, commands) >= 0, has_holes=not due)
            due += rows
            received.gaps += [*map(self._gap_of, holes)]
        if due:
            self.share.use(row.topic for row in due)
        received.changes_before = self.backlog.take_changes()
        too_fast = self._leave_out_fast(received, now_s) if self._rates else []
        self._keep_back(received, self._commands.places(received) if too_fast and commands else commands)
        for device in too_fast:
            self.backlog.lose_rows(device)  # behind those of this read that wait
        if due:
            received.prepend_waited(due)
        received.changes = self.backlog.take_changes()

    def release(self, received: Received) -> None:
        """Put in what waits, a share a device, without waiting for the next share."""
        received.prepend_waited(self._take(received))
        received.changes_before = self.backlog.take_changes()

    def due_s(self, now_s: float) -> float:
        """Seconds from monotonic now_s until waiting rows may be taken, infinite where none wait."""
        return max(0.0, self.share.ends_s - now_s) if self.backlog else math.inf

    def _take(self, received: Received) -> list[Row]:
        rows, holes = self.backlog.take(self.share.rows_max)
        received.gaps = list(dict.fromkeys(map(self._gap_of, holes)))
        return rows

    def _leave_out_fast(self, received: Received, now_s: float) -> list[Device]:
        """Drop what is beyond the rate of its source; whose rows those are. Costs by topic where nothing is."""
        came: dict[str, Counter[Device]] = {}
        for topic, count in Counter(received.topics).items():
            if (name := self._source_of(topic)) in self._rates:
                came.setdefault(name, Counter())[self.share.whose(topic)] += count
        crowded = {name for name, of_source in came.items() if not self._rates[name].take(of_source, now_s)}
        if not crowded:
            return []
        beyond: list[int] = []
        newest: dict[str, tuple[Device, str]] = {}
        n_dropped: Counter[str] = Counter()
        for place, topic in enumerate(received.topics):
            name = self._source_of(topic)
            if name in crowded and not self._rates[name].take_one(device := self.share.whose(topic)):
                beyond.append(place)
                newest[name] = device, topic
                n_dropped[name] += 1
        for name, count in n_dropped.items():
            (_, device_id), topic = newest[name]
            detail = f"{count} of {came[name].total()} messages of a read are beyond rate_max"
            self._counts[name, "rate"] += count
            received.drops.append(Drop(name, device_id, topic, "rate", detail))
        lost = dict.fromkeys(self.share.whose(received.topics[place]) for place in beyond)
        received.leave_out(beyond)
        return list(lost)

    def _place(self, device: Device, commands: Mapping[Device, int]) -> int:
        """Of the last command for a device, -1 for none; of its source where a topic stands in for its devices."""
        if not self._gap_of(device)[1]:
            return max((place for (source, _), place in commands.items() if source == device[0]), default=-1)
        return commands.get(device, -1)

    def _keep_back(self, received: Received, commands: Mapping[Device, int]) -> None:
        over = self.share.over(received.topics, self.backlog)
        if not over:
            return
        if commands:
            late = {device for device in over if device is not None and device not in self.backlog}
            until = {device: self._place(device, commands) for device in late}
            over = [
                None if device is not None and place < until.get(device, -1) else device
                for place, device in enumerate(over)
            ]
        ids = repeat(0) if received.message_ids is None else received.message_ids
        rows = list(map(Row, received.topics, received.payloads, received.arrived_ns, ids))
        taken: list[Row] = []
        topic_of: dict[Device, str] = {}
        n_shed: Counter[Device] = Counter()
        for device, row in zip(over, rows, strict=True):
            if device is None:
                taken.append(row)
            elif n := self._wait(device, row):
                n_shed[device] += n
                topic_of[device] = row.topic
        received.topics, received.payloads, received.arrived_ns = [], [], []
        received.message_ids = None if received.message_ids is None else []
        received.prepend(taken)
        n_rows = Counter(over)
        received.shed = [Shed(*device, topic_of[device], n_rows[device], n) for device, n in n_shed.items()]
        for device, count in n_shed.items():
            self._counts[device[0], "shed"] += count
        self.shed_of.update(n_shed)
        if len(self.shed_of) > SHED_DEVICES_MAX:
            for device, _ in self.shed_of.most_common()[SHED_DEVICES_MAX // 2 :]:
                del self.shed_of[device]

    def _wait(self, device: Device, row: Row) -> int:
        """Let a row wait; how many rows are shed for that."""
        if device[0] in self._sheds_oldest:
            return self.backlog.add_newest(device, row)
        return int(not self.backlog.add(device, row))
