"""What a bundle says of itself: `manifest.json` as closed structs.

Times are seconds; a bundle with `time_unit = "cycle"` counts one second a cycle, and only what is printed differs.
"""

import math
from typing import Literal, NamedTuple

import msgspec

from agent.sources import SourceChannel
from agent.words import AlertHead

SCHEMA_VERSION = 1
DUE = 0.95  # of the cadence
CLOSEST_UNSAID = 0.5  # of the cadence, where a bundle does not say how close its rows were


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct that refuses what it does not know."""


class CreatedFrom(Closed, frozen=True):
    """Enough to make the bundle again.

    adapted_from  digest of the bundle whose thresholds were changed by what people said of its alerts, "" for none
    """

    data_sha256: str
    config: str
    code_version: str
    seed: int
    fit_devices: tuple[str, ...]
    calibrate_devices: tuple[str, ...]
    play_devices: tuple[str, ...]
    adapted_from: str = ""


class Channel(Closed, frozen=True):
    """One input column of `x`, and what stood for its values in the recordings; the agent reads payloads likewise.

    low, high      its range over the training devices
    missing        numbers that stood for no value
    words          texts that stood for numbers
    missing_words  texts that stood for no value
    column         its column there, "" for its name
    steady_max_s   longest that one value stood unchanged on a fit or calibration device, from its first to its last row
    absent_max_s   longest from a row with a value, or a device's first, to a row without one; None in a bundle made
                   before these two were measured
    event          its value counts events since the row before, such as error codes; none is 0, and nothing is missing
    """

    name: str
    unit: str
    description: str
    low: float
    high: float
    may_be_missing: bool = False
    missing: tuple[float, ...] = ()
    words: dict[str, float] = {}
    missing_words: tuple[str, ...] = ()
    column: str = ""
    steady_max_s: float | None = None
    absent_max_s: float | None = None
    event: bool = False

    @property
    def recorded(self) -> SourceChannel:
        """How a table of recordings has it."""
        no_value = ((word, math.nan) for word in self.missing_words)
        words = (*self.words.items(), *no_value)
        return SourceChannel(self.column or self.name, self.missing, words, event="" if self.event else None)


class RunsWhile(Closed, frozen=True):
    """When a machine runs: while `channel` is above a value, from `after_s` after it rose above it.

    Rows of other times were left out of the training, and are not stepped. `channel` may be none of the model's.
    """

    channel: Channel
    above: float
    after_s: float


class Cadence(Closed, frozen=True):
    """Rows come every `every_s`; more than twice that since the last row is a `gap`, beyond `dt_max_s` lost history.

    least_s  closest that rows came in training; 0 in a bundle that does not say
    """

    every_s: float
    dt_max_s: float
    least_s: float = 0.0

    @property
    def closest_s(self) -> float:
        """A row that comes sooner after the one before it is not stepped: the model never learnt such steps."""
        return self.least_s or CLOSEST_UNSAID * self.every_s

    @property
    def due_s(self) -> float:
        """And after a row that came sooner still, one waits for the cadence: what is stepped comes as in training."""
        return DUE * self.every_s


class StateBlock(Closed, frozen=True):
    """One named run of columns in `state`: zeros for a device of unknown age, `new` for one that is known to be new.

    kept  it outlasts lost history, as what was learnt of the device's own normal does; a new life ends it
    """

    name: str
    size: int
    new: float = 0.0
    kept: bool = False


class Numerics(Closed, frozen=True):
    """`exact`: equal to the bit for any batch on one machine. `tolerance`: golden values may differ by this much."""

    kind: Literal["exact", "tolerance"]
    tolerance: float


class RiskHead(Closed, frozen=True):
    """`risk` float32 [b, K]: calibrated P(fault within horizon k), non-decreasing in k."""

    horizons_s: tuple[float, ...]


class RulHead(Closed, frozen=True):
    """`rul` float32 [b, Q]: quantiles of remaining useful life; trained on min(RUL, cap_s)."""

    quantiles: tuple[float, ...]
    cap_s: float


class JudgePolicy(Closed, frozen=True):
    """How scores become alerts. Fixed with the bundle, since the threshold table was measured under it.

    horizon         index into `risk.horizons_s` of the probability that is compared with the threshold; 0 for `anomaly`
    m, n            raise after m of the last n `ok` rows over the threshold
    clear_ratio     clear under threshold * clear_ratio ...
    clear_after_s   ... for this long in event time
    severity_risk   risk at a shorter horizon from which severity rises; `anomaly` does not use it
    """

    horizon: int
    m: int
    n: int
    clear_ratio: float
    clear_after_s: float
    severity_risk: float


class ThresholdRow(Closed, frozen=True):
    """The judge's own record at one threshold over the calibration devices.

    false_alarms   one that stands longer than h_max counts again for each h_max (agent/score/early_warning.py)
    false_alarm_s  how long they stood; None in a bundle made before that was measured, where each counts once
    """

    threshold: float
    false_alarms: int
    rate_upper95_per_s: float
    detected: int
    mean_lead_s: float
    false_alarm_s: float | None = None


class ThresholdTable(Closed, frozen=True):
    """One row a threshold, rising. True alerts fall in [t_fail - h_max_s, t_fail - h_min_s].

    failures  of the calibration devices that could be judged, or labelled fault intervals; None in a bundle made before
              they were counted
    basis     what thresholds were measured on: lives that end in failures, labelled fault intervals, or nothing but
              time that is taken for normal, where nobody knows what is warned of and `detected` is 0
    window_s  mean time in which an alert tells of a labelled fault interval: from h_max_s before it to its end; None
              where alerts tell of failures
    """

    h_max_s: float
    h_min_s: float
    exposure_s: float
    n_devices: int
    rows: tuple[ThresholdRow, ...]
    failures: int | None = None
    basis: Literal["failures", "intervals", "normal"] = "failures"
    window_s: float | None = None


class Chart(Closed, frozen=True):
    """A control chart in the graph: a residual a channel, smoothed and squared over its own variance on the device.

    residual  of the channel's level; of its exponential smoothing; of a forecast by the net; or of events
    ahead     rows that the forecast looks ahead, 0 for the others
    rate      of the smoothing, above 0 and at most 1, which smooths nothing
    mix       over the channels
    scale     what the chart seldom exceeds in normal time, over all devices; equally often as the others do
    share     of the raises on calibration devices, or of the rows over `scale` where there is none: how often it leads
    """

    residual: Literal["level", "smoothing", "forecast", "event"]
    ahead: int
    rate: float
    mix: Literal["max", "mean"]
    scale: float
    share: float


class AnomalyHead(Closed, frozen=True):
    """`anomaly` float32 [b, 1]: the greatest of the charts, each over its own scale; negative while it learns.

    learning_rows  from which a device's own normal is learnt
    """

    charts: tuple[Chart, ...]
    learning_rows: int
    policy: JudgePolicy
    thresholds: ThresholdTable


class Judging(NamedTuple):
    """How a head's values become alerts, and what that was measured to give."""

    policy: JudgePolicy
    thresholds: ThresholdTable


