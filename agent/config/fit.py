"""Whether the models fit the sources that they read, and the budgets their bundles."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from agent.bundle.manifest import Manifest
from agent.config.agree import Fault
from agent.config.fields import field_faults
from agent.config.lines import Key
from agent.config.readers import Owner, Reader, Sources, counts_cycles, readers
from agent.config.settings import Model
from agent.judge.threshold import Judged, default_budget, parse_budget, verdict
from agent.near import nearest

NAMES_SHOWN = 20
SOURCES_SHOWN = 3
MODELS_SHOWN = 3
BY_PLACE = ("float32",)  # codecs in which the channels of a source say how long a row is: none can be left out
COUNTS = {True: "cycles", False: "time"}


def budget_faults(index: int, model: Model, manifest: Manifest | None) -> Iterator[Fault]:
    """They can be read, have a fleet size where they need one, and count in the bundle's own time."""
    if model.budget:
        yield from _faults_of_budget(index, "budget", model.budget, model.fleet_size, manifest)
    if model.anomaly_budget:
        yield from _faults_of_budget(index, "anomaly_budget", model.anomaly_budget, model.fleet_size, manifest)
        if manifest is not None and manifest.anomaly is None:
            yield ("model", index, "anomaly_budget"), "the bundle has no head anomaly, whose alerts it could be for"


def _faults_of_budget(
    index: int, name: str, budget: str, fleet_size: int, manifest: Manifest | None
) -> Iterator[Fault]:
    key: Key = ("model", index, name)
    try:
        rates = [parse_budget(budget, fleet_size=size).rate_per_s for size in (1, 2)]
    except ValueError as error:
        yield key, str(error)
        return
    if not all(0 < rate < math.inf for rate in rates):
        yield key, f"{budget!r} is no number of false alarms that could be counted"
        return
    if rates[0] != rates[1] and not fleet_size:
        yield ("model", index, "fleet_size"), f"must be given: the budget {budget!r} is for the whole fleet"
    if manifest is not None and ("cycle" in budget.lower()) != (manifest.time_unit == "cycle"):
        counts = COUNTS[manifest.time_unit == "cycle"]
        example = default_budget(manifest.time_unit)
        yield key, f'{budget!r} does not fit a bundle that counts {counts}; such as "{example}"'


def named_faults(index: int, model: Model, sources: Collection[str], joins: Mapping[str, str]) -> Iterator[Fault]:
    """The sources that a model names are there, and have devices of their own.

    sources  the names of all; joins: what those join of which that is known
    """
    for name in model.sources:
        if owner := joins.get(name):
            what = f"the source {name!r} brings channels to the devices of {owner!r}: name that one"
            yield ("model", index, "sources"), what
        if name not in sources:
            meant = nearest(name, sources)
            listed = ", ".join(list(sources)[:NAMES_SHOWN]) or "none"
            what = f"the nearest is {meant}" if meant else f"there are {listed}"
            yield ("model", index, "sources"), f"there is no source {name!r}; {what}"


def joins_faults(sources: Sources) -> Iterator[Fault]:
    """What a source joins is there, joins none itself, and counts the same time."""
    by_name = {source.name: source for _, source in sources}
    for index, source in sources:
        owner, key = by_name.get(source.joins), ("source", index, "joins")
        if not source.joins:
            continue
        if owner is None:
            meant = nearest(source.joins, by_name)
            yield key, f"there is no source {source.joins!r}" + (f"; the nearest is {meant}" if meant else "")
        elif owner.joins:
            yield key, f"{owner.name!r} joins {owner.joins!r} itself: join that one"
        elif counts_cycles(source) != counts_cycles(owner):
            counts = COUNTS[counts_cycles(owner)]
            yield ("source", index, "time"), f"the source {owner.name!r}, which it joins, counts {counts}"


def channel_faults(owner: Owner, models: Sequence[Reader]) -> Iterator[Fault]:
    """What sources map fits the models that read them, each channel is read once, and all count the same time.

    A channel that no model has is recorded only, and no fault (`channel_doubts`), unless it looks like a typing error
    or the source maps no channel of a model at all.

    models  all there are
    """
    read_by = readers(models, owner)
    names = _names(read_by or [model for model in models if _may_be_meant(owner, model)])
    unmapped = [name for name in names if name not in owner.mapped]
    has_none = bool(read_by) and owner.mapped.keys().isdisjoint(names)
    has, they = ("the bundle has", "it has") if len(models) == 1 else ("the bundles have", "they have")
    for index, source in owner.parts:
        for name in source.channels:
            first, of = owner.part_of(name)
            meant = "" if name in names else nearest(name, unmapped)
            if meant:
                yield ("source", index, "channels", name), f"{has} no channel {name!r}; the nearest is {meant}"
            elif name not in names and (has_none or (read_by and source.codec in BY_PLACE)):
                what = f"{has} no channel {name!r}; {they} {', '.join(names[:NAMES_SHOWN])}"
                yield ("source", index, "channels", name), what
            elif first != index:
                what = f"is read from the source {of.name!r}, too: leave it out of one of them"
                yield ("source", index, "channels", name), what
    yield from field_faults(owner, read_by)
    for model in read_by:
        if counts_cycles(owner.source) != model.counts_cycles:
            bundle = "the bundle" if len(models) == 1 else f"the bundle of the model {model.settings.name!r}"
            right = 'unit = "cycle"' if model.counts_cycles else "a unit of time, or arrival"
            what = f"{bundle} counts {COUNTS[model.counts_cycles]}, so this must be {right}"
            yield ("source", owner.index, "time"), what


