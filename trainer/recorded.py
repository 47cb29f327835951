"""The training configuration of a folder that `forewarn record` wrote: `forewarn-train fit FOLDER`.

What the recording says is measured: how often rows come, which channels vary, how many machines there are, and what
labels lie beside the rows. The rest are the defaults of `trainer/config.py`. It is a TOML like any other, written
beside the bundle, to be changed and given to `fit` instead of the folder.
"""

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from agent.errors import DataRefused
from agent.score.time_unit import DAY_S
from agent.sources import SourceChannel
from agent.table.files import table_files
from agent.table.form import FileUnit, Moments, TableFile, TableForm
from agent.table.parquet_file import ParquetFile
from agent.table.recording import INTERVENTIONS
from agent.table.rows import read_rows
from agent.values.durations import format_duration
from agent.words import Float32
from trainer.data.find_stops import Found, find_stops

LABELS = {"failures.csv": "failures", "faults.csv": "faults", INTERVENTIONS: "maintenance"}
"""Files beside the rows, or a folder above them, and the key of [data] that reads each."""
DEVICE, TIME = "device", "t"
FEW = 6
"""Fewer machines are each cut in time; of so many failed ones, risk is learnt too."""
HORIZON_ROWS, HORIZON_SHARE = 480, 0.03
"""The longest horizon, and the most of a machine's recording that it is: so long after each cut no row is used."""
LEARNING_ROWS, LEARNING_SHARE = 400, 0.1
"""A device's own normal is learnt over so many rows, by a clock a day or more; at most this share of a recording."""
DAYS_MIN = round(1 / LEARNING_SHARE)
"""So long must be recorded for a day of learning."""
UNITS_S = (86_400, 3600, 60, 1)
"""Days, hours, minutes, seconds."""
START_MARGIN = 1.5
"""So much longer than starts took is left out."""
GAP_SHARE = 0.999
"""So many of the steps from row to row are no lost history."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a folder holds, times in seconds or cycles.

    rows      folder of the files with the rows
    labels    key of [data] to its file, for those that are there
    channels  that vary, and those that stand `still`
    events    those of the channels that count events
    n_rows    of each machine
    n_failed  machines that failed
    stops     by one of those that stand still, where machines seem to stop
    """

    rows: Path
    labels: dict[str, Path]
    channels: tuple[str, ...]
    still: tuple[str, ...]
    events: tuple[str, ...]
    n_rows: tuple[int, ...]
    n_failed: int
    counts_cycles: bool
    cadence_s: float
    dt_max_s: float
    stops: Found | None = None

    @property
    def heads(self) -> tuple[str, ...]:
        """Risk is learnt where each part of the split can have a few that failed."""
        return ("risk", "anomaly") if self.n_failed >= FEW else ("anomaly",)

    @property
    def learning_s(self) -> float:
        """Over which a device's own normal is learnt."""
        wanted = LEARNING_ROWS if self.counts_cycles else max(LEARNING_ROWS, math.ceil(DAY_S / self.cadence_s))
        return min(wanted, max(8, round(LEARNING_SHARE * min(self.n_rows)))) * self.cadence_s

    def span(self, span_s: float) -> str:
        """A time as the TOML has it."""
        if self.counts_cycles:
            return f"{span_s:.6g}"
        return f'"{format_duration(timedelta(milliseconds=round(1000 * span_s)))}"'

    def about(self, span_s: float) -> str:
        """A time of two units or more, to the whole unit: nobody reads 26250s."""
        unit_s = next((one for one in UNITS_S if span_s >= 2 * one), 0)
        return self.span(round(span_s / unit_s) * unit_s if unit_s and not self.counts_cycles else span_s)


