"""What is known of the recorded devices beside their rows: failures, fault intervals, repairs."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.table.faults import Span, faults_in
from agent.table.lives import logs
from agent.table.lives.alerts import alert_faults, merged
from agent.table.lives.recording import Asked, Recording, usual_step_ns
from agent.table.log import Line, Log, doubts_of_outside, doubts_of_silent
from agent.table.recording import INTERVENTIONS
from agent.table.rows import refuse_row, shown
from agent.words import Bool, Float32

DOWNTIME_NS = 3 * 86_400 * 10**9
LATE_FAILURE = 100
"""A failure so many times the longest recording after its device's last row is a mistaken unit."""
Times = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Labels:
    """By recorded device, in ns: when it failed, when it was repaired, and the intervals of its faults."""

    failures: Times = field(default_factory=lambda: defaultdict(list))
    resets: Times = field(default_factory=lambda: defaultdict(list))
    faults: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    downtime_ns: int = 0


def read_labels(recording: Recording, label: Float32 | None) -> Labels:
    """label: float32 [n], the column of the label, NaN where a file has none. Raises DataRefused."""
    of = recording.asked.labels
    labels = Labels(downtime_ns=downtime_ns(of, counts_cycles=recording.form.unit == "cycle"))
    if of.run_to_failure:
        labels.failures.update({name: [recording.span(name)[1]] for name in recording.rows_of})
    if of.failures:
        labels.failures.update(failures_in(recording, of.failures))
    if of.faults:
        labels.faults.update(faults_of(recording, of.faults))
    if of.maintenance:
        labels.resets.update(resets_in(recording, with_kind(of.maintenance)))
    for path in interventions_of(recording.asked) if of.maintenance is None else ():
        maintenance = logs.Maintenance(file=str(path), device="device", kind="kind")
        for name, times in resets_in(recording, maintenance).items():
            labels.resets[name] += times
    if of.label and label is not None:
        for name, start, end in runs(recording, label):
            if of.label.means == "fault":
                labels.faults[name].append((start, end))
            else:
                labels.failures[name].append(start)
    for name, intervals in (alert_faults(recording, of.alerts) if of.alerts else {}).items():
        resets = labels.resets.get(name, ())
        mended = [(start, min([end, *(t for t in resets if t > start)])) for start, end in intervals]
        labels.faults[name] = merged([*labels.faults[name], *mended])
    return labels


def with_kind(of: logs.Maintenance) -> logs.Maintenance:
    """An inspection is no repair in what `forewarn record` keeps, whoever names its file."""
    is_own = not of.kind and Path(of.file).name == INTERVENTIONS
    return of.model_copy(update={"kind": "kind"}) if is_own else of


def downtime_ns(of: logs.LabelKeys, *, counts_cycles: bool) -> int:
    """How soon after a failure a repair mends it."""
    if of.maintenance and of.maintenance.downtime is not None:
        return round(of.maintenance.downtime * 1e9)
    return 0 if counts_cycles else DOWNTIME_NS


def failures_in(recording: Recording, of: logs.Failures) -> Times:
    """When each device failed. Raises DataRefused for one that is far from its rows."""
    log = recording.log(of, [of.time])
    for doubt in doubts_of_silent(log, recording.rows_of):
        recording.tell(doubt)
    lines = [line for line in log.lines if line.t_ns[0] is not None]
    longest_ns = max(end - start for start, end in map(recording.span, recording.rows_of))
    times: Times = defaultdict(list)
    for line in sorted(lines, key=lambda line: line.t_ns[0] or 0):
        t_ns, (_, last) = line.t_ns[0] or 0, recording.span(line.device)
        is_next = not times[line.device] or times[line.device][-1] <= last
        if is_next and t_ns - last > LATE_FAILURE * max(longest_ns, 10**9):
            what = f"device {line.device!r} fails at {shown(log.file.cell(line.row, of.time))}, far from its last row"
            what += f" ({recording.ends(line.device)})"
            next_step = f"Are {of.time} and the times of the rows in the same unit?"
            refuse_row(log.file, line.row, what, next_step)
        times[line.device].append(t_ns)
    tell_of_outside(recording, log, [line for line in lines if (line.t_ns[0] or 0) < recording.span(line.device)[0]])
    return times


def resets_in(recording: Recording, of: logs.Maintenance) -> Times:
    """When each device was repaired or replaced."""
    log = recording.log(of, [of.time], of.kind)
    times: Times = defaultdict(list)
    for line in log.lines:
        if line.t_ns[0] is None:
            refuse_row(log.file, line.row, f"column {of.time!r} is empty, not a time", "Each line needs a time.")
        if not of.kind or logs.ANY in of.resets or line.kind in of.resets:
            times[line.device].append(line.t_ns[0])
    if log.lines and not times:
        kinds = ", ".join(sorted({line.kind for line in log.lines})[:10])
        recording.tell(
            f"{log.file.path}: none of its kinds ({kinds}) is one of maintenance.resets: no life begins anew"
        )
    return times


def faults_of(recording: Recording, of: logs.Faults) -> dict[str, list[tuple[int, int]]]:
    """The intervals of each device, which rise. Raises DataRefused as `agent.table.faults` does."""
    log = recording.log(of, [of.start, of.end])
    spans = {}
    for name in {line.device for line in log.lines}:
        first, last = recording.span(name)
        spans[name] = Span(first, last, last + usual_step_ns(recording, name))
    faults = faults_in(log, spans, of.start, of.end)
    tell_of_outside(recording, log, faults.outside)
    return faults.of


def tell_of_outside(recording: Recording, log: Log, outside: Sequence[Line]) -> None:
    for doubt in doubts_of_outside(log, outside, recording.ends):
        recording.tell(doubt)


def runs(recording: Recording, label: Float32) -> Iterator[tuple[str, int, int]]:
    """Device, time of the first row of each run of ones, and of the row after it.

    Raises DataRefused for another value.
    """
    assert recording.asked.labels.label is not None
    column = recording.asked.labels.label.column
    strange = np.flatnonzero(~np.isnan(label) & (label != 0) & (label != 1))
    if len(strange):
        what = f"column {column!r} is {recording.rows.cell(int(strange[0]), column)}, not 0 or 1"
        next_step = "A label is 1 where something was wrong, else 0 or empty; a list of times goes to data.faults."
        recording.rows.refuse(int(strange[0]), what, next_step)
    for name, at in recording.rows_of.items():
        is_one = np.concatenate(([False], label[at] == 1, [False]))
        starts = np.flatnonzero(is_one[1:] & ~is_one[:-1])
        ends = np.flatnonzero(~is_one[1:] & is_one[:-1])
        if len(starts):
            t_ns = recording.rows.t_ns[at]
            after = np.append(t_ns, t_ns[-1] + usual_step_ns(recording, name))
            for start, end in zip(t_ns[starts].tolist(), after[ends].tolist(), strict=True):
                yield name, start, end


def is_running_in(label: Float32) -> Bool:
    """Bool [T]: is the row of a device none of those that say once more that it has failed? After it, it lives anew."""
    has_failed: Bool = label == 1
    is_running: Bool = np.logical_not(has_failed & np.append(False, has_failed[:-1]))
    return is_running


def interventions_of(asked: Asked) -> list[Path]:
    """Those that `forewarn record` kept in, or beside, the folders of rows."""
    folders = [asked.folder / place for place in asked.tables[0].places if (asked.folder / place).is_dir()]
    paths = {path for one in folders for path in (*one.rglob(INTERVENTIONS), one.parent / INTERVENTIONS)}
    return sorted(path for path in paths if path.exists())
