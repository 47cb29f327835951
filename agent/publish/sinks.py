"""Where events go. Each sink tells one receiver what its own cursor has, in its own words; MQTT is one of them.

A sink is one file with a class of the shape of `Sink`, and a line in SINKS. Events are committed for every sink in one
transaction and leave each cursor by themselves, so that a receiver that is away, full or broken costs the others
nothing (docs/sinks.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from agent.config.settings import Settings
from agent.publish.mqtt import Output
from agent.publish.topic import Topics
from agent.store.cursor import Cursor

RETRY_S = 10.0  # a sink that has failed is left alone that long


class Sink(Protocol):
    """Tells one receiver what is due. Everything is called in the core's thread, which no sink may hold up."""

    def turn(self) -> None:
        """Send what is due as far as the receiver has room, and settle what it has taken; never wait for it.

        Raises OSError for what the receiver, or the way to it, does.
        """

    @property
    def is_busy(self) -> bool:
        """Whether more can be sent soon, when an answer that is under way has come: the loop then naps less."""

    def close(self) -> None:
        """Send what waits, for a few seconds at most, and end. What is left is told after the next start."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a sink may be made of. `instance` is the id of the agent's state directory."""

    settings: Settings
    cursor: Cursor
    topics: Topics
    instance: str
    log: FilteringBoundLogger


@dataclass(frozen=True, slots=True)
class SinkKind:
    """How a sink is opened, which may raise ConfigurationRefused.

    mirrors  whether its receiver keeps a copy of what stands: then it is also due to tell that, key by key
    """

    open: Callable[[Opening], Sink]
    mirrors: bool


def _open_mqtt(opening: Opening) -> Output:
    settings = opening.settings
    client_id = settings.broker.client_id or f"forewarn-{settings.agent.node}"
    return Output(
        settings.output_broker,
        f"{client_id}-out",
        opening.topics,
        opening.cursor,
        opening.log,
        opening.instance,
        trusts_puback=settings.publish.delivered_by == "acknowledgement",
    )


SINKS: dict[str, SinkKind] = {
    "mqtt": SinkKind(_open_mqtt, mirrors=True),
}


class Sinks:
    """The open sinks. One that fails is said, left alone for RETRY_S and tried again; the others do not notice."""

    def __init__(self, sinks: Mapping[str, Sink], log: FilteringBoundLogger) -> None:
        self._sinks = sinks
        self._log = log
        self._due_s = dict.fromkeys(sinks, 0.0)
        self._failed: dict[str, str] = {}  # as it was said

    @property
    def is_busy(self) -> bool:
        return any(sink.is_busy for name, sink in self._sinks.items() if name not in self._failed)

    def turn(self, now_s: float) -> None:
        """Give each sink its turn. `now_s` is of any clock that only goes forward."""
        for name, sink in self._sinks.items():
            if now_s < self._due_s[name]:
                continue
            try:
                sink.turn()
            except OSError as error:
                self._due_s[name] = now_s + RETRY_S
                self._say_failed(name, str(error))
            else:
                if self._failed.pop(name, None) is not None:
                    self._log.info("sink_recovered", sink=name)

    def close(self) -> None:
        for name, sink in self._sinks.items():
            try:
                sink.close()
            except OSError as error:
                self._say_failed(name, str(error))

    def _say_failed(self, name: str, why: str) -> None:
        """One line a reason, not one a try."""
        if self._failed.get(name) != why:
            self._log.error("sink_failed", sink=name, why=why, next_step="What is due to it is kept; tried again.")
        self._failed[name] = why
