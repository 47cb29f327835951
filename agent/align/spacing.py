"""Which rows are old by event time: late, or repeated.

That is judged by a device's own newest row alone, so one device's clock cannot make another's rows late. The newest row
is the newest that a model took; after a restart it may be one which the alert table knows of, and which no state has
seen.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.words import Bool, Int64


@dataclass(slots=True)
class SpacingColumns(Columns):
    """newest_ns int64: event time of the newest row that was taken, NEVER for none."""

    newest_ns: Int64 = column(np.int64, NEVER)


class Order(msgspec.Struct, frozen=True):
    """late bool [b] before the newest row, repeated bool [b] at its time, is_old bool [b] one of the two."""

    is_old: Bool
    late: Bool
    repeated: Bool


def order_of(t_ns: Int64, newest_ns: Int64) -> Order:
    """Compare event times int64 [b] with those of their devices' newest rows int64 [b], NEVER for none."""
    is_old = (newest_ns >= 0) & (t_ns <= newest_ns)
    if not np.count_nonzero(is_old):
        return Order(is_old, is_old, is_old)
    repeated = is_old & (t_ns == newest_ns)
    return Order(is_old, is_old & ~repeated, repeated)


class Spacing:
    """The newest rows of all devices."""

    def __init__(self, slots: Slots) -> None:
        self._columns = slots.register("spacing", SpacingColumns)

    @property
    def newest_ns(self) -> Int64:
        """int64 [capacity]"""
        return self._columns.newest_ns

    def take(self, slots: Int64, t_ns: Int64) -> None:
        """These rows are the newest from now on."""
        self._columns.newest_ns[slots] = t_ns

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: their newest rows lie by_ns int64 [b] later."""
        newest_ns = self._columns.newest_ns
        newest_ns[slots] += np.where(newest_ns[slots] != NEVER, by_ns, 0)

    def forget(self, slots: Int64) -> None:
        """The counters of these devices have started again: no row is old for them."""
        self._columns.newest_ns[slots] = NEVER
