"""What was done to machines, in its place among the readings.

A machine that is repaired or replaced begins a life: its alerts end with that cause, and its state is the one that the
bundle has for new machines. Only an intervention says so; a device that is heard for the first time may be in mid-life.
One that was inspected and found good goes on as it is, without its alert. Each is kept as a label for the trainer.
"""

from collections.abc import Sequence
from typing import Literal

from agent.core.stepped import Stepped
from agent.core.stepper import Stepper
from agent.decode.readings import Intervention
from agent.words import InterventionLabel


def intervene(stepper: Stepper, intervention: Intervention, entry: int) -> Stepped:
    """Do what one says, as the entry of this number."""
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
