"""What every data set must hold so that a training can learn from it and a gateway can run what comes out.

Refused before anything is trained or written, in terms of the configuration's keys; what only a reader can know, the
lines of a file, is checked there.
"""

from collections.abc import Sequence

import numpy as np

from agent.errors import DataRefused
from trainer.config import Config
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
        what = f"is {cadence:g}, but half of the rows come {every:g} or more after the one before"
        raise DataRefused("model.cadence", what, next_step=f"Set it to {every:g}, or average the rows to it.")
    nearest = min(float(history.observed_left().min()) for history in histories if history.failed)
    if nearest > config.risk.horizons[0]:
        what = f"{config.risk.horizons[0]:g} is too short: no recorded failure is less than {nearest:g} after a row"
        raise DataRefused("risk.horizons", what, next_step="Give longer ones, or record closer to the failures.")


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
