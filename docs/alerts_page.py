"""Draws the life of an alert into docs/alerts.md, from the table of agent/judge/lifecycle.py.

The drawing and the table of its states stand between `<!-- alert states -->` and `<!-- end -->`.
"""

import re

from agent.judge.lifecycle import STATES, TRANSITIONS, Trigger
from agent.words import AlertState

BLOCK = re.compile(r"(<!-- alert states -->\n).*?(<!-- end -->)", re.DOTALL)
LABELS: dict[Trigger, str] = {
    "raise": "m of n rows over the threshold",
    "update": "severity changes",
    "escalate": "severity rises",
    "acknowledge": "acknowledged",
    "return": "risk low, acknowledgement required",
    "latch": "risk low, latch",
    "recur": "risk high again",
    "reset": "reset",
    "show": "shown again",
    "clear": "risk low",
    "end": "ended: repaired, forgotten, source or model removed",
}
MEANINGS: dict[AlertState, tuple[str, str]] = {
    "normal": ("no alert stands", "-"),
    "unacknowledged": ("it is raised, and nobody has said that he has seen it", "acknowledge it"),
    "acknowledged": ("somebody has seen it, and the risk is still high", "repair the machine"),
    "returned_unacknowledged": ("the risk is low again, and nobody has seen it", "acknowledge it: it ends"),
    "latched": ("the risk is low again, and it stands until somebody says that all is well", "look, and reset it"),
}


def page(text: str) -> str:
    """The page `text` with drawing and table as the code has them."""
    return BLOCK.sub(lambda match: f"{match[1]}{drawing()}\n{table()}{match[2]}", text)


def drawing() -> str:
    """One arrow a pair of states, with all triggers that lead from one to the other; ends are not drawn."""
    labels: dict[tuple[AlertState, AlertState], list[str]] = {}
    for (before, trigger), after in TRANSITIONS.items():
        if trigger != "end" and before != after:
            labels.setdefault((before, after), []).append(LABELS[trigger])
    lines = [f"{before} --> {after}: {', '.join(words)}" for (before, after), words in labels.items()]
    body = "\n".join(f"    {line}" for line in ["[*] --> normal", *lines])
    return f"```mermaid\nstateDiagram-v2\n{body}\n```\n"


def table() -> str:
    """What each state means, what is to be done, and what leads on."""
    rows = []
    for state in STATES:
        meaning, step = MEANINGS[state]
        leads = [
            f"{LABELS[trigger]} → `{after}`" for (of, trigger), after in TRANSITIONS.items() if of == state != after
        ]
        rows.append(f"| `{state}` | {meaning} | {step} | {'; '.join(leads)} |\n")
    return f"| state | means | to do | leads on |\n|---|---|---|---|\n{''.join(rows)}"
