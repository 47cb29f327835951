"""Which source belongs to which, and which model reads which: what both the checks and the plan go by.

A source that joins another brings channels of that one's devices. So models read *owners*, sources that join none, and
the channels of a model may be spread over an owner and those that join it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from agent.bundle.manifest import Manifest
from agent.config.settings import Model
from agent.config.source_settings import SourceSettings

Sources = Sequence[tuple[int, SourceSettings]]  # with the place of each in the list


@dataclass(frozen=True)
class Owner:
    """A source whose devices are its own, its place in the configuration, and the sources that join it.

    is_only  whether there is no other owner
    """

    index: int
    source: SourceSettings
    joined: Sources
    is_only: bool = True

    @property
    def parts(self) -> Sources:
        """The owner itself, and then those that join it."""
        return ((self.index, self.source), *self.joined)

    @cached_property
    def mapped(self) -> dict[str, tuple[int, SourceSettings]]:
        """The source that reads each channel that one of them maps; the owner where it is one of several."""
        return {name: part for part in reversed(self.parts) for name in part[1].channels}

    def part_of(self, channel: str) -> tuple[int, SourceSettings]:
        """The source that reads a channel: the one that maps it, or the owner, by the channel's own name."""
        return self.mapped.get(channel, (self.index, self.source))


@dataclass(frozen=True)
class Reader:
    """A model as one who reads sources: its place in the configuration, and what its bundle says."""

    index: int
    settings: Model
    manifest: Manifest

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The names of its channels, in the bundle's order."""
        return tuple(channel.name for channel in self.manifest.inputs)

    @property
    def counts_cycles(self) -> bool:
        return self.manifest.time_unit == "cycle"


def owners(sources: Sources) -> list[Owner]:
    """The sources that join none, each with those that join it."""
    own = [(index, source) for index, source in sources if not source.joins]
    return [
        Owner(index, source, [one for one in sources if one[1].joins == source.name], is_only=len(own) == 1)
        for index, source in own
    ]


def readers(models: Iterable[Reader], owner: Owner) -> list[Reader]:
    """The models that read an owner: those that name it, and those that name none and find their channels in it.

    One model and one source belong together, and what does not fit is an error. Else a model that names no source
    leaves out those of another kind of time, and of another kind of machine. For one of several models that is a source
    that maps a channel which it does not have; for a single model, one that maps channels and none of its own.
    """
    models = list(models)
    return [model for model in models if _reads(model, owner, is_alone=len(models) == 1)]


def _reads(model: Reader, owner: Owner, *, is_alone: bool) -> bool:
    if model.settings.sources:
        return owner.source.name in model.settings.sources
    if is_alone and owner.is_only:
        return True
    mapped, own = owner.mapped.keys(), {*model.channels}
    is_its_machine = not mapped or bool(mapped & own) if is_alone else mapped <= own
    return is_its_machine and counts_cycles(owner.source) == model.counts_cycles


def counts_cycles(source: SourceSettings) -> bool:
    """Whether its time is a counter of operating cycles."""
    return source.time.unit == "cycle"
