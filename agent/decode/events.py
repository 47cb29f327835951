"""Channels that count events, such as error codes: what a payload says becomes the number of events that it tells of.

Several channels may be of one payload field, each of another word: `errorID` is "error1" or "error3". A codec reads a
field once, so it is given one channel for all of them, in which each word stands for a number; here that becomes a 1 in
the channel of its own. A channel that counts without a word has the payload's number, which must be a count.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import numpy as np

from agent.decode.readings import Decoded, Fault
from agent.sources import Source, SourceChannel
from agent.values.numbers import number_of
from agent.words import Bool

EVENTS_MAX: Final = 2**16  # of one channel in a reading
_FIRST_CODE: Final = -(2.0**23)  # of words that are no numbers, and down from there; float32 has each


class _Ways(NamedTuple):
    """The channels as a codec reads them; of each channel its place there, and the number of its word, None without."""

    channels: list[SourceChannel]
    places: list[int]
    codes: list[float | None]


def coded(source: Source) -> Source:
    """The source as its codec reads it: a field that tells of events once, whatever number of channels it is for."""
    if not any(channel.event for channel in source.channels):
        return source
    return replace(source, channels=tuple(_ways(source.channels).channels))


class Events:
    """What the channels of one source count. counts bool [F]: which of them do"""

    def __init__(self, channels: Sequence[SourceChannel]) -> None:
        self.counts: Bool = np.array([channel.event is not None for channel in channels], np.bool_)
        self._ways = _ways(channels) if any(channel.event for channel in channels) else None
        self._numbers = [(column, channel) for column, channel in enumerate(channels) if channel.event == ""]

    def read(self, decoded: Decoded) -> Decoded:
        """What the codec gave of the `coded` source, in the source's own channels; NaN where no event is told of."""
        if self._ways is not None:
            x = decoded.x[:, self._ways.places]
            for column, code in enumerate(self._ways.codes):
                if code is not None:
                    x[:, column] = np.where(x[:, column] == code, 1.0, np.nan)
            decoded = msgspec.structs.replace(decoded, x=x)
        return self._with_counts(decoded) if self._numbers else decoded

    def _with_counts(self, decoded: Decoded) -> Decoded:
        """Without numbers that count nothing: broken, below 0 or beyond EVENTS_MAX."""
        x, faults = decoded.x.copy(), []
        for column, channel in self._numbers:
            number = x[:, column]
            is_count = (number >= 0) & (number <= EVENTS_MAX) & (number == np.floor(number))
            for reading in np.flatnonzero(~is_count & ~np.isnan(number) & ~np.isin(number, channel.missing)).tolist():
                row = reading if decoded.row is None else int(decoded.row[reading])
                faults.append(Fault(row, "bad_value", f"{channel.field} is {number[reading]:g}, no number of events"))
                x[reading, column] = np.nan
        return msgspec.structs.replace(decoded, x=x, faults=[*decoded.faults, *faults]) if faults else decoded


def _ways(channels: Sequence[SourceChannel]) -> _Ways:
    ways = _Ways([], [], [])
    place_of: dict[str, int] = {}
    for channel in channels:
        if not channel.event:
            ways.places.append(len(ways.channels))
            ways.codes.append(None)
            ways.channels.append(channel)
            continue
        place = place_of.setdefault(channel.field, len(ways.channels))
        if place == len(ways.channels):
            ways.channels.append(replace(channel, event=None, words=(), missing=()))
        words = dict((*ways.channels[place].words, *channel.words))
        ways.codes.append(words.setdefault(channel.event, _code(channel.event, len(words))))
        ways.channels[place] = replace(ways.channels[place], words=tuple(words.items()))
        ways.places.append(place)
    return ways


def _code(word: str, n_words: int) -> float:
    """The number that a word writes, so that a payload may send it as a number; else one that no machine sends."""
    try:
        return number_of(word)
    except ValueError:
        return _FIRST_CODE - n_words
