"""Values so far from a channel's others that scaled by them all the others would be alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from agent.table.rows import Rows
from agent.words import Int64
from trainer.data.history import Float64

RARE_SHARE, RARE_FAR, FAR = 0.01, 100, 1e6
"""What lies outside of everything, in the distances from the median that a channel's values have: more than `RARE_FAR`
times as far as all but the farthest `RARE_SHARE` of them, or, since a code for "no value" may be frequent, more than
`FAR` times as far as half of them. A machine that mostly stands still keeps its few running hours by this.
"""
SPOILT_SHARE, SPOILT_FAR = 0.1, 30
"""What is asked about: no more than this share of the values, all of them so many times as far as any other."""


@dataclass(frozen=True, slots=True)
class _Column:
    """Of a channel the distances of all values from its median, and those above 0, which rise."""

    name: str
    values: Float64
    away: Float64
    some: Float64

    def worst(self, far: Int64) -> int:
        """Of these rows."""
        return int(far[np.argmax(self.away[far])])

    def described(self, rows: Rows, row: int) -> str:
        value, usual = _number(self.values[row]), self.some[(len(self.some) - 1) // 2]
        what = f"column {self.name!r} of device {rows.names[rows.device[row]]!r} is {value}, but half of all values lie"
        return f"{what} within {usual:.3g} of {np.nanmedian(self.values):.6g}"


def _columns(rows: Rows, names: Mapping[int, str]) -> Iterator[_Column]:
    for column, name in names.items():
        values = rows.x[:, column].astype(np.float64)
        away = np.abs(values - np.nanmedian(values)) if not np.isnan(values).all() else values
        if len(some := np.sort(away[away > 0])):
            yield _Column(name, values, away, some)


def _number(value: float) -> str:
    return f"{float(str(np.float32(value))):.15g}"


def check_outliers(rows: Rows, columns: Mapping[int, str]) -> None:
    """Raise DataRefused for such a value of some columns of `x`, given with their names."""
    for of in _columns(rows, columns):
        some = of.some
        most = min(RARE_FAR * some[int((1 - RARE_SHARE) * (len(some) - 1))], FAR * some[(len(some) - 1) // 2])
        far = np.flatnonzero(of.away > most)
        if len(far):
            worst = of.worst(far)
            value = _number(of.values[worst])
            next_step = (
                f'Empty the cell. Where it means "no value": data.missing = [{value}]; is it real: outliers = "keep".'
            )
            rows.refuse(worst, f"{of.described(rows, worst)} ({len(far):,} such)", next_step)


def spoilt(rows: Rows, columns: Mapping[int, str]) -> list[str]:
    """What to ask of values too many to be refused, such as those of a sensor that is at its end now and then."""
    doubts = []
    for of in _columns(rows, columns):
        first = int((1 - SPOILT_SHARE) * len(of.some)) or 1
        steps = of.some[first:] / of.some[first - 1 : -1]
        if not len(steps) or steps.max() <= SPOILT_FAR:
            continue
        far = np.flatnonzero(of.away >= of.some[first + int(steps.argmax())])
        worst = of.worst(far)
        n_far = f"{len(far):,} values ({len(far) / len(of.away):.1%}) are as far off, with none between"
        asks = f'Where it means "no value": data.missing = [{_number(of.values[worst])}]'
        doubts.append(f"{rows.place(worst)}: {of.described(rows, worst)}; {n_far}. {asks}")
    return doubts
