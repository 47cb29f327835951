"""What people do with alerts: acknowledge, reset, hide and show them; and hides that end by themselves.

A command is a message of the log, so it acts at its place between two readings, and a replay repeats it. It names a
device, and an alert by its id where it means that one alone: if that has ended meanwhile, nothing happens to the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from agent.core.floods import Floods
from agent.core.handling import HIDES_MAX
from agent.core.judged_head import JudgedHead
from agent.core.predictor import Predictor
from agent.core.silence_alerts import SilenceAlerts
from agent.core.stepper import Stepper
from agent.judge.events import HandleCause, HandledStep
from agent.judge.lifecycle import STATES, Trigger, may_pull, next_state
from agent.judge.no_model import NO_MODEL
from agent.readable import span
from agent.words import (
    FLOOD,
    OF_NO_MODEL,
    SILENCE,
    AlertAction,
    AlertChange,
    AlertCommand,
    AlertEvent,
    AlertKey,
    AlertState,
    Handled,
    Hide,
    HideChange,
    HideKind,
    Outcome,
    Quality,
)

_HIDES: Final[dict[AlertAction, HideKind]] = {
    "shelve": "shelved",
    "suppress": "suppressed",
    "out_of_service": "out_of_service",
}
_SHOWS: Final[dict[AlertAction, HideKind]] = {
    "unshelve": "shelved",
    "unsuppress": "suppressed",
    "in_service": "out_of_service",
}


class _ModelAlert(NamedTuple):
    """A standing alert of a model's head."""

    predictor: Predictor
    head: JudgedHead
    slot: int


_Alert = _ModelAlert | SilenceAlerts | Floods  # who keeps it, where it is of no model
_Standing = dict[AlertKey, _Alert]


@dataclass(slots=True)
class Acted:
    """What came of commands, or of the end of hides."""

    alerts: list[AlertEvent] = field(default_factory=list)
    handled: list[Handled] = field(default_factory=list)
    hides: list[HideChange] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Order:
    """A command as the entry of this number, at log time at_ns, and the standing alerts that it means."""

    command: AlertCommand
    entry: int
    at_ns: int
    standing: _Standing

    def step(self, kind: AlertChange, cause: HandleCause = "command") -> HandledStep:
        return HandledStep(kind, cause, self.entry, self.at_ns, self.command.by, self.command.note)


def handle(stepper: Stepper, command: AlertCommand, entry: int, at_ns: int) -> Acted:
    """Do what a command says, as the entry of this number at log time at_ns."""
    acted = Acted()
    unknown = _unknown(stepper, command)
    if unknown:
        return Acted(handled=[Handled(command, at_ns, "unknown", (), 0, unknown)])
    standing = dict(_standing(stepper, _pattern(command)))
    if command.alert:
        standing = {key: alert for key, alert in standing.items() if _id_of(key, alert) == command.alert}
    act = _pull if command.action in ("acknowledge", "reset") else _hide_or_show
    outcome, detail = act(stepper, _Order(command, entry, at_ns, standing), acted)
    ids = tuple(dict.fromkeys(event.alert for event in acted.alerts))
    until_ns = acted.hides[0][2].until_ns if acted.hides and acted.hides[0][2] else 0
    acted.handled.append(Handled(command, at_ns, outcome, ids, until_ns, detail))
    return acted


def expire(stepper: Stepper, entry: int, tick_ns: int) -> Acted:
    """End what was hidden until the tick of log time tick_ns."""
    acted = Acted(hides=stepper.handling.redate(tick_ns))
    _maintain(stepper, entry, tick_ns, acted)  # first: one window may begin when another ends
    for pattern, hide in stepper.handling.expired(tick_ns):
        _show(stepper, [pattern], hide.kind, HandledStep("shown", "expired", entry, tick_ns), acted)
    return acted


