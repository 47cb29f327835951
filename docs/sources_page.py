"""The reasons of agent/reasons.py in docs, made by `make docs`.

The table between `<!-- reasons -->` and `<!-- end -->` in docs/sources.md, and in the status schema the names that may
stand under `drops` and its description.
"""

import json
import re

from agent.reasons import REASONS

BLOCK = re.compile(r"(<!-- reasons -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str) -> str:
    """The page `text` with the table as the code has it."""
    return BLOCK.sub(lambda found: f"{found[1]}{table()}{found[2]}", text)


def table() -> str:
    """A line a reason."""
    rows = "".join(
        f"| `{reason.name}` | {'yes' if reason.is_used else 'no'} | {reason.means} | {reason.next_step} |\n"
        for reason in REASONS.values()
    )
    return f"| reason | used | what it means | what to do |\n|---|---|---|---|\n{rows}"


def schema(text: str) -> str:
    """The status schema `text` with the reasons as the code has them."""
    whole = json.loads(text)
    drops = whole["properties"]["drops"]
    doubts = ", ".join(f"`{reason.name}`" for reason in REASONS.values() if reason.is_used)
    drops["description"] = (
        'Source -> reason -> messages since the agent started. Those of no source stand under "". '
        f"Some are doubts, of readings that were used: {doubts}."
    )
    drops["additionalProperties"]["propertyNames"]["enum"] = [*REASONS]
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
