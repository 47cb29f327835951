"""What the judge decided, as events with everything that a reader of an alert needs.

An alert keeps its id and the bundle that raised it for its whole life: a later bundle may decide that it ends, and does
not become the one that warned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from agent.devices.slots import GONE, Slots
from agent.judge.evidence import Evidence, Verdict
from agent.judge.lifecycle import STATES, alert_id, next_state
from agent.words import (
    SEVERITIES,
    AlertEvent,
    AlertHead,
    AlertKey,
    BundleLabel,
    Int64,
    InterventionKind,
    Quality,
    Scores,
)

EndCause = Literal["forgotten", "new_life", "source_removed", "model_removed"] | InterventionKind


@dataclass(frozen=True, slots=True)
class _Step:
    """What happened to an alert; the rest of its event is what the evidence knows of the alert."""

    kind: Literal["raised", "updated", "cleared"]
    cause: AlertHead | Literal["below_threshold"] | EndCause
    entry: int
    t_ns: int
    t_epoch: int
    quality: Quality
    outputs: dict[str, tuple[float, ...]] = field(default_factory=dict)


class AlertEvents:
    """Makes the events of a model that runs, and knows its alerts that stand from before its bundle ran.

    own  label of the bundle that runs
    """

    def __init__(
        self, model: str, head: AlertHead, own: BundleLabel, sources: Sequence[str], slots: Slots, evidence: Evidence
    ) -> None:
        self._model = model
        self._head = head
        self._own = own
        self._sources = sources
        self._slots = slots
        self._evidence = evidence
        self._adopted: dict[int, AlertEvent] = {}  # by slot: the newest event of an alert that was raised before

    def forget(self) -> None:
        """Alerts are taken from the table anew."""
        self._adopted.clear()

    def adopt(self, slot: int, event: AlertEvent) -> None:
        """The alert that stands in `slot` was raised before; `event` is its newest one."""
        self._adopted[slot] = event

    def raised_before(self) -> list[tuple[int, AlertEvent]]:
        """Slot and event of each alert that stands and was raised before the bundle ran."""
        return [one for one in self._adopted.items() if self._evidence.is_standing(one[0])]

    def key_and_id(self, slot: int) -> tuple[AlertKey, str]:
        """Of the alert that stands in `slot`, or has just ended."""
        source_index, device = int(self._slots.source[slot]), str(self._slots.devices[slot])
        source = "" if source_index == GONE else self._sources[source_index]
        if slot in self._adopted:
            alert = self._adopted[slot].alert
        else:
            epoch, raised_t_ns = int(self._evidence.raised_epoch[slot]), int(self._evidence.raised_t_ns[slot])
            alert = alert_id(source, device, self._model, self._head, epoch, raised_t_ns)
        return (source, device, self._model, self._head), alert

    def decided(self, verdict: Verdict, scores: Scores, slots: Int64, epochs: Int64) -> Iterator[AlertEvent]:
        """One event for each row of a batch that raises, updates or clears; epochs int64 [b] of the devices' clocks."""
        for row in verdict.rows.tolist():
            slot = int(slots[row])
            if verdict.raised[row]:
                self._adopted.pop(slot, None)
            is_end = bool(verdict.cleared[row])
            step = _Step(
                kind="raised" if verdict.raised[row] else "cleared" if is_end else "updated",
                cause="below_threshold" if is_end else self._head,
                entry=int(scores.entry[row]),
                t_ns=int(scores.t_ns[row]),
                t_epoch=int(epochs[row]),
                quality=Quality(scores.quality[row]),
                outputs={name: tuple(output[row].tolist()) for name, output in scores.outputs.items()},
            )
            yield self._event(slot, step)

    def ended(self, slot: int, cause: EndCause, entry: int, t_ns: int, t_epoch: int) -> AlertEvent:
        """The end, which the evidence has already, of an alert that no score ended.

        t_ns  time of the device's newest row, in the epoch `t_epoch` of its clock
        """
        return self._event(slot, _Step("cleared", cause, entry, t_ns, t_epoch, Quality.STALE))

    def _event(self, slot: int, step: "_Step") -> AlertEvent:
        evidence = self._evidence
        (source, device, model, head), alert = self.key_and_id(slot)
        adopted = self._adopted.get(slot)
        is_own = adopted is None or adopted.bundle.digest == self._own.digest
        return AlertEvent(
            kind=step.kind,
            alert=alert,
            sequence=int(evidence.sequence[slot]),
            source=source,
            device=device,
            head=head,
            state=STATES[evidence.alert_state[slot]],
            severity=SEVERITIES[evidence.severity[slot]],
            entry=step.entry,
            t_ns=step.t_ns,
            raised_t_ns=int(evidence.raised_t_ns[slot]),
            quality=step.quality.name.lower(),
            outputs=step.outputs,
            cause=step.cause,
            clock_epoch=int(evidence.raised_epoch[slot]),
            t_epoch=step.t_epoch,
            bundle=self._own if adopted is None or is_own else adopted.bundle,
            decided_by=None if is_own else self._own,
            model=model,
        )


def ended_without_owner(event: AlertEvent, cause: EndCause, entry: int, own: BundleLabel | None) -> AlertEvent:
    """The end of a standing alert whose source or model the configuration no longer has; `event` is its newest one.

    own  label of the bundle that runs now under the alert's model, None for none
    """
    return msgspec.structs.replace(
        event,
        kind="cleared",
        sequence=event.sequence + 1,
        state=next_state(event.state, "end"),
        entry=entry,
        quality=Quality.STALE.name.lower(),
        outputs={},
        cause=cause,
        decided_by=None if own is None or event.bundle.digest == own.digest else own,
    )
