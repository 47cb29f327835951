"""Rows that have waited since an earlier process, in the queues in which the configuration of today puts them.

A row belongs to the device that its topic names now: its source may have another name, or another pattern. Newer rows
of that device must find the older ones in its queue, or they would be taken first. A hole belongs to whoever has the
rows of its queue; without any it stays where it is, and the core knows what a source means that is no more.
"""

from collections.abc import Callable, Iterable, Sequence

from agent.core.input_log import HoleTaken, OldestShed, RowsMissing, RowWaits, Waiting
from agent.receive.backlog import Device

_Place = RowWaits | RowsMissing
_Queues = dict[Device, list[_Place]]


def settle(
    waiting: Iterable[Waiting], whose: Callable[[str], Device], moved_to: Callable[[str], Device]
) -> tuple[Sequence[Waiting], list[Waiting]]:
    """Rows and holes as the queues of today have them, and the changes that make the former queues into those.

    waiting   each device's in order
    whose     topic -> its device today, ("", "") where this connection does not read it any more
    moved_to  topic of such a row -> its device today at another connection, ("", "") where nobody reads it
    """
    former: _Queues = {}
    for place in waiting:
        assert isinstance(place, _Place), "nothing else makes queues"
        former.setdefault((place.source, place.device), []).append(place)
    today = _today(former, whose, moved_to)
    changes: list[Waiting] = []
    for device, queue in former.items():
        if today.get(device) != queue:
            n_rows = sum(isinstance(one, RowWaits) for one in queue)
            changes += [OldestShed(*device)] * n_rows  # which leaves a hole at last
            changes.append(HoleTaken(*device))
    for device, queue in today.items():
        if former.get(device) != queue:
            changes += queue
    return [one for queue in today.values() for one in queue], changes


def _today(former: _Queues, whose: Callable[[str], Device], moved_to: Callable[[str], Device]) -> _Queues:
    """Those of today. Where several queues become one, its rows are in the order in which they came."""
    came: dict[Device, list[tuple[int, _Place]]] = {}
    for device, queue in former.items():
        rows = [one for one in queue if isinstance(one, RowWaits)]
        owners = list(dict.fromkeys(whose(row.topic) for row in rows))
        if not rows:  # a topic may have stood in for the devices of its payloads
            owners = [next(filter(any, (whose(device[1]), moved_to(device[1]), device)), ("", ""))]
        newest_ns = 0
        for place in queue:
            if isinstance(place, RowWaits):
                newest_ns, owner = place.arrived_ns, whose(place.topic)
                row = RowWaits(*owner, place.topic, place.payload, place.arrived_ns, place.packet_id)
                came.setdefault(owner, []).append((newest_ns, row))
            else:
                for owner in filter(any, owners):
                    came.setdefault(owner, []).append((newest_ns, RowsMissing(*owner)))
        for owner in dict.fromkeys(moved_to(row.topic) for row in rows if not any(whose(row.topic))):
            if any(owner):  # what the core is given of this connection it does not take for that device's
                came.setdefault(owner, []).append((newest_ns, RowsMissing(*owner)))
    return {owner: [one for _, one in sorted(queue, key=lambda one: one[0])] for owner, queue in came.items()}
