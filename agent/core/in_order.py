"""The readings of one call, and what people say between them, each in its place."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from agent.core import alert_commands
from agent.core.interventions import intervene
from agent.core.stepped import Stepped, merged
from agent.core.stepper import Stepper
from agent.decode.readings import Readings
from agent.words import AlertCommand, Int64


def step(stepper: Stepper, readings: Readings, log_times: Int64, first_entry: int) -> Stepped:
    """See `Stepper.step`. A message that brings an intervention and a reading is one of the machine after it."""
    if not (readings.interventions or readings.commands):
        return _step(stepper, readings, log_times, first_entry)
    acts: list[tuple[int, Callable[[], Stepped]]] = [
        (one.message, partial(intervene, stepper, one, first_entry + one.message)) for one in readings.interventions
    ]
    for message, source, command in readings.commands:
        whole = command._replace(source=stepper.names[source])
        acts.append((message, partial(_handle, stepper, whole, first_entry + message, int(log_times[message]))))
    parts = []
    start = 0
    for message, act in sorted(acts, key=lambda one: one[0]):
        end = int(np.searchsorted(readings.message, message))
        if end > start:
            parts.append(_step(stepper, readings.only(slice(start, end)), log_times, first_entry))
        parts.append(act())
        start = end
    parts.append(_step(stepper, readings.only(slice(start, None)), log_times, first_entry))
    return merged(parts)


def _step(stepper: Stepper, readings: Readings, log_times: Int64, first_entry: int) -> Stepped:
    """Readings without a word of people between them: what is said next may be of a flood that they are."""
    stepped = stepper.step(readings, log_times, first_entry)
    alerts = stepper.floods.group(stepped.alerts, lambda event: int(log_times[event.entry - first_entry]))
    return stepped if alerts is stepped.alerts else replace(stepped, alerts=alerts)


def _handle(stepper: Stepper, command: AlertCommand, entry: int, at_ns: int) -> Stepped:
    acted = alert_commands.handle(stepper, command, entry, at_ns)
    nothing = [predictor.nothing for predictor in stepper.predictors]
    return Stepped(nothing, acted.alerts, [], handled=acted.handled, hides=acted.hides)
