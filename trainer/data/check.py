"""What a data set, and each part of its split, must hold so that a training and a gateway can work with it.

Refused before anything is trained or written, in terms of the configuration's keys; what only a reader can know, the
lines of a file, is checked there. A part whose recordings stop too long before the failures would end the fit after
its last epoch. Where a key of the configuration is at fault, the message says what it would have to be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import click
import numpy as np

from agent.errors import DataRefused
from agent.table.lives.read import ROWS_MIN
from agent.table.times_meant import SERIAL_DAYS, meant
from agent.values.durations import format_duration
from trainer.data.check_normal import check_normal, notes_on
from trainer.data.history import History, failure_time
from trainer.data.split import Parts

ROWS_MAX = 1_000_000
"""Of a life: three weeks at two rows a second, two years at a row a minute."""

RESAMPLE = "`forewarn-train resample` to make one row of each window: mean, or RMS, peak and kurtosis of vibration"
CLOSER = "or record closer to the failures"
NO_VALUES = "Leave them out of it; or, if they are of a joined table, name the devices there as in the first one."


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a training configuration asks of its data, times in seconds (or in cycles, where the data counts them).

    channels          what `x` holds, in its order
    n_devices         how many the split deals out
    cadence_s         `model.cadence`
    horizons_s        `risk.horizons`, which rise
    cap_s             `rul.cap`
    judged_horizon_s  `judge.horizon`
    h_max_s, h_min_s  `judge.h_max`, `judge.h_min`
    needs_failures    risk is learnt, which takes recorded failures
    learning_rows     from which a device's own normal is learnt, 0 where no head does
    learning_h_max_s  `judge.h_max` of that head
    has_own_cadence   the configuration says the cadence: it is not the default
    """

    channels: tuple[str, ...]
    n_devices: int
    time_unit: Literal["s", "cycle"]
    cadence_s: float
    horizons_s: tuple[float, ...]
    cap_s: float
    judged_horizon_s: float
    h_max_s: float
    h_min_s: float
    needs_failures: bool = True
    learning_rows: int = 0
    learning_h_max_s: float = 0.0
    has_own_cadence: bool = True

    def text(self, span_s: float) -> str:
        """A time as the configuration's keys take it: 20 where it counts cycles, else "4h" in its quotes."""
        if self.time_unit == "cycle":
            return f"{span_s:.12g}"
        return f'"{format_duration(timedelta(seconds=span_s))}"'


def check_histories(histories: Sequence[History], requirements: Requirements) -> None:
    """Raise DataRefused when nothing could come of a training on all of them."""
    if requirements.needs_failures:
        check_failures(histories)
    check_lengths(histories)
    check_channels(histories, requirements.channels)
    check_times(histories, requirements)


def check_parts(parts: Parts, requirements: Requirements) -> None:
    """Raise DataRefused for a part whose failures, or whose normal rows, cannot be learnt from or judged by.

    What is no reason to refuse, such as a channel of one value, goes to standard error.
    """
    for name, part in (("fit", parts.fit), ("calibrate", parts.calibrate), ("play", parts.play)):
        if requirements.learning_rows:
            every = requirements.text(requirements.cadence_s)
            check_normal(name, part, requirements.learning_rows, requirements.learning_h_max_s, every)
        if not requirements.needs_failures:
            continue
        failed = [history for history in part if history.failed]
        check_last_rows(name, failed, requirements, "rul.cap", requirements.cap_s)
        if name != "play":
            check_last_rows(name, failed, requirements, "judge.horizon", requirements.judged_horizon_s)
        if name != "fit":
            check_windows(name, failed, requirements)
            check_time_before(name, part, requirements)
    if requirements.learning_rows:
        for note in notes_on(
            parts.fit, (*parts.calibrate, *parts.play), requirements.channels, requirements.learning_rows
        ):
            click.echo(note, err=True)


def check_failures(histories: Sequence[History]) -> None:
    if not any(history.failed for history in histories):
        what = f"none of {len(histories)} device(s) failed: risk is learnt from recorded failures"
        next_step = 'Name them in data.failures, or learn what is normal: heads = ["anomaly"].'
        raise DataRefused("data", what, next_step=next_step)


def check_lengths(histories: Sequence[History]) -> None:
    short = [one.device for one in histories if len(one.t_s) < ROWS_MIN]
    long = [one.device for one in histories if len(one.t_s) > ROWS_MAX]
    if short:
        what = f"{len(short)} device(s) with fewer than {ROWS_MIN} rows: {some(short)}"
        raise DataRefused("data", what, next_step="Leave them out of the data.")
    if long:
        what = f"{len(long)} device(s) with more than {ROWS_MAX:,} rows: {some(long)}"
        raise DataRefused("data", what, next_step=f"Use {RESAMPLE}.")


def check_channels(histories: Sequence[History], names: Sequence[str]) -> None:
    has_values = np.any([~np.isnan(history.x).all(axis=0) for history in histories], axis=0)  # [F]
    if empty := [name for name, has_value in zip(names, has_values, strict=True) if not has_value]:
        what = f"no device has a value of channel(s) {', '.join(map(repr, empty))}"
        raise DataRefused("data.channels", what, next_step=NO_VALUES)


