"""What a bundle must achieve in a replay, as `--require` says it, and whether it did: the gate of a pipeline."""

import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.replay.result import Replay, by_head
from agent.replay.wording import detection
from agent.score.fault_intervals import FaultDetection
from agent.score.time_unit import Unit
from agent.values.durations import parse_duration
from agent.words import AlertHead

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_FORM = re.compile(
    rf"\s*(?:(?P<head>\w+)\.)?(?P<name>\w+)\s*(?P<operator>{'|'.join(OPERATORS)})\s*(?P<value>[^<>=\s].*)"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a replay that may be required. `of` gives its value and what to tell of it; `concerns` the devices
    that are to blame when it is not as required; `lacks` says why there may be none."""

    meaning: str
    of: Callable[[Replay, Unit], tuple[float, str]]
    concerns: Callable[[Replay], tuple[str, ...]]
    is_time: bool = False
    lacks: str = "no failure could be judged"


def _missed(replay: Replay) -> tuple[str, ...]:
    return replay.early_warning.strict.missed


def _with_false_alarms(replay: Replay) -> tuple[str, ...]:
    return tuple(one.device for one in replay.early_warning.devices if one.false_alarms)


def _with_untold_faults(replay: Replay) -> tuple[str, ...]:
    faults = replay.fault_intervals.intervals if replay.fault_intervals else ()
    return tuple(dict.fromkeys(one.device for one in faults if one.outcome in ("missed", "standing")))


def _share(value: float, replay: Replay) -> tuple[float, str]:
    return value, f"{value:.4g} ({detection(replay.early_warning.strict, replay.early_warning.failures)})"


def _of_faults(
    value: Callable[[FaultDetection], float], text: Callable[[float], str], replay: Replay
) -> tuple[float, str]:
    """A figure of the labelled fault intervals, NaN where there are none."""
    found = math.nan if replay.fault_intervals is None else value(replay.fault_intervals)
    return found, text(found)


def _time(value_s: float, unit: Unit) -> tuple[float, str]:
    return value_s, unit.text(value_s)


def _count(value: int) -> tuple[float, str]:
    return value, str(value)


def _false_alarm_rate(replay: Replay) -> tuple[float, str]:
    """In the words of the budget: "1 per 1000 cycles" asks how many there were per 1000 cycles."""
    alarms, _, exposure = replay.limit.budget.strip().partition(" per ")
    rate = replay.early_warning.false_alarms_per_s / replay.limit.rate_per_s * float(alarms)
    return rate, f"{rate:.4g} per {exposure}"


FIGURES = {
    "detection": Figure(
        "share of the failures warned of in time",
        lambda replay, _: _share(replay.early_warning.strict.detection_rate, replay),
        _missed,
    ),
    "detection_low": Figure(
        "lower 95 % bound of that share",
        lambda replay, _: _share(replay.early_warning.strict.detection_rate_95.low, replay),
        _missed,
    ),
    "mean_lead": Figure(
        "mean lead, a missed failure counting as 0",
        lambda replay, unit: _time(replay.early_warning.strict.mean_lead_s, unit),
        _missed,
        is_time=True,
    ),
    "median_lead": Figure(
        "median lead, a missed failure counting as 0",
        lambda replay, unit: _time(replay.early_warning.strict.median_lead_s, unit),
        _missed,
        is_time=True,
    ),
    "missed": Figure(
        "failures not warned of in time", lambda replay, _: _count(len(replay.early_warning.strict.missed)), _missed
    ),
    "late": Figure(
        "devices with an alert that came too late",
        lambda replay, _: _count(len(replay.early_warning.late)),
        lambda replay: replay.early_warning.late,
    ),
    "false_alarms": Figure(
        "false alarms in all", lambda replay, _: _count(replay.early_warning.false_alarms), _with_false_alarms
    ),
    "false_alarm_rate": Figure(
        "false alarms per exposure of the budget, as in 1 per 1000 cycles",
        lambda replay, _: _false_alarm_rate(replay),
        _with_false_alarms,
    ),
    "false_alarm_share": Figure(
        "share of the time watched that a false alarm stood",
        lambda replay, _: (replay.early_warning.false_alarm_share, f"{replay.early_warning.false_alarm_share:.4g}"),
        _with_false_alarms,
    ),
    "failures": Figure(
        "failures that could be judged", lambda replay, _: _count(replay.early_warning.failures), lambda _: ()
    ),
    "fault_detection": Figure(
        "share of the labelled faults (--faults) told of",
        lambda replay, _: _of_faults(lambda faults: faults.strict.detection_rate, "{:.4g}".format, replay),
        _with_untold_faults,
        lacks="no labelled fault could be judged",
    ),
    "fault_delay": Figure(
        "mean time from the start of a fault to its first alert",
        lambda replay, unit: _of_faults(lambda faults: faults.strict.mean_delay_s, unit.text, replay),
        _with_untold_faults,
        is_time=True,
        lacks="no labelled fault was told of",
    ),
    "faults": Figure(
        "labelled faults that could be judged",
        lambda replay, _: _of_faults(lambda faults: float(faults.faults), "{:g}".format, replay),
        lambda _: (),
        lacks="no labelled faults were given (--faults)",
    ),
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One of them; `limit` is in the figure's own unit, seconds (or cycles) for a time.

    head  whose alerts it asks of, None for the first head that the bundle has
    """

    head: AlertHead | None
    name: str
    operator: str
    limit: float
    text: str

    @classmethod
    def parse(cls, text: str, *, counts_cycles: bool, heads: Iterable[AlertHead] = ()) -> "Requirement":
        """Read "detection>=0.95", "mean_lead > 48h", for cycles "mean_lead>=30", or with one of the bundle's judged
        heads "anomaly.missed == 0". Raises ValueError.
        """
        parts = _FORM.fullmatch(text)
        if parts is None:
            raise ValueError(
                f"{text!r} is not NAME OPERATOR VALUE, as in detection>=0.95, with one of {' '.join(OPERATORS)}"
            )
        name, value = parts["name"], parts["value"].strip()
        head = next((head for head in heads if head == parts["head"]), None)
        if parts["head"] and head is None:
            raise ValueError(f"{parts['head']!r} in {text!r} is no head of the bundle; it has {', '.join(heads)}")
        if name not in FIGURES:
            raise ValueError(f"{name!r} in {text!r} is no figure of a replay; there are {', '.join(FIGURES)}")
        limit = _limit(value, is_time=FIGURES[name].is_time, counts_cycles=counts_cycles)
        if limit is None:
            times = ", or a duration such as 48h" if FIGURES[name].is_time and not counts_cycles else ""
            raise ValueError(f"{value!r} in {text!r} is not a number{times}")
        asked = f"{head}.{name}" if head else name
        return cls(head, name, parts["operator"], limit, f"{asked} {parts['operator']} {value}")


@dataclass(frozen=True, slots=True)
class Checked:
    """A requirement and what came of it. `blamed`: the devices that it was not met for, empty when it was."""

    requirement: Requirement
    is_met: bool
    measured: str
    blamed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'met' if self.is_met else 'FAILED':<7}{self.requirement.text}: {self.measured}"


def check(requirement: Requirement, replay: Replay, unit: Unit) -> Checked:
    """Whether it is met. A figure that cannot be given, as the detection among no failures, meets nothing."""
    figure = FIGURES[requirement.name]
    of_head = by_head(replay)[requirement.head] if requirement.head else replay
    value, measured = figure.of(of_head, unit)
    if math.isnan(value):
        return Checked(requirement, False, f"not measured: {figure.lacks}", ())
    is_met = OPERATORS[requirement.operator](value, requirement.limit)
    return Checked(requirement, is_met, measured, () if is_met else figure.concerns(of_head))


def _limit(text: str, *, is_time: bool, counts_cycles: bool) -> float | None:
    """The number of a text, None when it holds none."""
    try:
        number = float(text)
    except ValueError:
        if not is_time or counts_cycles:
            return None
        try:
            return parse_duration(text).total_seconds()
        except ValueError:
            return None
    return number if math.isfinite(number) else None