def _names(models: Sequence[Reader]) -> list[str]:
    """The channels of some models, each once."""
    return list(dict.fromkeys(name for model in models for name in model.channels))


def _may_be_meant(owner: Owner, model: Reader) -> bool:
    """Whether a typing error may be why a model does not read a source."""
    return not model.settings.sources and counts_cycles(owner.source) == model.counts_cycles


def channel_doubts(owner: Owner, read_by: Sequence[Reader]) -> Iterator[Fault]:
    """Channels that a source maps and no model of it has. read_by: the models of the owner"""
    names = _names(read_by)
    for index, source in owner.parts if read_by else ():
        for name in source.channels:
            if name not in names:
                yield ("source", index, "channels", name), f"no model reads the channel {name!r}"


def no_source_faults(all_owners: Sequence[Owner], models: Sequence[Reader]) -> Iterator[Fault]:
    """A model that names no source finds its channels in one. Of all sources and models there are."""
    fed = {model.index for owner in all_owners for model in readers(models, owner)}
    for model in models:
        if model.index not in fed and not model.settings.sources:
            why = [f"the source {owner.source.name!r} {_misfit(owner, model)}" for owner in all_owners[:SOURCES_SHOWN]]
            yield ("model", model.index), f"no source has its channels: {'; '.join(why)}"


def _misfit(owner: Owner, model: Reader) -> str:
    """Why a model does not read a source that nobody told it to read."""
    if counts_cycles(owner.source) != model.counts_cycles:
        return f"counts {COUNTS[counts_cycles(owner.source)]}, the bundle {COUNTS[model.counts_cycles]}"
    strange = _strange(owner, model)
    meant = nearest(strange, model.channels)
    return f"maps a channel {strange!r}" + (f", the nearest of the bundle is {meant}" if meant else "")


def _strange(owner: Owner, model: Reader) -> str:
    """A channel that a source maps and a model does not have, "" for none."""
    return next((name for _, source in owner.parts for name in source.channels if name not in model.channels), "")


def _why_not(model: Reader, owner: Owner) -> str:
    """Why a model does not read a source."""
    name = repr(model.settings.name)
    if model.settings.sources:
        return f"{name} names other sources"
    if counts_cycles(owner.source) != model.counts_cycles:
        return f"{name} counts {COUNTS[model.counts_cycles]}, this source counts {COUNTS[counts_cycles(owner.source)]}"
    return f"{name} has no channel {_strange(owner, model)!r}"


def budget_doubts(index: int, model: Model, head: str, judged: Judged) -> Iterator[Fault]:
    """A budget that the calibration devices cannot vouch for, alarms that stand too long at every threshold, or a
    threshold that would have warned of nothing.
    """
    is_own = head == "anomaly" and model.anomaly_budget != ""
    key: Key = ("model", index, "anomaly_budget" if is_own else "budget")
    budget = f'"{judged.budget.text}"' + ("" if head == "risk" else f" for {head}")
    chosen = judged.chosen
    if chosen.extrapolated:
        yield key, f"{budget} is too fine for this bundle: {verdict(chosen)}"
    elif chosen.stands_too_long:
        yield ("model", index, "time_in_alarm_max"), f"is too low for {head} of this bundle: {verdict(chosen)}"
    elif chosen.warns_of_nothing:
        next_step = "allow more false alarms, or train on more devices"
        yield key, f"{budget} buys no warning with this bundle: {verdict(chosen)}; {next_step}"


def reader_doubts(all_owners: Sequence[Owner], models: Sequence[Reader]) -> Iterator[Fault]:
    """A source that no model reads, and one that models of different machines read because nobody told them not to.

    Models are taken for such of one machine where one of them has all channels of the others.
    """
    for owner in all_owners if models else ():
        key: Key = ("source", owner.index)
        read_by = readers(models, owner)
        if not read_by:
            why = [_why_not(model, owner) for model in models[:MODELS_SHOWN]]
            why += ["..."] if len(models) > MODELS_SHOWN else []
            yield key, f"is read by no model, and not subscribed to: {'; '.join(why)}"
        unasked = [model for model in read_by if not model.settings.sources]
        widest = max(unasked, key=lambda model: len(model.channels), default=None)
        for model in unasked:
            if widest is not None and not set(model.channels) <= set(widest.channels):
                both = f"{widest.settings.name!r} and {model.settings.name!r}"
                yield (
                    key,
                    f"is read by the models {both}, whose channels differ: give each its `sources` if that is wrong",
                )
