"""What every data set must hold so that a training can learn from it and a gateway can run what comes out.

Refused before anything is trained or written, in terms of the configuration's keys; what only a reader can know, the
lines of a file, is checked there.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from agent.config.quantity import format_duration
from agent.errors import DataRefused
from trainer.config import Cmapss, Config, Table
from trainer.data.history import History

ROWS_MIN = 8
"""Fewer rows of a device teach nothing; late starts are tried from the 7th on."""
ROWS_MAX = 10_000
"""A whole life is trained at once, and the smoother of the augmentation takes memory with its square."""


def checked(histories: list[History], config: Config) -> list[History]:
    """The same histories. Raises DataRefused when nothing could come of a training."""
    check_failures(histories)
    check_lengths(histories)
    check_channels(histories, config.channels)
    check_times(histories, config)
    return histories


def check_failures(histories: Sequence[History]) -> None:
    if not any(history.failed for history in histories):
        what = f"none of {len(histories)} device(s) failed: risk is learnt from recorded failures"
        raise DataRefused("data", what, next_step="Name them in data.failures, or record until some device fails.")


def check_lengths(histories: Sequence[History]) -> None:
    short = [one.device for one in histories if len(one.t_s) < ROWS_MIN]
    long = [one.device for one in histories if len(one.t_s) > ROWS_MAX]
    if short:
        what = f"{len(short)} device(s) with fewer than {ROWS_MIN} rows: {some(short)}"
        raise DataRefused("data", what, next_step="Leave them out of the data.")
    if long:
        what = f"{len(long)} device(s) with more than {ROWS_MAX:,} rows: {some(long)}"
        raise DataRefused("data", what, next_step="Average their rows over a longer time, such as an hour.")


def check_channels(histories: Sequence[History], names: Sequence[str]) -> None:
    heard = np.any([~np.isnan(history.x).all(axis=0) for history in histories], axis=0)  # [F]
    if silent := [name for name, known in zip(names, heard, strict=True) if not known]:
        what = f"no device has a value of channel(s) {', '.join(map(repr, silent))}"
        raise DataRefused("data.channels", what, next_step="Leave them out of it.")


def check_times(histories: Sequence[History], config: Config) -> None:
    """Do rows come as often as `model.cadence` says, and near enough to a failure for every horizon?"""
    cadence = config.model.cadence
    every = float(np.median(np.concatenate([np.diff(history.t_s) for history in histories])))
    if not cadence / 2 <= every <= 2 * cadence:
        usual = spelled(every, config)
        what = f"is {spelled(cadence, config)}, but half of the rows come {usual} or more after the one before"
        raise DataRefused("model.cadence", what, next_step=f"Set cadence = {usual}, or average the rows to it.")
    for history in histories:
        together = np.flatnonzero(np.diff(np.round(history.t_s * 1e9)) <= 0)
        if len(together):
            what = f"device {history.device!r} has two rows within a nanosecond, at {history.t_s[together[0]]:.9f}"
            raise DataRefused("data", what, next_step="Is the time in seconds? Keep one row a time.")
    nearest = min(float(history.observed_left().min()) for history in histories if history.failed)
    if nearest > config.risk.horizons[0]:
        first, least = spelled(config.risk.horizons[0], config), spelled(nearest, config)
        what = f"{first} is too short: no recorded failure is less than {least} after a row"
        raise DataRefused("risk.horizons", what, next_step="Give longer ones, or record closer to the failures.")


def spelled(span_s: float, config: Config) -> str:
    """A time as the configuration's keys take it: 20 where it counts cycles, else "4h" in its quotes."""
    return f"{span_s:.12g}" if counts_cycles(config) else f'"{format_duration(timedelta(seconds=span_s))}"'


def counts_cycles(config: Config) -> bool:
    of = config.data
    return isinstance(of, Cmapss) or (isinstance(of, Table) and of.time_unit == "cycle")


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
