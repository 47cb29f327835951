"""Writes the table of methods into docs/baselines.md, from what each of `trainer/baselines` says of itself.

It stands between `<!-- methods -->` and `<!-- end -->`.
"""

import re

from trainer.baselines import IN_USE
from trainer.baselines.methods import BASELINES

BLOCK = re.compile(r"(<!-- methods -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str) -> str:
    """The page `text` with the table as the lists have it."""
    return BLOCK.sub(lambda match: f"{match[1]}{table()}{match[2]}", text)


def table() -> str:
    """A row a method; those that `evaluate` has too first."""
    rows = ["| method | score | after | tuned | by | draws |", "|---|---|---|---|---|---|"]
    for name, one in BASELINES.items():
        shown = f"**`{name}`**" if name in IN_USE else f"`{name}`"
        draws = "yes" if one.is_seeded else ""
        rows.append(f"| {shown} | {one.score} | {one.after} | {one.tuned} | {one.library} | {draws} |")
    return "\n".join(rows) + "\n"
