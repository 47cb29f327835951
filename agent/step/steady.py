"""How long a channel has stood still, and how long it has had no value, beside what training saw.

A sensor that froze goes on sending its last value, and a model that is given it for long calls a dying machine healthy.
So each device's channels are held against the longest run of one value that the training devices had, counted in the
same way (trainer/bundle/longest_runs.py): a run of more than FAR times as many rows is not as in training. Rows without
a value do not end a run of one value. After a silence beyond `dt_max` both begin anew, since nobody knows what the
channel did meanwhile.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from agent.bundle.manifest import Manifest
from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.words import Bool, Float32, Int64, UInt32

FAR = 3.0
UNBOUNDED = int(np.iinfo(np.int64).max)


@dataclass(slots=True)
class SteadyColumns(Columns):
    """What is known of each channel of a device, [capacity, F] each.

    value_bits          uint32  the newest value, bit for bit
    unchanged_since_ns  int64   event time of the first row that had it, NEVER for no value yet
    valued_ns           int64   event time of the newest row with a value, or of the first row; NEVER before that
    """

    value_bits: UInt32 = column(np.uint32, 0)
    unchanged_since_ns: Int64 = column(np.int64, NEVER)
    valued_ns: Int64 = column(np.int64, NEVER)


class Runs(msgspec.Struct, frozen=True):
    """What the runs of the channels say of b rows.

    is_stuck, is_absent  bool [b]   a channel stands still for too long; one has had no value for too long
    became_stuck         int64 [b]  the first channel that stands still for too long with this row on, -1 for none
    """

    is_stuck: Bool
    is_absent: Bool
    became_stuck: Int64


class Steady:
    """The runs of all devices' channels, for one model; it alone writes them."""

    def __init__(self, manifest: Manifest, slots: Slots, group: str) -> None:
        width = manifest.n_channels
        widths = dict.fromkeys(("value_bits", "unchanged_since_ns", "valued_ns"), width)
        self._columns = slots.register(group, SteadyColumns, **widths)
        every_s = manifest.cadence.every_s
        steady_s = [None if one.event else one.steady_max_s for one in manifest.channels]
        self._steady_max_ns = _bounds_ns([None if one is None else FAR * (one + every_s) - every_s for one in steady_s])
        absent_s = [None if one.event else one.absent_max_s for one in manifest.channels]
        self._absent_max_ns = _bounds_ns([None if one is None else FAR * one for one in absent_s])
        self._is_measured = any(one is not None for one in (*steady_s, *absent_s))  # older bundles do not say

    def read(self, slots: Int64, t_ns: Int64, x: Float32, is_lost: Bool) -> Runs:
        """Take the rows of distinct devices; element i depends on elements i only (law 2).

        slots, t_ns int64 [b]; x float32 [b, F]; is_lost bool [b] the row comes after a silence beyond `dt_max`.
        """
        nobody, never = np.zeros(len(x), np.bool_), np.full(len(x), -1)
        if not self._is_measured:
            return Runs(nobody, nobody, never)
        columns, t_ns = self._columns, t_ns[:, None]
        has_value = ~np.isnan(x)
        bits, before = (x + np.float32(0)).view(np.uint32), columns.value_bits[slots]  # -0.0 + 0.0 is 0.0
        since_before, valued_before = columns.unchanged_since_ns[slots], columns.valued_ns[slots]
        if np.count_nonzero(is_lost):
            since_before[is_lost], valued_before[is_lost] = NEVER, NEVER
        begins = (bits != before) | (since_before == NEVER)
        has_all = np.count_nonzero(has_value) == has_value.size
        if has_all:  # nearly always
            valued = np.broadcast_to(t_ns, x.shape)
        else:
            begins &= has_value
            bits = np.where(has_value, bits, before)
            valued = np.where(has_value | (valued_before == NEVER), t_ns, valued_before)
        since = np.where(begins, t_ns, since_before)
        columns.before_write(slots)
        columns.value_bits[slots] = bits
        columns.unchanged_since_ns[slots] = since
        columns.valued_ns[slots] = valued
        is_absent = nobody
        if not has_all:
            is_absent = np.asarray((~has_value & (t_ns - valued > self._absent_max_ns)).any(axis=1))
        is_stuck = self._is_stuck(since, valued)
        if not np.count_nonzero(is_stuck):
            return Runs(nobody, is_absent, never)
        becomes = is_stuck & ~self._is_stuck(since_before, valued_before)
        became_stuck = np.where(becomes.any(axis=1), becomes.argmax(axis=1), never)
        return Runs(np.asarray(is_stuck.any(axis=1)), is_absent, became_stuck)

    def _is_stuck(self, since: Int64, valued: Int64) -> Bool:
        """bool [b, F]: until a channel moves, also in rows without a value of it."""
        is_stuck: Bool = (since != NEVER) & (valued - since > self._steady_max_ns)
        return is_stuck

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: what is kept of their rows lies by_ns int64 [b] later."""
        self._columns.before_write(slots)
        for t_ns in (self._columns.unchanged_since_ns, self._columns.valued_ns):
            t_ns[slots] += np.where(t_ns[slots] != NEVER, by_ns[:, None], 0)

    def start_again(self, slots: Int64) -> None:
        """Nothing is known of these devices' channels any more."""
        self._columns.before_write(slots)
        self._columns.unchanged_since_ns[slots] = NEVER
        self._columns.valued_ns[slots] = NEVER

    def forget(self) -> None:
        """The runs of all devices are of another bundle."""
        self._columns.reset()


def _bounds_ns(spans_s: list[float | None]) -> Int64:
    """int64 [F]: from the first row of a run to its last; UNBOUNDED where training did not measure it."""
    return np.array([UNBOUNDED if span_s is None else round(min(span_s * 1e9, UNBOUNDED)) for span_s in spans_s])
