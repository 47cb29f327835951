"""What the daemon says of itself: the status, of all the parts that run."""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from structlog.typing import FilteringBoundLogger

from agent.config.plan import Plan
from agent.config.settings import Settings
from agent.core import Core
from agent.log import STDERR, UndecodableLog, UnheardLog
from agent.people_log import InterventionLog
from agent.publish.mqtt import Output
from agent.publish.status import SHED_MAX, BrokerStatus, LinkStatus, ModelStatus, Status, by_source
from agent.receive.feed import Feed
from agent.receive.inputs import Inputs
from agent.store.flash_wear import FlashWear
from agent.store.outbox import Outbox

VERSION = version("forewarn")  # read once: with each status it would need a file descriptor


@dataclass(frozen=True, slots=True)
class Parts:
    """What is asked. `settings` are those of the start: nothing that is said of them changes while it runs."""

    settings: Settings
    plan: Plan
    core: Core
    outbox: Outbox
    feed: Feed
    inputs: Inputs
    output: Output
    wear: FlashWear
    interventions: InterventionLog


class StatusReport:
    """The status as of now, and what the log says of what has changed in it."""

    def __init__(self, parts: Parts, now_s: float, log: FilteringBoundLogger) -> None:
        self._parts = parts
        self._before = (now_s, parts.core.n_messages)  # the last status, for the rate
        self._undecodable = UndecodableLog(log, parts.settings.agent.undecodable_max)
        self._unheard = UnheardLog(log)

    def make(self, now_s: float) -> Status:
        """The status at monotonic now_s."""
        core, inputs, output = self._parts.core, self._parts.inputs, self._parts.output
        agent, plan, view = self._parts.settings.agent, self._parts.plan, self._parts.core.view()
        (since_s, n_before), self._before = self._before, (now_s, core.n_messages)
        rate = (core.n_messages - n_before) / (now_s - since_s) if now_s > since_s else 0.0
        own = Counter({("", "outbox_full"): self._parts.outbox.dropped, **output.counts.drops()})
        return Status(
            node=agent.node,
            version=VERSION,
            durability=agent.durability,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            taken=core.n_messages,
            rates={"messages_per_s": round(rate, 3)},
            lag_s=self._parts.feed.lag_s,
            clock_ahead_s=round(max(0, inputs.now_ns() - time.time_ns()) / 1e9, 1),
            queues={"outbox": output.due, "parked": output.parked, "waiting_rows": inputs.n_waiting},
            devices=view.devices_by_quality(),
            alerts={"standing": view.n_standing(), "hidden": view.n_hidden},
            interventions=self._parts.interventions.n,
            drops=by_source([core.counts, inputs.counts, +own]),
            undecodable=self._undecodable.hear(core.undecodable()),
            shed=by_source([dict(inputs.shed.most_common(SHED_MAX))]),
            held=self._parts.feed.why_held,
            unheard=self._unheard.hear(view.unheard, has_others=core.n_messages > 0),
            silent=[source for source, device in view.silent if not device],
            log_lines_lost=STDERR.lost,
            written_bytes=dict(self._parts.wear.written.items()),
            written_bytes_per_day=self._parts.wear.bytes_per_day(now_s),
            models={
                model.name: ModelStatus.of(model, [one.name for one in plan.sources], of_model)
                for model, of_model in zip(plan.models, view.models, strict=True)
            },
            broker=_broker_status(inputs, output),
        )


def _broker_status(inputs: Inputs, output: Output) -> BrokerStatus:
    of_inputs = {
        name: LinkStatus.of(
            receiver.link,
            path=receiver.path,
            subscriptions=receiver.subscriptions.of_source,
            limits=receiver.limits,
            other_agent=receiver.link.other_client,
            requests=receiver.n_published,
        )
        for name, receiver in inputs.by_broker.items()
    }
    of_output = LinkStatus.of(
        output.link, path="paho", subscriptions={}, limits=output.limits, other_agent=output.other_agent
    )
    first = next(iter(of_inputs))
    return BrokerStatus(input=of_inputs.pop(first), inputs=of_inputs, output=of_output)