def _maintain(stepper: Stepper, entry: int, tick_ns: int, acted: Acted) -> None:
    """Hide what is in maintenance at the tick of log time tick_ns, and show what is not planned any more."""
    handling = stepper.handling
    ends: dict[AlertKey, int] = {}
    for window, until_ns in stepper.windows:
        end_ns = until_ns(tick_ns)
        for device in (window.devices or ("",)) if end_ns else ():
            pattern = window.source, device, "", ""
            ends[pattern] = max(end_ns, ends.get(pattern, 0))
    for pattern, hide in handling.keep():
        if hide.kind == "maintenance" and pattern not in ends and hide.until_ns > tick_ns:  # another configuration
            _show(stepper, [pattern], "maintenance", HandledStep("shown", "schedule", entry, tick_ns), acted)
    for pattern, end_ns in ends.items():
        before = handling.find(pattern, "maintenance")
        if before is None or before.until_ns != end_ns:
            acted.hides.append(handling.put(pattern, Hide("maintenance", tick_ns, end_ns)))
            step = HandledStep("maintenance", "schedule", entry, tick_ns)
            acted.alerts += [_take_step(stepper, key, alert, None, step) for key, alert in _standing(stepper, pattern)]


def _pull(stepper: Stepper, order: _Order, acted: Acted) -> tuple[Outcome, str]:
    command, standing = order.command, order.standing
    trigger: Trigger = "acknowledge" if command.action == "acknowledge" else "reset"
    for key, alert in standing.items():
        state = _state_of(key, alert)
        if not may_pull(state, trigger):
            continue
        if next_state(state, trigger) != "normal":
            step = order.step("acknowledged")
        else:
            step = order.step("cleared", "acknowledged" if trigger == "acknowledge" else "reset")
        acted.alerts.append(_take_step(stepper, key, alert, trigger, step))
    if acted.alerts:
        return "done", ""
    if not standing:
        return "unknown", "no such alert stands"
    states = ", ".join(dict.fromkeys(_state_of(key, alert) for key, alert in standing.items()))
    return "needless", f"it is {states}"


def _hide_or_show(stepper: Stepper, order: _Order, acted: Acted) -> tuple[Outcome, str]:
    command, standing, at_ns = order.command, order.standing, order.at_ns
    if command.action in _SHOWS:
        return _end_hides(stepper, order, _SHOWS[command.action], acted)
    pattern = _pattern(command)
    if command.alert:
        if not standing:
            return "unknown", "no such alert stands"
        (pattern,) = standing
    handling = stepper.handling
    kind = _HIDES[command.action]
    longest_s = stepper.rules.shelve_max_s
    if kind == "shelved" and command.for_ns > longest_s * 1e9:
        return "refused", f"nothing is shelved for longer than {span(longest_s)} (alerts.shelve_max)"
    if handling.find(pattern, kind) is None and handling.n_by_people() >= HIDES_MAX:
        return "refused", f"{HIDES_MAX} are hidden already"
    until_ns = at_ns + command.for_ns if command.for_ns else 0
    acted.hides.append(handling.put(pattern, Hide(kind, at_ns, until_ns, command.by, command.note)))
    acted.alerts += [_take_step(stepper, key, alert, None, order.step(kind)) for key, alert in standing.items()]
    return "done", "" if _is_known(stepper, pattern) else "no such device was heard yet"


def _end_hides(stepper: Stepper, order: _Order, kind: HideKind, acted: Acted) -> tuple[Outcome, str]:
    """End all of a kind that hide what a command names, for as long as they are of its device: who wants to see it does
    not know whether it was hidden by its id, by its head or with all of the device; and it may have ended meanwhile.
    """
    pattern = next(iter(order.standing)) if order.command.alert and order.standing else _pattern(order.command)
    source, device, *_ = pattern
    handling = stepper.handling
    hiding = handling.of_device(pattern, kind)
    _show(stepper, hiding, kind, order.step("shown"), acted)
    of_source = handling.of_device((source, "", *pattern[2:]), kind) if device else []
    if of_source:
        detail = f"all of {source} is {_words(kind)}"
    elif not hiding:
        detail = f"it is not {_words(kind)}"
    else:
        still = handling.of(pattern)
        detail = f"it is still {_words(still.kind)}" if still is not None else ""
    return "done" if hiding else "needless", detail


