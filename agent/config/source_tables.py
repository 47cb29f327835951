"""The tables within a [[source]]: time, channels, payload, alignment, interventions."""

import math
import zoneinfo
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from agent.config.quantity import Duration
from agent.config.table import MS, Table
from agent.near import nearest
from agent.values.durations import format_duration
from agent.words import InterventionKind, TimeUnit

CODES_MAX = 64  # that stand for no value, and words that stand for numbers, of one channel
FIELD_CHARS_MAX = 256
FieldName = Annotated[str, Field(max_length=FIELD_CHARS_MAX)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Time(Table):
    """Where a payload has its event time."""

    field: FieldName = Field(default="", description='Payload field of the event time ("" with unit `arrival`).')
    unit: TimeUnit = Field(
        default="arrival",
        description="Unit of that field; `cycle` counts operating cycles, `arrival` takes the time of arrival instead.",
    )
    zone: str = Field(
        default="",
        max_length=64,
        description='Time zone of texts without an offset, as in `Europe/Berlin` ("" = UTC).',
    )

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        try:
            if zone:
                zoneinfo.ZoneInfo(zone)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            meant = nearest(zone, zoneinfo.available_timezones())
            what = f"the nearest is {meant}" if meant else "such as Europe/Berlin"
            raise ValueError(f"there is no time zone {zone!r} on this machine; {what}") from None
        return zone

    @model_validator(mode="after")
    def _field_unit_and_zone_agree(self) -> Self:
        if (self.unit == "arrival") != (self.field == ""):
            raise ValueError('give both: field = "ts", unit = "s"; or neither, for the time of arrival')
        if self.zone and self.unit != "iso8601":
            raise ValueError('zone is for texts: unit = "iso8601"; numbers count since 1970 in UTC')
        return self


class ChannelSettings(Table):
    """One channel of a source. A text alone is its `field`."""

    field: FieldName = Field(
        default="",
        description="Where a payload has it, as the codec names fields "
        '("" = as the recording that the bundle was trained on names it).',
    )
    scale: Number = Field(default=1.0, description="The channel is the payload's number times this ...")
    offset: Number = Field(default=0.0, description="... plus this.")
    unit: str = Field(default="", max_length=64, description="Unit of the channel, to be held against the bundle's.")
    missing: Annotated[tuple[Number, ...], Strict(False)] = Field(
        default=(),
        max_length=CODES_MAX,
        description="Numbers that stand for no value, as payloads have them (default: the bundle's).",
    )
    words: dict[Annotated[str, Field(max_length=FIELD_CHARS_MAX)], float] = Field(
        default={},
        max_length=CODES_MAX,
        description="Texts that stand for numbers, `nan` for no value (default: the bundle's).",
    )
    max_age: Duration | None = Field(
        default=None, ge=0 * MS, description="Held for so long (default: `align.max_age`)."
    )

    event: bool | FieldName = Field(
        default=False,
        description='It counts events: what the field is for one of them, as `"error3"`, or true where it has their '
        "number. Several channels may be of one field.",
    )

    @field_validator("event")
    @classmethod
    def _event_is_a_word(cls, event: bool | str) -> bool | str:
        if event == "":
            raise ValueError('must not be empty: event = "error3", or true where the field has the number of events')
        return event

    @model_validator(mode="after")
    def _numbers_can_be_used(self) -> Self:
        if self.event is not False and (self.is_scaled or self.max_age is not None):
            raise ValueError("a channel that counts events has no scale, offset or max_age: it is a whole number")
        if wrong := next((word for word, number in self.words.items() if self.event and not math.isnan(number)), ""):
            raise ValueError(f"the word {wrong!r} of a channel that counts events may only stand for no value: nan")
        if not self.scale:
            raise ValueError("scale must not be 0: every number would be the offset")
        if wrong := next((word for word, number in self.words.items() if math.isinf(number)), ""):
            raise ValueError(f"the word {wrong!r} stands for an infinite number: give a number, or nan for no value")
        return self

    @property
    def is_scaled(self) -> bool:
        """Whether payloads have it in another unit than the channel's."""
        return (self.scale, self.offset) != (1.0, 0.0)


def field_or_table(value: object) -> object:
    """A text alone as the table that it stands for. Raises ValueError for what is neither."""
    if not isinstance(value, str | dict | ChannelSettings):
        raise ValueError('must be a payload field in quotes, or a table such as { field = "t", scale = 0.1 }')
    return {"field": value} if isinstance(value, str) else value


class PayloadSettings(Table):
    """The form of a payload of JSON, CBOR or MessagePack."""

    readings: FieldName = Field(
        default="",
        description='Where the readings are: "" the payload itself, `metrics[]` each element of an array, `{device}` '
        "each key names the device, `{device}[]` both.",
    )
    form: Literal["fields", "pairs", "columns", "value"] = Field(
        default="fields",
        description="What a reading is: `fields`, one a channel; `pairs`, an array of names and values; `columns`, an "
        "array a channel; `value`, one value whose channel the topic names.",
    )
    name: FieldName = Field(default="name", min_length=1, description="Field of a pair that names the channel.")
    value: FieldName = Field(default="value", description="Field of a pair, or of a `value`, that has the number.")
    numbers_as_text: bool = Field(default=False, description='Whether a text such as "55.1" is a number.')


STEPS_MAX = 300  # of a grid that readings may wait: what they make when they go on is stepped at once


class AlignSettings(Table):
    """Readings to rows, in event time; of a source that counts cycles, one second is one cycle."""

    every: Duration = Field(
        default=0 * MS, ge=0 * MS, description="A row at each multiple of this; 0s = a row for each reading."
    )
    max_age: Duration = Field(
        default=0 * MS,
        ge=0 * MS,
        description="A channel without a new value keeps its last one for so long; 0s = nothing is held.",
    )
    quorum: Number = Field(
        default=0.0, ge=0, le=1, description="Share of channels that a row of the grid needs; one at least."
    )
    lateness: Duration = Field(
        default=0 * MS, ge=0 * MS, description="Readings wait so long for older ones that are still on their way."
    )

    @model_validator(mode="after")
    def _held_values_outlive_the_step(self) -> Self:
        if self.max_age < self.every:
            what = f"max_age ({format_duration(self.max_age)}) is below every ({format_duration(self.every)})"
            raise ValueError(f"{what}: a value would be gone before the next row. Give max_age, longer than every")
        if self.every and self.lateness > STEPS_MAX * self.every:
            longest = format_duration(STEPS_MAX * self.every)
            raise ValueError(
                f"lateness is above {longest}, {STEPS_MAX} steps of every: one reading could make more rows"
            )
        if self.quorum and not self.every:
            raise ValueError('quorum is for rows of a grid: give every too, such as every = "10s"')
        return self


class InterventionSettings(Table):
    """Where a payload says that somebody worked on the machine."""

    field: FieldName = Field(default="", description='Payload field that says it ("" = the payload itself, a text).')
    words: dict[Annotated[str, Field(max_length=FIELD_CHARS_MAX)], InterventionKind] = Field(
        min_length=1, max_length=CODES_MAX, description="What each text means."
    )