class Member(Closed, frozen=True):
    """Size and digest of another file in the bundle."""

    sha256: str
    size_bytes: int


class Manifest(Closed, frozen=True):
    """The whole of `manifest.json`. It has `risk`, `anomaly` or both; `judge` and `thresholds` are those of `risk`.

    lives_s     lives of the fit and calibration devices that failed
    unfailed_s  how long those that did not fail were watched; empty in a bundle made before that was kept
    runs        None: every row is stepped
    """

    schema_version: int
    name: str
    version: str
    created_from: CreatedFrom
    trained_for: Literal["from_new", "joined"]
    time_unit: Literal["s", "cycle"]
    channels: tuple[Channel, ...]
    out_of_domain_margin: float
    cadence: Cadence
    state: tuple[StateBlock, ...]
    warmup_rows: int
    numerics: Numerics
    risk: RiskHead | None
    rul: RulHead | None
    judge: JudgePolicy | None
    thresholds: ThresholdTable | None
    lives_s: tuple[float, ...]
    metrics: dict[str, float]
    members: dict[str, Member]
    unfailed_s: tuple[float, ...] = ()
    anomaly: AnomalyHead | None = None
    runs: RunsWhile | None = None

    @property
    def inputs(self) -> tuple[Channel, ...]:
        """What is read of a source: the channels of `x`, and behind them the one of `runs` where it is another."""
        if self.runs is None or any(one.name == self.runs.channel.name for one in self.channels):
            return self.channels
        return (*self.channels, self.runs.channel)

    @property
    def judging(self) -> dict[AlertHead, Judging]:
        """Of each head that raises alerts, `risk` first."""
        heads: dict[AlertHead, Judging] = {}
        if self.judge is not None and self.thresholds is not None:
            heads["risk"] = Judging(self.judge, self.thresholds)
        if self.anomaly is not None:
            heads["anomaly"] = Judging(self.anomaly.policy, self.anomaly.thresholds)
        return heads

    @property
    def horizons_s(self) -> tuple[float, ...]:
        """Of `risk`, none where it has none."""
        return self.risk.horizons_s if self.risk is not None else ()

    @property
    def n_channels(self) -> int:
        return len(self.channels)

    @property
    def state_size(self) -> int:
        return sum(block.size for block in self.state)

    @property
    def new_state(self) -> tuple[float, ...]:
        """The state that a device starts with when it is known to be new, a value a column."""
        return tuple(block.new for block in self.state for _ in range(block.size))