def check_times(histories: Sequence[History], requirements: Requirements) -> None:
    """Do rows come as often as `model.cadence` says, and near enough to a failure for every horizon?"""
    cadence_s, text = requirements.cadence_s, requirements.text
    median_s = float(np.median(np.concatenate([np.diff(history.t_s) for history in histories])))
    if not cadence_s / 2 <= median_s <= 2 * cadence_s:
        usual, is_slower = text(median_s), median_s > cadence_s
        default = "" if requirements.has_own_cadence else ", the default"
        than = "more" if is_slower else "less"
        what = f"is {text(cadence_s)}{default}, but half of the rows come {usual} or {than} after"
        more = "" if is_slower else f", or use {RESAMPLE}"
        next_step = date_meant(histories) if requirements.time_unit == "s" else ""
        next_step = next_step or f"Set cadence = {usual}{more}."
        raise DataRefused("model.cadence", f"{what} the one before", next_step=next_step)
    for history in histories:
        same = np.flatnonzero(np.diff(np.round(history.t_s * 1e9)) <= 0)
        if len(same):
            what = f"device {history.device!r} has two rows within a nanosecond, at {history.t_s[same[0]]:.9f}"
            raise DataRefused("data", what, next_step="Is the time in seconds? Keep one row a time.")
    if not requirements.needs_failures:
        return
    nearest_s = min(float(history.observed_left().min()) for history in histories if history.failed)
    if nearest_s > requirements.horizons_s[0]:
        first, least = text(requirements.horizons_s[0]), text(nearest_s)
        what = f"{first} is too short: no recorded failure is less than {least} after a row"
        raise DataRefused("risk.horizons", what, next_step="Give longer ones, or record closer to the failures.")


def date_meant(histories: Sequence[History]) -> str:
    """What to say of times that are all dates as spreadsheets count days, "" for others: their steps are no seconds."""
    first_s = min(float(history.t_s[0]) for history in histories)
    last_s = max(float(history.t_s[-1]) for history in histories)
    if not SERIAL_DAYS[0] <= first_s <= last_s < SERIAL_DAYS[1]:
        return ""
    return f"The time {first_s:.11g} looks like {meant(first_s, 's')}."


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def check_last_rows(name: str, failed: Sequence[History], requirements: Requirements, key: str, most_s: float) -> None:
    """Is some row at most so long before a failure of the part?"""
    nearest_s = min(map(silence_s, failed))
    if nearest_s > most_s:
        nearest = requirements.text(nearest_s)
        what = f"is {requirements.text(most_s)}, but no failure in {of_split(name, failed)} comes so soon after a row: "
        what += f"the soonest comes {nearest} after its device's last row"
        raise DataRefused(key, what, next_step=f"Set {key} well above {nearest}, {CLOSER}.")


def check_windows(name: str, failed: Sequence[History], requirements: Requirements) -> None:
    """Does a recording of the part hold the end of its failure's window, so that warnings can be judged by it?"""
    h_min_s, cadence_s, text = requirements.h_min_s, requirements.cadence_s, requirements.text
    if n_judged(failed, h_min_s, cadence_s):
        return
    what = f"is {text(h_min_s)}, but no failure in {of_split(name, failed)} can be judged: "
    if min(map(silence_s, failed)) <= h_min_s:
        what += "the recordings are no longer than that, or end before it"
        raise DataRefused("judge.h_min", what, next_step="Lower it, or deal out other devices with split.seed.")
    silences_s = [math.ceil(silence_s(history)) for history in failed]
    ends = list(dict.fromkeys(map(text, (min(silences_s), max(silences_s)))))
    what += f"the rows end {' to '.join(ends)} before it, and a warning counts until h_min before it"
    n_by_h_min = {
        silence: n_judged(failed, silence, cadence_s)
        for silence in sorted(silences_s)
        if silence < requirements.h_max_s
    }
    if any(n_by_h_min.values()):
        best_s = max(n_by_h_min, key=lambda silence: n_by_h_min[silence])  # the lowest of those
        next_step = f"Set judge.h_min = {text(best_s)}: then {n_by_h_min[best_s]} of them count; {CLOSER}."
    else:
        next_step = f"Set judge.h_min = {ends[0]} and judge.h_max well above it, {CLOSER}."
    raise DataRefused("judge.h_min", what, next_step=next_step)


def check_time_before(name: str, part: Sequence[History], requirements: Requirements) -> None:
    """Is some of the part's time earlier than h_max before a failure? Else no alert in it could be a false one, and
    the lowest threshold would look best.
    """
    if not all(history.failed for history in part):
        return
    longest_s = max(failure_time(one) - float(one.t_s[0]) + requirements.cadence_s for one in part)
    if longest_s <= requirements.h_max_s:
        text = requirements.text
        what = f"is {text(requirements.h_max_s)}, but the longest life in {of_split(name, part)} is {text(longest_s)}: "
        what += "every alert from its first row on would be a true one, and no threshold could be told from another"
        next_step = f"Set judge.h_max well below {text(longest_s)}, or record longer lives."
        raise DataRefused("judge.h_max", what, next_step=next_step)


def n_judged(failed: Sequence[History], h_min_s: float, cadence_s: float) -> int:
    """How many failures the early-warning score counts, as `agent/score/early_warning.py` says."""
    ends_s = [failure_time(history) - h_min_s for history in failed]
    return sum(
        bool(history.t_s[0] - cadence_s < end_s <= history.t_s[-1])
        for history, end_s in zip(failed, ends_s, strict=True)
    )


def silence_s(history: History) -> float:
    """From the last row to the failure."""
    return failure_time(history) - float(history.t_s[-1])


def of_split(name: str, failed: Sequence[History]) -> str:
    return f"part {name!r} of the split ({len(failed)} recorded)"
