"""What a written number means, and what a channel's number means: the same for payloads and for recorded tables."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.sources import SourceChannel
from agent.words import Float32

NUMBER_CHARS_MAX: Final = 400  # a double has 309 digits before its point
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def number_of(text: str) -> float:
    """The number of a text: digits with a decimal point and an exponent, as in `-55.1` or `1e3`, blanks around it.

    Infinite for one beyond float64. Raises ValueError for anything else: `1_000`, `0x1F`, `55,1`, `nan`, `inf`.
    """
    if len(text) > NUMBER_CHARS_MAX or _NUMBER.fullmatch(text.strip()) is None:
        raise ValueError(f"{text[:40]!r} is no number")
    return float(text)


def engineering_units(x: npt.NDArray[np.floating], channels: Sequence[SourceChannel]) -> Float32:
    """float32 [n, F]: what numbers float64 or float32 [n, F] as a source has them are worth in its channels' units.

    A number that stands for no value becomes NaN, any other is scaled, and the offset added. A code is compared as
    float32, so that it means the same in a source of float32 as in one of float64; one beyond float32 as it is given.
    A number beyond float32 becomes infinite. `x` itself where nothing is to do.
    """
    mapped = [column for column, one in enumerate(channels) if one.missing or one.scale != 1 or one.offset != 0]
    with np.errstate(over="ignore", invalid="ignore"):  # inf * 0 is NaN
        units: Float32 = x.astype(np.float32, copy=False)
        if mapped and units is x:
            units = x.copy()
        for column in mapped:
            channel, given = channels[column], x[:, column]
            if channel.scale != 1 or channel.offset != 0:
                units[:, column] = given.astype(np.float64) * channel.scale + channel.offset
            if channel.missing:
                units[_stands_for_no_value(given, channel.missing), column] = np.nan
    return units


def _stands_for_no_value(given: npt.NDArray[np.floating], codes: Sequence[float]) -> npt.NDArray[np.bool_]:
    wide = np.array(codes, np.float64)
    narrow = wide.astype(np.float32)
    as_given: npt.NDArray[np.bool_] = np.isin(given, wide[np.isinf(narrow)])
    return as_given | np.isin(given.astype(np.float32), narrow[np.isfinite(narrow)])
