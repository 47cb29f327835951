"""A counter that starts again: a machine that counts its cycles, after an overhaul or when another took its place.

A counter is never compared with arrival (agent.align.clock), so all that a new life shows is rows which are late. A
backlog that is sent after an outage is late too; but it does not begin far back, or it ends where the newest row was.
So the counter has started again when RESTART_ROWS late rows in a row rise, the first of them in the first half of what
was counted. The rows before that are dropped as late; the device goes on as one of unknown age, in a new clock epoch.
For a while after history was lost (agent.align.first_seen) devices may send all of it again, and no counter starts
anew. Such rows that then catch up with the newest one may have been another life all the same: the state begins anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.sources import Source
from agent.words import Bool, Int64

RESTART_ROWS = 5


@dataclass(slots=True)
class RestartColumns(Columns):
    """restart_rows int64: late readings in a row that rise; restart_t_ns int64: event time of the newest, or 0."""

    restart_rows: Int64 = column(np.int64, 0)
    restart_t_ns: Int64 = column(np.int64, 0)


class Restart:
    """The counters of all devices whose sources count."""

    def __init__(self, sources: Sequence[Source], slots: Slots) -> None:
        self._columns = slots.register("restart", RestartColumns)
        self._counts = np.array([source.time_unit == "cycle" for source in sources])
        self.may_find = bool(self._counts.any())

    def counts(self, source: int) -> bool:
        """Whether a source's time is a counter."""
        return bool(self._counts[source])

    def is_at_rest(self, slots: Int64) -> Bool:
        """Of which devices no late row is the newest, bool [b]."""
        at_rest: Bool = self._columns.restart_rows[slots] == 0
        return at_rest

    def read(self, slots: Int64, source: Int64, t_ns: Int64, newest_ns: Int64, may_begin: Bool) -> tuple[Bool, Bool]:
        """Whose counter has started again with this row, and whose may have: two bool [b] for distinct devices (law 2).

        slots, source, t_ns int64 [b]; newest_ns int64 [b] event time of the device's newest row, NEVER for none;
        may_begin bool [b] late rows cannot be a backlog of lost history. The second are devices whose late rows have
        caught up with the newest one before that could be told: their state may be that of a former life.
        """
        columns = self._columns
        nobody = np.zeros(len(slots), np.bool_)
        is_old = self._counts[source] & (newest_ns != NEVER) & (t_ns <= newest_ns)
        before = columns.restart_rows[slots]
        if not np.count_nonzero(is_old) and not np.count_nonzero(before):
            return nobody, nobody
        last = columns.restart_t_ns[slots]
        goes_on = is_old & (before > 0) & (t_ns >= last)
        begins = is_old & ~goes_on & (t_ns <= newest_ns // 2)
        rows = np.where(goes_on, before + (t_ns > last), np.where(begins, 1, 0))
        restarted = (rows >= RESTART_ROWS) & may_begin
        columns.restart_rows[slots] = rows = np.where(restarted, 0, rows)
        columns.restart_t_ns[slots] = np.where(rows > 0, t_ns, 0)  # the same bytes whoever else is in the call (law 2)
        return restarted, (before >= RESTART_ROWS) & ~is_old