def read_recording(folder: Path, channels: Sequence[str] = ()) -> Recorded:
    """Read every row once; `channels` are those wanted, none = all. Raises DataRefused where nothing can be learnt."""
    place = rows_folder(folder)
    files = table_files(["*.parquet"], place, next_step="Record first; docs/record.md.")
    names = list(dict.fromkeys(name for file in files for name in file.names() if name not in (DEVICE, TIME)))
    if unknown := sorted(set(channels) - set(names)):
        raise DataRefused("--channels", f"no channel {unknown[0]!r}", next_step=f"There are: {', '.join(names)}.")
    names = list(channels) or names
    counts_cycles = has_cycles(files[0])
    sources = tuple(SourceChannel(name, (), ()) for name in names)
    unit: FileUnit = "cycle" if counts_cycles else "s"
    rows = read_rows(files, TableForm(DEVICE, TIME, unit, sources, may_be_absent=frozenset(names)))
    rows_of = rows.by_device(TIME)
    steps_s = np.concatenate([np.diff(rows.t_ns[at]) for at in rows_of.values()]) / 1e9
    counts = {name for file in files for name in ParquetFile(file.path).counts()}
    values_of = dict(zip(names, rows.x.T, strict=True))
    events = tuple(name for name in names if name in counts and np.nansum(values_of[name]) > 0)
    still = tuple(name for name in names if name not in events and not varies(values_of[name]))
    if not len(steps_s) or len(still) + len(events) == len(names):
        what = "no channel varies" if len(steps_s) else "has one row of each device"
        raise DataRefused(place, what, next_step="Record for longer, and while the machines run.")
    measured = [place for place, name in enumerate(names) if name not in still and name not in events]
    cadence_s = max(float(np.median(steps_s)), 1e-3)
    labels = {key: at / name for at in (folder, place) for name, key in LABELS.items() if (at / name).exists()}
    return Recorded(
        rows=place.resolve(),
        labels=labels,
        channels=tuple(name for name in names if name not in still),
        still=still,
        events=events,
        n_rows=tuple(map(len, rows_of.values())),
        n_failed=n_failed(labels.get("failures")),
        counts_cycles=counts_cycles,
        cadence_s=cadence_s,
        dt_max_s=max(10 * cadence_s, float(np.quantile(steps_s, GAP_SHARE))),
        stops=find_stops({name: values_of[name] for name in still}, rows.x[:, measured], rows_of),
    )


def rows_folder(folder: Path) -> Path:
    """The folder, or its only one, that has the rows of a source. Raises DataRefused."""
    folders = sorted({path.parent for pattern in ("*.parquet", "*/*.parquet") for path in folder.glob(pattern)})
    if not folders:
        what = "holds no rows that forewarn record wrote (*.parquet)"
        raise DataRefused(folder, what, next_step="Give the --out of forewarn record, or a training TOML.")
    if len(folders) > 1:
        what = f"holds the rows of {len(folders)} sources, and a bundle is trained on one"
        raise DataRefused(folder, what, next_step=f"Give one of {', '.join(map(str, folders))}.")
    return folders[0]


def has_cycles(file: TableFile) -> bool:
    """Numbers are cycles: times of a clock are recorded as dates."""
    return not isinstance(next(file.chunks([TIME]))[0], Moments)


def varies(values: Float32) -> bool:
    """Has it more than two values? One that is on or off may be on by a single reading."""
    return len(np.unique(values[~np.isnan(values)])) > 2


def n_failed(failures: Path | None) -> int:
    """How many devices of the list failed."""
    if failures is None:
        return 0
    with failures.open(newline="", encoding="utf-8") as file:
        return len({line.get(DEVICE) for line in csv.DictReader(file) if line.get("t_fail")})


