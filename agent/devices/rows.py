"""What passes between the stages: columns, one element a row. A stage takes them and returns them, fewer or changed."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy.typing as npt

from agent.drops import Drops
from agent.reasons import ReasonName
from agent.words import Bool, Devices, Float32, Int64


class Rows(msgspec.Struct, frozen=True):
    """b rows in the order of their messages.

    message int64 [b] index among the messages of the call; entry int64 [b] number of the message in the input log;
    source, slot int64 [b]; device [b] ids; heard_ns int64 [b] log time of arrival; t_ns int64 [b] event time;
    x float32 [b, F] in the channels of the source, NaN = missing
    """

    message: Int64
    entry: Int64
    source: Int64
    slot: Int64
    device: Devices
    heard_ns: Int64
    t_ns: Int64
    x: Float32

    def __len__(self) -> int:
        return len(self.slot)

    def only(self, which: Bool | Int64) -> "Rows":
        """The rows where bool [b] holds, or those at the given indexes."""
        return Rows(*[getattr(self, name)[which] for name in self.__struct_fields__])

    def bring(self, which: Int64, t_ns: Int64, x: Float32) -> "Rows":
        """Rows that those at the given indexes [k] bring on: event times int64 [k] and values [k, F] of their own."""
        message, entry, source, slot = self.message[which], self.entry[which], self.source[which], self.slot[which]
        return Rows(message, entry, source, slot, self.device[which], self.heard_ns[which], t_ns, x)

    def at(self, t_ns: Int64) -> "Rows":
        """The same rows with other event times int64 [b]."""
        return Rows(self.message, self.entry, self.source, self.slot, self.device, self.heard_ns, t_ns, self.x)

    def dropped(
        self,
        which: Bool | Int64,
        reason: ReasonName,
        detail: Callable[..., str],
        *values: npt.NDArray[Any],
    ) -> Drops:
        """Those rows as drops or doubts; `values`, columns [b], are what `detail` takes of each to make its text."""
        columns = (self.message[which], self.source[which], self.device[which])
        return Drops(reason, *columns, detail, tuple(column[which] for column in values))
