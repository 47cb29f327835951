"""The inputs of an agent: a receiver for each broker that it reads from."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from agent.config.plan import Plan
from agent.config.settings import Settings
from agent.core.input_log import Recovered
from agent.receive.arrival import ArrivalClock
from agent.receive.backlog import BYTES_MAX, Device
from agent.receive.client import Receiver
from agent.receive.inbox import ReadBounds
from agent.receive.input_options import InputOptions
from agent.receive.overload import Policy
from agent.receive.wait import nap, until_any_ready
from agent.words import DropCounts, Request

MAIN = ""  # the name of the table [broker]
WAITING_SHARE = 8  # rows of all brokers that wait may take this part of the journal, since each file begins with them


class Inputs:
    """All receivers, the first broker's first.

    now_ns  the clock of arrival of all of them
    counts  what all of them have dropped since the start: (source, reason) -> count
    """

    def __init__(self, by_broker: Mapping[str, Receiver], now_ns: Callable[[], int], counts: DropCounts) -> None:
        """by_broker: in their order, by the name that the configuration gives the broker."""
        self.by_broker = by_broker
        self.receivers = tuple(by_broker.values())
        self.now_ns = now_ns
        self.counts = counts
        self._of_source = {source: one for one in self.receivers for source in one.sources}

    def among(self, receiver: Receiver) -> tuple[str, ...]:
        """Names of the sources that its messages may belong to, () where those are all."""
        return receiver.sources if len(self.receivers) > 1 else ()

    def wait(self, longest_s: float) -> float:
        """Wait until one of several has something to do; how long each may then wait by itself."""
        if len(self.receivers) == 1:
            return longest_s
        now_s = time.monotonic()
        longest_s = min(longest_s, *(one.due_s(now_s) for one in self.receivers))
        until_any_ready([client for one in self.receivers if (client := one.client) is not None], longest_s)
        return 0.0

    def nap(self, longest_s: float) -> None:
        """Look away for at most `longest_s`, where the last reads brought messages."""
        if not any(one.inbox.received.topics for one in self.receivers):
            return
        now_s = time.monotonic()
        marks = [one.mark() for one in self.receivers if one.client is not None]
        if None not in marks:
            nap([*filter(None, marks)], min(longest_s, *(one.due_s(now_s) for one in self.receivers)))

    def publish(self, requests: Sequence[Request]) -> None:
        """Send each to the broker that its source is read from, once; one that cannot go out now is counted."""
        for source, topic, payload in requests:
            if not self._of_source[source].publish(topic, payload):
                self.counts[source, "request_not_sent"] += 1

    def granted(self) -> frozenset[str]:
        """Names of the sources of which messages can come: the connection stands, and the broker lets us read them."""
        of_source = (item for one in self.receivers for item in one.subscriptions.of_source.items())
        return frozenset(name for name, state in of_source if state == "granted")

    @property
    def shed(self) -> Counter[Device]:
        """Rows that were shed of each device."""
        shed: Counter[Device] = Counter()
        for one in self.receivers:
            shed.update(one.inbox.overload.shed_of)
        return shed

    @property
    def n_waiting(self) -> int:
        """Rows that wait for a later share."""
        return sum(one.inbox.overload.backlog.n_rows for one in self.receivers)


def open_inputs(
    settings: Settings,
    plan: Plan,
    log: FilteringBoundLogger,
    *,
    not_before_ns: int,
    role: str = "in",
    kept: Mapping[str, Recovered] | None = None,
) -> Inputs:
    """A receiver for each broker that the sources of a plan name, that of [broker] first; none is connected yet.

    not_before_ns  where the clock of arrival begins
    role           end of the client ids: those of two programs with one configuration must differ
    kept           of sessions that outlive the process: what an earlier one knew, by broker; None for clean sessions
    """
    agent = settings.agent
    counts: DropCounts = Counter()
    now_ns = ArrivalClock(log, not_before_ns).now_ns
    of_source = dict(zip([source.name for source in plan.sources], plan.subscriptions, strict=True))
    own = f"{settings.publish.prefix}/"
    names = sorted(dict.fromkeys(one.broker for one in plan.subscriptions), key=lambda name: name != MAIN)
    room = BYTES_MAX if kept is None else min(BYTES_MAX, agent.journal_max // (WAITING_SHARE * len(names)))
    bounds = ReadBounds(agent.payload_bytes_max, agent.rows_per_device_max, agent.device_id_bytes_max, room)
    receivers = {}
    for name in names:
        broker = settings.broker_of(name)
        client_id = f"{broker.client_id or f'forewarn-{agent.node}'}-{role}"
        options = InputOptions(
            client_id if name == MAIN else f"{client_id}-{name}",
            plan.sources,
            plan.qos,
            bounds,
            path=agent.receiver,
            now_ns=now_ns,
            policies={source: Policy(one.overload, one.rate_max) for source, one in of_source.items()},
            reads=[source for source, one in of_source.items() if one.broker == name],
            counts=counts,
            passes_over=own if broker.address == settings.output_broker.address else "",
            kept=None if kept is None else kept.get(name, Recovered()),
        )
        receivers[name] = Receiver(broker, options, log)
    return Inputs(receivers, now_ns, counts)
