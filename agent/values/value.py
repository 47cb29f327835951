"""What one value of a payload means as a number: the value rules of docs/sources.md, the same for every codec.

A number is itself, `true` is 1 and `false` 0, and `null` is no value. A text is a number where the channel's `words`
name it, or where the source says that its numbers come as texts. Anything else is a bad value: its channel is missing,
the reading is doubted, and no other value of it is lost.
"""

import math
from typing import Final

from agent.reasons import ReasonName
from agent.sources import SourceChannel
from agent.values.numbers import NUMBER_CHARS_MAX, number_of

_JSON_WORDS: Final = {"true": 1.0, "false": 0.0, "null": math.nan}
_TEXT_CHARS_SHOWN: Final = 40
_KINDS: Final[dict[type, str]] = {dict: "an object", list: "an array", tuple: "an array", bytes: "bytes"}


class BadValue(ValueError):
    """A value of a payload is no number of its channel; the text says why.

    reason  `bad_value`, or `out_of_range` for a number that no double holds
    """

    def __init__(self, field: str, what: str, reason: ReasonName) -> None:
        super().__init__(f"{field} is {what}")
        self.reason: ReasonName = reason


def value_of(content: object, channel: SourceChannel, *, numbers_as_text: bool = False) -> float:
    """The number that `content` means as a value of `channel`, NaN for none. Raises BadValue."""
    if isinstance(content, int | float):
        try:
            number = float(content)
        except OverflowError:
            raise BadValue(channel.field, "beyond what a double holds", "out_of_range") from None
        if math.isfinite(number):
            return number
    elif content is None:
        return math.nan
    elif isinstance(content, str):
        for word, number in channel.words:
            if word == content:
                return number
        if numbers_as_text and (as_number := number_of_text(content, channel.field)) is not None:
            return as_number
    raise BadValue(channel.field, shown(content), "bad_value")


def number_of_text(text: str, field: str) -> float | None:
    """The number that a text writes, NaN for `null`, None for a text that writes none. Raises BadValue for 1e400."""
    try:
        number = number_of(text)
    except ValueError:
        return _JSON_WORDS.get(text.strip().lower()) if len(text) <= NUMBER_CHARS_MAX else None
    if math.isinf(number):
        raise BadValue(field, "beyond what a double holds", "out_of_range")
    return number


def shown(content: object) -> str:
    """A value of a payload, short enough for a log line."""
    if isinstance(content, str):
        return repr(content if len(content) <= _TEXT_CHARS_SHOWN else content[:_TEXT_CHARS_SHOWN] + "...")
    if isinstance(content, float) or (isinstance(content, int) and abs(content) < 2**64):
        return str(content)
    return _KINDS.get(type(content), "no number")
