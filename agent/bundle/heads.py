"""Every head that a model may have, by the name of its output. A new one is a file and a line here.

docs/ARCHITECTURE.md says what else a head may need.
"""

from agent.bundle.head import Head, Judged
from agent.bundle.head_risk import RISK
from agent.bundle.head_rul import RUL
from agent.bundle.manifest import Manifest

HEADS: dict[str, Head] = {
    "risk": RISK,
    "rul": RUL,
}


def widths(manifest: Manifest) -> dict[str, int]:
    """The heads of a model, and how many columns each has; in the order in which an engine returns them."""
    return {name: width for name, head in HEADS.items() if (width := head.width(manifest))}


def judged_head(manifest: Manifest) -> tuple[str, Judged]:
    """The head whose alerts are raised: the first that is judged of those that the model has."""
    return next((name, judged) for name in widths(manifest) if (judged := HEADS[name].judged) is not None)
