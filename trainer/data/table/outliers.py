"""Values so far from a channel's others that scaled by them all the others would be alike."""

from collections.abc import Mapping

import numpy as np

from agent.table.rows import Rows

RARE_SHARE, RARE_FAR, FAR = 0.01, 100, 1e6
"""What lies outside of everything, in the distances from the median that a channel's values have: more than `RARE_FAR`
times as far as all but the farthest `RARE_SHARE` of them, or, since a code for "no value" may be frequent, more than
`FAR` times as far as half of them. A machine that mostly stands still keeps its few running hours by this.
"""


def check_outliers(rows: Rows, columns: Mapping[int, str]) -> None:
    """Raise DataRefused for such a value of some columns of `x`, given with their names."""
    for column, name in columns.items():
        values = rows.x[:, column].astype(np.float64)
        away = np.abs(values - np.nanmedian(values)) if not np.isnan(values).all() else values
        some = np.sort(away[away > 0])
        if not len(some):
            continue
        most = min(RARE_FAR * some[int((1 - RARE_SHARE) * (len(some) - 1))], FAR * some[(len(some) - 1) // 2])
        far = np.flatnonzero(away > most)
        if len(far):
            worst = int(far[np.argmax(away[far])])
            value, usual = f"{float(str(rows.x[worst, column])):.15g}", some[(len(some) - 1) // 2]
            what = (
                f"column {name!r} of device {rows.names[rows.device[worst]]!r} is {value}, but half of all values lie"
            )
            what += f" within {usual:.3g} of {np.nanmedian(values):.6g} ({len(far):,} such)"
            next_step = (
                f'Empty the cell. Where it means "no value": data.missing = [{value}]; is it real: outliers = "keep".'
            )
            rows.refuse(worst, what, next_step)
