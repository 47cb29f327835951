"""NASA C-MAPSS turbofan engines (Saxena et al., PHM08), read from `$FOREWARN_DATA/cmapss`.

A training engine runs to its failure, which is its last cycle; a test engine stops before, and the RUL file says how
many cycles it had left. A line is unit, cycle, 3 settings and 21 sensors.
"""

import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agent.errors import DataRefused
from agent.table.lives.section import Channels, Margin, Section
from trainer.data.history import ChannelInfo, History, columns_of
from trainer.data.section import Subject, required_folder

CHANNELS: tuple[ChannelInfo, ...] = (
    ChannelInfo("setting_1", "kft", "altitude"),
    ChannelInfo("setting_2", "", "Mach number"),
    ChannelInfo("setting_3", "deg", "throttle resolver angle"),
    ChannelInfo("T2", "degR", "fan inlet temperature"),
    ChannelInfo("T24", "degR", "low-pressure compressor outlet temperature"),
    ChannelInfo("T30", "degR", "high-pressure compressor outlet temperature"),
    ChannelInfo("T50", "degR", "low-pressure turbine outlet temperature"),
    ChannelInfo("P2", "psia", "fan inlet pressure"),
    ChannelInfo("P15", "psia", "bypass duct pressure"),
    ChannelInfo("P30", "psia", "high-pressure compressor outlet pressure"),
    ChannelInfo("Nf", "rpm", "fan speed"),
    ChannelInfo("Nc", "rpm", "core speed"),
    ChannelInfo("epr", "", "engine pressure ratio"),
    ChannelInfo("Ps30", "psia", "static pressure at the high-pressure compressor outlet"),
    ChannelInfo("phi", "pps/psi", "fuel flow over Ps30"),
    ChannelInfo("NRf", "rpm", "corrected fan speed"),
    ChannelInfo("NRc", "rpm", "corrected core speed"),
    ChannelInfo("BPR", "", "bypass ratio"),
    ChannelInfo("farB", "", "burner fuel-air ratio"),
    ChannelInfo("htBleed", "", "bleed enthalpy"),
    ChannelInfo("Nf_dmd", "rpm", "demanded fan speed"),
    ChannelInfo("PCNfR_dmd", "rpm", "demanded corrected fan speed"),
    ChannelInfo("W31", "lbm/s", "high-pressure turbine coolant bleed"),
    ChannelInfo("W32", "lbm/s", "low-pressure turbine coolant bleed"),
    ChannelInfo("part", "", "1 to 4 for FD001 to FD004: which fleet the engine belongs to"),
)
"""Columns 3 to 26, and the part of the set. Names after Saxena 2008; NASA's readme gives none."""

N_FILE_CHANNELS = 24
LINES_MAX = 200_000
ASK_FOR_DATA = "Set FOREWARN_DATA to the folder that holds cmapss/, or give that folder."


Subset = Literal["FD001", "FD002", "FD003", "FD004"]


class Cmapss(Section):
    """NASA's turbofan engines, read from the data folder."""

    dataset: Literal["cmapss"]
    subset: Subset | Annotated[tuple[Subset, ...], Field(min_length=1)] = Field(description="One part, or a list.")
    channels: Channels
    out_of_domain_margin: Margin = 0.25

    @property
    def subsets(self) -> tuple[Subset, ...]:
        return (self.subset,) if isinstance(self.subset, str) else self.subset

    @property
    def counts(self) -> Literal["s", "cycle"]:
        return "cycle"

    @property
    def lies_beside_config(self) -> bool:
        return False

    @property
    def subject(self) -> Subject:
        return Subject(
            failure="turbofan failure",
            row="a flight cycle",
            source=f"NASA C-MAPSS {', '.join(self.subsets)} (Saxena et al., PHM08), engines that run to failure",
            device="engine",
            every="a cycle",
            first="first cycle",
            test_set="the official test set and ",
            not_for="Regimes or fault modes that are not in these sets, other or real engines: these are simulated.",
            reset="Engines repaired in between without their state being reset: the model has never seen wear go back.",
        )

    def read(self, channels: tuple[str, ...], n_devices: int, folder: Path | None) -> list[History]:
        return [engine for engines in self._by_subset(read_train, channels, folder).values() for engine in engines]

    def read_tests(self, channels: tuple[str, ...], folder: Path | None) -> dict[str, list[History]]:
        return self._by_subset(read_test, channels, folder)

    def channel_info(self, channels: tuple[str, ...]) -> tuple[ChannelInfo, ...]:
        return tuple(CHANNELS[column] for column in columns_of(channels, CHANNELS))

    def _by_subset(
        self, read: Callable[[Path, str], list[History]], channels: tuple[str, ...], folder: Path | None
    ) -> dict[str, list[History]]:
        """Engines of several subsets, whose numbers repeat, are named after theirs."""
        cmapss = cmapss_folder(required_folder(folder))
        prefix = "{}-" if len(self.subsets) > 1 else ""
        return {
            subset: [
                replace(engine, device=prefix.format(subset) + engine.device)
                for engine in pick(read(cmapss, subset), channels)
            ]
            for subset in self.subsets
        }


