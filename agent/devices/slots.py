"""Device -> slot -> state. One array a property; a new device takes a free slot or the next one.

A device is its source and its id: two sources that use one id mean two machines. When the configuration no longer has
a source, its devices have no owner until a row of another source names them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from agent.devices.columns import AnyArray, Columns, column
from agent.words import Bool, Float32, Int64, Quality, UInt8, UInt32

NEVER = -1
NO_SOURCE = -1  # of a free slot
GONE = -2  # the configuration no longer has the source
NO_SLOT = -1


@dataclass(slots=True)
class DeviceColumns(Columns):
    """What the core knows of each device.

    state         float32 [capacity, S]  the model's state, zeros for a device of unknown age
    state_t_ns    int64    event time of the row that the state stepped on last, NEVER for none
    rows          int64    rows stepped since the state began
    is_new        bool     the state began with the device's life
    t_ns          int64    event time of the newest accepted row, NEVER for none: that of a row after the state's, where
                           the state is from a snapshot and the alert table knows more
    is_fast       bool     a row came too soon after the newest accepted one
    is_behind     bool     rows that the state has not seen may have been stepped before an unclean end
    history_lost  bool     the next row says `gap`
    heard_ns      int64    log time of the newest row, late ones too, NEVER for none
    scored_ns     int64    log time of the newest row that was scored, NEVER for none
    quality       uint8    Quality of the newest row that was scored, or STALE
    old_rows      uint32   bit k: was the k-th newest row late or repeated
    source        int64    index of the device's source, GONE, or NO_SOURCE

    and of its clock (agent.align.clock):
    clock_offset_ns  int64  taken from the time it says
    clock_epoch      int64  how often it was re-based
    wrong_rows       int64  readings in a row whose time was wrong
    steady_rows      int64  of these, those in a row that were as far from arrival as the first,
    steady_ahead_ns  int64  whose event time was so far ahead of its arrival,
    steady_since_ns  int64  and which arrived then

    and of its counter, where it has one for a clock (agent.align.restart):
    restart_rows  int64  late readings in a row that rise,
    restart_t_ns  int64  and the event time of the newest of them
    """

    state: Float32 = column(np.float32, 0)
    state_t_ns: Int64 = column(np.int64, NEVER)
    rows: Int64 = column(np.int64, 0)
    is_new: Bool = column(np.bool_, False)
    t_ns: Int64 = column(np.int64, NEVER)
    is_fast: Bool = column(np.bool_, False)
    is_behind: Bool = column(np.bool_, False)
    history_lost: Bool = column(np.bool_, False)
    heard_ns: Int64 = column(np.int64, NEVER)
    scored_ns: Int64 = column(np.int64, NEVER)
    quality: UInt8 = column(np.uint8, Quality.WARMING_UP)
    old_rows: UInt32 = column(np.uint32, 0)
    source: Int64 = column(np.int64, NO_SOURCE)
    clock_offset_ns: Int64 = column(np.int64, 0)
    clock_epoch: Int64 = column(np.int64, 0)
    wrong_rows: Int64 = column(np.int64, 0)
    steady_rows: Int64 = column(np.int64, 0)
    steady_ahead_ns: Int64 = column(np.int64, 0)
    steady_since_ns: Int64 = column(np.int64, 0)
    restart_rows: Int64 = column(np.int64, 0)
    restart_t_ns: Int64 = column(np.int64, 0)


class Slab:
    """Slots of at most `max_devices` devices; `columns` grows by doubling up to that bound."""

    def __init__(self, state_size: int, max_devices: int, n_sources: int) -> None:
        self.max_devices = max_devices
        self.capacity = min(64, max_devices)
        self.columns = DeviceColumns.empty(self.capacity, state=state_size)
        self.devices: list[str | None] = []  # by slot; None is a free slot
        self._slots: list[dict[str, int]] = [{} for _ in range(n_sources)]  # by source
        self._ownerless: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.devices) - len(self._free)

    def find(self, source: int, device: str) -> int | None:
        return self._slots[source].get(device)

    def slots(self, source: Int64, devices: Sequence[str]) -> Int64:
        """int64 [n], NO_SLOT for a device that has none; source int64 [n]."""
        if len(self._slots) == 1:
            found: Iterable[int] = map(self._slots[0].get, devices, repeat(NO_SLOT))
        else:
            found = (self._slots[of].get(device, NO_SLOT) for of, device in zip(source.tolist(), devices, strict=True))
        return np.fromiter(found, np.int64, len(devices))

    def claim(self, source: int, device: str) -> int | None:
        """The slot of a device that has none: that of its name without an owner, or a new one.

        None when `max_devices` are taken: a live one is never evicted for it.
        """
        slot = self._ownerless.pop(device, None)
        if slot is None:
            if len(self) >= self.max_devices:
                return None
            slot = self._new_slot(device)
        self._slots[source][device] = slot
        self.columns.source[slot] = source
        return slot

    def ownerless(self) -> int | None:
        """The slot that has been without an owner for longest, None when every device has one."""
        return next(iter(self._ownerless.values()), None)

    def release(self, slot: int) -> str:
        """Give a slot back; its device, returned, is not known any more."""
        device = self.devices[slot]
        if device is None:
            raise LookupError(f"slot {slot} is free already")
        source = int(self.columns.source[slot])
        del (self._ownerless if source == GONE else self._slots[source])[device]
        self.devices[slot] = None
        self._free.append(slot)
        self.columns.clear(slot)
        return device

    def refill(self, devices: Sequence[str | None], columns: Mapping[str, AnyArray]) -> None:
        """Take over the slots of a snapshot: devices by slot, and the columns [n, ...] with the sources of today."""
        while self.capacity < len(devices):
            self.capacity = min(2 * self.capacity, self.max_devices)
        self.columns = DeviceColumns.empty(self.capacity, state=self.columns.state.shape[1])
        for name, array in columns.items():
            getattr(self.columns, name)[: len(devices)] = array
        self.devices = list(devices)
        self._slots = [{} for _ in self._slots]
        self._ownerless = {}
        self._free = []
        for slot, device in enumerate(devices):
            source = int(self.columns.source[slot])
            owned = self._ownerless if source == GONE else self._slots[source]
            if device is None or device in owned:  # of two without an owner and of one name the first stays
                self.devices[slot] = None
                self._free.append(slot)
                self.columns.clear(slot)
            else:
                owned[device] = slot

    def _new_slot(self, device: str) -> int:
        if self._free:
            slot = self._free.pop()
            self.devices[slot] = device
            return slot
        self.devices.append(device)
        if len(self.devices) > self.capacity:
            self.capacity = min(2 * self.capacity, self.max_devices)
            self.columns.grow(self.capacity)
        return len(self.devices) - 1
