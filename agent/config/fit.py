"""Whether the models fit the sources that they read, and the budgets their bundles."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from agent.bundle.manifest import Manifest
from agent.config.agree import Fault
from agent.config.lines import Key
from agent.config.readers import Reader, counts_cycles, readers
from agent.config.settings import Model, SourceSettings
from agent.decode.json import field_problem
from agent.judge.threshold import Chosen, default_budget, parse_budget, verdict
from agent.near import nearest

NAMES_SHOWN = 20
SOURCES_SHOWN = 3
MODELS_SHOWN = 3
COUNTS = {True: "cycles", False: "time"}
Sources = Sequence[tuple[int, SourceSettings]]  # with the place of each in the list


def budget_faults(index: int, model: Model, manifest: Manifest | None) -> Iterator[Fault]:
    """It can be read, has a fleet size where it needs one, and counts in the bundle's own time."""
    key: Key = ("model", index, "budget")
    try:
        rates = [parse_budget(model.budget, fleet_size=size).rate_per_s for size in (1, 2)]
    except ValueError as error:
        yield key, str(error)
        return
    if not all(0 < rate < math.inf for rate in rates):
        yield key, f"{model.budget!r} is no number of false alarms that could be counted"
        return
    if rates[0] != rates[1] and not model.fleet_size:
        what = f"must be given: the budget {model.budget!r} is for the whole fleet"
        yield ("model", index, "fleet_size"), what
    if manifest is not None and ("cycle" in model.budget.lower()) != (manifest.time_unit == "cycle"):
        counts = COUNTS[manifest.time_unit == "cycle"]
        example = default_budget(manifest.time_unit)
        yield key, f'{model.budget!r} does not fit a bundle that counts {counts}; such as "{example}"'


def named_faults(index: int, model: Model, sources: Collection[str]) -> Iterator[Fault]:
    """The sources that a model names are there. sources: the names of all"""
    for name in model.sources:
        if name not in sources:
            meant = nearest(name, sources)
            listed = ", ".join(list(sources)[:NAMES_SHOWN]) or "none"
            what = f"the nearest is {meant}" if meant else f"there are {listed}"
            yield ("model", index, "sources"), f"there is no source {name!r}; {what}"


def source_faults(index: int, source: SourceSettings, models: Sequence[Reader]) -> Iterator[Fault]:
    """What a source maps is a channel of a model that reads it, and for each of them channels and time are in order.

    models  all there are
    """
    key: Key = ("source", index)
    read_by = readers(models, source)
    names = list(dict.fromkeys(name for model in read_by or models for name in model.channels))
    has, they = ("the bundle has", "it has") if len(models) == 1 else ("the bundles have", "they have")
    for name in source.channels:
        if name not in names:
            meant = nearest(name, names)
            what = f"the nearest is {meant}" if meant else f"{they} {', '.join(names[:NAMES_SHOWN])}"
            yield (*key, "channels", name), f"{has} no channel {name!r}; {what}"
    faults = [fault for model in read_by for fault in _channel_faults(key, source, model)]
    yield from dict.fromkeys(faults)
    for model in read_by:
        if counts_cycles(source) != model.counts_cycles:
            bundle = "the bundle" if len(models) == 1 else f"the bundle of the model {model.settings.name!r}"
            right = 'unit = "cycle"' if model.counts_cycles else "a unit of time, or arrival"
            yield (*key, "time"), f"{bundle} counts {COUNTS[model.counts_cycles]}, so this must be {right}"


def _channel_faults(key: Key, source: SourceSettings, model: Reader) -> Iterator[Fault]:
    """Each channel is read from a payload field of its own, which can be read."""
    for name in model.channels:
        if name not in source.channels and (problem := field_problem(name)):
            yield (*key, "channels"), f"must name a payload field for the bundle's channel {name!r}: {problem}"
    fields = Counter(source.channels.get(name, name) for name in model.channels)
    for field, n_channels in fields.items():
        if n_channels > 1:
            yield (*key, "channels"), f"{n_channels} channels would be read from the payload field {field!r}"
        if field == source.time.field:
            yield (*key, "channels"), f"the payload field {field!r} would be read as a channel and as the time"


def no_source_faults(sources: Sources, models: Sequence[Reader]) -> Iterator[Fault]:
    """A model that names no source finds its channels in one. Of all sources and models there are."""
    fed = {model.index for _, source in sources for model in readers(models, source)}
    for model in models:
        if model.index not in fed and not model.settings.sources:
            why = [f"the source {source.name!r} {_misfit(source, model)}" for _, source in sources[:SOURCES_SHOWN]]
            yield ("model", model.index), f"no source has its channels: {'; '.join(why)}"


def _misfit(source: SourceSettings, model: Reader) -> str:
    """Why a model does not read a source that nobody told it to read."""
    strange = next((name for name in source.channels if name not in model.channels), "")
    if not strange:
        return f"counts {COUNTS[counts_cycles(source)]}, the bundle {COUNTS[model.counts_cycles]}"
    meant = nearest(strange, model.channels)
    return f"maps a channel {strange!r}" + (f", the nearest of the bundle is {meant}" if meant else "")


def _why_not(model: Reader, source: SourceSettings) -> str:
    """Why one of several models does not read a source."""
    name = repr(model.settings.name)
    if model.settings.sources:
        return f"{name} names other sources"
    strange = next((channel for channel in source.channels if channel not in model.channels), "")
    if strange:
        return f"{name} has no channel {strange!r}"
    return f"{name} counts {COUNTS[model.counts_cycles]}, this source counts {COUNTS[counts_cycles(source)]}"


def budget_doubts(index: int, budget: str, chosen: Chosen) -> Iterator[Fault]:
    """A budget that the calibration devices cannot vouch for, or a threshold that would have warned of nothing."""
    key: Key = ("model", index, "budget")
    if chosen.extrapolated:
        yield key, f'"{budget}" is too fine for this bundle: {verdict(chosen)}'
    elif chosen.failures and not chosen.warned_of:
        next_step = "allow more false alarms, or train on more devices"
        yield key, f'"{budget}" buys no warning with this bundle: {verdict(chosen)}; {next_step}'


def reader_doubts(sources: Sequence[SourceSettings], models: Sequence[Reader]) -> Iterator[Fault]:
    """A source that no model reads, and one that models of different machines read because nobody told them not to.

    Models are taken for such of one machine where one of them has all channels of the others.
    """
    for index, source in enumerate(sources):
        read_by = readers(models, source)
        if not read_by:
            why = [_why_not(model, source) for model in models[:MODELS_SHOWN]]
            why += ["..."] if len(models) > MODELS_SHOWN else []
            yield ("source", index), f"is read by no model, and not subscribed to: {'; '.join(why)}"
        unasked = [model for model in read_by if not model.settings.sources]
        widest = max(unasked, key=lambda model: len(model.channels), default=None)
        for model in unasked:
            if widest is not None and not set(model.channels) <= set(widest.channels):
                both = f"{widest.settings.name!r} and {model.settings.name!r}"
                what = f"is read by the models {both}, whose channels differ: give each its `sources` if that is wrong"
                yield ("source", index), what
