"""The rows that one device may have taken at once: what is beyond its share waits, so that it starves no other device.

A batch holds a device once, so many rows of one device cost a batch each, and the fleet's rows would wait behind them
until the broker drops them. This happens before the input log, which has the rows in the order in which the core is
given them (law 1).

On a slow machine the rows of one share may take longer than the share lasts. Where a device has more than its share it
then lasts twice as long as the rows up to there took, so that half of the time is left for everybody else. A fleet
that is busy as a whole, in which nobody is over its share, is not concerned.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from agent.receive.backlog import Backlog, Device

SHARE_S = 0.1  # a share lasts at least so long; the first read after it begins another one
Whose = Callable[[str], Device]  # topic -> source and device, "" where there is none


class Share:
    """Counts rows by topic, and by device where that may matter: an ordinary read costs no line of Python a message.

    `ends_s` is the monotonic time from which on the next share may begin.
    """

    def __init__(self, rows_max: int, whose: Whose, *, has_one_topic_a_device: bool) -> None:
        """has_one_topic_a_device: the topics tell devices apart, so that counting topics is counting devices."""
        self.rows_max = rows_max
        self.ends_s = 0.0
        self.whose = whose
        self._has_one_topic_a_device = has_one_topic_a_device
        self._of_topic: Counter[str] = Counter()  # since the share began
        self._owner: dict[str, Device] = {}  # of those topics, as far as it was asked for
        self._begins_s = self._took_s = 0.0
        self._is_contended = self._is_settled = False  # a device has more than its share; how long it lasts is known

    def begin(self, now_s: float) -> None:
        """Begin another one, at monotonic now_s."""
        self._begins_s, self.ends_s, self._took_s = now_s, now_s + SHARE_S, 0.0
        self._is_contended = self._is_settled = False
        self._of_topic.clear()
        self._owner.clear()

    def spend(self, took_s: float) -> None:
        """The rows of a read took so long to be stepped."""
        self._took_s += took_s
        if self._is_contended and not self._is_settled:  # what comes later in this share is no more the hog's
            self._is_settled = True
            self.ends_s = max(self.ends_s, self._begins_s + 2 * self._took_s)

    def use(self, topics: Iterable[str]) -> None:
        """Rows that have waited are taken; they are within their devices' shares."""
        self._of_topic.update(topics)
        self._is_contended = True

    def over(self, topics: Sequence[str], waiting: Backlog) -> list[Device | None]:
        """Whose each row of a read is if it is beyond a share, None for one that is taken; [] where all are taken.

        waiting  rows of a device that is in it are all beyond: they go behind those that wait
        """
        of_topic = self._of_topic
        of_topic.update(topics)
        counts = of_topic.values() if len(of_topic) < len(topics) else map(of_topic.__getitem__, topics)
        if not waiting and self._has_one_topic_a_device and max(counts, default=0) <= self.rows_max:
            return []
        return self._over(topics, waiting)

    def _over(self, topics: Sequence[str], waiting: Backlog) -> list[Device | None]:
        owner = self._owner
        total: Counter[Device] = Counter()
        for topic, count in self._of_topic.items():
            if topic not in owner:
                owner[topic] = self.whose(topic)
            total[owner[topic]] += count
        here: Counter[Device] = Counter()
        for topic, count in Counter(topics).items():
            here[owner[topic]] += count
        room = {  # of each device that has too many rows
            device: 0 if device in waiting else max(0, self.rows_max - (total[device] - count))
            for device, count in here.items()
            if device[0] and (total[device] > self.rows_max or device in waiting)
        }
        if not room:
            return []
        self._is_contended = True
        return [None if _takes_room(room, owner[topic]) else owner[topic] for topic in topics]


def _takes_room(room: dict[Device, int], device: Device) -> bool:
    left = room.get(device)
    if left is None:
        return True
    room[device] = left - 1
    return left > 0
