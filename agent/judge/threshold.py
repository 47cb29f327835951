"""Budget -> threshold: how often a false alarm may come, and which row of the bundle's table keeps to it."""

import re
from dataclasses import dataclass
from typing import Literal

from agent.bundle.manifest import ThresholdTable

_UNIT_S = {
    "s": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0,
    "d": 86_400.0, "day": 86_400.0, "w": 604_800.0, "week": 604_800.0, "cycle": 1.0,
}  # fmt: skip
_BUDGET = re.compile(
    r"(?P<alarms>\d+(?:\.\d+)?) per (?P<device>device per )?(?P<count>\d+(?:\.\d+)?)? ?(?P<unit>[a-z]+?)s?"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """False alarms one device may give a second (or a cycle)."""

    text: str
    rate_per_s: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """The threshold for a budget; `extrapolated` when the calibration devices ran too short to vouch for the budget."""

    threshold: float
    rate_per_s: float
    extrapolated: bool


def default_budget(time_unit: Literal["s", "cycle"]) -> str:
    """What is allowed where nobody said: about what a crew bears before it stops to look."""
    return "1 per 1000 cycles" if time_unit == "cycle" else "1 per device per 30d"


def parse_budget(text: str, *, fleet_size: int) -> Budget:
    """Read "1 per device per 30d", "1 per 1000 cycles" (a device) or "6 per day" (the whole fleet of `fleet_size`).

    `fleet_size` 0 means that nobody said. Raises ValueError that says what is missing or shows the three forms.
    """
    found = _BUDGET.fullmatch(text.strip().lower())
    if found is None or found["unit"] not in _UNIT_S:
        raise ValueError(f'{text!r} is not "1 per device per 30d", "1 per 1000 cycles" or "6 per day" (whole fleet)')
    alarms = float(found["alarms"])
    span_s = float(found["count"] or 1) * _UNIT_S[found["unit"]]
    if alarms <= 0 or span_s <= 0:
        raise ValueError(f"{text!r} allows no false alarm at all: no detector keeps to that")
    of_one_device = found["device"] is not None or found["unit"] == "cycle"
    if not of_one_device and fleet_size < 1:
        raise ValueError(f"{text!r} is a budget for the whole fleet: say how many devices share it (model.fleet_size)")
    devices = 1 if of_one_device else fleet_size
    return Budget(text, alarms / span_s / devices)


def choose(table: ThresholdTable, budget: Budget) -> Chosen:
    """The threshold with the longest mean lead of those that, like all above them, kept to the budget.

    Lower is not always earlier: an alert raised before the window is a false alarm and warns of nothing. Of equal leads
    the higher threshold wins. When not even the highest keeps to the budget, it is that one, marked `extrapolated`.
    """
    best = table.rows[-1]
    keeps = False
    for row in reversed(table.rows):
        if row.false_alarms / table.exposure_s > budget.rate_per_s:
            break
        keeps = True
        if row.mean_lead_s > best.mean_lead_s:
            best = row
    too_fine = budget.rate_per_s < 3 / table.exposure_s
    return Chosen(best.threshold, best.false_alarms / table.exposure_s, extrapolated=too_fine or not keeps)
