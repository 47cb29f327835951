"""Under which name a device is recorded: times rise in a recording, as every reader of it asks.

A device whose counter starts again, or whose clock is put right to an earlier time, goes on under another name: `p7~2`
after `p7`. The core has left out what is late, so this is the beginning of another life or of another clock. Only right
after a start, when the core does not know the devices yet, may a reading come again that was recorded before: it is
left out. A counter that is lower then is another life; no reading comes again over such a time.

Names with a character that cannot be in a topic, or that we need, are written as the agent's own topics have them:
`line1%2Fp7`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.table.recording import readable_name
from agent.table.rows import device_problem
from agent.words import Bool, Int64

NEVER = -1


@dataclass(slots=True)
class _Life:
    """name in the recording; number of the life, from 1 on; is_new: no row of it came since the start."""

    name: str
    number: int = 1
    newest_ns: int = NEVER
    is_new: bool = True


class Lives:
    """The devices of one source."""

    def __init__(self, newest_ns: Mapping[str, int], *, counts_cycles: bool) -> None:
        """newest_ns: time of the newest row of each name that was recorded before."""
        self._counts_cycles = counts_cycles
        self._lives: dict[str, _Life] = {}  # by the name of the first one
        for name, t_ns in newest_ns.items():
            first, _, number = name.partition("~")
            before = self._lives.get(first)
            if before is None or before.number < int(number or 1):
                self._lives[first] = _Life(name, int(number or 1), t_ns)

    def __len__(self) -> int:
        return len(self._lives)

    def name(self, device: str) -> str:
        """Of the device's life now, also of one that has no row."""
        life = self._lives.get(readable_name(device))
        return life.name if life else readable_name(device)

    def names(self, devices: Sequence[str], t_ns: Int64) -> tuple[list[str], Bool]:
        """Under which names rows are recorded, and which of them are, bool [n]; rows come in the order of the core."""
        names: list[str] = []
        is_kept = np.ones(len(devices), np.bool_)
        of_device: dict[str, _Life] = {}
        for row, (device, t) in enumerate(zip(devices, t_ns.tolist(), strict=True)):
            life = of_device.get(device)
            if life is None:
                life = of_device[device] = self._life(readable_name(device))
            if t <= life.newest_ns:
                if life.is_new and not self._counts_cycles:
                    is_kept[row] = False
                    continue
                life.number += 1
                life.name = f"{life.name.partition('~')[0]}~{life.number}"
            life.newest_ns, life.is_new = t, False
            names.append(life.name)
        return names, is_kept

    def _life(self, name: str) -> _Life:
        life = self._lives.get(name)
        if life is None:
            life = self._lives[name] = _Life(name)
        return life


def unreadable(devices: Sequence[str]) -> Iterator[str]:
    """Those that no reader would take, even so."""
    return (device for device in dict.fromkeys(devices) if device_problem(readable_name(device)))
