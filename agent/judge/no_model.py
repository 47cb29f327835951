"""Alerts of no model and no bundle, decided by log time alone: silence, and floods. Their life is that of any alert."""

from typing import Final

import msgspec

from agent.judge.events import HandledStep
from agent.judge.lifecycle import Trigger, alert_id, next_state
from agent.words import FLOOD, SILENCE, AlertCause, AlertEvent, BundleLabel, Quality, Severity

NO_MODEL: Final = ""
NO_BUNDLE: Final = BundleLabel("none", "none", "none", "s", (), (), 0.0)
ALL_DEVICES: Final = ""  # the device of an alert of a whole source
_OUTPUTS: Final = {SILENCE: ("silent_s", "silent_after_s"), FLOOD: ("raises", "within_s")}  # what they are, by head


def numbers(event: AlertEvent) -> dict[str, float]:
    """The outputs of an alert of no model, by name; nothing where it has none."""
    named = dict(zip(_OUTPUTS[event.head], event.outputs.get(event.head, ()), strict=False))
    return {name: round(value) if name == "raises" else value for name, value in named.items()}


def raised(
    source: str, device: str, head: AlertCause, severity: Severity, entry: int, at_ns: int, outputs: tuple[float, ...]
) -> AlertEvent:
    """The raise, at log time at_ns; device "" for the whole source."""
    return AlertEvent(
        kind="raised",
        alert=alert_id(source, device, NO_MODEL, head, 0, at_ns),
        sequence=1,
        source=source,
        device=device,
        head=head,
        state=next_state("normal", "raise"),
        severity=severity,
        entry=entry,
        t_ns=at_ns,
        raised_t_ns=at_ns,
        quality=Quality.STALE.name.lower(),
        outputs={head: outputs},
        cause=head,
        t_epoch=0,
        bundle=NO_BUNDLE,
        model=NO_MODEL,
    )


def ended(event: AlertEvent, cause: AlertCause, trigger: Trigger, entry: int, tick_ns: int) -> AlertEvent:
    """The end of an alert; `event` is its newest one."""
    return msgspec.structs.replace(
        event,
        kind="cleared",
        sequence=event.sequence + 1,
        state=next_state(event.state, trigger),
        entry=entry,
        t_ns=max(tick_ns, event.raised_t_ns),
        outputs={},
        cause=cause,
        at_ns=0,
        by="",
        note="",
    )


def handled(event: AlertEvent, trigger: Trigger | None, step: HandledStep) -> AlertEvent:
    """What a person does with an alert that stands, None for what leaves its state; `event` is its newest one."""
    return msgspec.structs.replace(
        event,
        kind=step.kind,
        sequence=event.sequence + 1,
        state=event.state if trigger is None else next_state(event.state, trigger),
        entry=step.entry,
        t_ns=max(step.at_ns, event.t_ns),
        cause=step.cause,
        at_ns=step.at_ns,
        by=step.by,
        note=step.note,
    )
