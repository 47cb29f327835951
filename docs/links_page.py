"""Draws the life of a connection into docs/operations.md, from the table of agent/mqtt/link_state.py.

The drawing stands between `<!-- links -->` and `<!-- end -->`, as Mermaid, which GitHub and others show as a picture.
"""

import re

from agent.mqtt.link_events import (
    Accepted,
    Begun,
    Broken,
    Closed,
    Event,
    Left,
    Lost,
    Opened,
    Refused,
    Subscribed,
    Unanswered,
    Unreachable,
)
from agent.mqtt.link_state import TRANSITIONS, Phase

BLOCK = re.compile(r"(<!-- links -->\n).*?(<!-- end -->)", re.DOTALL)
LABELS: dict[type[Event], str] = {
    Begun: "a try is due",
    Unreachable: "unreachable",
    Opened: "TCP and TLS stand",
    Accepted: "CONNACK",
    Refused: "refused",
    Subscribed: "subscribed",
    Lost: "lost",
    Broken: "protocol error",
    Unanswered: "no answer",
    Left: "left, to make it anew",
    Closed: "the agent stops",
}
TWICE: dict[type[Event], str] = {Accepted: "a second CONNACK", Refused: "a second CONNACK"}


def page(text: str) -> str:
    """The page `text` with the drawing as the table has it."""
    return BLOCK.sub(lambda match: f"{match[1]}{drawing()}{match[2]}", text)


def drawing() -> str:
    """One arrow a pair of phases, with all events that lead from one to the other."""
    lines = [f"[*] --> {Phase.WAITING}"]
    for phase, events in TRANSITIONS.items():
        labels: dict[Phase, list[str]] = {}
        for event, after in events.items():
            label = TWICE.get(event, LABELS[event]) if phase in (Phase.SUBSCRIBING, Phase.READY) else LABELS[event]
            if label not in labels.setdefault(after, []):
                labels[after].append(label)
        lines += [f"{phase} --> {after}: {', '.join(words)}" for after, words in labels.items()]
    body = "\n".join(f"    {line}" for line in [*lines, f"{Phase.CLOSED} --> [*]"])
    return f"```mermaid\nstateDiagram-v2\n{body}\n```\n"
