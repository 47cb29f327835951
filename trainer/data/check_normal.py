"""What a training without labels asks of the data: enough normal rows, and channels that say something.

The `anomaly` head learns a device's own normal from its first rows and is tried on the rows after them, so a part of
the split in which no life is longer than that, or in which all is fault, gives nothing. No recorded failure is needed.
"""

from collections.abc import Sequence

import numpy as np

from agent.errors import DataRefused
from trainer.data.history import History, normal_rows
from trainer.data.plural import plural

SHOWN_MAX = 5


def check_normal(name: str, part: Sequence[History], learning_rows: int, h_max_s: float, cadence: str) -> None:
    """Raise DataRefused for a part of the split without a life that has normal rows beyond those it is learnt from.

    cadence  `model.cadence` as the configuration's keys take it
    """
    n_rows = [len(history.t_s) for history in part]
    n_normal = [int(normal_rows(history, h_max_s).sum()) for history in part]
    if max(n_normal) > learning_rows:
        return
    if max(n_rows) <= learning_rows:
        missing = learning_rows + 1 - max(n_rows)
        what = f"part {name!r} of the split is too short: its longest life has {plural(max(n_rows), 'row')}, and the "
        what += f"first {learning_rows:,} of each device are learnt from"
        next_step = f"Record {plural(missing, 'row')} more, one each {cadence}, or lower anomaly.learning."
        raise DataRefused("anomaly.learning", what, next_step=next_step)
    what = f"part {name!r} of the split is full of faults: {sum(n_normal):,} of its {sum(n_rows):,} rows are normal, "
    what += f"at most {plural(max(n_normal), 'row')} of a life, and the first {learning_rows:,} are learnt from"
    next_step = (
        "Record more normal time. Rows in a fault, and those within twice judge.h_max of a failure, do not count."
    )
    raise DataRefused("data", what, next_step=next_step)


def notes_on(fit: Sequence[History], channels: Sequence[str], learning_rows: int) -> list[str]:
    """What to tell before such a training, though it goes on."""
    notes = []
    values = np.concatenate([history.x for history in fit])
    varies = np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0)  # [F], False without a value
    if constant := [name for name, does in zip(channels, varies, strict=True) if not does]:
        notes.append(f"{named('channel', constant)} one value in all rows of the fit devices: no chart looks at it")
    if early := [one.device for one in fit if one.in_fault()[:learning_rows].any()]:
        notes.append(
            f"{named('device', early)} a labelled fault in the first {learning_rows:,} rows, which are learnt as normal"
        )
    return notes


def named(noun: str, names: Sequence[str]) -> str:
    """ "channel 'a' has", "channels 'a', 'b' have"."""
    shown = ", ".join(map(repr, names[:SHOWN_MAX])) + (", ..." if len(names) > SHOWN_MAX else "")
    return f"{noun} {shown} has" if len(names) == 1 else f"{noun}s {shown} have"