def _show(stepper: Stepper, patterns: list[AlertKey], kind: HideKind, step: HandledStep, acted: Acted) -> None:
    """End hides. What nothing else hides is shown: one that is in alarm has to be seen again. Of the others that stand
    the reason that is left is said, where it is not the one that was.
    """
    standing = {key: alert for pattern in patterns for key, alert in _standing(stepper, pattern)}
    before = {key: _reason(stepper, key) for key in standing}
    acted.hides += [stepper.handling.remove(pattern, kind) for pattern in patterns]
    for key, alert in standing.items():
        reason = _reason(stepper, key)
        if reason is None:
            acted.alerts.append(_take_step(stepper, key, alert, "show", step))
        elif reason != before[key]:
            acted.alerts.append(_take_step(stepper, key, alert, None, replace(step, kind=reason[0])))


def _reason(stepper: Stepper, key: AlertKey) -> tuple[HideKind, int] | None:
    """What an event says of why it is not shown."""
    hide = stepper.handling.of(key)
    return None if hide is None else (hide.kind, hide.until_ns)


def _words(kind: HideKind) -> str:
    return kind.replace("_", " ")


def _take_step(
    stepper: Stepper, key: AlertKey, alert: _Alert, trigger: Trigger | None, step: HandledStep
) -> AlertEvent:
    if not isinstance(alert, _ModelAlert):
        return alert.handle(key[:2], trigger, step)
    newest_ns, epoch = int(stepper.spacing.newest_ns[alert.slot]), int(stepper.clock.columns.clock_epoch[alert.slot])
    quality = Quality(int(alert.predictor.states.columns.quality[alert.slot]))
    return alert.head.handle(alert.slot, trigger, step, newest_ns, epoch, quality)


def _standing(stepper: Stepper, pattern: AlertKey) -> Iterator[tuple[AlertKey, _Alert]]:
    """Alerts that stand and agree with a pattern, by key."""
    source, device, model, head = pattern
    if source not in stepper.names:
        return
    index = stepper.names.index(source)
    slot = stepper.slots.find(index, device) if device else None
    for predictor in stepper.predictors if slot is not None or not device else ():
        for of_head in predictor.heads.values() if model in ("", predictor.model.name) else ():
            if head not in ("", of_head.head):
                continue
            slots = of_head.standing_slots(index) if slot is None else [slot] * of_head.evidence.is_standing(slot)
            for at in slots:
                name = str(stepper.slots.devices[at])
                yield (source, name, predictor.model.name, of_head.head), _ModelAlert(predictor, of_head, at)
    of_no_model: tuple[tuple[str, SilenceAlerts | Floods], ...]
    of_no_model = ((SILENCE, stepper.silence_alerts), (FLOOD, stepper.floods))
    for name_of_head, alerts in of_no_model if model == NO_MODEL else ():
        for of, name in [*alerts.standing] if head in ("", name_of_head) else ():
            if of == source and (device == name or not (device or head)):
                yield (of, name, NO_MODEL, name_of_head), alerts


def _state_of(key: AlertKey, alert: _Alert) -> AlertState:
    if not isinstance(alert, _ModelAlert):
        return alert.standing[key[:2]].state
    return STATES[int(alert.head.evidence.alert_state[alert.slot])]


def _id_of(key: AlertKey, alert: _Alert) -> str:
    return alert.head.id_of(alert.slot) if isinstance(alert, _ModelAlert) else alert.standing[key[:2]].alert


def _unknown(stepper: Stepper, command: AlertCommand) -> str:
    """What it names that is not there, "" for nothing: a typing error would hide nobody."""
    models = [one for one in stepper.predictors if command.model in ("", one.model.name)]
    if command.model and not models:
        return f"no model is named {command.model!r}"
    heads = {head for one in models for head in one.heads} | {*OF_NO_MODEL}
    return f"no head is named {command.head!r}" if command.head and command.head not in heads else ""


def _pattern(command: AlertCommand) -> AlertKey:
    return command.source, command.device, command.model, command.head


def _is_known(stepper: Stepper, pattern: AlertKey) -> bool:
    source, device, *_ = pattern
    return not device or stepper.slots.find(stepper.names.index(source), device) is not None
