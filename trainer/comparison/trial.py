"""One method once on the played devices: what came of each failure or fault interval, and the price in false alarms.

Where a played device failed, failures are what counts; else labelled fault intervals; else there is nothing to warn of,
and false alarms alone are counted. Never point-adjusted scores: one alert in a long interval is one detection, and an
alert that stands for ever is many false alarms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.bundle.manifest import ThresholdTable
from agent.judge.threshold import Basis, Budget, Chosen
from agent.score import fault_intervals
from agent.score.early_warning import ObservedDevice
from trainer.data.history import Float64, History
from trainer.evaluation.interval_table import interval_table, labelled
from trainer.evaluation.normal_table import normal_table
from trainer.evaluation.threshold_sweep import Rules, early_warning, table_over


class Outcome(NamedTuple):
    """Of one failure or interval; lead_s is how long before its failure or its end the first alert came, 0 for none."""

    device: str
    detected: bool
    lead_s: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it.

    outcomes        of all failures, or intervals, in the same order for every method
    n_at_equal      of them that the method could have detected with no more real false alarms than the budget allows:
                    the best threshold by the played devices themselves, so it compares scores, and no budget is kept
    setting         of the method's own parameters
    n_tried         how many settings there were
    """

    chosen: Chosen
    outcomes: tuple[Outcome, ...]
    false_alarms: int
    false_alarm_s: float
    exposure_s: float
    n_at_equal: int = 0
    setting: str = ""
    n_tried: int = 0


def basis_of(histories: Sequence[History]) -> Basis:
    """What there is to warn of on these devices."""
    if any(history.failed for history in histories):
        return "failures"
    return "intervals" if any(len(history.faults) for history in histories) else "normal"


def table_of_scores(scores: Sequence[Float64], histories: Sequence[History], rules: Rules) -> ThresholdTable:
    """Thresholds over the devices of the fit, from what they know. Raises DataRefused where nothing can be measured."""
    tables = {"failures": table_over, "intervals": interval_table, "normal": normal_table}
    return tables[basis_of(histories)](scores, histories, rules)


def n_detected_at_equal(scores: Sequence[Float64], histories: Sequence[History], rules: Rules, budget: Budget) -> int:
    """The most events detected at a threshold whose real false alarms the budget allows; 0 where nothing can be."""
    if basis_of(histories) == "normal":
        return 0
    table = table_of_scores(scores, histories, rules)
    return max(
        (row.detected for row in table.rows if row.false_alarms <= budget.rate_per_s * table.exposure_s), default=0
    )


def trial_of(
    chosen: Chosen, fleet: Sequence[ObservedDevice], histories: Sequence[History], rules: Rules, starts_s: Float64
) -> Trial:
    """The outcome of the alerts of a fleet; `starts_s` float64 [devices]: with fault intervals, time before does not
    count, since a device's own normal is learned then.
    """
    if basis_of(histories) == "intervals":
        measured = fault_intervals.measure(
            [*map(labelled, fleet, histories, starts_s.tolist())], h_max_s=rules.h_max_s, early_s=rules.h_max_s
        )
        outcomes = tuple(
            Outcome(
                interval.device,
                interval.outcome == "detected",
                interval.end_s - interval.start_s - interval.delay_s if interval.outcome == "detected" else 0.0,
            )
            for interval in measured.intervals
            if interval.outcome != "cut_off"
        )
        return Trial(chosen, outcomes, measured.false_alarms, measured.false_alarm_s, measured.exposure_s)
    result = early_warning(fleet, rules)
    outcomes = tuple(
        Outcome(one.device, one.outcome == "detected", one.lead_s)
        for one in result.devices
        if one.outcome in ("detected", "missed")
    )
    return Trial(chosen, outcomes, result.false_alarms, result.false_alarm_s, result.exposure_s)
