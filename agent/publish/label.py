"""What the agent says of a label that it has taken, to the one who sent the command and to whoever counts."""

import msgspec

from agent.publish.message import time
from agent.words import AlertEvent, AlertLabel, LabelKind


class LabelMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of the label topic. Only of a known alert is it said whose it is, and the label kept."""

    source: str
    alert: str
    label: LabelKind
    t: str
    t_ns: int
    note: str
    by: str
    is_known: bool = msgspec.field(name="known")
    device: str = ""
    model: str = ""
    head: str = ""


def label_message(label: AlertLabel, alert: AlertEvent | None) -> LabelMessage:
    """`alert` is the last event of the alert, None where the agent has none of the label's id."""
    answer = LabelMessage(
        source=label.source,
        alert=label.alert,
        label=label.label,
        t=str(time(label.t_ns, "s")),
        t_ns=label.t_ns,
        note=label.note,
        by=label.by,
        is_known=alert is not None and alert.source == label.source,
    )
    if alert is None or not answer.is_known:
        return answer
    return msgspec.structs.replace(answer, device=alert.device, model=alert.model, head=alert.head)
