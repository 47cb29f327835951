"""What a model has learnt of each device's own normal: how many rows it still needs, and whether they were unusual."""

from dataclasses import dataclass

import numpy as np

from agent.devices.columns import Columns, column
from agent.devices.slots import Slots
from agent.words import Bool, Float32, Int64

ROWS_MAX = 2**31


@dataclass(slots=True)
class LearningColumns(Columns):
    """What the newest row of a device says.

    learning_rows  int64  rows to come before it says anything, 0 for none
    is_unusual     bool   the device's own normal was learnt from unusual rows
    """

    learning_rows: Int64 = column(np.int64, 0)
    is_unusual: Bool = column(np.bool_, False)


class Learning:
    """Of all devices, for one model with the head `anomaly`; it alone writes them."""

    def __init__(self, slots: Slots, group: str) -> None:
        self.columns = slots.register(group, LearningColumns)

    def read(self, slots: Int64, anomaly: Float32, is_unusual: Bool) -> Bool:
        """Take `anomaly` float32 [b] of distinct devices, and whose normal was learnt from unusual rows, bool [b].

        Returns bool [b]: whose is so from this row on.
        """
        becomes: Bool = is_unusual & ~self.columns.is_unusual[slots]
        waits = np.minimum(np.ceil(np.fmax(-anomaly, np.float32(0))), np.float32(ROWS_MAX))
        self.columns.learning_rows[slots] = waits.astype(np.int64)
        self.columns.is_unusual[slots] = is_unusual
        return becomes

    def forget(self) -> None:
        """What was learnt is of another bundle."""
        self.columns.reset()