def cmapss_folder(data: Path) -> Path:
    """The cmapss folder, given itself or its parent. Raises DataRefused if there is none."""
    for folder in (data / "cmapss", data):
        if (folder / "RUL_FD001.txt").exists() or any(folder.glob("train_FD00?.txt*")):
            return folder
    raise DataRefused(data, "holds no C-MAPSS files such as train_FD001.txt.xz", next_step=ASK_FOR_DATA)


def read_train(folder: Path, subset: str) -> list[History]:
    """Every training engine of `subset`, all channels, failing at its last cycle. Raises DataRefused."""
    histories = read_engines(folder / f"train_{subset}.txt.xz", int(subset[-1]))
    return [replace(history, t_fail=float(history.t_s[-1])) for history in histories]


def read_test(folder: Path, subset: str) -> list[History]:
    """Every test engine of `subset`, failing `RUL` cycles after its last row. Raises DataRefused."""
    histories = read_engines(folder / f"test_{subset}.txt.xz", int(subset[-1]))
    path = folder / f"RUL_{subset}.txt"
    left = [numbers(path, line, text, columns=1)[0] for line, text in lines_of(path)]
    if len(left) != len(histories):
        what = f"has {len(left)} lines for {len(histories)} test engines"
        raise DataRefused(path, what, next_step=f"It must have one line an engine of test_{subset}.txt.xz.")
    return [replace(history, t_fail=float(history.t_s[-1]) + rul) for history, rul in zip(histories, left, strict=True)]


def pick(histories: list[History], names: tuple[str, ...]) -> list[History]:
    """The same histories with the named channels only, in that order. Raises DataRefused for an unknown name."""
    columns = columns_of(names, CHANNELS)
    return [replace(history, x=history.x[:, columns]) for history in histories]


def read_engines(path: Path, part: int) -> list[History]:
    """Engines of one file of the given part, failure unknown. Raises DataRefused naming file, line and column."""
    rows: dict[int, list[list[float]]] = {}
    newest = 0
    for line, text in lines_of(path):
        row = numbers(path, line, text, columns=2 + N_FILE_CHANNELS)
        unit, cycle = row[:2]
        if unit != newest and unit in rows:
            raise DataRefused(path, f"line {line}: unit {unit:g} comes back", next_step="Rows of a unit stay together.")
        before = rows.setdefault(int(unit), [])
        if before and cycle <= before[-1][1]:
            what = f"line {line}, column 2: cycle {cycle:g} of unit {unit:g} follows cycle {before[-1][1]:g}"
            raise DataRefused(path, what, next_step="Sort the rows of each unit by cycle, without repeats.")
        before.append([*row, part])
        newest = int(unit)
    if not rows:
        raise DataRefused(path, "is empty", next_step="Fetch the file again.")
    tables = {unit: np.array(table, dtype=np.float64) for unit, table in rows.items()}
    return [History(str(unit), table[:, 1], table[:, 2:].astype(np.float32), None) for unit, table in tables.items()]


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that hold something. Raises DataRefused when the file is absent, torn or not text."""
    try:
        stored = path.read_bytes()
        text = (lzma.decompress(stored) if path.suffix == ".xz" else stored).decode("ascii")
    except FileNotFoundError as error:
        raise DataRefused(path, "does not exist", next_step=ASK_FOR_DATA) from error
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataRefused(path, f"cannot be read: {error}", next_step="Fetch the file again.") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) > LINES_MAX:
        raise DataRefused(path, f"has {len(lines)} lines, at most {LINES_MAX} are read", next_step="Split the file.")
    return lines


def numbers(path: Path, line: int, text: str, *, columns: int) -> list[float]:
    """The finite numbers of one line. Raises DataRefused naming line and column."""
    words = text.split()
    if len(words) != columns:
        raise DataRefused(path, f"line {line}: {len(words)} columns, expected {columns}", next_step="Mend that line.")
    values = []
    for column, word in enumerate(words, start=1):
        try:
            value = float(word)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            what = f"line {line}, column {column}: {word!r} is not a finite number"
            raise DataRefused(path, what, next_step="Mend that line.")
        values.append(value)
    return values
