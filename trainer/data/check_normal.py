"""What a training without labels asks of the data: enough normal rows, and channels that say something.

The `anomaly` head learns a device's own normal from its first rows and is tried on the rows after them, so a part of
the split in which few rows come after that, or in which all is fault, gives nothing. No recorded failure is needed.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from agent.errors import DataRefused
from trainer.data.history import History, normal_rows
from trainer.data.plural import plural

SHOWN_MAX = 5
JUDGED_ROWS_MIN = 100
"""Fewer normal rows after the learning give no 99 % quantile; nothing is fitted on the part to be played, 1 will do."""


def check_normal(name: str, part: Sequence[History], learning_rows: int, h_max_s: float, cadence: str) -> None:
    """Raise DataRefused for a part of the split with too few normal rows beyond those that are learnt from.

    cadence  `model.cadence` as the configuration's keys take it
    """
    needed = 1 if name == "play" else JUDGED_ROWS_MIN
    normal = [normal_rows(history, h_max_s) for history in part]
    n_judged = sum(int(which[learning_rows:].sum()) for which in normal)
    if n_judged >= needed:
        return
    n_rows = [len(history.t_s) for history in part]
    learnt = f"the first {learning_rows:,} of each life are learnt from"
    if longer_by(0, n_rows, learning_rows) < needed:
        missing = bisect_left(
            range(learning_rows + needed), needed, key=lambda more: longer_by(more, n_rows, learning_rows)
        )
        what = f"part {name!r} of the split is too short: its longest life has {plural(max(n_rows), 'row')}, {learnt}, "
        what += f"and {n_judged:,} normal ones come after that where {needed} must"
        next_step = f"Record at least {plural(missing, 'row')} more of each life, one each {cadence}, "
        next_step += "or lower anomaly.learning."
        raise DataRefused("anomaly.learning", what, next_step=next_step)
    what = f"part {name!r} of the split is full of faults: {sum(int(which.sum()) for which in normal):,} of its "
    what += (
        f"{sum(n_rows):,} rows are normal, {learnt}, and {n_judged:,} normal ones come after that where {needed} must"
    )
    next_step = (
        "Record more normal time. Rows in a fault, and those within twice judge.h_max of a failure, do not count."
    )
    raise DataRefused("data", what, next_step=next_step)


def longer_by(more: int, n_rows: Sequence[int], learning_rows: int) -> int:
    """Rows after the learning, if each life had so many `more`."""
    return sum(max(n + more - learning_rows, 0) for n in n_rows)


def notes_on(
    fit: Sequence[History], aside: Sequence[History], channels: Sequence[str], learning_rows: int
) -> list[str]:
    """What to tell before such a training, though it goes on. aside: devices of the other parts of the split."""
    notes = []
    values = np.concatenate([history.x for history in fit])
    varies = np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0)  # [F], False without a value
    if constant := [name for name, does in zip(channels, varies, strict=True) if not does]:
        notes.append(f"{named('channel', constant)} one value in all rows of the fit devices: no chart looks at it")
    if early := [one.device for one in (*fit, *aside) if one.in_fault()[:learning_rows].any()]:
        notes.append(
            f"{named('device', early)} a labelled fault in the first {learning_rows:,} rows, which are learnt as normal"
        )
    return notes


def named(noun: str, names: Sequence[str]) -> str:
    """ "channel 'a' has", "channels 'a', 'b' have"."""
    shown = ", ".join(map(repr, names[:SHOWN_MAX])) + (", ..." if len(names) > SHOWN_MAX else "")
    return f"{noun} {shown} has" if len(names) == 1 else f"{noun}s {shown} have"
