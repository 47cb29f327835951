"""What is allowed but unlike the training: a row of a source then says something else than the model learnt."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from agent.bundle.manifest import DUE, Channel
from agent.config.agree import Fault
from agent.config.lines import Key
from agent.config.readers import Owner, Reader
from agent.config.source_settings import SourceSettings
from agent.values.durations import format_duration

TOLERANCE = 1 - DUE  # of the cadence


def training_doubts(owner: Owner, read_by: Sequence[Reader]) -> Iterator[Fault]:
    """Of a source and those that join it, held against the bundles of the models that read it."""
    align = owner.source.align
    brings_values = [any(not one.event for one in source.channels.values()) for _, source in owner.joined]
    if any(brings_values) and read_by and not align.every and not align.max_age:
        names = " and ".join(repr(source.name) for _, source in owner.parts)
        what = f"a row would have the channels of one message alone, of {names}: give align.every and align.max_age"
        yield ("source", owner.index), what
    for model in read_by:
        yield from _pace_doubts(owner, model)
    yield from dict.fromkeys(
        fault
        for model in read_by
        for channel in model.manifest.inputs
        for fault in _channel_doubts(*owner.part_of(channel.name), channel)
    )


def _pace_doubts(owner: Owner, model: Reader) -> Iterator[Fault]:
    """Rows come as often as in training, and none waits until those before it are lost history."""
    key: Key = ("source", owner.index, "align")
    align, cadence = owner.source.align, model.manifest.cadence
    every_s, lateness_s = align.every.total_seconds(), align.lateness.total_seconds()
    if every_s and abs(every_s - cadence.every_s) > TOLERANCE * cadence.every_s:
        given = (
            f"a row each {format_duration(align.every)}, and {_bundle(model)} learnt rows each {cadence.every_s:g} s"
        )
        yield (*key, "every"), f"{given}: they are not scored as in training"
    is_held = align.max_age or any(channel.max_age for _, source in owner.parts for channel in source.channels.values())
    if is_held and not every_s and not model.counts_cycles:
        what = f"rows that come sooner than each {cadence.every_s:g} s, as {_bundle(model)} learnt them, are `too_fast`"
        yield key, f'a row is made for each message, and {what}: every = "{_step(cadence.every_s)}" makes them in time'
    if lateness_s > cadence.dt_max_s:
        given = f"readings wait {format_duration(align.lateness)}, and {_bundle(model)} takes {cadence.dt_max_s:g} s"
        yield (*key, "lateness"), f"{given} without a row for lost history: warnings come late by as much"
    for index, source in owner.parts:
        if 0 < source.rate_max * cadence.every_s < 1:
            what = f"{source.rate_max} messages/s is less than what one device sends: {_bundle(model)} learnt rows each"
            yield ("source", index, "rate_max"), f"{what} {cadence.every_s:g} s"


def _channel_doubts(index: int, source: SourceSettings, channel: Channel) -> Iterator[Fault]:
    """A channel comes in the unit of training, and the codes of training stand for what they did."""
    given = source.channels.get(channel.name)
    if given is None:
        return
    key: Key = ("source", index, "channels", channel.name)
    if given.unit and channel.unit and given.unit != channel.unit and not given.is_scaled:
        yield key, f"is in {given.unit!r} here and in {channel.unit!r} in the bundle: give scale and offset"
    if given.event and not channel.event:
        yield key, "counts events here, and the bundle measures it: train it with columns.NAME = { event = true }"
    unused = [name for name, is_there in (("missing", channel.missing), ("words", channel.words)) if is_there]
    for name in unused if given.is_scaled else ():
        if name not in given.model_fields_set:
            yield key, f"the bundle's {name} are of its own unit, not of this scale: give those of the payloads here"


def _step(every_s: float) -> str:
    """A cadence as `align.every` is written."""
    return format_duration(timedelta(seconds=round(every_s, 3)))


def _bundle(model: Reader) -> str:
    return f"the bundle of the model {model.settings.name!r}"
