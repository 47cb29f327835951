"""The states of one model, a device each, and what a model must know of a device's rows beside them.

After an unclean end a state may miss rows that were stepped since its snapshot. Two rows are never closer than the
closest of training, so where the next one is nearer than twice that, no row lies between and nothing is missing. Else
the device warms up as one that was never heard, from the state that it has.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from agent.bundle.manifest import Cadence, Manifest
from agent.devices.columns import Columns, column
from agent.devices.rows import Rows
from agent.devices.slots import NEVER, Slots
from agent.step.engine import Engine
from agent.words import Bool, Float32, Int64, Quality, UInt8


@dataclass(slots=True)
class StateColumns(Columns):
    """What one model knows of each device.

    state         float32 [capacity, S]  zeros for a device of unknown age
    state_t_ns    int64    event time of the row that the state stepped on last, NEVER for none
    rows          int64    rows stepped since the state began
    is_new        bool     the state began with the device's life
    paced_ns      int64    event time from which the wait for the next row counts, NEVER for none: that of the newest
                           row that was stepped, or of a later one that the alert table knows of
    is_fast       bool     a row came too soon after that
    is_behind     bool     rows that the state has not seen may have been stepped before an unclean end
    history_lost  bool     the next row says `gap`
    scored_ns     int64    log time of the newest row that was scored, NEVER for none
    quality       uint8    Quality of the newest row that was scored, or STALE
    """

    state: Float32 = column(np.float32, 0)
    state_t_ns: Int64 = column(np.int64, NEVER)
    rows: Int64 = column(np.int64, 0)
    is_new: Bool = column(np.bool_, False)
    paced_ns: Int64 = column(np.int64, NEVER)
    is_fast: Bool = column(np.bool_, False)
    is_behind: Bool = column(np.bool_, False)
    history_lost: Bool = column(np.bool_, False)
    scored_ns: Int64 = column(np.int64, NEVER)
    quality: UInt8 = column(np.uint8, Quality.WARMING_UP)


class Pace(msgspec.Struct, frozen=True):
    """How rows lie to those that the states of their devices stepped on.

    too_fast  bool [b]     closer to the row before than rows came in training, or not yet due after such a row
    dt        float32 [b]  seconds since the state's row, 0 for a first row and after lost history
    is_gap    bool [b]     more than twice the cadence since the state's row
    is_lost   bool [b]     more than dt_max: the state says nothing any more
    """

    too_fast: Bool
    dt: Float32
    is_gap: Bool
    is_lost: Bool


def pace(t_ns: Int64, paced_ns: Int64, state_ns: Int64, is_fast: Bool, cadence: Cadence) -> Pace:
    """Compare event times int64 [b] with those of the devices' newest rows and states, negative for none.

    is_fast  bool [b] a row was too fast since the newest one: from then on one waits until a row is due, or a device of
             five times the cadence would be stepped each 0.8 of it
    """
    has_state = state_ns >= 0
    closest_ns, due_ns = round(cadence.closest_s * 1e9), round(cadence.due_s * 1e9)
    wait_ns = np.where(is_fast, due_ns, closest_ns) if np.count_nonzero(is_fast) else closest_ns
    dt = ((t_ns - state_ns) * 1e-9).astype(np.float32)
    is_lost = has_state & (dt > np.float32(cadence.dt_max_s))
    return Pace(
        too_fast=(paced_ns >= 0) & (t_ns - paced_ns < wait_ns),
        dt=np.where(has_state & ~is_lost, dt, np.float32(0)),
        is_gap=has_state & (dt > np.float32(2 * cadence.every_s)),
        is_lost=is_lost,
    )


class States:
    """The states of all devices for one model; it alone writes them."""

    def __init__(self, manifest: Manifest, slots: Slots, group: str) -> None:
        self.columns = slots.register(group, StateColumns, state=manifest.state_size)
        self._cadence = manifest.cadence
        self._new_state = np.array(manifest.new_state, np.float32)
        kept = [block.kept for block in manifest.state for _ in range(block.size)]
        self._passing = np.flatnonzero(~np.array(kept))  # columns that do not outlast lost history

    def begin_life(self, slot: int) -> None:
        """The device begins its life with its next row."""
        self.columns.before_write(slot)
        self.columns.state[slot] = self._new_state
        self.columns.is_new[slot] = True

    def forget(self) -> None:
        """The states of all devices are of another bundle: each device is as one never heard."""
        self.columns.reset()

    def start_again(self, slots: Int64, *, keeps_learnt: bool = False) -> None:
        """The states of these devices say nothing any more: from now on they are of unknown age.

        keeps_learnt  they are the same machines, so what was learnt of their own normal (`StateBlock.kept`) still holds
        """
        columns = self.columns
        columns.before_write(slots)
        if keeps_learnt:
            columns.state[np.ix_(slots, self._passing)] = 0
        else:
            columns.state[slots] = 0
        columns.rows[slots], columns.is_new[slots] = 0, False
        columns.state_t_ns[slots] = NEVER

    def lose_history(self, which: Int64 | Bool) -> None:
        """Rows of these devices may have been missed: slots int64 [b], or bool [capacity]."""
        self.columns.history_lost[which] = True

    def fall_behind(self, which: Bool) -> None:
        """Rows may have been stepped after the snapshot that these states are from, bool [capacity]."""
        self.columns.is_behind[which] = True

    def wait_from(self, slot: int, t_ns: int) -> None:
        """A row of this event time was stepped, by the account of the alert table."""
        self.columns.paced_ns[slot] = t_ns

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: what is kept of their rows lies by_ns int64 [b] later."""
        for t_ns in (self.columns.paced_ns, self.columns.state_t_ns):
            t_ns[slots] += np.where(t_ns[slots] != NEVER, by_ns, 0)

    def forget_pace(self, slots: Int64) -> None:
        """The counters of these devices have started again: no row is too soon for them."""
        self.columns.paced_ns[slots] = NEVER

    def pace(self, rows: Rows) -> Pace:
        """How the rows of distinct devices are spaced; notes who is too fast, and who must warm up again."""
        columns, slots = self.columns, rows.slot
        is_fast = columns.is_fast[slots]
        spaced = pace(rows.t_ns, columns.paced_ns[slots], columns.state_t_ns[slots], is_fast, self._cadence)
        if np.count_nonzero(spaced.too_fast) or np.count_nonzero(is_fast):
            columns.is_fast[slots] = spaced.too_fast
        return spaced

    def prepare(self, slots: Int64, dt: Float32, is_lost: Bool) -> None:
        """Before distinct devices step: those whose history is lost start again, those who fell behind catch up."""
        if np.count_nonzero(is_lost):
            self.start_again(slots[is_lost], keeps_learnt=True)
        columns = self.columns
        is_behind = columns.is_behind[slots]
        if np.count_nonzero(is_behind):
            has_no_rows = columns.state_t_ns[slots] == NEVER  # none since its life began, as far as one knows
            misses = slots[is_behind & (has_no_rows | (dt >= np.float32(2 * self._cadence.closest_s)))]
            columns.rows[misses], columns.is_new[misses] = 0, False
            columns.is_behind[slots] = False

    def step(
        self, engine: Engine, slots: Int64, x: Float32, dt: Float32, batch_max: int
    ) -> tuple[dict[str, Float32], Bool]:
        """Step the states of distinct devices, slots int64 [b], with x [b, F] and dt [b]; `batch_max` a call at most.

        Returns the outputs [b, width] by head and sound bool [b]: where a result is not finite the state must not be
        used.
        """
        self.columns.before_write(slots)
        parts = []
        sound = np.ones(len(slots), np.bool_)
        for start in range(0, len(slots), batch_max):
            part = slice(start, start + batch_max)
            state, outputs = engine.run(x[part], dt[part], self.columns.state[slots[part]])
            arrays = (state, *outputs.values())
            if not _is_finite(*arrays):
                sound[part] = np.logical_and.reduce([np.isfinite(one).all(axis=1) for one in arrays])
            self.columns.state[slots[part]] = state
            parts.append(outputs)
        if len(parts) == 1:
            return parts[0], sound
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, sound

    def stepped(self, rows: Rows, quality: UInt8, sound: Bool) -> None:
        """What is known of devices once they have stepped; where sound bool [b] does not hold they start again."""
        columns, slots = self.columns, rows.slot
        columns.rows[slots] += 1
        columns.paced_ns[slots] = columns.state_t_ns[slots] = rows.t_ns
        columns.history_lost[slots] = ~sound
        columns.quality[slots] = quality
        columns.scored_ns[slots] = rows.heard_ns
        if np.count_nonzero(sound) < len(sound):
            self.start_again(slots[~sound])

    def stood(self, rows: Rows) -> None:
        """Rows of machines that stand were heard, and not stepped."""
        self.columns.quality[rows.slot] = Quality.STOPPED
        self.columns.scored_ns[rows.slot] = rows.heard_ns

    def notice_silence(self, is_known: Bool, tick_ns: int, stale_after_ns: int) -> None:
        """Devices that were not scored for so long are stale; is_known bool [capacity]."""
        scored_ns = self.columns.scored_ns
        scored_ns[is_known & (scored_ns == NEVER)] = tick_ns  # none of its rows was scored yet
        self.columns.quality[is_known & (tick_ns - scored_ns > stale_after_ns)] = Quality.STALE

    def skip(self, is_known: Bool, passed_ns: int, tick_ns: int) -> None:
        """Nobody listened for passed_ns of log time: it does not count as silence."""
        scored_ns = self.columns.scored_ns
        scored_ns[is_known] = np.minimum(scored_ns[is_known] + passed_ns, tick_ns)


def _is_finite(*arrays: Float32) -> bool:
    """True only if every number is; asks the sums, which is quick, so huge finite numbers may be called infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        return math.isfinite(sum(float(array.sum()) for array in arrays))
