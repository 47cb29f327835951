"""The reasons of agent/reasons.py and the recipes of tests/data/recipes in docs, made by `make docs`.

In docs/sources.md the tables between `<!-- reasons -->` or `<!-- recipes -->` and `<!-- end -->`, and in the status
schema the names that may stand under `drops` and its description.
"""

import json
import re
from pathlib import Path

from agent.reasons import REASONS

RECIPES = Path(__file__).parents[1] / "tests" / "data" / "recipes"
BLOCK = re.compile(r"(<!-- (reasons|recipes) -->\n).*?(<!-- end -->)", re.DOTALL)
TITLE = re.compile(r"# (.+): (https://\S+)")


def page(text: str) -> str:
    """The page `text` with the tables as code and recipes have them."""
    tables = {"reasons": reasons, "recipes": recipes}
    return BLOCK.sub(lambda found: f"{found[1]}{tables[found[2]]()}{found[3]}", text)


def recipes() -> str:
    """A line a recipe: the publisher, the lines of the source but for its name, and its first channel."""
    rows = ""
    for path in sorted(RECIPES.glob("*/source.toml")):
        title, _, _, *lines = path.read_text().splitlines()
        publisher, url = TITLE.fullmatch(title).groups()  # type: ignore[union-attr]  # the test of recipes holds it
        at = lines.index("[source.channels]")
        needs = "<br>".join(f"`{line}`" for line in lines[:at] if not line.startswith("report_extra"))
        rows += f"| [{publisher}]({url}) | {needs} | `{lines[at + 1]}` |\n"
    return f"| publisher | what its source needs | a channel |\n|---|---|---|\n{rows}"


def reasons() -> str:
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
