"""Every head that a model may have, by the name of its output. A new one is a file and a line here.

docs/heads.md says what else a head may need.
"""

from agent.bundle.head import Head, Judged
from agent.bundle.head_anomaly import ANOMALY
from agent.bundle.head_contribution import CONTRIBUTION
from agent.bundle.head_learned import LEARNED
from agent.bundle.head_risk import RISK
from agent.bundle.head_rul import RUL
from agent.bundle.manifest import Manifest
from agent.words import AlertHead

HEADS: dict[str, Head] = {
    "risk": RISK,
    "rul": RUL,
    "anomaly": ANOMALY,
    "contribution": CONTRIBUTION,
    "learned": LEARNED,
}


def widths(manifest: Manifest) -> dict[str, int]:
    """The heads of a model, and how many columns each has; in the order in which an engine returns them."""
    return {name: width for name, head in HEADS.items() if (width := head.width(manifest))}


def judged_heads(manifest: Manifest) -> dict[AlertHead, Judged]:
    """The heads that raise alerts, of those that the model has; each has its policy in `manifest.judging`."""
    return {name: judged for name in manifest.judging if (judged := HEADS[name].judged) is not None}
