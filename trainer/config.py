"""The training TOML as closed, frozen models: every key has a default, a bound and a sentence.

A time is a number in the data's own unit (cycles for C-MAPSS, seconds for pumps) or a text such as "72h". A bundle
stores seconds, one second a cycle.
"""

from typing import Annotated, Any, Literal, Self, Union

from pydantic import Field, GetPydanticSchema, model_validator

from agent.bundle.manifest_rules import WINDOW_MAX
from agent.table.lives.section import Section, Span
from trainer.data.check import Requirements
from trainer.data.dataset import DATASETS, DataSet
from trainer.data.runs import Runs
from trainer.data.section import listed
from trainer.data.split import Split

AHEAD_MAX = 128
LEARNING_ROWS = 400
CLEAR_ROWS = 30
HeadName = Literal["risk", "anomaly"]


class Grouping(Section):
    """Channels that say to which group a row belongs, which are read beside `data.channels` and not scaled."""

    by: tuple[str, ...] = Field(default=(), description="The channels; none = there are no groups.")
    count: int = Field(default=1, ge=1, le=64, description="How many groups the fit devices' rows are parted into.")


class Model(Section):
    """The streaming network."""

    cell: str = Field(default="lstm", description="What a layer is made of; docs/cells.md has the names.")
    hidden: int = Field(default=64, ge=4, le=512, description="Width of each layer.")
    layers: int = Field(default=2, ge=1, le=4)
    clip_sigma: float = Field(default=4.0, gt=0, description="A scaled channel is clipped here.")
    mean_rates: tuple[float, float] = Field(default=(0.05, 0.02), description="Rates of the two running means.")
    reads_means: bool = Field(default=True, description="The network reads the two means beside the row itself.")
    age_unit: float = Field(default=200.0, gt=0, description="Rows' worth of time seen are divided by this.")
    cadence: Span = Field(default=1.0, gt=0, description="Time between rows.")
    dt_max: Span = Field(default=60.0, gt=0, description="A longer silence is lost history.")

    @model_validator(mode="after")
    def _a_row_is_no_lost_history(self) -> Self:
        if self.dt_max < self.cadence:
            what = f"dt_max ({self.dt_max:g}) is below cadence ({self.cadence:g}): every row would follow lost history"
            raise ValueError(f"{what}; set dt_max to the longest silence after which a state still holds")
        return self


