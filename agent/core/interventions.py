"""What was done to machines, in its place among the readings.

A machine that is repaired or replaced begins a life: its alerts end with that cause, and its state is the one that the
bundle has for new machines. Only an intervention says so; a device that is heard for the first time may be in mid-life.
One that was inspected and found good goes on as it is, without its alert. Each is kept as a label for the trainer.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from agent.core.stepped import Stepped, merged
from agent.core.stepper import Stepper
from agent.decode.readings import Intervention, Readings
from agent.words import Int64, InterventionLabel


def step(stepper: Stepper, readings: Readings, log_times: Int64, first_entry: int) -> Stepped:
    """The readings of one call, and the interventions between them; see `Stepper.step`.

    A message that brings both is a reading of the machine after the intervention.
    """
    if not readings.interventions:
        return stepper.step(readings, log_times, first_entry)
    parts = []
    start = 0
    for intervention in readings.interventions:
        end = int(np.searchsorted(readings.message, intervention.message))
        if end > start:
            parts.append(stepper.step(readings.only(slice(start, end)), log_times, first_entry))
        parts.append(_intervene(stepper, intervention, first_entry + intervention.message))
        start = end
    parts.append(stepper.step(readings.only(slice(start, None)), log_times, first_entry))
    return merged(parts)


def _intervene(stepper: Stepper, intervention: Intervention, entry: int) -> Stepped:
    _, source, device, t_ns, kind, note = intervention
    nothing = [predictor.nothing for predictor in stepper.predictors]
    slot = stepper.slots.find(source, device)
    unit: Literal["s", "cycle"] = "cycle" if stepper.counts_cycles(source) else "s"
    label = InterventionLabel(stepper.names[source], device, t_ns, kind, entry, unit, note, slot is not None)
    if slot is None:
        return Stepped(nothing, [], [], [label])
    alerts = stepper.end_alerts(slot, kind, entry, int(stepper.spacing.newest_ns[slot]))
    if kind != "inspected":
        stepper.begin_life(slot)
    return Stepped(nothing, alerts, [], [label])


def repeat(stepper: Stepper, labels: Sequence[InterventionLabel]) -> None:
    """Let the lives begin again that began after the snapshot; how alerts ended, the alert table knows."""
    for label in labels:
        if label.source in stepper.names and label.kind != "inspected":
            slot = stepper.slots.find(stepper.names.index(label.source), label.device)
            if slot is not None:
                stepper.begin_life(slot)
