"""A source as the layers that know no configuration have it."""

import math
from collections.abc import Sequence
from typing import Literal

from agent.bundle.manifest import Channel
from agent.config.source_settings import LEARNED, SourceSettings
from agent.config.source_tables import AlignSettings, ChannelSettings, InterventionSettings
from agent.decode.codec import TREES
from agent.decode.paths import path_of
from agent.sources import AlignRule, InterventionRule, PayloadForm, Source, SourceChannel
from agent.values.durations import parse_duration

UNMAPPED = ChannelSettings()


def plain_source(
    source: SourceSettings, channels: Sequence[SourceChannel], owner: SourceSettings | None = None
) -> Source:
    """A source that reads these channels. owner: the source that it joins, None where it is its own"""
    owner = owner or source
    return Source(
        name=source.name,
        topics=source.topic,
        time_field=source.time.field,
        time_unit=source.time.unit,
        zone=source.time.zone,
        channels=tuple(channels),
        device=source.device,
        channel=source.channel,
        tags=tuple(source.tags.items()),
        codec=source.codec,
        compression=source.compression,
        payload=PayloadForm(**dict(source.payload)),
        align=_align(owner.align),
        interventions=_interventions(source.interventions),
        future_max_s=source.future_max.total_seconds(),
        past_max_s=source.past_max.total_seconds(),
        report_extra=source.report_extra,
        first_seen=owner.first_seen,
        joins=source.joins,
        silent_after_s=_silent_after_s(source.silent_after),
        device_silent_after_s=_silent_after_s(owner.device_silent_after),
    )


def plain_channel(source: SourceSettings, name: str, of_bundle: Channel | None = None) -> SourceChannel:
    """How a source reads a channel: by its own keys, and where it gives none, as the bundle's recording had it.

    The bundle's codes for no value and its words are of the unit that it was trained in, so not for a payload's numbers
    that must be scaled first.
    """
    given = source.channels.get(name, UNMAPPED)
    recorded = of_bundle.recorded if of_bundle is not None else SourceChannel(name)
    has_paths = source.codec in TREES and source.payload.form in ("fields", "columns")
    takes_over = {key for key in ("missing", "words") if key not in given.model_fields_set and not given.is_scaled}
    if isinstance(given.event, str):
        takes_over.clear()  # the recording had counts where payloads have words
    return SourceChannel(
        field=given.field or (path_of(recorded.field) if has_paths else recorded.field),
        missing=recorded.missing if "missing" in takes_over else given.missing,
        words=recorded.words if "words" in takes_over else tuple((k, _number(v)) for k, v in given.words.items()),
        scale=given.scale,
        offset=given.offset,
        max_age_s=None if given.max_age is None else given.max_age.total_seconds(),
        event=given.event if isinstance(given.event, str) else "" if given.event else recorded.event,
    )


def _silent_after_s(text: str) -> float | Literal["learned"]:
    if text == LEARNED:
        return "learned"
    return parse_duration(text).total_seconds() if text else math.inf


def _number(number: float) -> float:
    """One NaN for all, so that what reads alike is equal."""
    return math.nan if math.isnan(number) else number


def _align(align: AlignSettings) -> AlignRule:
    return AlignRule(
        every_s=align.every.total_seconds(),
        max_age_s=align.max_age.total_seconds(),
        quorum=align.quorum,
        lateness_s=align.lateness.total_seconds(),
    )


def _interventions(interventions: InterventionSettings | None) -> InterventionRule | None:
    if interventions is None:
        return None
    return InterventionRule(interventions.field, tuple(interventions.words.items()))
