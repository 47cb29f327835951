"""What the columns of a recording are called: as the channels of the sources, so that `fit` and `replay` find them."""

from itertools import compress

from agent.config.plan import Plan
from agent.errors import ConfigurationRefused
from agent.sources import SourceChannel

DEVICE, TIME = "device", "t"


def columns_of(plan: Plan) -> dict[int, tuple[str, ...]]:
    """Names of the columns of each owner's rows, by its index among the sources of the plan.

    One channel that two models read in two ways has two columns; the second is called `NAME~2`.
    Raises ConfigurationRefused where a channel has the name of the device's or the time's column.
    """
    for source, of_source in zip(plan.sources, plan.names, strict=True):
        for name in of_source:
            if name in (DEVICE, TIME):
                what = f"source {source.name!r} has a channel {name!r}, and a recording has a column of that name"
                raise ConfigurationRefused("record", what, next_step="Give it another name in [source.channels].")
    return {index: _once_each([name for name, _ in of]) for index, of in _by_place(plan).items()}


def counted_of(plan: Plan) -> dict[int, frozenset[str]]:
    """Those of the columns that count events."""
    counts = {index: [channel.event is not None for _, channel in of] for index, of in _by_place(plan).items()}
    return {index: frozenset(compress(of, counts[index])) for index, of in columns_of(plan).items()}


def _by_place(plan: Plan) -> dict[int, list[tuple[str, SourceChannel]]]:
    """The channels of each owner's rows, with their names, in the order of its columns."""
    index_of = {source.name: index for index, source in enumerate(plan.sources)}
    by_source: dict[int, dict[int, tuple[str, SourceChannel]]] = {}
    for source, names in zip(plan.sources, plan.names, strict=True):
        places = source.columns or range(len(source.channels))
        named = zip(places, zip(names, source.channels, strict=True), strict=True)
        by_source.setdefault(index_of[source.joins or source.name], {}).update(named)
    return {index: [of[place] for place in sorted(of)] for index, of in by_source.items()}


def _once_each(names: list[str]) -> tuple[str, ...]:
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return tuple(f"{name}~{n + 1}" if n else name for name, n in zip(names, before, strict=True))
