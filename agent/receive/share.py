"""The rows that one device may bring at once: what is beyond its share is shed, so that it starves no other device.

A batch holds a device once, so many rows of one device cost a batch each, and the fleet's rows would wait behind them
until the broker drops them. This happens before the input log, so the core never sees what is shed (law 1). A device
keeps its first rows, which come before the gap in order.

On a slow machine the rows of one share may take longer than the share lasts. Where something was shed it then lasts
twice as long as the rows up to there took, so that half of the time is left for everybody else. A fleet that is busy
as a whole, in which nobody is over its share, is not concerned.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from agent.words import Shed

SHARE_S = 0.1  # a share lasts at least so long; the first read after it begins another one
Whose = Callable[[str], tuple[str, str]]  # topic -> source and device, "" where there is none


class Share:
    """Counts rows by topic, and by device where that may matter: an ordinary read costs no line of Python a message."""

    def __init__(self, rows_max: int, whose: Whose, *, has_one_topic_a_device: bool) -> None:
        """has_one_topic_a_device: the topics tell devices apart, so that counting topics is counting devices."""
        self._rows_max = rows_max
        self._whose = whose
        self._has_one_topic_a_device = has_one_topic_a_device
        self._of_topic: Counter[str] = Counter()  # since the share began
        self._begins_s = self._ends_s = self._took_s = 0.0
        self._sheds = self._is_settled = False  # something was shed in this share, and how long it lasts is known

    def spend(self, took_s: float) -> None:
        """The rows of a read took so long to be stepped."""
        self._took_s += took_s
        if self._sheds and not self._is_settled:  # what comes later in this share is no more the hog's
            self._is_settled = True
            self._ends_s = max(self._ends_s, self._begins_s + 2 * self._took_s)

    def over(self, topics: Sequence[str], now_s: float) -> tuple[list[bool], list[Shed]]:
        """Which messages of a read at monotonic now_s stay, a flag each, and what goes; ([], []) where all stay."""
        if now_s >= self._ends_s:
            self._begins_s, self._ends_s, self._took_s = now_s, now_s + SHARE_S, 0.0
            self._sheds = self._is_settled = False
            self._of_topic.clear()
        of_topic = self._of_topic
        of_topic.update(topics)
        counts = of_topic.values() if len(of_topic) < len(topics) else map(of_topic.__getitem__, topics)
        if self._has_one_topic_a_device and max(counts, default=0) <= self._rows_max:
            return [], []
        return self._shed(topics)

    def _shed(self, topics: Sequence[str]) -> tuple[list[bool], list[Shed]]:
        owner = {topic: self._whose(topic) for topic in self._of_topic}
        total: Counter[tuple[str, str]] = Counter()
        for topic, count in self._of_topic.items():
            total[owner[topic]] += count
        here = Counter(topics)
        room: dict[tuple[str, str], int] = {}  # of each device that has too many rows
        busiest: dict[tuple[str, str], str] = {}
        n_rows: Counter[tuple[str, str]] = Counter()  # in this read
        for topic, count in here.items():
            device = owner[topic]
            if total[device] > self._rows_max and device[0]:
                n_rows[device] += count
                busiest[device] = max(topic, busiest.get(device, topic), key=here.__getitem__)
        if not n_rows:
            return [], []
        self._sheds = True
        for device, count in n_rows.items():
            room[device] = max(0, self._rows_max - (total[device] - count))
        shed = [Shed(*device, busiest[device], count, count - room[device]) for device, count in n_rows.items()]
        return [_takes_room(room, owner[topic]) for topic in topics], shed


def _takes_room(room: dict[tuple[str, str], int], device: tuple[str, str]) -> bool:
    left = room.get(device)
    if left is None:
        return True
    room[device] = left - 1
    return left > 0
