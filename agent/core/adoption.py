"""Alert life cycles from the alert table, as at a start in snapshot mode."""

from collections.abc import Collection, Sequence

from agent.core.entries import AlertsKept
from agent.core.marks import Key
from agent.core.stepper import Stepper
from agent.errors import StateRefused
from agent.judge.events import EndCause, ended_without_owner
from agent.judge.no_model import ALL_DEVICES, NO_MODEL
from agent.words import FLOOD, SILENCE, AlertEvent, HideChange


def adopt(
    kept: AlertsKept, stepper: Stepper, sources: Sequence[str], devices_max: int, entry: int, log_time_ns: int
) -> tuple[list[AlertEvent], list[Key], list[HideChange]]:
    """Take over what the table keeps; evidence starts empty. `entry` is the number of this one.

    Returns ends of standing alerts whose source or model the configuration no longer has, or whose model has no such
    head or no longer reads their source; (source, device) whose ended alerts nobody needs; and the ends of hides that
    name such a source or model: no topic would be left by which to end them. Raises StateRefused when
    the devices of all standing alerts are more than `devices_max`.
    """
    models = {one.model.name: one for one in stepper.predictors}
    stepper.handling.replace(kept.hides)
    hides = stepper.handling.let_go(lambda pattern: pattern[0] not in sources or pattern[2] not in (NO_MODEL, *models))
    for predictor in stepper.predictors:
        predictor.forget_alerts()
    reads = {name: one.reads_source for name, one in models.items()}
    owned = [
        event
        for event in kept.standing
        if event.source in sources
        and event.model in models
        and event.head in models[event.model].heads
        and reads[event.model](sources.index(event.source))
    ]
    of_sources = [event for event in kept.standing if event.source in sources]
    silent = [event for event in of_sources if event.head == SILENCE]
    floods = [event for event in of_sources if event.head == FLOOD]
    keep = {(event.source, event.device) for event in (*owned, *silent) if event.device != ALL_DEVICES}
    if len(keep) > devices_max:
        what = f"alerts of {len(keep)} devices stand, and agent.devices_max is {devices_max}"
        raise StateRefused("alert table", what, next_step="Raise agent.devices_max to what it was, or more.")
    marks = {key: mark for key, mark in kept.newest.items() if key[0] in sources}
    for event in owned:
        slot = _slot_of_standing(event, stepper, sources, keep)
        own = (max(event.t_epoch, event.clock_epoch), event.t_ns)
        stepper.take_mark(slot, marks.pop((event.source, event.device), own))
        models[event.model].heads[event.head].adopt(slot, event)
    for event in silent:
        if event.device != ALL_DEVICES:
            _slot_of_standing(event, stepper, sources, keep)
    stepper.silence_alerts.adopt(silent, log_time_ns)
    stepper.floods.adopt(floods, log_time_ns)
    for source, device in [*marks]:
        slot_of_mark = stepper.slots.find(sources.index(source), device)
        if slot_of_mark is not None:
            stepper.take_mark(slot_of_mark, marks.pop((source, device)))
    by_time = sorted(marks, key=lambda key: marks[key][1], reverse=True)
    stepper.marks.replace({key: marks[key] for key in by_time[:devices_max]})
    labels = {name: one.label for name, one in models.items()}
    owned_keys = {event.key for event in (*owned, *silent, *floods)}
    ended = []
    for event in kept.standing:
        if event.key not in owned_keys:
            cause: EndCause = "source_removed" if event.source not in sources else "model_removed"
            ended.append(ended_without_owner(event, cause, entry, labels.get(event.model)))
    return ended, [*by_time[devices_max:], *(key for key in kept.newest if key[0] not in sources)], hides


def _slot_of_standing(event: AlertEvent, stepper: Stepper, sources: Sequence[str], keep: Collection[Key]) -> int:
    """A slot for a device whose alert stands; where all are taken, the one heard of least lately makes room."""
    index = sources.index(event.source)
    slot = stepper.slot(index, event.device, is_new=False)
    if slot is None:
        stepper.evict_least_heard(keep)
        slot = stepper.slot(index, event.device, is_new=False)
    assert slot is not None
    return slot
