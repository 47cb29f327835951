"""Alerts of an agent that people labelled, as `forewarn alerts export` writes them: one that was good is a fault.

A row is a label, or an alert without any; of an alert's labels the last good or bad counts, and they come in the order
in which they were said. One that was bad was raised in normal time, which is what all other time is taken for.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from agent.errors import DataRefused
from agent.table.files import table_file
from agent.table.form import CsvForm
from agent.table.lives.cut import machine_of
from agent.table.lives.logs import Alerts
from agent.table.lives.recording import Recording, usual_step_ns
from agent.table.log import Line, doubts_of_outside, read_log, some
from agent.table.rows import refuse_row

RAISED, CLEARED, TEXTS = "raised", "cleared", ("label", "alert", "source")
Intervals = list[tuple[int, int]]


def alert_faults(recording: Recording, of: Alerts) -> dict[str, Intervals]:
    """Start and end in ns of the good alerts of each recorded device, from raise to clear. Raises DataRefused.

    An alert that still stands lasts to the last row.
    """
    file = table_file(recording.asked.folder / of.file, recording.asked.next_step, CsvForm())
    lives = defaultdict(list)  # of a machine, in the recording
    for name in recording.rows_of:
        lives[machine_of(name)[0]].append(name)
    form = replace(recording.form, device="device")
    log = read_log(file, form, {*recording.rows_of, *lives}, [RAISED, CLEARED], TEXTS)
    alerts: dict[str, tuple[Line, str]] = {}  # the line of each, and its verdict
    sources = set()
    for line in log.lines:
        label, alert, source = line.texts
        if label not in ("good", "bad", "note", ""):
            refuse_row(file, line.row, f"column 'label' is {label!r}, not good, bad, note or empty", "Export it anew.")
        if source == of.source or not of.source:
            sources.add(source)
            verdict = label if label in ("good", "bad") else alerts.get(alert, (line, ""))[1]
            alerts[alert] = line, verdict
    if log.lines and not sources:
        others = some(sorted({line.texts[2] for line in log.lines}))
        next_step = f"alerts.source names that of the rows; the file has alerts of {others}."
        raise DataRefused(file.path, f"has no alert of source {of.source!r}", next_step=next_step)
    if len(sources) > 1:
        what = f"has alerts of {len(sources)} sources: {some(sorted(sources))}"
        next_step = f'Name that of the rows: alerts = {{ file = "{of.file}", source = "{min(sources)}" }}.'
        raise DataRefused(file.path, what, next_step=next_step)
    faults: dict[str, Intervals] = defaultdict(list)
    outside: list[Line] = []
    verdicts: list[str] = []
    for line, verdict in alerts.values():
        raised_ns, cleared_ns = line.t_ns
        if raised_ns is None:
            refuse_row(file, line.row, f"column {RAISED!r} is empty, not a time", "Export it anew.")
        life = _life(recording, [line.device, *lives[line.device]], raised_ns)
        if not life:
            outside.append(line)
            continue
        verdicts.append(verdict)
        if verdict == "good":
            end_ns = recording.span(life)[1] + usual_step_ns(recording, life)
            faults[life].append((raised_ns, max(raised_ns + 1, end_ns if cleared_ns is None else cleared_ns)))

    def ends(device: str) -> str:
        return recording.ends(device if device in recording.rows_of else lives[device][0])

    _tell(recording, verdicts, str(file.path))
    of_alerts = replace(log, lines=tuple(line for line, _ in alerts.values()))
    for doubt in (*log.doubts, *doubts_of_outside(of_alerts, outside, ends)):
        recording.tell(doubt)
    return {life: merged(of_life) for life, of_life in faults.items()}


def merged(intervals: Sequence[tuple[int, int]]) -> Intervals:
    """The same time in intervals that rise and lie apart: two heads may have told of one fault."""
    apart: Intervals = []
    for start, end in sorted(intervals):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart


def _life(recording: Recording, names: Sequence[str], t_ns: int) -> str:
    """The recorded device of that time, "" for none."""
    return next((name for name in names if name in recording.rows_of and _is_in(recording, name, t_ns)), "")


def _is_in(recording: Recording, name: str, t_ns: int) -> bool:
    first, last = recording.span(name)
    return first <= t_ns <= last


def _tell(recording: Recording, verdicts: Sequence[str], where: str) -> None:
    n = {verdict: verdicts.count(verdict) for verdict in ("good", "bad", "")}
    without = f"; {n['']} without a label are taken for normal, too" if n[""] else ""
    what = f"{n['good']} alert(s) labelled good are faults, {n['bad']} labelled bad normal time"
    recording.tell(f"{where}: {what}{without}")
