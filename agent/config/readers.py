"""Which model reads which source: what both the checks and the plan go by."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from agent.bundle.manifest import Manifest
from agent.config.settings import Model, SourceSettings


@dataclass(frozen=True)
class Reader:
    """A model as one who reads sources: its place in the configuration, and what its bundle says."""

    index: int
    settings: Model
    manifest: Manifest

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The names of its channels, in the bundle's order."""
        return tuple(channel.name for channel in self.manifest.channels)

    @property
    def counts_cycles(self) -> bool:
        return self.manifest.time_unit == "cycle"


def readers(models: Sequence[Reader], source: SourceSettings) -> list[Reader]:
    """The models that read a source: those that name it, and those that name none and find their channels in it.

    A model alone reads all sources, and what does not fit is an error. Among several, one that names no source leaves
    out those of another kind of time, and those that map a channel which it does not have: another kind of machine.
    """
    return [model for model in models if _reads(model, source, is_alone=len(models) == 1)]


def _reads(model: Reader, source: SourceSettings, *, is_alone: bool) -> bool:
    if model.settings.sources:
        return source.name in model.settings.sources
    return is_alone or (counts_cycles(source) == model.counts_cycles and set(source.channels) <= set(model.channels))


def counts_cycles(source: SourceSettings) -> bool:
    """Whether its time is a counter of operating cycles."""
    return source.time.unit == "cycle"
