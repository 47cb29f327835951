"""Device -> slot -> state. One array a property; a new device takes a free slot or the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from agent.columns import Columns, column
from agent.words import Bool, Float32, Int64, Quality, UInt8

NEVER = -1
NO_SOURCE = -1
NO_SLOT = -1


@dataclass(slots=True)
class DeviceColumns(Columns):
    """What the core knows of each device.

    state         float32 [capacity, S]  the model's state, zeros for a device of unknown age
    t_ns          int64    event time of the newest row, NEVER for none
    heard_ns      int64    log time of the newest accepted row, NEVER for none
    rows          int64    rows stepped since the state began
    is_new        bool     the state began with the device's life
    history_lost  bool     the next row says `gap`
    quality       uint8    Quality of the newest row, or STALE
    source        int64    index of the source the device belongs to

    and of its clock (agent.core.clock):
    clock_offset_ns  int64  taken from the time it says
    clock_epoch      int64  how often it was re-based
    wrong_rows       int64  readings in a row whose time was wrong
    steady_rows      int64  of these, those in a row that were as far from arrival as the first,
    steady_ahead_ns  int64  whose event time was so far ahead of its arrival,
    steady_since_ns  int64  and which arrived then
    """

    state: Float32 = column(np.float32, 0)
    t_ns: Int64 = column(np.int64, NEVER)
    heard_ns: Int64 = column(np.int64, NEVER)
    rows: Int64 = column(np.int64, 0)
    is_new: Bool = column(np.bool_, False)
    history_lost: Bool = column(np.bool_, False)
    quality: UInt8 = column(np.uint8, Quality.WARMING_UP)
    source: Int64 = column(np.int64, NO_SOURCE)
    clock_offset_ns: Int64 = column(np.int64, 0)
    clock_epoch: Int64 = column(np.int64, 0)
    wrong_rows: Int64 = column(np.int64, 0)
    steady_rows: Int64 = column(np.int64, 0)
    steady_ahead_ns: Int64 = column(np.int64, 0)
    steady_since_ns: Int64 = column(np.int64, 0)


class Slab:
    """Slots of at most `max_devices` devices; `columns` grows by doubling up to that bound."""

    def __init__(self, state_size: int, max_devices: int) -> None:
        self.max_devices = max_devices
        self.capacity = min(64, max_devices)
        self.columns = DeviceColumns.empty(self.capacity, state=state_size)
        self.devices: list[str | None] = []  # by slot; None is a free slot
        self._slots: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, device: str) -> int | None:
        return self._slots.get(device)

    def slots(self, devices: Sequence[str]) -> Int64:
        """int64 [n], -1 for a device that has none."""
        return np.fromiter(map(self._slots.get, devices, repeat(NO_SLOT)), np.int64, len(devices))

    def claim(self, device: str, source: int) -> int | None:
        """The slot of a new device, or None when `max_devices` are taken: a live one is never evicted for it."""
        if len(self._slots) >= self.max_devices:
            return None
        if self._free:
            slot = self._free.pop()
            self.devices[slot] = device
        else:
            slot = len(self.devices)
            self.devices.append(device)
            if slot == self.capacity:
                self.capacity = min(2 * self.capacity, self.max_devices)
                self.columns.grow(self.capacity)
        self._slots[device] = slot
        self.columns.source[slot] = source
        return slot

    def release(self, slot: int) -> str:
        """Give a slot back; its device, returned, is not known any more."""
        device = self.devices[slot]
        if device is None:
            raise LookupError(f"slot {slot} is free already")
        del self._slots[device]
        self.devices[slot] = None
        self._free.append(slot)
        self.columns.clear(slot)
        return device

    def refill(self, devices: Sequence[str | None]) -> None:
        """Take over the slot table of a snapshot; the caller fills the columns."""
        self.devices = list(devices)
        self._slots = {device: slot for slot, device in enumerate(devices) if device is not None}
        self._free = [slot for slot, device in enumerate(devices) if device is None]
        while self.capacity < len(devices):
            self.capacity = min(2 * self.capacity, self.max_devices)
        self.columns = DeviceColumns.empty(self.capacity, state=self.columns.state.shape[1])
