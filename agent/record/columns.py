"""What the columns of a recording are called: as the channels of the sources, so that `fit` and `replay` find them."""

from agent.config.plan import Plan
from agent.errors import ConfigurationRefused

DEVICE, TIME = "device", "t"


def columns_of(plan: Plan) -> dict[int, tuple[str, ...]]:
    """Names of the columns of each owner's rows, by its index among the sources of the plan.

    One channel that two models read in two ways has two columns; the second is called `NAME~2`.
    Raises ConfigurationRefused where a channel has the name of the device's or the time's column.
    """
    index_of = {source.name: index for index, source in enumerate(plan.sources)}
    names: dict[int, dict[int, str]] = {}
    for source, of_source in zip(plan.sources, plan.names, strict=True):
        places = source.columns or range(len(source.channels))
        names.setdefault(index_of[source.joins or source.name], {}).update(zip(places, of_source, strict=True))
        for name in of_source:
            if name in (DEVICE, TIME):
                what = f"source {source.name!r} has a channel {name!r}, and a recording has a column of that name"
                raise ConfigurationRefused("record", what, next_step="Give it another name in [source.channels].")
    return {index: _once_each([of[place] for place in sorted(of)]) for index, of in names.items()}


def _once_each(names: list[str]) -> tuple[str, ...]:
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return tuple(f"{name}~{n + 1}" if n else name for name, n in zip(names, before, strict=True))
