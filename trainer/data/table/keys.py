"""The keys of `[data]` of dataset = "table", and how files are read by them."""

import math
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from agent.errors import DataRefused
from agent.table.form import CsvForm, FileName, FileUnit, TableForm
from agent.values.times import time_zone
from agent.words import SourceChannel
from trainer.data.history import ChannelInfo
from trainer.data.section import Channels, Files, Margin, Section, Span
from trainer.data.table.logs import (
    ChannelKey,
    Events,
    FailuresKey,
    FaultsKey,
    LabelKey,
    MaintenanceKey,
    Missing,
    NamedFile,
    RecordedChannel,
    Tests,
    Words,
    code,
)


class TableKeys(Section):
    """Every key of `[data]`, and how the files are read by them."""

    dataset: Literal["table"]
    rows: Files = Field(
        min_length=1, description="Files, folders, patterns (* and ? are parts of a name), members of a .tar.xz."
    )
    separator: str = Field(
        default=",", min_length=1, max_length=1, description="Between the cells of a CSV file; a blank = any number."
    )
    header: tuple[str, ...] = Field(default=(), description="Names of the columns, for files without a line of them.")
    device: str | NamedFile = Field(
        default="device", description='Column with the device\'s name, or { file = "pump-{}.csv" }.'
    )
    time: str = Field(default="t", description='Column with the time of the row; "" where rows come `every`.')
    every: Span = Field(default=0.0, ge=0, description="Time from a row to the next, for files without a time.")
    time_unit: FileUnit = Field(
        default="s", description="Of the times: s, ms, us or ns since 1970, or ISO 8601 texts; iso8601; or cycle."
    )
    zone: str = Field(default="", description="IANA time zone of texts without an offset; UTC where none is given.")
    channels: Channels
    columns: dict[str, ChannelKey] = Field(
        default={}, description="Channel to its column in the files, or to a table of what is special about it."
    )
    missing: Missing = Field(default=(), description='Numbers and texts that stand for no value: -9999, "NA".')
    words: Words = Field(default={}, description="Texts that stand for numbers, such as ON = 1.")
    outliers: Literal["refuse", "keep"] = Field(
        default="refuse", description="A value far from all others of its column."
    )
    failures: FailuresKey = Field(default=None, description="File with device,t_fail, or a table that names them.")
    run_to_failure: bool = Field(default=False, description="Every device failed at its last row; needs no `failures`.")
    faults: FaultsKey = Field(default=None, description="File with device,start,end, or a table that names them.")
    label: LabelKey = Field(default=None, description="Column of the rows that is 1 in a fault, or from a failure on.")
    maintenance: MaintenanceKey = Field(default=None, description="File with device,t of each repair, or a table.")
    events: Events | None = Field(default=None, description="Errors and other events, which become channels.")
    tests: Tests | None = Field(default=None, description="An official test set, which `evaluate` reads.")
    out_of_domain_margin: Margin = 0.25

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

    @model_validator(mode="after")
    def _rows_have_a_time(self) -> Self:
        if bool(self.time) is bool(self.every):
            raise ValueError('give either time = COLUMN, or time = "" and every, such as "5m"')
        return self

    @model_validator(mode="after")
    def _a_column_is_one_thing(self) -> Self:
        columns = [info.column or info.name for info in map(self._info, self.recorded(self.channels))]
        label = [self.label.column] if self.label else []
        named = (*filter(None, (self.device_column, self.time)), *columns, *label)
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"column {twice[0]!r} is named twice among device, time, channels and label")
        if strange := sorted(set(self.events.kinds if self.events else ()) - set(self.channels)):
            raise ValueError(f"events.kinds has {strange[0]!r}, which is none of data.channels")
        return self

    @model_validator(mode="after")
    def _a_word_means_one_thing(self) -> Self:
        for info in map(self._info, dict.fromkeys((*self.channels, *self.columns))):
            for word, number in info.words.items():
                if word in info.missing_words or number in info.missing or isinstance(code(word), float):
                    raise ValueError(f"words.{word} = {number:g} of channel {info.name!r} is a number or missing, too")
        return self

    @model_validator(mode="after")
    def _zone_is_known(self) -> Self:
        time_zone(self.zone)
        return self

    @property
    def counts(self) -> Literal["s", "cycle"]:
        return "cycle" if self.time_unit == "cycle" else "s"

    @property
    def device_column(self) -> str:
        """ "" where the files are named after the devices."""
        return self.device if isinstance(self.device, str) else ""

    @property
    def csv(self) -> CsvForm:
        return CsvForm(self.separator, self.header)

    def recorded(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Those that are columns of the rows: all but the counted events."""
        counted = self.events.kinds if self.events else ()
        return tuple(name for name in channels if name not in counted)

    def channel_info(self, channels: tuple[str, ...]) -> tuple[ChannelInfo, ...]:
        """As `data.columns` has them. Raises DataRefused for one there that is no channel."""
        if unknown := sorted(set(self.columns) - set(channels)):
            what, known = f"no channel {unknown[0]!r}", ", ".join(channels)
            raise DataRefused(
                "data.columns", what, next_step=f"Those of data.channels, regimes.by and types.by: {known}."
            )
        return tuple(map(self._info, channels))

    def _info(self, name: str) -> ChannelInfo:
        of = self.columns.get(name, RecordedChannel())
        missing = (*self.missing, *of.missing)
        return ChannelInfo(
            name=name,
            unit=of.unit,
            description=of.description,
            missing=tuple(dict.fromkeys(one for one in missing if isinstance(one, float))),
            words=self.words | of.words,
            missing_words=tuple(dict.fromkeys(one for one in missing if isinstance(one, str))),
            column="" if of.column == name else of.column,
            event=of.event or name not in self.recorded([name]),
        )

    def form(self, channels: Sequence[str]) -> TableForm:
        """How the files are read: the recorded ones of the channels, and the label after them."""
        infos = {info.name: info for info in self.channel_info(tuple(channels))}
        of_channels = [_source_channel(infos[name]) for name in self.recorded(channels)]
        label = [SourceChannel(self.label.column)] if self.label else []
        return TableForm(
            device=self.device if isinstance(self.device, str) else FileName(self.device.file),
            time=self.time,
            unit=self.time_unit,
            zone=self.zone,
            channels=(*of_channels, *label),
            may_be_absent=frozenset(of.field for of in label),
            asked_by={self.device_column: "data.device", self.time: "data.time", "t_fail": "data.failures"}
            | dict.fromkeys((channel.field for channel in of_channels), "data.channels"),
            unit_asked_by="data.time_unit",
            every_ns=round(self.every * 1e9),
        )


def _source_channel(info: ChannelInfo) -> SourceChannel:
    words = (*info.words.items(), *((word, math.nan) for word in info.missing_words))
    return SourceChannel(info.column or info.name, info.missing, words)
