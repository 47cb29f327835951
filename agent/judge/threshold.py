"""Budget -> threshold: how often a false alarm may come, and which row of the bundle's table keeps to it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from agent.bundle.manifest import Manifest, ThresholdTable
from agent.judge.chance import by_chance, in_words
from agent.words import AlertHead

Basis = Literal["failures", "intervals", "normal"]
"""What a table of thresholds was measured on, as `ThresholdTable.basis` has it."""

ALARMS_UNSEEN = 3
"""False alarms that the same devices might have given, at 95 %, though none was seen (the rule of three)."""
TIME_IN_ALARM_MAX = 0.1
"""Share of the calibration time that false alarms may stand, where nobody said: one that never ends is not "one"."""
ROUNDING = 1e-9  # what a rate in float64 may be off by, as a share

_UNIT_S = {
    "s": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0,
    "d": 86_400.0, "day": 86_400.0, "w": 604_800.0, "week": 604_800.0, "cycle": 1.0,
}  # fmt: skip
_BUDGET = re.compile(
    r"(?P<alarms>\d+(?:\.\d+)?) per (?P<device>device per )?(?P<count>\d+(?:\.\d+)?)? ?(?P<unit>[a-z]+?)s?"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """False alarms one device may give a second (or a cycle, where it is said in cycles)."""

    text: str
    rate_per_s: float
    time_unit: Literal["s", "cycle"]


class Candidate(NamedTuple):
    """A threshold, and what the judge made of the calibration devices at it; fields as in `ThresholdRow`."""

    threshold: float
    false_alarms: int
    detected: int
    mean_lead_s: float
    false_alarm_s: float | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The threshold for a budget, and what the calibration devices say of it.

    rate_per_s     false alarms a second (or a cycle) of one of them
    extrapolated   they ran too short to vouch for the budget, or gave more false alarms at every threshold
    finest_budget  the finest one that they can vouch for
    warned_of      failures of theirs that were warned of in time
    failures       failures of theirs that could be judged; None where an older bundle does not say
    alarm_share    share of their time that a false alarm stood; None where an older bundle does not say
    time_in_alarm_max  share of it that was allowed
    basis          what the threshold was chosen from
    by_chance      failures that as many alarms at random times would warn of; None where nobody can say
    """

    threshold: float
    rate_per_s: float
    extrapolated: bool
    finest_budget: str
    warned_of: int
    failures: int | None
    alarm_share: float | None
    time_in_alarm_max: float
    basis: Basis
    by_chance: float | None = None

    @property
    def stands_too_long(self) -> bool:
        """At every threshold of the table false alarms stood for longer than was allowed."""
        return self.alarm_share is not None and not is_within(self.time_in_alarm_max, self.alarm_share)

    @property
    def warns_of_nothing(self) -> bool:
        """There were failures or fault intervals to warn of, and none was warned of."""
        return self.basis != "normal" and self.failures != 0 and not self.warned_of


class Judged(NamedTuple):
    """The budget of a head, and the threshold that is chosen for it."""

    budget: Budget
    chosen: Chosen


def default_budget(time_unit: Literal["s", "cycle"]) -> str:
    """What is allowed where nobody said: about what a crew bears before it stops to look."""
    return "1 per 1000 cycles" if time_unit == "cycle" else "1 per device per 30d"


def parse_budget(text: str, *, fleet_size: int) -> Budget:
    """Read "1 per device per 30d", "1 per 1000 cycles" (a device) or "6 per day" (the whole fleet of `fleet_size`).

    `fleet_size` 0 means that nobody said. Raises ValueError that says what is missing or shows the three forms.
    """
    match = _BUDGET.fullmatch(text.strip().lower())
    if match is None or match["unit"] not in _UNIT_S:
        raise ValueError(f'{text!r} is not "1 per device per 30d", "1 per 1000 cycles" or "6 per day" (whole fleet)')
    alarms = float(match["alarms"])
    span_s = float(match["count"] or 1) * _UNIT_S[match["unit"]]
    if alarms <= 0 or span_s <= 0:
        raise ValueError(f"{text!r} allows no false alarm at all: no detector keeps to that")
    of_one_device = match["device"] is not None or match["unit"] == "cycle"
    if not of_one_device and fleet_size < 1:
        raise ValueError(f"{text!r} is a budget for the whole fleet: say how many devices share it (model.fleet_size)")
    devices = 1 if of_one_device else fleet_size
    return Budget(text, alarms / span_s / devices, "cycle" if match["unit"] == "cycle" else "s")


