"""Whether each channel of a source is read from a payload field of its own, in a way that its codec can."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from agent.config.agree import Fault
from agent.config.lines import Key
from agent.config.plain import plain_channel, plain_source
from agent.config.readers import Owner, Reader
from agent.config.source_settings import SourceSettings
from agent.decode.codec import CODECS
from agent.decode.events import coded
from agent.decode.expand import compression_problem
from agent.sources import SourceChannel
from agent.values.durations import format_duration


def channels_of(owner: Owner, read_by: Sequence[Reader]) -> dict[int, dict[str, SourceChannel]]:
    """How each source of an owner, by its place, reads the channels that it maps or that a model of it has.

    read_by  the models of the owner
    """
    channels = {index: {name: plain_channel(source, name) for name in source.channels} for index, source in owner.parts}
    for model in read_by:
        for channel in model.manifest.inputs:
            index, source = owner.part_of(channel.name)
            channels[index][channel.name] = plain_channel(source, channel.name, channel)
    return channels


def codec_faults(index: int, source: SourceSettings, channels: Mapping[str, SourceChannel]) -> Iterator[Fault]:
    """What the codec of a source cannot use; what is wrong with one channel is told at that channel.

    That two channels are of one field, or one of the field of the time, is for `field_faults`: two models may do so.

    channels  those that it reads, by their names
    """
    if missing := compression_problem(source.compression):
        yield ("source", index, "compression"), missing
    apart = {channel.field: channel for channel in channels.values() if channel.field != source.time.field}
    wrong, always = _problems(source, *apart.values()), _problems(source)
    of_one = wrong.keys() - always.keys()
    of_channels: set[tuple[str, str]] = set()
    for name, channel in channels.items() if of_one else ():
        for problem in [one for one in _problems(source, channel) if one in of_one]:
            of_channels.add(problem)
            if name in source.channels:
                yield ("source", index, "channels", name), problem[1]
            else:
                what = f"must name a payload field for the bundle's channel {name!r}: {problem[1]}"
                yield ("source", index, "channels"), what
    for dotted, what in wrong:
        if (dotted, what) not in of_channels:
            yield ("source", index, *dotted.split(".")), what


def _problems(source: SourceSettings, *channels: SourceChannel) -> dict[tuple[str, str], None]:
    """Each once, in order."""
    return dict.fromkeys(CODECS[source.codec].problems(coded(plain_source(source, channels))))


def age_faults(owner: Owner) -> Iterator[Fault]:
    """A channel that is held at all is held from one row of the grid to the next."""
    every = owner.source.align.every
    for index, source in owner.parts:
        for name, channel in source.channels.items():
            if channel.max_age is not None and channel.max_age < every:
                age, step = format_duration(channel.max_age), format_duration(every)
                what = f"max_age ({age}) is below align.every ({step}): the value would be gone before the next row"
                yield ("source", index, "channels", name), what


def field_faults(owner: Owner, read_by: Sequence[Reader]) -> Iterator[Fault]:
    """No two channels of one model are of one payload field, none is the time, and models agree how to read a field.

    read_by  the models of the owner; () where there is no model at all, and what the sources map is all that counts
    """
    if not read_by:
        for index, source in owner.parts:
            yield from _twice(index, source, [plain_channel(source, name) for name in source.channels])
    in_models = [fault for model in read_by for fault in _twice_in_model(owner, model)]
    yield from dict.fromkeys((*in_models, *_twice_unread(owner, read_by)))
    first: dict[tuple[int, str, str], tuple[Reader, SourceChannel]] = {}
    for model in read_by:
        for channel in model.manifest.inputs:
            index, source = owner.part_of(channel.name)
            way = plain_channel(source, channel.name, channel)
            other, first_way = first.setdefault((index, way.field, way.event or ""), (model, way))
            if first_way != way:
                both = f"{other.settings.name!r} and {model.settings.name!r}"
                what = f"the models {both} would read {way.field!r} in two ways: say here which numbers are `missing`, "
                yield ("source", index, "channels", channel.name), f"{what}and what its `words` mean"


def row_doubts(owner: Owner, read_by: Sequence[Reader]) -> Iterator[Fault]:
    """Payloads of one value each that nothing puts together. read_by: the models of the owner"""
    channels, align = channels_of(owner, read_by), owner.source.align
    is_held = align.max_age or any(channel.max_age_s for of in channels.values() for channel in of.values())
    for index, source in owner.parts if not align.every and not is_held else ():
        n_measured = sum(channel.event is None for channel in channels[index].values())
        if n_measured > 1 and (source.codec == "text" or source.payload.form == "value"):
            what = "each row would have one channel, that of one message: give align.every and align.max_age"
            yield ("source", index), what


def _twice_in_model(owner: Owner, model: Reader) -> Iterator[Fault]:
    for index, source in owner.parts:
        own = [channel for channel in model.manifest.inputs if owner.part_of(channel.name)[0] == index]
        yield from _twice(index, source, [plain_channel(source, channel.name, channel) for channel in own])


def _twice_unread(owner: Owner, read_by: Sequence[Reader]) -> Iterator[Fault]:
    """A channel that no model reads is recorded beside those of the models: its payload field is its own, too."""
    ways = channels_of(owner, read_by) if read_by else {}
    names = {name for model in read_by for name in model.channels}
    for index, source in owner.parts if read_by else ():
        unread = [way for name, way in ways[index].items() if name not in names]
        read = {way.field: way for name, way in ways[index].items() if name in names}
        if unread:
            yield from _twice(index, source, [*read.values(), *unread])


def _twice(index: int, source: SourceSettings, channels: Sequence[SourceChannel]) -> Iterator[Fault]:
    key: Key = ("source", index, "channels")
    fields = Counter(channel.field for channel in channels if not channel.event)
    fields.update({channel.field for channel in channels if channel.event})  # one for all of its words
    for field, n_channels in fields.items():
        if n_channels > 1:
            yield key, f"{n_channels} channels would be read from the payload field {field!r}"
        if field == source.time.field:
            yield key, f"the payload field {field!r} would be read as a channel and as the time"
