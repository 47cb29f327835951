"""What the agent says of an intervention that it has taken, to the one who sent the command and to whoever counts."""

from typing import Literal

import msgspec

from agent.publish.message import Time, time
from agent.words import InterventionKind, InterventionLabel


class InterventionMessage(msgspec.Struct, frozen=True):
    """The payload of the intervention topic. `is_known`: the agent had heard of the device."""

    source: str
    device: str
    kind: InterventionKind
    t: Time
    t_ns: int
    unit: Literal["s", "cycles"]
    note: str
    is_known: bool = msgspec.field(name="known")


def intervention_message(label: InterventionLabel) -> InterventionMessage:
    return InterventionMessage(
        source=label.source,
        device=label.device,
        kind=label.kind,
        t=time(label.t_ns, label.time_unit),
        t_ns=label.t_ns,
        unit="cycles" if label.time_unit == "cycle" else "s",
        note=label.note,
        is_known=label.is_known,
    )
