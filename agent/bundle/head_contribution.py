"""`contribution` float32 [b, F]: each channel's share of the chart that `anomaly` is from; zeros while it learns."""

from typing import Any

from agent.bundle.head import Head, shortest
from agent.words import BundleLabel

CHANNELS_SHOWN = 5


def _members(contribution: tuple[float, ...], label: BundleLabel) -> dict[str, Any]:
    """The channels with the greatest shares, the greatest first; nothing where none has one."""
    by_share = sorted(zip(contribution, label.channels, strict=False), key=lambda pair: pair[0], reverse=True)
    shown = [{"channel": name, "share": shortest(share)} for share, name in by_share[:CHANNELS_SHOWN] if share > 0]
    return {"contribution": shown} if shown else {}


CONTRIBUTION = Head(
    width=lambda manifest: 0 if manifest.anomaly is None else manifest.n_channels,
    faults=lambda manifest: iter(()),
    members=_members,
)
