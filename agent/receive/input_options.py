"""What an input is told at its start, beside its broker."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.core.input_log import Recovered
from agent.receive.inbox import ReadBounds
from agent.receive.overload import Policy
from agent.sources import Source
from agent.words import DropCounts


@dataclass(frozen=True, slots=True)
class InputOptions:
    """What an input is, beside its broker.

    client_id    as the broker knows it
    sources      all that there are
    qos          0 or 1, of each source
    bounds       of what is taken
    path         `paho`: plain paho parses, also where the fast path would work
    now_ns       the clock of arrival, one for all inputs
    policies     by source, of those that are no default
    reads        names of the sources that are read from this broker, None for all
    counts       of what is dropped, the same for all inputs; None for an input that is alone
    passes_over  topics that begin so are not read, "" for none: what the agent itself publishes there
    kept         the broker keeps the session: what an earlier process knew of it; None for clean sessions
    """

    client_id: str
    sources: Sequence[Source]
    qos: Sequence[int]
    bounds: ReadBounds
    path: Literal["auto", "paho"] = "auto"
    now_ns: Callable[[], int] = time.time_ns
    policies: Mapping[str, Policy] = field(default_factory=dict)
    reads: Collection[str] | None = None
    counts: DropCounts | None = None
    passes_over: str = ""
    kept: Recovered | None = None
