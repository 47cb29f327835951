"""Cells -> numbers and times, by the rules of `agent.values`: a table means what payloads with its cells would mean.

Numbers have a decimal point; `true` and `false` are 1 and 0; an empty cell and `nan` are no value. A cell of a CSV file
may be any text, so the words of a channel come first.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import numpy as np

from agent.sources import SourceChannel
from agent.table.form import Cells, FileUnit, Float64, Moments
from agent.values.numbers import number_of
from agent.values.times import IMPOSSIBLE_NS, NS_PER, T_NS_MAX, scaled_ns, texts_ns, zoned_ns
from agent.words import Int64

BOOLEANS: Final = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
EMPTY: Final = {"": math.nan}


class BadCell(ValueError):
    """A cell that is not what its column holds."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def cell_texts(cells: Cells) -> Sequence[str]:
    """Names of devices; a whole number may be one."""
    if isinstance(cells, Moments):
        return [str(moment) for moment in cells.ns.astype("M8[ns]")]
    if isinstance(cells, np.ndarray):
        return [
            "" if value != value else f"{value:.17g}" if isinstance(value, float) else str(value)
            for value in cells.tolist()
        ]
    return cells


def cell_numbers(cells: Cells, channel: SourceChannel) -> Float64:
    """float64 [n], NaN where there is no value, not yet in engineering units. Raises BadCell for another text."""
    if isinstance(cells, Moments):
        raise BadCell(0)
    values = cells.astype(np.float64) if isinstance(cells, np.ndarray) else _of_texts(cells, channel)
    values[np.isnan(values)] = np.nan  # one NaN for all, bit for bit, where a file has -nan
    return values


def _of_texts(cells: Sequence[str], channel: SourceChannel) -> Float64:
    if not channel.words and not is_lenient(cells):
        with suppress(ValueError):  # a cell is empty, or is no number
            return np.fromiter(map(float, cells), np.float64, len(cells))
    words = EMPTY | BOOLEANS | dict(channel.words)
    try:
        values = np.array([words[text] if text in words else float(text) for text in cells], np.float64)
    except ValueError:
        return _one_by_one(cells, words)
    return _one_by_one(cells, words) if is_lenient(cells) else values


def is_lenient(cells: Sequence[str]) -> bool:
    """May Python's `float` have read what is no number by our rule, such as `1_000`, or digits that are not ASCII?"""
    joined = "".join(cells)
    return "_" in joined or not joined.isascii()


def _one_by_one(cells: Sequence[str], words: Mapping[str, float]) -> Float64:
    values = np.empty(len(cells))
    for index, text in enumerate(cells):
        stripped = text.strip()
        try:
            number = words.get(stripped)
            if number is None:
                number = math.nan if stripped.lower().lstrip("+-") == "nan" else number_of(stripped)
        except ValueError:
            raise BadCell(index) from None
        values[index] = number
    return values


def cell_times(cells: Cells, unit: FileUnit, zone: str, *, are_texts: bool) -> Int64:
    """int64 [n] ns since 1970, or cycles times 1e9; IMPOSSIBLE_NS where a cell is no such time.

    are_texts  those of a CSV file are ISO 8601, not numbers
    """
    if isinstance(cells, Moments):
        if unit == "cycle":
            return np.full(len(cells.ns), IMPOSSIBLE_NS)
        t_ns = zoned_ns(cells.ns, zone) if cells.is_local else cells.ns
        return np.where((t_ns >= 0) & (t_ns < T_NS_MAX), t_ns, IMPOSSIBLE_NS)
    if isinstance(cells, np.ndarray):
        return _numbers_ns(cells, unit)
    if are_texts:
        return texts_ns(cells, zone)
    if unit == "ns" and not is_lenient(cells):
        with suppress(ValueError, OverflowError):  # some has a point or an exponent, or is no number
            return _numbers_ns(np.array(list(map(int, cells)), np.int64), unit)
    return _numbers_ns(_numbers_or_nan(cells), unit)


def _numbers_ns(given: Float64 | Int64, unit: FileUnit) -> Int64:
    if unit == "iso8601":
        return np.full(len(given), IMPOSSIBLE_NS)
    if unit == "ns" and given.dtype == np.int64:
        return np.where((given >= 0) & (given < T_NS_MAX), given, IMPOSSIBLE_NS)
    return scaled_ns(given.astype(np.float64), 1 if unit == "ns" else NS_PER[unit])


def _numbers_or_nan(cells: Sequence[str]) -> Float64:
    if not is_lenient(cells):
        with suppress(ValueError):
            return np.array([float(text) for text in cells], np.float64)
    return np.array([_number_or_nan(text) for text in cells], np.float64)


def _number_or_nan(text: str) -> float:
    try:
        return number_of(text)
    except ValueError:
        return math.nan