class Train(Section):
    """One run of the loop."""

    epochs: int = Field(
        default=150, ge=1, le=20_000, description="Times that each life is learnt from; longer ones fewer times."
    )
    batch: int = Field(default=10, ge=1, description="Whole histories a step.")
    learning_rate: float = Field(default=6e-3, gt=0, description="Peak of the one-cycle schedule.")
    weight_decay: float = Field(default=1e-2, ge=0)
    clip_norm: float = Field(default=1.0, gt=0, description="Largest norm of a step's gradient; inf = any.")
    truncate: int = Field(default=2000, ge=0, description="Rows that errors travel back; the state goes on. 0 = all.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Between the layers.")
    init: Literal["torch", "forget_one", "chrono"] = Field(default="forget_one", description="Start of the weights.")
    chrono_max: float = Field(default=100.0, gt=2, description="Longest memory that `chrono` starts with, in rows.")
    average: float = Field(default=0.99, ge=0, lt=1, description="Decay of the averaged weights; 0 = the last ones.")
    rounded_epochs: int = Field(default=0, ge=0, description="Last epochs, with products rounded as int8 rounds them.")
    multi_task: float = Field(default=0.0, ge=0, le=1, description="How much interval and hazards teach the states.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(default="fp32", description="Of products; fp16 needs CUDA.")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="cuda is quicker and not bit for bit the same.")
    patience: int = Field(default=0, ge=0, description="Stop after so many epochs without a better warning; 0 = never.")
    above_cap_share: float = Field(default=0.15, gt=0, lt=1, description="Loss share of rows beyond `rul.cap`.")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.precision == "fp16" and self.device != "cuda":
            raise ValueError('precision fp16 needs device = "cuda"; on the CPU there is bf16')
        if self.patience and self.rounded_epochs:
            raise ValueError("with patience the last epochs may never come, and rounded_epochs are the last ones")
        return self


class Augment(Section):
    """Fresh at every visit of a training history; never used on any other."""

    probability: float = Field(default=0.8, ge=0, le=1)
    smooth_rows: float = Field(default=6.0, gt=0, description="Width of the smoother that parts wear from noise.")
    warp: tuple[float, float] = Field(default=(0.8, 1.25), description="A life is stretched by a factor from here.")
    join_share: float = Field(default=0.35, ge=0, le=1, description="Share that starts in mid-life; 0 = bench only.")
    join_rows_max: int = Field(default=160, ge=1, description="Most rows such a history loses at its start.")
    cut_share: float = Field(default=0.0, ge=0, le=1, description="Share of histories that end before the failure.")


class Distill(Section):
    """`forewarn-train distill`: a large network that looks ahead teaches the small one its estimates."""

    teacher_hidden: int = Field(default=256, ge=4, le=2048, description="Width of its layers, each way in time.")
    teacher_layers: int = Field(default=1, ge=1, le=4)
    teacher_epochs: int = Field(default=150, ge=1)
    share: float = Field(default=0.8, gt=0, le=1, description="Weight of the teacher; the truth has the rest.")


class Risk(Section):
    """P(fault within each horizon)."""

    horizons: tuple[Span, ...] = Field(default=(15.0, 30.0, 60.0), min_length=1)

    @model_validator(mode="after")
    def _horizons_rise(self) -> Self:
        if any(a >= b for a, b in zip((0.0, *self.horizons), self.horizons, strict=False)):
            raise ValueError(f"horizons {listed(self.horizons)} must be positive and rise")
        return self


class Rul(Section):
    """Remaining useful life: the estimate and an interval around it."""

    cap: Span = Field(default=125.0, gt=0, description="Longer lives are trained as this.")
    low: float = Field(default=0.05, gt=0, lt=0.5)
    high: float = Field(default=0.95, gt=0.5, lt=1)


class Judge(Section):
    """How scores become alerts, and what counts as a true one."""

    horizon: Span = Field(default=60.0, gt=0, description="Horizon of the risk that is compared.")
    m: int = Field(default=2, ge=1)
    n: int = Field(default=3, ge=1, le=WINDOW_MAX)
    clear_ratio: float = Field(default=0.8, gt=0, le=1)
    clear_after: Span = Field(default=10.0, ge=0)
    severity_risk: float = Field(default=0.5, gt=0, lt=1)
    h_max: Span = Field(default=60.0, gt=0, description="An alert earlier than this before the fault is false.")
    h_min: Span = Field(default=5.0, ge=0, description="An alert later than this before the fault is late.")
    thresholds: int = Field(default=60, ge=2, le=1000, description="Rows of the threshold table.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.m > self.n:
            raise ValueError(f"m ({self.m}) is above n ({self.n}): no alert could be raised")
        if self.h_min >= self.h_max:
            raise ValueError(f"h_min ({listed([self.h_min])}) must be below h_max ({listed([self.h_max])})")
        return self


class ChartKeys(Section):
    """One chart of `anomaly.charts`."""

    residual: Literal["level", "smoothing", "forecast", "event"] = Field(description="What is followed.")
    ahead: int = Field(default=0, ge=0, le=AHEAD_MAX, description="Rows a forecast looks ahead, or an event counts.")
    rate: float = Field(gt=0, le=1, description="Weight of the newest row in the smoothed residual.")
    mix: Literal["max", "mean"] = Field(default="max", description="Over the channels.")

    @model_validator(mode="after")
    def _ahead_where_it_means_something(self) -> Self:
        if (self.ahead > 0) != (self.residual in ("forecast", "event")):
            raise ValueError(f"ahead is {self.ahead} for residual {self.residual!r}: only forecast and event take one")
        return self


class Anomaly(Section):
    """The head that needs no labels: charts of each channel against the device's own normal."""

    charts: tuple[ChartKeys, ...] = Field(default=(), max_length=8, description="None = the default bank.")
    learning: Span = Field(
        default=0.0,
        ge=0,
        description="Time from which a device's normal is learnt; 0 = a day, or a third of a recording that is shorter "
        "than three, but 400 rows at least; where cycles are counted, 400 of them.",
    )
    ahead: int = Field(default=4, ge=1, le=AHEAD_MAX, description="Rows that the default bank's forecasts look ahead.")
    hidden: int = Field(default=32, ge=4, le=256, description="Width of the forecaster's LSTM.")
    steps: int = Field(default=400, ge=1, le=100_000, description="Of the forecaster's training.")
    batch: int = Field(default=28, ge=1, description="Stretches of 64 rows a step.")
    learning_rate: float = Field(default=4e-3, gt=0)
    m: int = Field(default=1, ge=1, description="Raise after m of the last n rows over the threshold.")
    n: int = Field(default=1, ge=1, le=WINDOW_MAX)
    clear_ratio: float = Field(default=1.0, gt=0, le=1, description="Clear below this share of the threshold.")
    clear_after: Span = Field(default=0.0, ge=0, description="For so long; 0 = 30 rows.")
    h_max: Span = Field(default=0.0, ge=0, description="As judge.h_max; 0 = that, or `learning` if none is given.")
    thresholds: int = Field(default=60, ge=2, le=1000, description="Rows of the threshold table.")

    @model_validator(mode="after")
    def _m_of_n(self) -> Self:
        if self.m > self.n:
            raise ValueError(f"m ({self.m}) is above n ({self.n}): no alert could be raised")
        return self


_ONE_OF: Any = Annotated[Union[*DATASETS.values()], Field(discriminator="dataset")]
Data = Annotated[DataSet, GetPydanticSchema(lambda _, handler: handler.generate_schema(_ONE_OF))]
"""`[data]`: the table of the data set that its key `dataset` names."""


class Config(Section):
    """The whole file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Name of the bundle.")
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$", description="Version of the bundle.")
    seed: int = Field(default=0, ge=0, description="Of weights, batches and augmentation.")
    heads: tuple[HeadName, ...] = Field(
        default=(),
        description="risk needs failures, anomaly no labels; none = the better one where something failed, or anomaly.",
    )
    data: Data
    split: Split = Split()
    regimes: Grouping = Grouping()
    types: Grouping = Grouping()
    model: Model = Model()
    train: Train = Train()
    augment: Augment = Augment()
    distill: Distill | None = Field(default=None, description="None = no teacher.")
    risk: Risk = Risk()
    rul: Rul = Rul()
    judge: Judge = Judge()
    runs: Runs | None = Field(default=None, description="None = machines always run.")
    anomaly: Anomaly = Anomaly()

    @property
    def learning_rows(self) -> int:
        """Rows from which a device's own normal is learnt."""
        return round(self.anomaly.learning / self.model.cadence) or LEARNING_ROWS

    @property
    def first_judged_row(self) -> int:
        """Rows of a device before the anomaly has a number: what it learns from, and what its forecasts look back."""
        asked = [chart.ahead for chart in self.anomaly.charts if chart.residual == "forecast"]
        return max([self.learning_rows, *(asked if self.anomaly.charts else [self.anomaly.ahead])])

    @property
    def anomaly_h_max(self) -> float:
        """`judge.h_max` of the anomaly, in seconds."""
        return self.anomaly.h_max or self.judge.h_max

    @property
    def anomaly_clear_after(self) -> float:
        return self.anomaly.clear_after or CLEAR_ROWS * self.model.cadence

    @property
    def channels(self) -> tuple[str, ...]:
        """What `x` holds, in its order: scaled channels, settings, type."""
        return (*self.data.channels, *self.regimes.by, *self.types.by)

    @property
    def requirements(self) -> Requirements:
        """What the data must hold so that this training can be done."""
        return Requirements(
            channels=self.channels,
            n_devices=self.split.n_devices,
            time_unit=self.data.counts,
            cadence_s=self.model.cadence,
            horizons_s=self.risk.horizons,
            cap_s=self.rul.cap,
            judged_horizon_s=self.judge.horizon,
            h_max_s=self.anomaly_h_max if self.heads == ("anomaly",) else self.judge.h_max,
            h_min_s=self.judge.h_min,
            needs_failures="risk" in self.heads,
            learning_rows=self.first_judged_row if "anomaly" in self.heads else 0,
            learning_h_max_s=self.anomaly_h_max,
            has_own_cadence="cadence" in self.model.model_fields_set,
        )

    @model_validator(mode="after")
    def _heads_are_named_once(self) -> Self:
        if len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads {', '.join(self.heads)}: one is named twice")
        return self

    @model_validator(mode="after")
    def _channels_are_named_once(self) -> Self:
        for name in self.channels:
            if self.channels.count(name) > 1:
                raise ValueError(f"channel {name!r} is named twice in data.channels, regimes.by and types.by")
        return self

    @model_validator(mode="after")
    def _judged_horizon_exists(self) -> Self:
        if self.judge.horizon not in self.risk.horizons:
            what = f"judge.horizon ({self.judge.horizon:g}) is none of risk.horizons"
            raise ValueError(f"{what} ({listed(self.risk.horizons)})")
        return self
