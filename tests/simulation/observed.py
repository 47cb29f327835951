"""What is seen of the agent from outside: what it logs, and what its core takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.core import Core
from agent.core.entries import Entry, HistoryLost, InterventionsKept, Messages, StateBehind
from agent.mqtt.link_state import Phase
from agent.run import Daemon
from agent.words import Taken


class World(Protocol):
    """Where an agent lives."""

    sins: list[str]
    unheard: set[str]

    def note(self, kind: str, what: str) -> None:
        """Something has happened."""

    def note_entry(self, number: int, entry: Entry, taken: Taken) -> None:
        """The core has taken an entry."""


@dataclass(frozen=True, slots=True)
class Part:
    """An entry that a core has taken: its number there, its place in the timeline, and what the core gave back."""

    number: int
    place: int
    entry: Entry
    taken: Taken


Item = tuple[str, bytes, int, tuple[str, ...]] | Entry  # a message, or another entry


class Died(BaseException):
    """The process is gone, in the middle of whatever it did."""


class SimulatedLog:
    """Keeps what is logged for who reads a history."""

    def __init__(self, world: World) -> None:
        self._world = world

    def bind(self, **_: object) -> "SimulatedLog":
        return self

    def info(self, event: str, **values: object) -> None:
        self._world.note("log", f"{event} {_short(values)}")

    debug = warning = error = info

    def exception(self, event: str, **values: object) -> None:
        self._world.sins.append(f"{event} {values}")


class ObservedCore(Core):
    """A core of whose entries the world takes note."""

    world: World

    def apply(self, entry: Entry) -> Taken:
        number = self.entry
        taken = super().apply(entry)
        self.world.note_entry(number, entry, taken)
        self.world.unheard |= {label.device for label in taken.labels if not label.is_known}
        if isinstance(entry, InterventionsKept):
            self.world.unheard |= {label.device for label in entry.labels}.difference(self.view().device)
        return taken


class Losses:
    """When the core was told of lost history of whole sources. What is repeated was told when it first was."""

    def __init__(self) -> None:
        # By life and entry: of which source, "" for all, and when; when entries with messages were taken.
        self._told: dict[tuple[int, int], tuple[str, int]] = {}
        self._taken_ns: dict[tuple[int, int], int] = {}

    def note(self, which: tuple[int, int], entry: Entry, now_ns: int) -> None:
        if isinstance(entry, Messages):
            self._taken_ns.setdefault(which, now_ns)
        if isinstance(entry, StateBehind) or (isinstance(entry, HistoryLost) and not entry.devices):
            self._told.setdefault(which, (entry.source if isinstance(entry, HistoryLost) else "", now_ns))

    def cut(self, n_entries: int) -> None:
        """Only the first so many entries of a log have survived."""
        self._told = {which: told for which, told in self._told.items() if which[1] < n_entries}
        self._taken_ns = {which: now_ns for which, now_ns in self._taken_ns.items() if which[1] < n_entries}

    def covers(self, source: str, lost_ns: int) -> bool:
        """Whether the core was told behind what was lost of this source then, or before, and took nothing between."""
        told = [(which, now_ns) for which, (of, now_ns) in self._told.items() if of in ("", source)]
        newest, now_ns = max(told, default=((-1, -1), -1))
        taken = (which > newest and taken_ns <= lost_ns for which, taken_ns in self._taken_ns.items())
        return now_ns >= lost_ns or (bool(told) and not any(taken))


def has_nothing_to_do(daemon: Daemon) -> bool:
    """Connected, all that has come is taken and told, and what the broker retains is put right."""
    sender = daemon._output._sender
    return (
        daemon._inputs.receivers[0].link.phase is Phase.READY
        and daemon._feed._has_taken_all
        and not daemon._inputs.n_waiting
        and daemon._output.link.phase is Phase.READY
        and not daemon._output.due
        and sender is not None
        and sender.is_idle
        and not len(sender.copies)
        and not daemon._output._own_topics._retained
    )


def state_of(daemon: Daemon) -> str:
    """The same in words."""
    return (
        f"input {daemon._inputs.receivers[0].link.phase}, "
        f"taken {daemon._feed._has_taken_all}, waiting {daemon._inputs.n_waiting}, "
        f"output {daemon._output.link.phase}, due {daemon._output.due}"
    )


def items_of(entry: Entry) -> Sequence[Item]:
    """What the log has of it, an item each number."""
    if isinstance(entry, Messages):
        among = entry.among
        return [(*one, among) for one in zip(entry.topics, entry.payloads, entry.arrived_ns, strict=True)]
    if isinstance(entry, HistoryLost):
        return [HistoryLost(entry.source, tuple(entry.devices))]  # a list comes back from the log as a tuple
    return [entry]


def _short(values: dict[str, object]) -> str:
    return " ".join(f"{key}={str(value)[:80]}" for key, value in values.items())
