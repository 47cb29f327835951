"""Readings -> rows, by each source's rule: which of them wait, and which values are held.

Readings come here with good clocks, and none is older than the newest row of its device. Those of sources with a
`lateness` wait and go on by event time (`reorder.py`); then each makes a row with values held for the channels that it
lacks (`hold.py`), or passes points of a grid that make rows (`grid.py`), or is a row as it is.

`align` takes one reading a device, or a whole call's at once where they are orderly (`is_orderly`): the rows are the
same, at the price of a call instead of a round. All of it depends on the device's own readings only (law 2).
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from agent.align.count import Counted, Counting
from agent.align.grid import grid_rows, passed_ns
from agent.align.hold import Held, Newest, hold_rows
from agent.align.reorder import Reorder
from agent.align.rules import Rules
from agent.align.runs import Made, Runs, by_device
from agent.align.waiting import KeptWaiting
from agent.devices.rows import Rows
from agent.devices.slots import NEVER, Slots
from agent.drops import Drops
from agent.sources import Source
from agent.words import Bool, Int64

OF_ALIGNMENT = "align/"  # begins the names of groups that come and go with the rules
REORDER, HELD, COUNTED = "align/reorder", "align/held", "align/counted"


class Alignment:
    """The rules of all sources, and what is held or waits of each device."""

    def __init__(self, sources: Sequence[Source], slots: Slots) -> None:
        self._rules = rules = Rules(sources)
        self._slots = slots
        self.lost: Counter[str] = Counter()  # readings that waited in vain, by source
        self._names = [source.name for source in sources]
        self._reorder = Reorder(slots, REORDER, rules.width) if rules.waits.any() else None
        makes_rows = rules.holds | rules.grids
        self._held = Held(slots, HELD, rules.width) if makes_rows.any() else None
        self._counted = Counted(slots, COUNTED, rules.width) if rules.sums.any() else None
        self._is_plain = ~(makes_rows | rules.waits)
        self.is_idle = bool(self._is_plain.all())

    def digests(self) -> dict[str, str]:
        """What the columns of each group mean: a group of a snapshot that meant something else is not taken over."""
        of = {REORDER: self._rules.waits, HELD: self._rules.holds | self._rules.grids, COUNTED: self._rules.sums}
        return {name: self._rules.digest(which) for name, which in of.items() if which.any()}

    def newest_ns(self, slots: Int64, source: Int64, newest_ns: Int64) -> Int64:
        """Up to when a reading is old, int64 [b]: newest_ns of its device's newest row, or a grid point passed."""
        if self._held is None:
            return newest_ns
        grids = self._rules.grids[source]
        if not np.count_nonzero(grids):
            return newest_ns
        every_ns = np.where(grids, self._rules.every_ns[source], 1)
        passed = passed_ns(self._held.columns.front_ns[slots], every_ns)
        return np.where(grids, np.maximum(newest_ns, passed), newest_ns)

    def fill(self, rows: Rows, repeated: Bool) -> Bool:
        """Hold what readings at the time of their devices' newest rows add to these, bool [b]: who adds something.

        rows are of distinct devices. The newest row is made already; what is added is for the next one.
        """
        adds = repeated & self._rules.holds[rows.source]
        if self._held is None or not np.count_nonzero(adds):
            return np.zeros(len(rows), np.bool_)
        slots, t_ns, x, source = rows.slot[adds], rows.t_ns[adds], rows.x[adds], rows.source[adds]
        if self._counted is None:
            adds[adds] = self._held.fill(slots, t_ns, x)
            return adds
        counts = self._rules.counts[source]
        values = np.where(counts, np.float32(np.nan), x)
        is_bare = np.isnan(values).all(axis=1)
        fills = self._held.fill(slots, t_ns, np.where(self._rules.keeps[source][:, None], values, np.float32(np.nan)))
        adds[adds] = fills | self._counted.fill(slots, t_ns, x, counts & (fills | is_bare)[:, None])
        return adds

    def is_orderly(self, rows: Rows, newest_ns: Int64) -> Bool:
        """Whose readings `align` may have all at once, bool [b]: all of a device's or none.

        newest_ns int64 [b] up to when a reading of the device is old
        """
        order = by_device(rows.slot)
        runs = Runs.of(rows.slot[order], rows.t_ns[order], rows.x[order], order)
        source = rows.source[order[runs.start]]
        rules = self._rules
        before_ns = np.empty_like(runs.t_ns)  # of the reading before, or what is held
        before_ns[1:] = runs.t_ns[:-1]
        front_ns = np.full(len(runs.slot), NEVER) if self._held is None else self._held.columns.front_ns[runs.slot]
        before_ns[runs.start] = np.where(rules.waits[source], NEVER, front_ns)
        may_equal = rules.grids[source][runs.run]
        is_in_order = (runs.t_ns > before_ns) | (may_equal & (runs.t_ns == before_ns)) | rules.waits[source][runs.run]
        is_in_order &= runs.t_ns > np.maximum(newest_ns[order], front_ns[runs.run] - may_equal)
        orderly = np.ones(len(runs.slot), np.bool_)
        orderly[runs.run[~is_in_order]] = False
        if self._reorder is not None:
            waits = rules.waits[source]
            waiting = runs.only(waits)
            orderly[waits] &= self._reorder.is_orderly(waiting, rules.lateness_ns[source[waits]])
        is_of_orderly = np.empty(len(rows), np.bool_)
        is_of_orderly[order] = orderly[runs.run]
        return is_of_orderly

    def align(self, rows: Rows, drops: list[Drops]) -> Rows:
        """Readings in the order of their messages -> rows in that order, each device's rising in time.

        A row stands under the message that made it: of readings that waited, the one that ended it. Devices that have
        several readings must be orderly. `rows` itself where nothing is to do.
        """
        if self.is_idle:
            return rows
        is_plain = self._is_plain[rows.source]
        if is_plain.all():
            return rows
        ours = np.flatnonzero(~is_plain)
        ours = ours[by_device(rows.slot[ours])]
        runs = Runs.of(rows.slot[ours], rows.t_ns[ours], rows.x[ours], ours)
        plain = np.flatnonzero(is_plain)
        parts = [Made(plain, rows.t_ns[plain], rows.x[plain])]
        runs = self._pass_on(rows, runs, drops)
        source = rows.source[runs.place[runs.start]]
        holds, grids = self._rules.holds[source], self._rules.grids[source]
        for which, make in ((holds, self._hold), (grids, self._grid), (~holds & ~grids, _as_they_are)):
            if np.count_nonzero(which):
                parts.append(make(runs if which.all() else runs.only(which), source[which]))
        made = _in_order(parts)
        aligned = rows.bring(made.place, made.t_ns, made.x)
        self._doubt_missing(aligned, made.place, drops)
        return aligned

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: all that is kept of them lies by_ns int64 [b] later."""
        for part in (self._reorder, self._held, self._counted):
            if part is not None:
                part.move(slots, by_ns)

    def reaches_ns(self, slot: int) -> int:
        """Event time of the newest reading that waits of a device, or is held; NEVER for none."""
        ends = [] if self._reorder is None else [int(self._reorder.foremost_ns[slot])]
        ends += [] if self._held is None else [int(self._held.columns.front_ns[slot])]
        return max(ends, default=NEVER)

    def forget(self, slots: Int64) -> None:
        """Nothing is held of these devices any more, and nothing of them waits: `lost` counts that by source."""
        if self._reorder is not None:
            for slot, n_readings in self._reorder.forget(slots):
                source = int(self._slots.source[slot])
                self.lost[self._names[source] if source >= 0 else ""] += n_readings
        for part in (self._held, self._counted):
            if part is not None:
                part.forget(slots)

    def keep(self) -> Callable[[], bytes]:
        """What waits now, for a snapshot; packed when it is called, in any thread."""
        return bytes if self._reorder is None else self._reorder.keep(self._rules.layouts(self._rules.waits))

    def take_over(self, kept: KeptWaiting) -> Int64:
        """Let the readings of a snapshot wait, of the devices that have slots now.

        Returns slots int64 [k] whose readings are lost: their source lets none wait any more, or reads other channels.
        """
        sources = self._slots.source[: len(self._slots.devices)]
        names = [self._names[source] if source >= 0 else "" for source in sources.tolist()]
        if self._reorder is None:
            lost = [slot for slot in kept.waiting if slot < len(names) and names[slot]]
        else:
            lost = self._reorder.take_over(kept, names, self._rules.layouts(self._rules.waits))
        return np.array(lost, np.int64)

    def _pass_on(self, rows: Rows, runs: Runs, drops: list[Drops]) -> Runs:
        """The readings that wait no longer, and those that need not wait."""
        source = rows.source[runs.place[runs.start]]
        waits = self._rules.waits[source]
        if self._reorder is None or not np.count_nonzero(waits):
            return runs
        all_wait = bool(waits.all())
        lateness_ns = self._rules.lateness_ns[source[waits]]
        passed, crowded = self._reorder.pass_on(runs if all_wait else runs.only(waits), lateness_ns)
        if len(crowded):
            drops.append(rows.dropped(crowded, "reorder_full", lambda: "more readings wait than there is room for"))
        return passed if all_wait else runs.only(~waits).beside(passed)

    def _hold(self, runs: Runs, source: Int64) -> Made:
        assert self._held is not None
        runs, counting = self._counting(runs, source)
        newest = Newest(runs, self._held.columns)
        made = hold_rows(runs, newest, self._rules.max_age_ns[source], counting)
        self._take(runs, newest, counting)
        return made

    def _grid(self, runs: Runs, source: Int64) -> Made:
        assert self._held is not None
        rules = self._rules
        runs, counting = self._counting(runs, source)
        newest = Newest(runs, self._held.columns)
        front_ns = self._held.columns.front_ns[runs.slot]
        every_ns, channels_min = rules.every_ns[source], rules.channels_min[source]
        made = grid_rows(runs, newest, front_ns, every_ns, rules.max_age_ns[source], channels_min, counting)
        self._take(runs, newest, counting)
        return made

    def _counting(self, runs: Runs, source: Int64) -> tuple[Runs, Counting | None]:
        """The measured values of these readings, and the events that they tell of."""
        counts = self._rules.counts[source]
        if self._counted is None or not np.count_nonzero(counts):
            return runs, None
        return runs.without(counts[runs.run]), Counting(runs, counts, self._counted.columns)

    def _take(self, runs: Runs, newest: Newest, counting: Counting | None) -> None:
        """Keep what the next rows of these devices need."""
        assert self._held is not None
        self._held.take(runs, newest)
        if counting is not None and self._counted is not None:
            counting.take(self._counted.columns)

    def _doubt_missing(self, aligned: Rows, place: Int64, drops: list[Drops]) -> None:
        """Once a reading: rows of which a channel has no value that could be held."""
        missing = np.isnan(aligned.x) & self._rules.is_needed[aligned.source]
        if not np.count_nonzero(missing):
            return
        short = np.flatnonzero(missing.any(axis=1))
        short = short[np.unique(place[short], return_index=True)[1]]
        first, n_missing = missing[short].argmax(axis=1), np.count_nonzero(missing[short], axis=1)
        text = self._missing_text
        drops.append(
            Drops(
                "missing_channel",
                aligned.message[short],
                aligned.source[short],
                aligned.device[short],
                text,
                (aligned.source[short], first, n_missing),
            )
        )

    def _missing_text(self, source: int, first: int, n_missing: int) -> str:
        others = f", nor have {n_missing - 1} more" if n_missing > 1 else ""
        return f"{self._rules.fields[source][first]} has no value that is new enough{others}"


def _as_they_are(runs: Runs, _source: Int64) -> Made:
    return Made(runs.place, runs.t_ns, runs.x)


def _in_order(parts: Sequence[Made]) -> Made:
    """Rows of several kinds in the order of the readings that brought them on."""
    place = np.concatenate([part.place for part in parts])
    order = np.argsort(place, kind="stable")
    t_ns = np.concatenate([part.t_ns for part in parts])
    return Made(place[order], t_ns[order], np.concatenate([part.x for part in parts])[order])
