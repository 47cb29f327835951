"""Whose alerts are hidden: shelved by a person for a while, suppressed by design, or out of service (ISA-18.2, 11.7).

Hiding is held beside the states of alerts: who hides alerts need not know which stand, and none is raised meanwhile.
Several may hide one alert for reasons of their own, and each reason ends by itself. Shelving always has an end, by log
time, as the standard asks; the end is found at a tick.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

import msgspec
import numpy as np

from agent.errors import Unreadable
from agent.words import AlertKey, Bool, Devices, Hide, HideChange, HideKind, Int64

HIDES_MAX: Final = 10_000
KINDS: Final[tuple[HideKind, ...]] = ("out_of_service", "suppressed", "shelved")  # of several the first one is said

Kept = list[tuple[AlertKey, Hide]]


class Handling:
    """By the pattern of a key, in which "" stands for any: source, device, model, head."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._hides: dict[AlertKey, dict[HideKind, Hide]] = {}
        self._of_head: dict[tuple[str, str], tuple[set[int], set[tuple[int, str]]]] = {}  # sources, devices

    def __len__(self) -> int:
        return sum(map(len, self._hides.values()))

    def find(self, pattern: AlertKey, kind: HideKind) -> Hide | None:
        return self._hides.get(pattern, {}).get(kind)

    def of(self, key: AlertKey) -> Hide | None:
        """Why an alert is not shown, None where it is."""
        if not self._hides:
            return None
        hides: dict[HideKind, Hide] = {}
        for pattern in _patterns(key):
            hides |= self._hides.get(pattern, {})
        return next((hides[kind] for kind in KINDS if kind in hides), None)

    def hidden(self, model: str, head: str, source: Int64, device: Devices) -> Bool | None:
        """bool [b]: whose alerts are hidden of rows of sources int64 [b] and devices [b]; None for nobody's."""
        if not self._hides:
            return None
        if (model, head) not in self._of_head:
            self._of_head[model, head] = self._find(model, head)
        sources, devices = self._of_head[model, head]
        if not (sources or devices):
            return None
        rows = zip(source.tolist(), device.tolist(), strict=True)
        return np.fromiter((row[0] in sources or row in devices for row in rows), np.bool_, len(source))

    def put(self, pattern: AlertKey, hide: Hide) -> HideChange:
        self._hides.setdefault(pattern, {})[hide.kind] = hide
        self._of_head.clear()
        return pattern, hide.kind, hide

    def remove(self, pattern: AlertKey, kind: HideKind) -> HideChange:
        """Raises KeyError for what is not hidden."""
        hides = self._hides[pattern]
        del hides[kind]
        if not hides:
            del self._hides[pattern]
        self._of_head.clear()
        return pattern, kind, None

    def expired(self, tick_ns: int) -> list[tuple[AlertKey, Hide]]:
        """Those that end at the tick of log time tick_ns, in the order of their ends."""
        every = ((pattern, hide) for pattern, hides in self._hides.items() for hide in hides.values())
        due = [(pattern, hide) for pattern, hide in every if 0 < hide.until_ns <= tick_ns]
        return sorted(due, key=lambda one: (one[1].until_ns, one[0], one[1].kind))

    def keep(self) -> Kept:
        """All of them."""
        return [(pattern, hide) for pattern, hides in self._hides.items() for hide in hides.values()]

    def replace(self, hides: Iterable[tuple[AlertKey, Hide]]) -> None:
        """These, and no others."""
        self._hides, self._of_head = {}, {}
        for pattern, hide in hides:
            self.put(pattern, hide)

    def _find(self, model: str, head: str) -> tuple[set[int], set[tuple[int, str]]]:
        """Whose alerts of this head are hidden: sources of which all are, and devices."""
        sources: set[int] = set()
        devices: set[tuple[int, str]] = set()
        index = {name: place for place, name in enumerate(self._sources)}
        for source, device, of_model, of_head in self._hides:
            if source in index and of_model in ("", model) and of_head in ("", head):
                if device:
                    devices.add((index[source], device))
                else:
                    sources.add(index[source])
        return sources, devices


def read_hides(kept: bytes) -> Kept:
    """What a snapshot has of them. Raises ValueError."""
    try:
        return msgspec.msgpack.decode(kept, type=Kept) if kept else []
    except (*Unreadable, TypeError) as error:
        raise ValueError(str(error)) from None


def _patterns(key: AlertKey) -> Iterable[AlertKey]:
    """All that a key agrees with."""
    source, device, model, head = key
    return dict.fromkeys(product((source,), (device, ""), (model, ""), (head, "")))