def toml_of(facts: Recorded, name: str) -> str:
    """The configuration. `name` is that of the folder; paths are whole, so that the file may lie anywhere."""
    n, rows = len(facts.n_rows), min(facts.n_rows)
    calibrate, play = max(2, n // 5), max(1, n // 5)
    if facts.heads == ("anomaly",):  # a few machines teach the net; each one that calibrates makes budgets finer
        calibrate, play = n // 2, max(1, n // 6)
    split = f"fit = {n - calibrate - play}\ncalibrate = {calibrate}\nplay = {play}"
    if n < FEW:
        split = 'by = "time"       # few machines: each recording is cut at two dates\nfit = 5\ncalibrate = 3\nplay = 2'
    longest = max(4, min(HORIZON_ROWS, round(HORIZON_SHARE * rows))) * facts.cadence_s
    horizons = [facts.about(longest / part) for part in (4, 2, 1)]
    labels = "".join(f"{key} = {label_value(key, path)}\n" for key, path in facts.labels.items())
    labels += "".join(f"columns.{json.dumps(name)} = {{ event = true }}\n" for name in facts.events)
    return f"""# Made by `forewarn-train fit` of a recording: change it, and give it to `fit` instead of the folder.
# Every key left out has its default.

name = "{re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:60] or "recorded"}"
version = "0.1.0"
heads = {json.dumps(facts.heads)}

[data]
dataset = "table"
rows = {json.dumps(f"{facts.rows}/*.parquet")}
time_unit = "{"cycle" if facts.counts_cycles else "s"}"
channels = {json.dumps(facts.channels)}
{labels}
{runs_of(facts)}[split]
{split}

[model]
hidden = 32
cadence = {facts.span(facts.cadence_s)}    # half of the rows come sooner
dt_max = {facts.span(facts.dt_max_s)}    # a longer silence is lost history

[anomaly]
learning = {facts.about(facts.learning_s)}    # over which a device's own normal is learnt

[risk]
horizons = [{", ".join(horizons)}]

[rul]
cap = {facts.about(2 * longest)}

[judge]
horizon = {horizons[1]}
h_max = {horizons[2]}    # an alert sooner than that before a failure counts as false
h_min = {facts.span(facts.cadence_s)}
clear_after = {horizons[0]}
"""


def runs_of(facts: Recorded) -> str:
    """The table [runs], as a comment where a person must say whether it holds; "" where no machine seems to stop."""
    if facts.stops is None:
        return ""
    start_s = START_MARGIN * facts.stops.start_rows * facts.cadence_s
    lines = [
        "[runs]    # rows of other times are left out, here and by the agent",
        f"channel = {json.dumps(facts.stops.channel)}",
        f"above = {facts.stops.above:.9g}",
        f"after = {facts.about(start_s)}    # rows of a start are left out, too",
    ]
    return "".join(line if facts.stops.is_planned else f"# {line}" for line in (f"{one}\n" for one in lines)) + "\n"


def label_value(key: str, path: Path) -> str:
    """Of [data]: interventions have a column that says what was done."""
    place = json.dumps(path.resolve().as_posix())
    return f'{{ file = {place}, kind = "kind" }}' if key == "maintenance" else place


def in_words(facts: Recorded) -> str:
    """What was found and what will be done, for who has never trained anything."""
    n_machines, labelled = len(facts.n_rows), ", ".join(path.name for path in facts.labels.values())
    every = f"{facts.cadence_s:g} cycle(s)" if facts.counts_cycles else facts.span(facts.cadence_s).strip('"')
    lines = [
        f"{sum(facts.n_rows):,} rows of {n_machines} machine(s), a row every {every}",
        f"learns from {len(facts.channels)} channel(s): {', '.join(facts.channels)}",
        f"labels: {labelled or 'none, and none is needed: warnings come of what is unusual for a machine'}",
    ]
    if facts.events:
        lines.insert(2, f"counts of events among them: {', '.join(facts.events)}")
    if facts.still:
        lines.insert(2 + bool(facts.events), f"left out, since they hardly vary: {', '.join(facts.still)}")
    if not facts.counts_cycles and facts.learning_s < DAY_S * (1 - LEARNING_SHARE):
        learnt = facts.about(facts.learning_s).strip('"')
        lines.append(f"learns each machine's own normal from {learnt}: for a day of it, record {DAYS_MIN} days")
    if facts.stops is not None:
        lines.append(stops_in_words(facts.stops, n_machines))
    if "failures" in facts.labels and "risk" not in facts.heads:
        lines.append(f"{facts.n_failed} machine(s) failed: too few to learn from, {FEW} are needed for the head `risk`")
    return "\n".join(lines)


def stops_in_words(stops: Found, n_machines: int) -> str:
    """What seems to be a stop, and what becomes of it."""
    seen = f"{stops.n_stops} stop(s) of {stops.n_machines} of {n_machines} machine(s) by {stops.channel}"
    if stops.is_planned:
        return f"{seen}: left out, with the starts after them ([runs] in fit.toml), by the agent too"
    return f"{seen}: were they planned? Then take the comment signs off [runs] in fit.toml, and fit that"
