"""The tables of a [[source]]: topic patterns, and how to read their messages.

Rules within a source are here. What needs the bundles is for `agent.config.fit`; what needs the codec, for the codec.
"""

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, Strict, field_validator, model_validator

from agent.config.quantity import Duration, format_duration
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
from agent.decode.topic import Pattern
from agent.words import Compression, FirstSeen

TOPICS_MAX = 100  # of one source
CHANNELS_MAX = 1024
TAGS_MAX = 16
DEVICE = "{device}"
BRACED = re.compile(r"\{([^{}]*)\}")  # a name in a template
TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWNED = ("align", "first_seen")  # keys of the source that others join
if TYPE_CHECKING:
    CodecName = str
else:
    CodecName = Literal[tuple(CODECS)]

Overload = Literal["block", "oldest", "newest"]


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
        default="block",
        description="What gives way when more comes than is taken: the sender waits as far as the broker lets it "
        "(`block`), or the oldest or newest rows are shed, counted, and a `gap`.",
    )
    rate_max: int = Field(
        default=0, ge=0, le=10_000_000, description="Messages/s of the source; what is beyond is shed. 0 = no bound."
    )

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
        if wrong := next((name for name in tags if not TAG.fullmatch(name)), None):
            raise ValueError(f"{wrong!r} is no name of a tag: letters, digits and _, a letter first")
        return tags

    @field_validator("device", "channel")
    @classmethod
    def _braces_are_closed(cls, template: str) -> str:
        if any(brace in BRACED.sub("", template) for brace in "{}"):
            raise ValueError(f"{template!r} is not made of names in braces, as in {{line}}/{{device}}")
        return template

    @model_validator(mode="after")
    def _what_is_named_is_there(self) -> Self:
        by_payload = {*self.tags} | ({"device"} if DEVICE in self.payload.readings else set())
        for topic in self.topic:
            levels = names_in(topic)
            if twice := next((name for name in levels if name in self.tags or levels.count(name) > 1), ""):
                raise ValueError(
                    f"two things are called {twice!r}: give each level of {topic!r} and each tag its own name"
                )
            for key, template, named in (
                ("device", self.device, {*levels} | by_payload), ("channel", self.channel, {*levels})
            ):  # fmt: skip
                for name in names_in(template):
                    if name not in named:
                        raise ValueError(_not_named(key, template, name, topic))
        if not names_in(self.device):
            raise ValueError(
                f"device = {self.device!r} is one machine for all messages: {{...}} names a level or a tag"
            )
        if self.payload.form == "value" and not self.channel:
            raise ValueError('payload.form = "value" needs a channel that the topic names: channel = "{channel}"')
        return self

    @model_validator(mode="after")
    def _what_joins_leaves_the_rest_to_its_owner(self) -> Self:
        if self.joins == self.name:
            raise ValueError("joins itself: leave `joins` out")
        if self.joins and (own := [key for key in OWNED if key in self.model_fields_set]):
            raise ValueError(f"{own[0]} is the business of the source that it joins: set it at {self.joins!r}")
        if self.joins and not self.channels and not self.interventions:
            raise ValueError(f"joins {self.joins!r} and brings nothing: `channels` must list those that it reads")
        return self

    @model_validator(mode="after")
    def _channels_are_held_for_a_step(self) -> Self:
        for name, channel in self.channels.items():
            if channel.max_age is not None and channel.max_age < self.align.every:
                age, every = format_duration(channel.max_age), format_duration(self.align.every)
                raise ValueError(f"max_age of {name!r} ({age}) is below align.every ({every}): it would never be held")
        return self


def names_in(template: str) -> list[str]:
    """The names in braces."""
    return BRACED.findall(template)


def _not_named(key: str, template: str, name: str, topic: str) -> str:
    if key == "device" and template == DEVICE:
        return (
            f"nothing says which device a message is from: name a level of {topic!r} {{device}}, or a payload field in "
            'tags, as in device = "{machine}", tags = { machine = "deviceId" }'
        )
    from_payload = ", or a payload field in `tags`" if key == "device" else ""
    return f"{key} = {template!r}: name a level of {topic!r} {{{name}}}{from_payload}"
