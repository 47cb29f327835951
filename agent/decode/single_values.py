"""Single values of payloads into columns by the value rules, and numbers that a decoder should not have let pass."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from agent.decode.flat import Float64, is_odd
from agent.reasons import ReasonName
from agent.sources import Source
from agent.values.value import BadValue, value_of
from agent.words import Int64

_PLAIN: Final = {float, bool, type(None)}


class Doubt(NamedTuple):
    """Something that is wrong with a reading which is used: its index, and why."""

    item: int
    reason: ReasonName
    detail: str


def odd_numbers(x: Float64, fields: Sequence[str]) -> list[Doubt]:
    """A doubt for each NaN or infinite number of x float64 [n, F] that a payload sent; they become NaN.

    fields  of the F channels; () where the decoder lets none pass
    """
    odd = is_odd(x) if fields else np.zeros(0, np.bool_)
    if not odd.any():
        return []
    doubts = [
        Doubt(item, "bad_value", f"{fields[column]} is {x[item, column]}") for item, column in np.argwhere(odd).tolist()
    ]
    x[odd] = np.nan
    return doubts


def cells(
    source: Source, rows: Int64, columns: Sequence[int], values: Sequence[Any], n_rows: int
) -> tuple[Float64, list[Doubt]]:
    """float64 [n_rows, F] with each value in its row and column, NaN elsewhere; and doubts, by the index of the value.

    rows int64 [k], columns k of them, below 0 for a value that no channel has; values k of them, as payloads have them
    """
    plain = values if set(map(type, values)) <= _PLAIN else [one if type(one) in _PLAIN else None for one in values]
    numbers, column = np.array(plain, np.float64), np.array(columns, np.int64)
    has_channel = column >= 0
    doubts: list[Doubt] = []
    for item in np.flatnonzero(has_channel & ~np.isfinite(numbers)).tolist():
        try:
            numbers[item] = value_of(
                values[item], source.channels[columns[item]], numbers_as_text=source.payload.numbers_as_text
            )
        except BadValue as error:
            numbers[item] = np.nan
            doubts.append(Doubt(item, error.reason, str(error)))
    x = np.full((n_rows, len(source.channels)), np.nan)
    x[rows[has_channel], column[has_channel]] = numbers[has_channel]
    return x, doubts