def choose(table: ThresholdTable, budget: Budget, time_in_alarm_max: float = TIME_IN_ALARM_MAX) -> Chosen:
    """The threshold of a bundle's table for the budget, as `chosen_of` has it."""
    candidates = [
        Candidate(row.threshold, row.false_alarms, row.detected, row.mean_lead_s, row.false_alarm_s)
        for row in table.rows
    ]
    chosen = chosen_of(
        candidates, table.exposure_s, table.failures, budget, time_in_alarm_max=time_in_alarm_max, basis=table.basis
    )
    return replace(chosen, by_chance=_by_chance(table, chosen))


def _by_chance(table: ThresholdTable, chosen: Chosen) -> float | None:
    """None without a number of failures, or of an interval's mean length."""
    if not table.failures or (table.basis == "intervals" and table.window_s is None):
        return None
    window_s, watched_s = table.h_max_s - table.h_min_s, table.exposure_s
    if table.window_s is not None:  # exposure is the time outside of the intervals
        window_s, watched_s = table.window_s, watched_s + table.failures * max(table.window_s - table.h_max_s, 0.0)
    alarms = round(chosen.rate_per_s * table.exposure_s) + chosen.warned_of
    return by_chance(alarms, watched_s, [window_s] * table.failures)


def vouched_for(budget: Budget, *tables: ThresholdTable) -> Budget:
    """The budget, or the finest one that the devices of each of the tables can vouch for, where it is finer than that:
    what is compared at a budget that nobody can vouch for is compared by chance.
    """
    finest_per_s = [max(ALARMS_UNSEEN, table.rows[-1].false_alarms) / table.exposure_s for table in tables]
    return replace(budget, rate_per_s=max(budget.rate_per_s, *finest_per_s))


def choose_each(
    manifest: Manifest, budgets: Mapping[AlertHead, str], *, fleet_size: int, time_in_alarm_max: float
) -> dict[AlertHead, Judged]:
    """The threshold of each head that is judged, for its own budget. Raises ValueError when a budget is not one."""
    judged = {}
    for head, (_, thresholds) in manifest.judging.items():
        budget = parse_budget(budgets[head], fleet_size=fleet_size)
        judged[head] = Judged(budget, choose(thresholds, budget, time_in_alarm_max))
    return judged


def chosen_of(
    candidates: Sequence[Candidate],
    exposure_s: float,
    failures: int | None,
    budget: Budget,
    *,
    time_in_alarm_max: float = TIME_IN_ALARM_MAX,
    basis: Basis = "failures",
    of_equals: Literal["lowest", "highest"] = "lowest",
) -> Chosen:
    """The threshold with the longest mean lead of those that, like all above them, kept to the budget and the bound.

    candidates         thresholds, rising, over devices watched for exposure_s > 0 in all
    failures           what there was to warn of: failures, or labelled fault intervals; None where nobody counted
    time_in_alarm_max  share of the exposure that false alarms may stand; no bound where their time was not measured

    Lower is not always earlier: an alert raised before the window is a false alarm and warns of nothing. Of equal leads
    the lowest threshold wins: two failures do not tell thresholds apart, and the budget says what may be spent to warn
    of others sooner. It is the highest one where the devices can't vouch for the budget, or where `of_equals` says so.
    From normal time alone, where no lead is known, it is the lowest. When not even the highest keeps to the budget, it
    is that one, marked `extrapolated`, or `stands_too_long` where only its time is too long.
    """
    finest_per_s = max(ALARMS_UNSEEN, candidates[-1].false_alarms) / exposure_s
    extrapolated = not is_within(budget.rate_per_s, finest_per_s)
    takes_equals = basis == "normal" or (of_equals == "lowest" and not extrapolated)
    best = candidates[-1]
    for row in reversed(candidates):
        if not is_within(budget.rate_per_s, row.false_alarms / exposure_s):
            break
        if not is_within(time_in_alarm_max, (row.false_alarm_s or 0.0) / exposure_s):
            break
        if row.mean_lead_s > best.mean_lead_s or (takes_equals and row.mean_lead_s == best.mean_lead_s):
            best = row
    return Chosen(
        threshold=best.threshold,
        rate_per_s=best.false_alarms / exposure_s,
        extrapolated=extrapolated,
        finest_budget=finest_budget(finest_per_s, budget.time_unit),
        warned_of=best.detected,
        failures=failures,
        alarm_share=None if best.false_alarm_s is None else best.false_alarm_s / exposure_s,
        time_in_alarm_max=time_in_alarm_max,
        basis=basis,
    )


