"""Readings of one call by device: what the stages that make rows of several readings work on."""

from typing import Self

import msgspec
import numpy as np

from agent.words import Bool, Float32, Int64


class Runs(msgspec.Struct, frozen=True):
    """b readings of d devices, one device's after another's, each device's in the order in which they count.

    slot   int64 [d]       of each device
    start  int64 [d]       index of its first reading
    run    int64 [b]       index of the device of each reading
    t_ns   int64 [b]       event time
    x      float32 [b, F]  NaN = no value
    place  int64 [b]       which reading of the call brings it on: itself, or the one that ends its waiting
    """

    slot: Int64
    start: Int64
    run: Int64
    t_ns: Int64
    x: Float32
    place: Int64

    @staticmethod
    def of(slot: Int64, t_ns: Int64, x: Float32, place: Int64) -> "Runs":
        """Readings whose slots int64 [b] stand together by device already."""
        start = np.flatnonzero(np.diff(slot, prepend=-1))
        run = np.repeat(np.arange(len(start)), np.diff(start, append=len(slot)))
        return Runs(slot[start], start, run, t_ns, x, place)

    @property
    def end(self) -> Int64:
        """int64 [d] index of each device's last reading"""
        return np.append(self.start[1:], len(self.run))[: len(self.start)] - 1

    def beside(self, other: "Runs") -> "Runs":
        """Both; they have no device in common."""
        slot = np.concatenate([self.slot[self.run], other.slot[other.run]])
        t_ns, x = np.concatenate([self.t_ns, other.t_ns]), np.concatenate([self.x, other.x])
        return Runs.of(slot, t_ns, x, np.concatenate([self.place, other.place]))

    def without(self, which: Bool) -> Self:
        """The same without the values where bool [b, F] holds."""
        return msgspec.structs.replace(self, x=np.where(which, np.float32(np.nan), self.x))

    def only(self, devices: Bool) -> "Runs":
        """The readings of those devices, bool [d]."""
        which = devices[self.run]
        return Runs.of(self.slot[self.run[which]], self.t_ns[which], self.x[which], self.place[which])


class Made(msgspec.Struct, frozen=True):
    """k rows, each device's in time order: place int64 [k] of the reading that brought them on, t_ns [k], x [k, F]."""

    place: Int64
    t_ns: Int64
    x: Float32


def by_device(slot: Int64) -> Int64:
    """The order in which readings stand by device, each device's in their order: indexes int64 [b]."""
    few = int(slot.max(initial=0)) < 2**16
    return np.argsort(slot.astype(np.uint16) if few else slot, kind="stable")  # numpy sorts 16 bits by radix


def running_max(t_ns: Int64, start: Int64, run: Int64) -> Int64:
    """The greatest time of each device up to each reading, int64 [b]; start and run as in `Runs`."""
    falls = np.flatnonzero(t_ns[1:] < t_ns[:-1]) + 1
    if np.isin(falls, start, assume_unique=True).all():
        return t_ns
    order = np.argsort(t_ns, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first = run * len(order)  # so that a later device's ranks are above those of all devices before it
    newest: Int64 = t_ns[order[np.maximum.accumulate(first + rank) - first]]
    return newest
