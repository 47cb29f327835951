"""What a simulated broker does differently from others, and what it has done."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.mqtt_packets import Published


@dataclass(frozen=True, slots=True)
class Habits:
    """What brokers do differently.

    window           messages at QoS 1 that it has under way to a client, at most
    queue_max        messages that wait for one client; what is beyond is dropped by `drops`
    ids              which packet id comes next
    receive_maximum  what it announces
    answers_late_s   how long it takes for a PUBACK
    keeps            now and then it writes down what a restart finds again
    """

    window: int = 20
    queue_max: int = 1000
    drops: Literal["newest", "oldest"] = "newest"
    ids: Literal["sequential", "lowest", "random"] = "sequential"
    receive_maximum: int = 20
    answers_late_s: float = 0.0
    keeps: bool = False

    @classmethod
    def of(cls, world: Mapping[str, int | float | str], *, keeps: bool) -> "Habits":
        """Those of the world of a plan."""
        return cls(**{name: world[name] for name in cls.__slots__ if name != "keeps"}, keeps=keeps)  # type: ignore[arg-type]


@dataclass(slots=True)
class Record:
    """What the broker has seen and done since the world began.

    sent       of each message (topic, payload) how often it was sent to the agent as a new one, DUP = 0; or once more
               after it was acknowledged, by a broker that has forgotten that
    by         the numbers of the connections by which each was sent to the agent; n_connections of those there were
    acked      those whose PUBACK has come
    dropped    those that the broker has dropped, each time
    dropped_ns when it dropped the newest one of those that its count still says; -1 for none
    unseen     those that were in its memory alone when it died, and that it does not know of
    heard      what clients have published and it has taken, in order
    sins       what a client did that the standard forbids
    """

    sent: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    by: dict[tuple[str, bytes], set[int]] = field(default_factory=dict)
    n_connections: int = 0
    acked: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    dropped: list[tuple[str, bytes]] = field(default_factory=list)
    dropped_ns: int = -1
    unseen: set[tuple[str, bytes]] = field(default_factory=set)
    heard: list[Published] = field(default_factory=list)
    sins: list[str] = field(default_factory=list)
