"""When a source or a device is silent for too long: by a time that was set, or by what its own pauses say.

**Listening time.** Silence is counted while somebody listened: log time without the time in which the broker was away,
the agent was stopped, or a clock was set. `agent.core.silence_alerts` makes it; here all times are of it, int64 ns.

**Learned.** Silent is who is quiet for three times the longest pause of the last one to two weeks, but never sooner
than the floor and never later than a week. Before a whole day was heard, and twenty times that pause, a week holds. Why
three of the longest, and not ten of the usual: where pauses come at random, ten mean pauses are exceeded once in
e^10 = 22,000, which is often, and three times the longest of n once in n^3 / 6. A pause in which an alert stood is
learned like any other one: whoever stops each night is told of at most once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER
from agent.judge import no_model
from agent.words import SILENCE, AlertEvent, Bool, Int64, Severity

DAY_NS: Final = 86_400 * 10**9
WEEK_NS: Final = 7 * DAY_NS
LONGEST_PAUSES: Final = 3
PAUSES_HEARD: Final = 20
LEARNED_NS, OFF_NS = -1, 2**62

SilenceEnd = Literal["heard_again", "not_watched", "forgotten", "source_removed"]


@dataclass(slots=True)
class PauseColumns(Columns):
    """How a device, or a source, is heard.

    quiet_from_ns    int64  when it was heard last, NEVER for not yet
    watched_from_ns  int64  when it was heard first, NEVER for not yet
    pause_ns         int64  the longest pause that ended in this week
    pause_before_ns  int64  and in the week before
    told_after_ns    int64  pause after which the alert that stands was raised, 0 where none stands
    """

    quiet_from_ns: Int64 = column(np.int64, NEVER)
    watched_from_ns: Int64 = column(np.int64, NEVER)
    pause_ns: Int64 = column(np.int64, 0)
    pause_before_ns: Int64 = column(np.int64, 0)
    told_after_ns: Int64 = column(np.int64, 0)


def hear(columns: PauseColumns, index: Int64, at_ns: Int64) -> None:
    """Those of index int64 [b] are heard at int64 [b], which rises; one may be heard several times."""
    if not len(index):
        return
    if np.count_nonzero(index != index[0]):
        order = np.argsort(index, kind="stable")
        index, at_ns = index[order], at_ns[order]
    begins = np.ones(len(index), np.bool_)
    begins[1:] = index[1:] != index[:-1]
    before_ns = np.where(begins, columns.quiet_from_ns[index], np.concatenate((at_ns[:1], at_ns[:-1])))
    pauses = np.where(before_ns == NEVER, 0, at_ns - before_ns)
    np.maximum.at(columns.pause_ns, index, pauses)
    is_first = begins & (columns.watched_from_ns[index] == NEVER)
    columns.watched_from_ns[index[is_first]] = at_ns[is_first]
    ends = np.concatenate((begins[1:], [True]))
    columns.quiet_from_ns[index[ends]] = at_ns[ends]


def stand(columns: PauseColumns, index: Int64 | Bool, now_ns: Int64) -> None:
    """These machines stand: the time up to now_ns int64, one of each, is no silence."""
    columns.quiet_from_ns[index] = np.where(columns.quiet_from_ns[index] == NEVER, NEVER, now_ns)


def skip(columns: PauseColumns, index: Int64 | Bool, passed_ns: Int64) -> None:
    """So much int64, of each of these, is no silence."""
    quiet_from_ns = columns.quiet_from_ns[index]
    columns.quiet_from_ns[index] = np.where(quiet_from_ns == NEVER, NEVER, quiet_from_ns + passed_ns)


def begin_week(columns: PauseColumns, index: Int64 | Bool) -> None:
    """A new week begins for these."""
    columns.pause_before_ns[index] = columns.pause_ns[index]
    columns.pause_ns[index] = 0


def tell(columns: PauseColumns, index: int, after_ns: int) -> None:
    """An alert stands of this one, 0: none does any more."""
    columns.told_after_ns[index] = after_ns


def keep_silent(columns: PauseColumns, index: int, now_ns: int, after_ns: int) -> None:
    """An alert was raised after a pause of after_ns, and this one was not heard since."""
    silent_from_ns = now_ns - after_ns  # may be before 1970: a gateway boots there, or nothing was heard yet at all
    if columns.quiet_from_ns[index] == NEVER or columns.quiet_from_ns[index] > silent_from_ns:
        columns.quiet_from_ns[index] = silent_from_ns - (silent_from_ns == NEVER)
    columns.told_after_ns[index] = after_ns


def forget_alerts(columns: PauseColumns) -> None:
    """Alerts are taken from the table anew."""
    columns.told_after_ns[:] = 0


def limits_ns(columns: PauseColumns, set_ns: Int64, floor_ns: int) -> Int64:
    """The pause int64 [n] after which each is silent; set_ns int64 [n] as it was set, LEARNED_NS or OFF_NS."""
    longest_ns = np.maximum(columns.pause_ns, columns.pause_before_ns)
    heard_for_ns = columns.quiet_from_ns - columns.watched_from_ns
    is_learned = heard_for_ns >= np.maximum(DAY_NS, PAUSES_HEARD * np.minimum(longest_ns, WEEK_NS))
    learned_ns = np.clip(LONGEST_PAUSES * np.minimum(longest_ns, WEEK_NS), floor_ns, max(floor_ns, WEEK_NS))
    learned_ns = np.where(is_learned, learned_ns, max(floor_ns, WEEK_NS))
    limits: Int64 = np.where(set_ns == LEARNED_NS, learned_ns, set_ns)
    return limits


def silence_ns(columns: PauseColumns, now_ns: Int64) -> Int64:
    """For how long int64 [n] each is quiet, 0 where it was not heard yet; now_ns int64 [n]."""
    quiet: Int64 = np.where(columns.quiet_from_ns == NEVER, 0, now_ns - columns.quiet_from_ns)
    return quiet


def set_ns(silent_after_s: Sequence[float | Literal["learned"]]) -> Int64:
    """The pause that was set for each, int64 [n]."""
    return np.array(
        [LEARNED_NS if one == "learned" else OFF_NS if math.isinf(one) else round(one * 1e9) for one in silent_after_s],
        np.int64,
    )


def raised(source: str, device: str, entry: int, tick_ns: int, quiet_ns: int, limit_ns: int) -> AlertEvent:
    """The raise, at the tick of log time tick_ns; device "" for the whole source."""
    severity: Severity = "warning" if device else "major"
    return no_model.raised(source, device, SILENCE, severity, entry, tick_ns, (quiet_ns / 1e9, limit_ns / 1e9))


def ended(event: AlertEvent, cause: SilenceEnd, entry: int, tick_ns: int) -> AlertEvent:
    """The end of an alert; `event` is its newest one."""
    return no_model.ended(event, cause, "clear" if cause == "heard_again" else "end", entry, tick_ns)


def told_after_ns(event: AlertEvent) -> int:
    """The pause after which a standing alert was raised."""
    return round(event.outputs[SILENCE][1] * 1e9)
