"""The keys of `[data]` of dataset = "table", and how files are read by them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from agent.errors import DataRefused
from agent.sources import AlignRule, SourceChannel
from agent.table.form import CsvForm, FileName, FileUnit, TableForm
from agent.table.lives.logs import (
    Align,
    ChannelKey,
    Joined,
    LabelKeys,
    Missing,
    NamedFile,
    RecordedChannel,
    Tests,
    Words,
    code,
)
from agent.table.lives.recording import Asked, AskedTable
from agent.table.lives.section import Channels, Files, Margin, Span
from agent.values.times import time_zone

WHERE = "Paths start at the folder of the training TOML, or at --data FOLDER where that is given."


class TableKeys(LabelKeys):
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
    align: Align | None = Field(default=None, description="Rows on a grid, as the agent's source makes them.")
    joined: tuple[Joined, ...] = Field(default=(), description="Further tables of the machines, such as vibration.")
    tests: Tests | None = Field(default=None, description="An official test set, which `evaluate` reads.")
    out_of_domain_margin: Margin = 0.25

    @model_validator(mode="after")
    def _rows_have_a_time(self) -> Self:
        if bool(self.time) is bool(self.every):
            raise ValueError('give either time = COLUMN, or time = "" and every, such as "5m"')
        return self

    @model_validator(mode="after")
    def _a_column_is_one_thing(self) -> Self:
        columns = [self.channel(name).column for name in self.recorded(self.channels)]
        label = [self.label.column] if self.label else []
        named = (*filter(None, (self.device_column, self.time)), *columns, *label)
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"column {twice[0]!r} is named twice among device, time, channels and label")
        if strange := sorted(self.counted - set(self.channels)):
            raise ValueError(f"events.kinds has {strange[0]!r}, which is none of data.channels")
        return self

    @model_validator(mode="after")
    def _a_channel_is_of_one_table(self) -> Self:
        joined = [name for table in self.joined for name in table.channels]
        if joined and self.align is None:
            raise ValueError("joined tables need data.align: every and max_age, as the agent's source has them")
        if twice := sorted({name for name in joined if joined.count(name) > 1 or name in self.counted}):
            raise ValueError(f"joined: channel {twice[0]!r} is of two tables")
        if strange := sorted(set(joined) - set(self.channels)):
            raise ValueError(f"joined has channel {strange[0]!r}, which is none of data.channels")
        if not self.recorded(self.channels):
            raise ValueError("joined has all channels: those of data.rows make the first table")
        if joined and not self.time:
            raise ValueError("joined tables need a time in data.rows")
        units = {"cycle" if unit == "cycle" else "s" for unit in (table.time_unit for table in self.joined) if unit}
        if units - {self.counts}:
            raise ValueError("joined: cycles and times of a clock cannot be joined")
        return self

    @model_validator(mode="after")
    def _a_word_means_one_thing(self) -> Self:
        for name in dict.fromkeys((*self.channels, *self.columns)):
            of = self.channel(name)
            for word, number in of.words.items():
                if word in of.missing or number in of.missing or isinstance(code(word), float):
                    raise ValueError(f"words.{word} = {number:g} of channel {name!r} is a number or missing, too")
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

    def recorded(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Those that are columns of `rows`."""
        elsewhere = self.counted.union(*(table.channels for table in self.joined))
        return tuple(name for name in channels if name not in elsewhere)

    def recorded_channels(self, channels: Sequence[str]) -> dict[str, RecordedChannel]:
        """As `data.columns` has them. Raises DataRefused for one there that is no channel."""
        if unknown := sorted(set(self.columns) - set(channels)):
            what, names = f"no channel {unknown[0]!r}", ", ".join(channels)
            raise DataRefused(
                "data.columns", what, next_step=f"Those of data.channels, regimes.by and types.by: {names}."
            )
        return {name: self.channel(name) for name in channels}

    def channel(self, name: str) -> RecordedChannel:
        """With its column, and what holds for all channels."""
        of = self.columns.get(name, RecordedChannel())
        missing = tuple(dict.fromkeys((*self.missing, *of.missing)))
        words, event = self.words | of.words, of.event or name in self.counted
        changed = {"column": of.column or name, "missing": missing, "words": words, "event": event}
        return of.model_copy(update=changed)

    def form(self, channels: Sequence[str]) -> TableForm:
        """How the files are read: the recorded ones of the channels, and the label after them."""
        of_names = self.recorded_channels(channels)
        of_channels = [_source_channel(of_names[name]) for name in self.recorded(channels)]
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

    def asked(self, channels: Sequence[str], places: Sequence[str], folder: Path) -> Asked:
        """Some files, relative to `folder`, with all labels of the table."""
        events = frozenset(name for name in channels if self.channel(name).event)
        of = self.recorded(channels)
        first = AskedTable(tuple(places), self.form(channels), CsvForm(self.separator, self.header), of)
        joined = [self._joined(table, channels) for table in self.joined]
        align = AlignRule(self.align.every, self.align.max_age, self.align.quorum) if self.align else None
        return Asked((first, *joined), folder, tuple(channels), events, self, WHERE, align)

    def _joined(self, table: Joined, channels: Sequence[str]) -> AskedTable:
        form = self.form(channels)
        of = tuple(name for name in channels if name in table.channels)
        device = table.device or self.device
        form = replace(
            form,
            device=device if isinstance(device, str) else FileName(device.file),
            time=table.time or self.time,
            unit=table.time_unit or self.time_unit,
            zone=table.zone or self.zone,
            channels=tuple(_source_channel(self.channel(name)) for name in of),
            asked_by=dict.fromkeys((table.time, *(self.channel(name).column for name in of)), "data.joined"),
            may_be_absent=frozenset(),
        )
        return AskedTable(table.rows, form, CsvForm(table.separator or self.separator, table.header), of, table.max_age)


def _source_channel(of: RecordedChannel) -> SourceChannel:
    numbers = tuple(one for one in of.missing if isinstance(one, float))
    words = (*of.words.items(), *((word, math.nan) for word in of.missing if isinstance(word, str)))
    return SourceChannel(of.column, numbers, words)
