"""The tables within `[data]` of dataset = "table": how the files have a channel, and the labels beside the rows."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from agent.table.form import FileUnit
from agent.table.lives.section import Files, Section, Span
from agent.values.numbers import number_of

ANY = "*"
"""Every kind."""


def code(value: object) -> object:
    """A text that writes a number stands for that number: CSV has texts alone."""
    try:
        return number_of(value) if isinstance(value, str) else value
    except ValueError:
        return value


def file_table(value: object) -> object:
    """A text is the name of the file, with the usual columns; "" is none."""
    return {"file": value} if isinstance(value, str) and value else value or None


def column_table(value: object) -> object:
    """A text is the name of the column."""
    return {"column": value} if isinstance(value, str) else value


def kinds_table(value: object) -> object:
    """A list of kinds: each has a channel of its own name."""
    return {kind: kind for kind in value} if isinstance(value, list | tuple) else value


Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
Words = dict[Word, FiniteFloat]
Missing = tuple[Annotated[FiniteFloat | Word, BeforeValidator(code)], ...]


class RecordedChannel(Section):
    """How the files have one channel, where that differs from the others or from its name."""

    column: str = Field(default="", description="Column of the files; its name where none is given.")
    unit: str = Field(default="", description="Unit of its values, for the bundle and its card.")
    description: str = Field(default="", description="What it measures.")
    missing: Missing = Field(default=(), description="As `data.missing`, for this channel.")
    words: Words = Field(default={}, description="As `data.words`, for this channel.")
    event: bool = Field(default=False, description="It counts events since the row before; an empty cell is 0.")


class NamedFile(Section):
    """The devices that the files of rows are named after."""

    file: str = Field(pattern=r"\{\}", description="End of the path: {} is the device, * any part of a name.")


class Log(Section):
    """A file with a line an event of a device; its times are as those of the rows."""

    file: str = Field(min_length=1, description="CSV or Parquet, beside the rows.")
    device: str = Field(default="", description='Column of the device; that of the rows, or "device".')
    separator: str = Field(default=",", min_length=1, max_length=1, description="As `data.separator`.")


class Failures(Log):
    """When devices failed: any number of times."""

    time: str = Field(default="t_fail", min_length=1, description="Column of the time; empty = it did not fail.")


class Faults(Log):
    """Intervals in which devices were not normal."""

    start: str = Field(default="start", min_length=1, description="Column of the beginning.")
    end: str = Field(default="end", min_length=1, description="Column of the end; empty = it lasts to the last row.")


class Alerts(Section):
    """What people said of the alerts of an agent: a table of `forewarn alerts export`."""

    file: str = Field(min_length=1, description="CSV, beside the rows.")
    source: str = Field(default="", description="Alerts of this source of the agent alone.")


class Label(Section):
    """A column of the rows with 1 where something was wrong, else 0 or empty; a file need not have it."""

    column: str = Field(min_length=1)
    means: Literal["fault", "failure"] = Field(
        default="fault", description="fault: it was not normal in these rows. failure: it failed at the first of them."
    )


class Maintenance(Log):
    """Work on devices. One that was repaired or replaced lives anew."""

    time: str = Field(default="t", min_length=1, description="Column of the time.")
    kind: str = Field(default="", description="Column of what was done; none = every line is a repair.")
    resets: Files = Field(default=("repaired", "replaced"), description='Kinds after which it lives anew; "*" = all.')
    downtime: Span | None = Field(
        default=None,
        description="Rows from a failure to a repair that comes so soon after it are left out; None: 3d, or 0 cycles.",
    )


class Events(Log):
    """Errors and other events: a channel a kind, which counts those since the row before."""

    time: str = Field(default="t", min_length=1, description="Column of the time.")
    kind: str = Field(default="", description="Column of the kind.")
    kinds: Annotated[dict[str, Annotated[Files, Field(min_length=1)]], BeforeValidator(kinds_table)] = Field(
        min_length=1,
        description='Channel to its kinds, "*" for all, or a list of kinds: each a channel of its own name.',
    )


class Align(Section):
    """Readings to rows, as `align` of the agent's source has it."""

    every: Span = Field(gt=0, description="A row at each multiple of this.")
    max_age: Span = Field(description="A channel without a new value keeps its last one for so long.")
    quorum: float = Field(default=0.0, ge=0, le=1, description="Share of channels that a row needs; one at least.")

    @model_validator(mode="after")
    def _held_values_outlive_the_step(self) -> Self:
        if self.max_age < self.every:
            raise ValueError("max_age is below every: a value would be gone before the next row")
        return self


class Joined(Section):
    """A further table of the machines, whose channels are beside those of `data.rows`; keys left out are as there."""

    rows: Files = Field(min_length=1, description="As `data.rows`.")
    channels: tuple[str, ...] = Field(min_length=1, description="Those of `data.channels` that this table has.")
    max_age: Span | None = Field(default=None, ge=0, description="Its values are held for so long; align.max_age.")
    separator: str = Field(default="", max_length=1, description="As `data.separator`.")
    header: tuple[str, ...] = Field(default=(), description="As `data.header`, of this table.")
    device: str | NamedFile = Field(default="", description="As `data.device`.")
    time: str = Field(default="", description="As `data.time`.")
    time_unit: FileUnit | None = Field(default=None, description="As `data.time_unit`.")
    zone: str = Field(default="", description="As `data.zone`.")


class Tests(Section):
    """An official test set: devices whose rows end before their failures."""

    rows: Files = Field(min_length=1, description="As `data.rows`.")
    left: str = Field(min_length=1, description="File with a number a device in their order: time from the last row.")


FailuresKey = Annotated[Failures | None, BeforeValidator(file_table)]
AlertsKey = Annotated[Alerts | None, BeforeValidator(file_table)]
FaultsKey = Annotated[Faults | None, BeforeValidator(file_table)]
MaintenanceKey = Annotated[Maintenance | None, BeforeValidator(file_table)]
LabelKey = Annotated[Label | None, BeforeValidator(column_table)]
ChannelKey = Annotated[RecordedChannel, BeforeValidator(column_table)]


class LabelKeys(Section):
    """What is known of the machines beside their rows."""

    failures: FailuresKey = Field(default=None, description="File with device,t_fail, or a table that names them.")
    run_to_failure: bool = Field(default=False, description="Every device failed at its last row; needs no `failures`.")
    faults: FaultsKey = Field(default=None, description="File with device,start,end, or a table that names them.")
    alerts: AlertsKey = Field(
        default=None, description="File of `forewarn alerts export`: an alert that was good is a fault."
    )
    label: LabelKey = Field(default=None, description="Column of the rows that is 1 in a fault, or from a failure on.")
    maintenance: MaintenanceKey = Field(default=None, description="File with device,t of each repair, or a table.")
    events: Events | None = Field(default=None, description="Errors and other events, which become channels.")

    @model_validator(mode="after")
    def _failures_are_told_once(self) -> Self:
        ways = {
            "failures": self.failures is not None,
            "run_to_failure": self.run_to_failure,
            'label.means = "failure"': self.label is not None and self.label.means == "failure",
        }
        if sum(ways.values()) > 1:
            raise ValueError(f"{' and '.join(way for way, given in ways.items() if given)}: failures are told once")
        return self

    @property
    def counted(self) -> frozenset[str]:
        """Channels that are no column, but events of a log."""
        return frozenset(self.events.kinds if self.events else ())
