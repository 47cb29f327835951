"""The tables of a [[source]]: topic patterns, and how to read their messages.

Rules within a source are here. What needs the bundles is for `agent.config.fit`; what needs the codec, for the codec.
"""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, Strict, field_validator, model_validator

from agent.config.quantity import Duration
from agent.config.source_tables import (
    FIELD_CHARS_MAX,
    AlignSettings,
    ChannelSettings,
    FieldName,
    InterventionSettings,
    PayloadSettings,
    Time,
    field_or_table,
)
from agent.config.table import HOUR, MINUTE, MS, NAME, Table
from agent.decode.codec import CODECS
from agent.decode.template import Template
from agent.decode.topic import Pattern
from agent.values.durations import parse_duration
from agent.words import Compression, FirstSeen

TOPICS_MAX = 100  # of one source
CHANNELS_MAX = 1024
TAGS_MAX = 16
LEARNED = "learned"
OWNED = ("align", "first_seen", "device_silent_after")  # keys of the source that others join
if TYPE_CHECKING:
    CodecName = str
else:
    CodecName = Literal[tuple(CODECS)]

Overload = Literal["newest", "oldest", "block"]


def _one_or_several(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise ValueError("must be a topic in quotes, or a list of them")
    return (value,) if isinstance(value, str) else value


class SourceSettings(Table):
    """Topic patterns and how to read their messages."""

    name: str = Field(pattern=f"^{NAME}$", description="Name in logs, status and alerts.")
    broker: str = Field(
        default="", max_length=64, description='NAME of the [brokers.NAME] that it is read from ("" = [broker]).'
    )
    topic: Annotated[
        tuple[Annotated[str, Field(max_length=1024)], ...], Strict(False), BeforeValidator(_one_or_several)
    ] = Field(
        min_length=1,
        max_length=TOPICS_MAX,
        description="MQTT topic, or a list of them. A level in braces has a name, as in "
        "`plant/{line}/{device}/telemetry`; others may be `+` or `#`.",
    )
    device: str = Field(
        default="{device}",
        min_length=1,
        max_length=FIELD_CHARS_MAX,
        description="The device's id, made of named levels of the topic and of tags: `{line}/{device}`.",
    )
    channel: str = Field(
        default="",
        max_length=FIELD_CHARS_MAX,
        description='The field that the topic names, likewise: `{channel}` ("" = payloads name their fields).',
    )
    joins: str = Field(
        default="",
        max_length=64,
        description='Name of the source whose devices these readings belong to ("" = its own). It reads the channels '
        "of its `channels` alone, and that one the rest.",
    )
    qos: Literal[0, 1] = Field(default=0, description="QoS of the subscription.")
    codec: CodecName = Field(
        default="json", description="What a payload is: see [sources](sources.md#what-a-payload-is)."
    )
    compression: Compression = Field(
        default="none", description="How payloads are compressed; `auto` looks at the first bytes of each."
    )
    time: Time = Field(default=Time(), description="Where a payload has its event time.")
    channels: dict[str, Annotated[ChannelSettings, BeforeValidator(field_or_table)]] = Field(
        default={},
        max_length=CHANNELS_MAX,
        description="How a bundle's channel is read: its payload field, or a table.",
    )
    tags: dict[str, Annotated[FieldName, Field(min_length=1)]] = Field(
        default={}, max_length=TAGS_MAX, description="Payload fields that name something, for `device`."
    )
    payload: PayloadSettings = Field(default=PayloadSettings(), description="The form of a payload.")
    align: AlignSettings = Field(default=AlignSettings(), description="Readings to rows.")
    interventions: InterventionSettings | None = Field(
        default=None, description="Where a payload says that somebody worked on the machine."
    )
    future_max: Duration = Field(
        default=5 * MINUTE, ge=0 * MS, description="A reading further ahead of its arrival is dropped and counted."
    )
    past_max: Duration = Field(
        default=HOUR, ge=MINUTE, description="A device whose clock is steadily further behind arrival is re-based."
    )
    report_extra: bool = Field(default=True, description="Count payload fields that no channel reads.")
    first_seen: FirstSeen = Field(
        default="unknown",
        description="Age of a device when its first row comes; `new` only where every device of the source begins its "
        "life with that row, as on a test bench.",
    )
    overload: Overload = Field(
        default="newest",
        description="What gives way when no more rows of a device may wait: its newest or oldest are shed, counted, "
        "and a `gap`; or nothing is read from the broker, for half a keepalive at most (`block`).",
    )
    rate_max: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Messages that are taken in a second; the others are dropped and counted. 0 = no bound.",
    )

    silent_after: str = Field(
        default=LEARNED,
        description="An alert says that nothing is read from the source for so long while its broker is connected: a "
        'duration; `learned` = three times its longest pause, at least `agent.stale_after`; "" = none does.',
    )
    device_silent_after: str = Field(
        default="",
        description="The same of each device, while others of the source are heard; it needs `silent_after`.",
    )

    @field_validator("silent_after", "device_silent_after")
    @classmethod
    def _silence_is_a_duration_or_learned(cls, text: str) -> str:
        if text and text != LEARNED and parse_duration(text) <= 0 * MS:
            raise ValueError(f'must be a duration, "{LEARNED}", or "" for no alert')
        return text

    @field_validator("topic")
    @classmethod
    def _topics_can_be_subscribed_to(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            Pattern.parse(topic)
            if topics.count(topic) > 1:
                raise ValueError(f"names {topic!r} twice")
        return topics

    @field_validator("tags")
    @classmethod
    def _tags_can_stand_in_braces(cls, tags: dict[str, str]) -> dict[str, str]:
        for name in tags:
            Template.parse(f"{{{name}}}")
        return tags

    @field_validator("device", "channel")
    @classmethod
    def _braces_are_closed(cls, template: str) -> str:
        Template.parse(template)
        return template

    @model_validator(mode="after")
    def _what_joins_leaves_the_rest_to_its_owner(self) -> Self:
        if self.joins == self.name:
            raise ValueError("joins itself: leave `joins` out")
        if self.joins and (own := [key for key in OWNED if key in self.model_fields_set]):
            raise ValueError(f"{own[0]} is the business of the source that it joins: set it at {self.joins!r}")
        if self.device_silent_after and not self.silent_after:
            raise ValueError("device_silent_after needs silent_after: when all is silent, the source's alert says it")
        if self.joins and not self.channels and not self.interventions:
            raise ValueError(f"joins {self.joins!r} and brings nothing: `channels` must list those that it reads")
        return self
