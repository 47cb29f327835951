"""The codec `text`: a payload is one value as plain text, such as `21.4`, and the topic names its channel.

An ordinary read is `float` over all payloads at once, without a line of Python a message. What that refuses, and
what it takes but the value rules do not (`nan`, `1_000`), is looked at again alone.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.decode.device_name import payload_names
from agent.decode.intervention_words import InterventionWords
from agent.decode.readings import Address, Batch, Decoded, Fault, Intervened
from agent.decode.topic_channel import NO_CHANNEL, TAGS_MAX, TopicChannel
from agent.decode.unread import Unread
from agent.decode.unused_settings import unused_settings
from agent.sources import Source
from agent.values.numbers import NUMBER_CHARS_MAX
from agent.values.value import BadValue, shown, value_of
from agent.words import Int64

_TAGS = itemgetter(2)  # of an Address
_ONLY: Final = 0  # the column of a source's one channel, where its topics name none


class TextValueCodec:
    """Decodes the payloads of one source."""

    def __init__(self, source: Source) -> None:
        self._channels = source.channels
        self._topic_channel = TopicChannel(source) if source.channel else None
        self._words = InterventionWords(source)
        self._report_extra = source.report_extra
        self._why_unread: dict[tuple[str, ...], str] = {}  # by the tags of an Address

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """Settings of a source that the codec cannot use; see `agent.decode.codec`."""
        yield from unused_settings(source, "channel", "interventions")
        if not source.channel and len(source.channels) > 1:
            yield "channel", 'a payload has one value, so the topic must name its channel: channel = "{channel}"'
        if source.interventions and source.interventions.field:
            yield "interventions.field", "a payload has no fields: leave it out, and its whole text is looked up"
        if payload_names(source):
            yield "tags", "a payload has no fields that could name a device"

    def decode(self, batch: Batch) -> Decoded:
        """A reading of each payload; see `agent.decode.codec`."""
        columns = self._columns(batch.addresses)
        values = _numbers(batch.payloads)
        faults: list[Fault] = []
        interventions: list[Intervened] = []
        for row in np.flatnonzero(np.isnan(values) | (columns == NO_CHANNEL)).tolist():
            payload, column = batch.payloads[row], int(columns[row])
            kind = self._words.kind(_text(payload))
            try:
                if kind is not None:
                    interventions.append(Intervened(row, None, int(batch.arrived_ns[row]), kind))
                elif column != NO_CHANNEL or not payload:
                    values[row] = self._value(payload, column)
                    continue
                elif self._topic_channel is None:
                    faults.append(Fault(row, "no_channels", self._words.no_word(_text(payload))))
                elif self._report_extra:
                    faults.append(Fault(row, "extra_topic", self._unread(batch.addresses[row])))
            except Unread as error:
                faults.append(Fault(row, error.reason, str(error)))
            columns[row] = NO_CHANNEL
        rows = np.flatnonzero(columns != NO_CHANNEL)
        x = np.full((len(rows), len(self._channels)), np.nan)
        x[np.arange(len(rows)), columns[rows]] = values[rows]
        is_whole = len(rows) == len(values)
        return Decoded(None if is_whole else rows, batch.arrived_ns[rows], x, faults, interventions=interventions)

    def _columns(self, addresses: Sequence[Address]) -> Int64:
        """int64 [n]: the channel of each message, NO_CHANNEL for none."""
        if self._topic_channel is not None:
            return np.fromiter(map(self._topic_channel.column, map(_TAGS, addresses)), np.int64, len(addresses))
        return np.full(len(addresses), _ONLY if self._channels else NO_CHANNEL)

    def _value(self, payload: bytes, column: int) -> float:
        """The value of a payload that is no plain number, NaN for one that stands for none. Raises Unread."""
        if not payload:
            raise Unread("empty", "no value")
        text = _text(payload)
        if not text and payload.strip():
            raise Unread("malformed", "it is not UTF-8")
        try:
            return value_of(text, self._channels[column], numbers_as_text=True)
        except BadValue as error:
            # The value is all that there is, so it is not a doubt beside a reading.
            cure = f"; if it means no value: words = {{ {shown(text)} = nan }}" if error.reason == "bad_value" else ""
            raise Unread("wrong_type", f"{error}{cure}") from None

    def _unread(self, address: Address) -> str:
        """Why a message is of no channel. Half of a tree's topics may be, so the text is remembered."""
        assert self._topic_channel is not None
        why = self._why_unread.get(address.tags)
        if why is None:
            why = f"no channel has the field {shown(self._topic_channel.field(address.tags))}, which the topic names"
            if len(self._why_unread) >= TAGS_MAX:
                self._why_unread.clear()
            self._why_unread[address.tags] = why
        return why


def _numbers(payloads: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """float64 [n]: the payloads that are plain numbers, NaN for others."""
    numbers: list[float] = []
    rest = map(float, payloads)
    while True:
        try:
            numbers.extend(rest)  # what it has read stays when it raises, and it goes on with the next payload
            break
        except ValueError:
            numbers.append(np.nan)
    values = np.array(numbers, np.float64)
    values[np.isinf(values)] = np.nan
    whole = b"".join(payloads)
    if b"_" in whole or len(whole) > NUMBER_CHARS_MAX:
        for row, payload in enumerate(payloads):
            if b"_" in payload or len(payload) > NUMBER_CHARS_MAX:
                values[row] = np.nan
    return values


def _text(payload: bytes) -> str:
    """Without the blanks around it and a BOM before it, "" for one that is not UTF-8."""
    try:
        return payload.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return ""
