"""Whose alerts are hidden: shelved by a person for a while, suppressed by design, or out of service (ISA-18.2, 11.7).

Hiding is held beside the states of alerts: who hides alerts need not know which stand, and none is raised meanwhile.
Several may hide one alert for reasons of their own, and each reason ends by itself. Shelving always has an end, by log
time, as the standard asks; the end is found at a tick.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from agent.errors import Unreadable
from agent.words import OF_NO_MODEL, AlertEvent, AlertKey, Bool, Devices, Hide, HideChange, HideKind, Int64

HIDES_MAX: Final = 10_000
# Of several the first one is said:
KINDS: Final[tuple[HideKind, ...]] = ("out_of_service", "maintenance", "suppressed", "shelved")

Kept = list[tuple[AlertKey, Hide]]
_Of = tuple[str, str, HideKind]  # model, head


class Handling:
    """By the pattern of a key, in which "" stands for any: source, device, model, head."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._hides: dict[tuple[str, str], dict[_Of, Hide]] = {}  # by source and device
        self._n_of_kind: Counter[HideKind] = Counter()
        self._of_head: dict[tuple[str, str], tuple[set[int], set[tuple[int, str]]]] = {}  # sources, devices

    def __len__(self) -> int:
        return self._n_of_kind.total()

    def n_by_people(self) -> int:
        """Without those of maintenance, which the configuration bounds."""
        return len(self) - self._n_of_kind["maintenance"]

    def find(self, pattern: AlertKey, kind: HideKind) -> Hide | None:
        return self._hides.get(pattern[:2], {}).get((*pattern[2:], kind))

    def of(self, key: AlertKey) -> Hide | None:
        """Why an alert is not shown, None where it is: of several reasons the first of KINDS, until its last end.

        Silence and floods of a source are alerts of their own: who names that head without a device means these.
        """
        if not self._hides:
            return None
        source, device, *_ = key
        hides = [
            hide
            for whose in dict.fromkeys(((source, device), (source, "")))
            for of, hide in self._hides.get(whose, {}).items()
            if _agree(of, key) and not (device and not whose[1] and of[1] in OF_NO_MODEL)
        ]
        return min(hides, key=_rank, default=None)

    def as_shown(self, event: AlertEvent) -> AlertEvent:
        """The event, which says why its alert is not shown."""
        hide = self.of(event.key)
        hidden, until_ns = (None, 0) if hide is None else (hide.kind, hide.until_ns)
        return msgspec.structs.replace(event, hidden=hidden, hidden_until_ns=until_ns)

    def of_device(self, pattern: AlertKey, kind: HideKind) -> list[AlertKey]:
        """The patterns of this kind that hide any alert of `pattern`, with the same device, "" for a whole source."""
        whose = self._hides.get(pattern[:2], {})
        return [(*pattern[:2], *of[:2]) for of in whose if of[2] == kind and _agree(of, pattern)]

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
        hides, of = self._hides.setdefault(pattern[:2], {}), (*pattern[2:], hide.kind)
        self._n_of_kind[hide.kind] += of not in hides
        hides[of] = hide
        self._of_head.clear()
        return pattern, hide.kind, hide

    def remove(self, pattern: AlertKey, kind: HideKind) -> HideChange:
        """Raises KeyError for what is not hidden."""
        hides = self._hides[pattern[:2]]
        del hides[(*pattern[2:], kind)]
        self._n_of_kind[kind] -= 1
        if not hides:
            del self._hides[pattern[:2]]
        self._of_head.clear()
        return pattern, kind, None

    def let_go(self, is_gone: Callable[[AlertKey], bool]) -> list[HideChange]:
        """Remove those whose pattern `is_gone`: what they hide is nowhere to be shown, or starts as one never heard."""
        return [self.remove(pattern, hide.kind) for pattern, hide in self.keep() if is_gone(pattern)]

    def expired(self, tick_ns: int) -> list[tuple[AlertKey, Hide]]:
        """Those that end at the tick of log time tick_ns, in the order of their ends."""
        due = [(pattern, hide) for pattern, hide in self.keep() if 0 < hide.until_ns <= tick_ns]
        return sorted(due, key=lambda one: (one[1].until_ns, one[0], one[1].kind))

    def redate(self, tick_ns: int) -> list[HideChange]:
        """Those that a clock that was ahead has hidden after the tick of log time tick_ns last as long from now."""
        ahead = [(pattern, hide) for pattern, hide in self.keep() if hide.since_ns > tick_ns]
        return [
            self.put(pattern, hide._replace(since_ns=tick_ns, until_ns=hide.until_ns and tick_ns + _span_ns(hide)))
            for pattern, hide in ahead
        ]

    def keep(self) -> Kept:
        """All of them."""
        return [((*whose, *of[:2]), hide) for whose, hides in self._hides.items() for of, hide in hides.items()]

    def replace(self, hides: Iterable[tuple[AlertKey, Hide]]) -> None:
        """These, and no others."""
        self._hides, self._of_head = {}, {}
        self._n_of_kind.clear()
        for pattern, hide in hides:
            self.put(pattern, hide)

    def _find(self, model: str, head: str) -> tuple[set[int], set[tuple[int, str]]]:
        """Whose alerts of this head are hidden: sources of which all are, and devices."""
        sources: set[int] = set()
        devices: set[tuple[int, str]] = set()
        index = {name: place for place, name in enumerate(self._sources)}
        for (source, device, of_model, of_head), _ in self.keep():
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


def _agree(of: _Of, pattern: AlertKey) -> bool:
    """Whether both mean some alert of one device: "" is any model, and any head."""
    return all("" in pair or pair[0] == pair[1] for pair in zip(of[:2], pattern[2:], strict=True))


def _span_ns(hide: Hide) -> int:
    return hide.until_ns - hide.since_ns


def _rank(hide: Hide) -> tuple[int, float]:
    return KINDS.index(hide.kind), -hide.until_ns or -math.inf
