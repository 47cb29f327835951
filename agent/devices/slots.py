"""Device -> slot, and the column groups that have an element a slot. A new device takes a free slot or the next one.

A device is its source and its id: two sources that use one id mean two machines. When the configuration no longer has
a source, its devices have no owner until a row of another source names them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

import numpy as np

from agent.devices.columns import AnyArray, Columns, column
from agent.words import Int64

NEVER = -1
NO_SOURCE = -1  # of a free slot
GONE = -2  # the configuration no longer has the source
NO_SLOT = -1
OWNER = "owner"  # the group of this table

Group = TypeVar("Group", bound=Columns)


@dataclass(slots=True)
class OwnerColumns(Columns):
    """source int64: index of the device's source, GONE, or NO_SOURCE."""

    source: Int64 = column(np.int64, NO_SOURCE)


class Slots:
    """Slots of at most `devices_max` devices, and every group of columns; all grow by doubling up to that bound."""

    def __init__(self, devices_max: int, n_sources: int) -> None:
        self.devices_max = devices_max
        self.capacity = min(64, devices_max)
        self.devices: list[str | None] = []  # by slot; None is a free slot
        self.groups: dict[str, Columns] = {}
        self._owner = self.register(OWNER, OwnerColumns)
        self._slots: list[dict[str, int]] = [{} for _ in range(n_sources)]  # by source
        self._ownerless: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.devices) - len(self._free)

    @property
    def source(self) -> Int64:
        """int64 [capacity]: index of each slot's source, GONE, or NO_SOURCE for a free slot."""
        return self._owner.source

    def register(self, name: str, kind: type[Group], **widths: int) -> Group:
        """A new group of columns, which its owner alone writes; it grows, is cleared and kept with all the others."""
        if name in self.groups:
            raise ValueError(f"there is a column group {name!r} already")
        group = kind.empty(self.capacity, **widths)
        self.groups[name] = group
        return group

    def find(self, source: int, device: str) -> int | None:
        return self._slots[source].get(device)

    def may_be(self, source: int | None, device: str) -> list[int]:
        """Slots that rows of a device may be of from now on: its own, or that of its name without an owner.

        source  None where nobody knows what it is called now: any one
        """
        of_source = self._slots if source is None else [self._slots[source]]
        found = (slots.get(device) for slots in (*of_source, self._ownerless))
        return [slot for slot in found if slot is not None]

    def slots(self, source: Int64, devices: Sequence[str]) -> Int64:
        """int64 [n], NO_SLOT for a device that has none; source int64 [n]."""
        if len(self._slots) == 1:
            slots: Iterable[int] = map(self._slots[0].get, devices, repeat(NO_SLOT))
        else:
            slots = (self._slots[of].get(device, NO_SLOT) for of, device in zip(source.tolist(), devices, strict=True))
        return np.fromiter(slots, np.int64, len(devices))

    def claim(self, source: int, device: str) -> int | None:
        """The slot of a device that has none: that of its name without an owner, or a new one.

        None when `devices_max` are taken: a live one is never evicted for it.
        """
        slot = self._ownerless.pop(device, None)
        if slot is None:
            if len(self) >= self.devices_max:
                return None
            slot = self._new_slot(device)
        self._slots[source][device] = slot
        self._owner.source[slot] = source
        return slot

    def ownerless(self) -> int | None:
        """The slot that has been without an owner for longest, None when every device has one."""
        return next(iter(self._ownerless.values()), None)

    def release(self, slot: int) -> str:
        """Give a slot back; its device, returned, is not known any more to any group."""
        device = self.devices[slot]
        if device is None:
            raise LookupError(f"slot {slot} is free already")
        source = int(self.source[slot])
        del (self._ownerless if source == GONE else self._slots[source])[device]
        self._set_free(slot)
        return device

    def refill(self, devices: Sequence[str | None], groups: Mapping[str, Mapping[str, AnyArray]]) -> None:
        """Take over the slots of a snapshot: devices by slot, and columns [n, ...] by group, with the sources of today.

        A group that `groups` has not starts empty.
        """
        while self.capacity < len(devices):
            self._grow()
        for name, group in self.groups.items():
            group.refill(groups.get(name, {}))
        self.devices = list(devices)
        self._slots = [{} for _ in self._slots]
        self._ownerless = {}
        self._free = []
        for slot, device in enumerate(devices):
            source = int(self.source[slot])
            owned = self._ownerless if source == GONE else self._slots[source]
            if device is None or device in owned:  # of two without an owner and of one name the first stays
                self._set_free(slot)
            else:
                owned[device] = slot

    def _set_free(self, slot: int) -> None:
        self.devices[slot] = None
        self._free.append(slot)
        for group in self.groups.values():
            group.clear(slot)

    def _new_slot(self, device: str) -> int:
        if self._free:
            slot = self._free.pop()
            self.devices[slot] = device
            return slot
        self.devices.append(device)
        if len(self.devices) > self.capacity:
            self._grow()
        return len(self.devices) - 1

    def _grow(self) -> None:
        self.capacity = min(2 * self.capacity, self.devices_max)
        for group in self.groups.values():
            group.grow(self.capacity)
