"""`learned` float32 [b, 1]: how far a device's own normal lies from that of all devices; 0 while it learns.

In units of the farthest 1 % of the rows that other devices learnt from: above 1 the rows that it learnt from were
unusual, so that a fault may have been among them, and counts as normal now.
"""

from typing import Any

from agent.bundle.head import Head
from agent.words import Bool, BundleLabel, Float32

UNUSUAL = 1.0


def is_unusual(learned: Float32) -> Bool:
    """bool [b]: the device's own normal was learnt from unusual rows."""
    unusual: Bool = learned[:, 0] > UNUSUAL
    return unusual


def _members(learned: tuple[float, ...], label: BundleLabel) -> dict[str, Any]:
    return {"learned_from_unusual_rows": True} if learned and learned[0] > UNUSUAL else {}


LEARNED = Head(
    width=lambda manifest: 0 if manifest.anomaly is None else 1,
    faults=lambda manifest: iter(()),
    members=_members,
)