def finest_budget(rate_per_s: float, time_unit: Literal["s", "cycle"]) -> str:
    """The budget a device, in round words that `parse_budget` reads back, that allows `rate_per_s` > 0 and little more.

    "1 per device per 4d", "1 per 660 cycles"; two digits of the largest unit of which it is at least two.
    """
    per, units = ("", ("cycle",)) if time_unit == "cycle" else ("device per ", ("d", "h", "min", "s"))
    unit = next((unit for unit in units if rate_per_s * 2 * _UNIT_S[unit] <= 1 + ROUNDING), units[-1])
    count = 1 / rate_per_s / _UNIT_S[unit] * (1 + ROUNDING / 2)
    if count < 2:
        alarms = max(1, math.ceil(rate_per_s * _UNIT_S[unit] * (1 - ROUNDING / 2)))
        return f"{alarms} per {per}{unit}"
    digit = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    n = math.floor(count / digit) * digit
    return f"1 per {n} cycles" if time_unit == "cycle" else f"1 per {per}{n}{unit}"


def findings(chosen: Chosen) -> dict[str, Any]:
    """What is told of a threshold beside itself, by the names that status, `check --json` and replay.json share."""
    names = ("extrapolated", "finest_budget", "warned_of", "failures", "by_chance", "alarm_share", "time_in_alarm_max")
    return {**{name: getattr(chosen, name) for name in (*names, "basis")}, "verdict": verdict(chosen)}


def verdict(chosen: Chosen, *, is_next: bool = False) -> str:
    """What the calibration devices say of the threshold, in words: what it was chosen from, what it warned of, how long
    false alarms stood, and whether they vouch for the budget.

    is_next  another threshold of the same table was told before: what is known of none of them is not said again
    """
    parts = [_stood(chosen)] if is_next and chosen.basis == "normal" else [_warned(chosen), _stood(chosen)]
    if chosen.extrapolated:
        parts.append(f'the finest budget that the calibration devices can vouch for is "{chosen.finest_budget}"')
    return "; ".join(parts)


def _warned(chosen: Chosen) -> str:
    if chosen.basis == "normal":
        return "this threshold is chosen from normal time alone: nothing is known of what it warns of"
    events = "calibration failures" if chosen.basis == "failures" else "labelled fault intervals"
    n, are = chosen.warned_of or "none", "were" if chosen.warned_of > 1 else "was"
    if chosen.failures is None:
        text = f"{n} of the {events} {are} warned of, and this older bundle does not say how many there were"
    elif chosen.failures:
        text = f"{n} of the {chosen.failures} {events} {are} warned of"
        if chosen.warned_of and chosen.by_chance is not None:
            text += f" ({in_words(chosen.by_chance)})"
    else:
        text = "nothing is known of what is warned of, since no calibration device failed"
    return f"at this threshold {text}"


def _stood(chosen: Chosen) -> str:
    if chosen.alarm_share is None:
        return "time in false alarm: not measured in this older bundle"
    text = f"time in false alarm: {chosen.alarm_share:.1%} of at most {_percent(chosen.time_in_alarm_max)}"
    return f"{text}, and longer at every lower threshold" if chosen.stands_too_long else text


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def is_within(budget_per_s: float, rate_per_s: float) -> bool:
    """Whether a rate, or a share, keeps to what is allowed, but for rounding."""
    return rate_per_s <= budget_per_s * (1 + ROUNDING)
