"""`rul` float32 [b, Q]: quantiles of the remaining useful life, in seconds or cycles. It is told, not judged."""

from collections.abc import Iterator
from typing import Any

from agent.bundle.bounds import QUANTILES_MAX, TIME_S_MAX, rising_faults
from agent.bundle.head import Head, shortest
from agent.bundle.manifest import Manifest
from agent.words import BundleLabel


def _members(rul: tuple[float, ...], label: BundleLabel) -> dict[str, Any]:
    """The outermost quantiles and the one nearest the middle; the longest it can say is `at_most`."""
    if not rul or not label.quantiles:
        return {}
    middle = min(range(len(label.quantiles)), key=lambda index: abs(label.quantiles[index] - 0.5))
    low, expected, high = (shortest(rul[index]) for index in (0, middle, -1))
    unit = "cycles" if label.time_unit == "cycle" else "s"
    return {"time_to_fault": {"expected": expected, "low": low, "high": high, "at_most": label.cap_s, "unit": unit}}


def _faults(manifest: Manifest) -> Iterator[str]:
    if manifest.rul is not None:
        yield from rising_faults("rul.quantiles", manifest.rul.quantiles, QUANTILES_MAX, 1.0)
        if not 0 < manifest.rul.cap_s <= TIME_S_MAX:
            yield f"rul.cap_s is {manifest.rul.cap_s}, must be > 0"


RUL = Head(
    width=lambda manifest: len(manifest.rul.quantiles) if manifest.rul else 0,
    faults=_faults,
    members=_members,
)
