"""What the judge decided, as events with everything that a reader of an alert needs.

An alert keeps its id and the bundle that raised it for its whole life: a later bundle may decide that it ends, and does
not become the one that warned.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from agent.devices.slots import GONE, Slots
from agent.judge.evidence import Evidence, Verdict
from agent.judge.lifecycle import STATES, alert_id, next_state
from agent.words import (
    SEVERITIES,
    AlertChange,
    AlertEvent,
    AlertHead,
    AlertKey,
    BundleLabel,
    Hide,
    Int64,
    InterventionKind,
    Quality,
    Scores,
)

EndCause = Literal["forgotten", "new_life", "source_removed", "model_removed"] | InterventionKind
Outputs = dict[str, tuple[float, ...]]  # by head
HandleCause = Literal["command", "acknowledged", "reset", "expired", "schedule"]


@dataclass(frozen=True, slots=True)
class HandledStep:
    """A step that a person decides, or the end of a span that he gave, at log time at_ns with the entry `entry`."""

    kind: AlertChange
    cause: HandleCause
    entry: int
    at_ns: int
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    """What happened to an alert; the rest of its event is what the evidence knows of the alert."""

    kind: AlertChange
    cause: AlertHead | Literal["below_threshold"] | EndCause | HandleCause
    entry: int
    t_ns: int
    t_epoch: int
    quality: Quality
    outputs: Outputs = field(default_factory=dict)
    at_ns: int = 0
    by: str = ""
    note: str = ""


class AlertEvents:
    """Makes the events of a model that runs, and knows its alerts that stand from before its bundle ran.

    own      label of the bundle that runs
    hide_of  why an alert is not shown, None where it is
    """

    def __init__(
        self,
        model: str,
        head: AlertHead,
        own: BundleLabel,
        sources: Sequence[str],
        slots: Slots,
        evidence: Evidence,
        hide_of: Callable[[AlertKey], Hide | None],
    ) -> None:
        self._model = model
        self._head = head
        self._own = own
        self._sources = sources
        self._slots = slots
        self._evidence = evidence
        self._hide_of = hide_of
        self._adopted: dict[int, AlertEvent] = {}  # by slot: the newest event of an alert that was raised before
        self._outputs: dict[int, Outputs] = {}  # by slot: of the row that decided the newest step of what stands

    def forget(self) -> None:
        """Alerts are taken from the table anew."""
        self._adopted.clear()
        self._outputs.clear()

    def adopt(self, slot: int, event: AlertEvent) -> None:
        """The alert that stands in `slot` was raised before; `event` is its newest one."""
        self._adopted[slot] = event
        self._outputs[slot] = event.outputs

    def outputs(self) -> list[tuple[int, Outputs]]:
        """Slot, and outputs of the row that decided last, of each alert that stands."""
        return sorted(one for one in self._outputs.items() if self._evidence.is_standing(one[0]))

    def take_outputs(self, outputs: Sequence[tuple[int, Outputs]]) -> None:
        """As `outputs` gave them, after a restart."""
        self._outputs = dict(outputs)

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
            change = verdict.change(row)
            step = _Step(
                kind=change,
                cause="below_threshold" if change in ("cleared", "returned") else self._head,
                entry=int(scores.entry[row]),
                t_ns=int(scores.t_ns[row]),
                t_epoch=int(epochs[row]),
                quality=Quality(scores.quality[row]),
                outputs={name: tuple(output[row].tolist()) for name, output in scores.outputs.items()},
            )
            self._outputs.pop(slot, None)
            if change != "cleared":
                self._outputs[slot] = step.outputs
            yield self._event(slot, step)

    def ended(self, slot: int, cause: EndCause, entry: int, t_ns: int, t_epoch: int) -> AlertEvent:
        """The end, which the evidence has already, of an alert that no score ended.

        t_ns  time of the device's newest row, in the epoch `t_epoch` of its clock
        """
        self._outputs.pop(slot, None)
        return self._event(slot, _Step("cleared", cause, entry, t_ns, t_epoch, Quality.STALE))

    def handled(self, slot: int, step: HandledStep, t_ns: int, t_epoch: int, quality: Quality) -> AlertEvent:
        """A step that no score decides, which the evidence has already; t_ns and t_epoch as for `ended`.

        Its outputs are those of the row that decided last.
        """
        outputs = self._outputs.get(slot, {}) if self._evidence.is_standing(slot) else self._outputs.pop(slot, {})
        of = _Step(
            kind=step.kind,
            cause=step.cause,
            entry=step.entry,
            t_ns=t_ns,
            t_epoch=t_epoch,
            quality=quality,
            outputs=outputs,
            at_ns=step.at_ns,
            by=step.by,
            note=step.note,
        )
        return self._event(slot, of)

    def _event(self, slot: int, step: "_Step") -> AlertEvent:
        evidence = self._evidence
        (source, device, model, head), alert = self.key_and_id(slot)
        adopted = self._adopted.get(slot)
        is_own = adopted is None or adopted.bundle.digest == self._own.digest
        hide = self._hide_of((source, device, model, head))
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
            hidden=None if hide is None else hide.kind,
            hidden_until_ns=0 if hide is None else hide.until_ns,
            at_ns=step.at_ns,
            by=step.by,
            note=step.note,
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
        at_ns=0,
        by="",
        note="",
        decided_by=None if own is None or event.bundle.digest == own.digest else own,
    )
