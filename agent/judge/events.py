"""What the judge decided, as events with everything that a reader of an alert needs.

An alert keeps its id and the bundle that raised it for its whole life: a later bundle may decide that it ends, and does
not become the one that warned.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from agent.judge.evidence import Evidence, Verdict
from agent.judge.lifecycle import HEAD, TRANSITIONS, alert_id
from agent.words import SEVERITIES, AlertEvent, BundleLabel, Int64, Quality, Scores


class AlertEvents:
    """Makes the events of the bundle `own`, which runs, and knows the alerts that stand from before it ran."""

    def __init__(self, own: BundleLabel) -> None:
        self._own = own
        self._adopted: dict[int, AlertEvent] = {}  # by slot: the newest event of an alert that was raised before

    def forget(self) -> None:
        """Alerts are taken from the table anew."""
        self._adopted.clear()

    def adopt(self, slot: int, event: AlertEvent) -> None:
        """The alert that stands in `slot` was raised before; `event` is its newest one."""
        self._adopted[slot] = event

    def decided(
        self,
        verdict: Verdict,
        scores: Scores,
        slots: Int64,
        evidence: Evidence,
        clock_epoch: Int64,
        source_of: Callable[[int], str],
    ) -> Iterator[AlertEvent]:
        """One event for each row of a batch that raises, updates or clears.

        clock_epoch int64 [capacity] is that of every slot now; `source_of` names a slot's source.
        """
        for row in verdict.rows.tolist():
            slot, device = int(slots[row]), str(scores.device[row])
            if verdict.raised[row]:
                self._adopted.pop(slot, None)
            source, raised_by = source_of(slot), self._raised_by(slot)
            state = TRANSITIONS["unacknowledged", "clear"] if verdict.cleared[row] else TRANSITIONS["normal", "raise"]
            yield AlertEvent(
                kind="raised" if verdict.raised[row] else "cleared" if verdict.cleared[row] else "updated",
                alert=self._id(slot, source, device, evidence),
                sequence=int(evidence.sequence[slot]),
                source=source,
                device=device,
                head=HEAD,
                state=state,
                severity=SEVERITIES[evidence.severity[slot]],
                entry=int(scores.entry[row]),
                t_ns=int(scores.t_ns[row]),
                raised_t_ns=int(evidence.raised_t_ns[slot]),
                quality=Quality(scores.quality[row]).name.lower(),
                risk=tuple(scores.risk[row].tolist()),
                rul=tuple(scores.rul[row].tolist()),
                cause="below_threshold" if verdict.cleared[row] else "risk",
                clock_epoch=int(evidence.raised_epoch[slot]),
                t_epoch=int(clock_epoch[slot]),
                bundle=raised_by,
                decided_by=self._decider(raised_by),
            )

    def ended(
        self,
        evidence: Evidence,
        slot: int,
        device: str,
        source: str,
        cause: Literal["forgotten", "new_life"],
        entry: int,
        t_ns: int,
        t_epoch: int,
    ) -> AlertEvent:
        """The end of a device's alert that no score ended; `t_ns` is the time of its newest row, in `t_epoch`."""
        raised_by = self._raised_by(slot)
        return AlertEvent(
            kind="cleared",
            alert=self._id(slot, source, device, evidence),
            sequence=int(evidence.sequence[slot]) + 1,
            source=source,
            device=device,
            head=HEAD,
            state=TRANSITIONS["unacknowledged", "clear"],
            severity=SEVERITIES[evidence.severity[slot]],
            entry=entry,
            t_ns=t_ns,
            raised_t_ns=int(evidence.raised_t_ns[slot]),
            quality=Quality.STALE.name.lower(),
            risk=(),
            rul=(),
            cause=cause,
            clock_epoch=int(evidence.raised_epoch[slot]),
            t_epoch=t_epoch,
            bundle=raised_by,
            decided_by=self._decider(raised_by),
        )

    def orphaned(self, event: AlertEvent, entry: int) -> AlertEvent:
        """The end of a standing alert whose source the configuration no longer has; `event` is its newest one."""
        return msgspec.structs.replace(
            event,
            kind="cleared",
            sequence=event.sequence + 1,
            state=TRANSITIONS["unacknowledged", "clear"],
            entry=entry,
            quality=Quality.STALE.name.lower(),
            risk=(),
            rul=(),
            cause="source_removed",
            decided_by=None if event.bundle.digest == self._own.digest else self._own,
        )

    def _id(self, slot: int, source: str, device: str, evidence: Evidence) -> str:
        if slot in self._adopted:
            return self._adopted[slot].alert
        return alert_id(source, device, HEAD, int(evidence.raised_epoch[slot]), int(evidence.raised_t_ns[slot]))

    def _raised_by(self, slot: int) -> BundleLabel:
        adopted = self._adopted.get(slot)
        return self._own if adopted is None or adopted.bundle.digest == self._own.digest else adopted.bundle

    def _decider(self, raised_by: BundleLabel) -> BundleLabel | None:
        return None if raised_by is self._own else self._own
