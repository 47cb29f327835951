"""What the agent says of a command that acts on alerts, to the one who sent it and to whoever counts."""

import msgspec

from agent.publish.message import time
from agent.words import AlertAction, Handled, Outcome


class HandledMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of the topic `handled`. Times are of the agent's clock."""

    action: AlertAction
    source: str
    device: str
    outcome: Outcome
    t: str
    t_ns: int
    alerts: tuple[str, ...]
    alert: str = ""
    model: str = ""
    head: str = ""
    until: str = ""
    detail: str = ""
    by: str = ""
    note: str = ""
    ref: str = ""


def handled_message(handled: Handled) -> HandledMessage:
    command = handled.command
    return HandledMessage(
        action=command.action,
        source=command.source,
        device=command.device,
        outcome=handled.outcome,
        t=str(time(handled.at_ns, "s")),
        t_ns=handled.at_ns,
        alerts=handled.alerts,
        alert=command.alert,
        model=command.model,
        head=command.head,
        until=str(time(handled.until_ns, "s")) if handled.until_ns else "",
        detail=handled.detail,
        by=command.by,
        note=command.note,
        ref=command.ref,
    )
