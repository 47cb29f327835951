"""What people said of alerts: the table that `forewarn alerts export` writes, read for one bundle.

A row is a label, or an alert without any. Of an alert's labels the latest good or bad counts.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.bundle.file import Bundle
from agent.errors import DataRefused
from agent.table.recording import readable_name
from agent.values.times import text_time_ns
from trainer.data.history import History

COLUMNS = ("alert", "device", "head", "bundle", "version", "digest", "raised", "cleared", "label", "at")
ROWS_MAX = 100_000  # ten times what an agent keeps
AGAIN = "Write the table anew with `forewarn alerts export --labels FILE`."
Verdict = Literal["good", "bad", ""]


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """An alert that a running agent raised, and what became of it.

    raised_s, cleared_s  event times in seconds, or cycles; None where it still stood
    verdict              "" where nobody said good or bad
    said_ns              when the verdict was said
    """

    device: str
    head: str
    raised_s: float
    cleared_s: float | None
    verdict: Verdict = ""
    said_ns: int = -1


def read_alert_labels(path: Path, bundle: Bundle) -> tuple[list[AlertSpan], dict[str, int]]:
    """The alerts that this very bundle raised, in the order of the table, and how many are of other bundles, by name.

    Raises DataRefused, with the line, for a table of another form, and where no alert is the bundle's.
    """
    spans: dict[str, AlertSpan] = {}
    others: dict[str, str] = {}
    for line, row in _rows(path):
        try:
            span = _span(row, counts_cycles=bundle.manifest.time_unit == "cycle")
        except ValueError as error:
            raise DataRefused(f"{path}:{line}", str(error), next_step=AGAIN) from None
        if row["digest"] != bundle.digest or span.head not in bundle.manifest.judging:
            others[row["alert"]] = f"{row['bundle']} {row['version']} ({row['head']})"
        elif row["alert"] not in spans or (span.verdict and span.said_ns >= spans[row["alert"]].said_ns):
            spans[row["alert"]] = span
    if not spans:
        named = ", ".join(sorted({*others.values()})) or "there is none"
        what = f"has no alert of {bundle.manifest.name} {bundle.manifest.version} ({bundle.digest[:12]}): {named}"
        raise DataRefused(path, what, next_step="Give the very bundle that the agent ran, and its labels.")
    return [*spans.values()], dict(Counter(others.values()))


def find_recorded(span: AlertSpan, histories: Sequence[History]) -> History | None:
    """The recorded life of the alert's device in which it was raised; None where there is none, or more than one."""
    names = (span.device, readable_name(span.device))
    lives = [one for one in histories if one.owner in names and one.t_s[0] <= span.raised_s <= one.t_s[-1]]
    return lives[0] if len(lives) == 1 else None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells of each row. Raises DataRefused."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataRefused(path, f"has no column {missing[0]!r}", next_step=AGAIN)
            for number, row in enumerate(reader):
                if number == ROWS_MAX:
                    raise DataRefused(path, f"has more than {ROWS_MAX:,} rows", next_step="Cut it.")
                if None in row or None in row.values():
                    raise DataRefused(f"{path}:{reader.line_num}", "has not as many cells as columns", next_step=AGAIN)
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataRefused(path, f"cannot be read: {error}", next_step=AGAIN) from None


def _span(row: dict[str, str], *, counts_cycles: bool) -> AlertSpan:
    """Raises ValueError that names the column."""
    raised_s = _seconds(row["raised"], "raised", counts_cycles=counts_cycles)
    cleared_s = _seconds(row["cleared"], "cleared", counts_cycles=counts_cycles) if row["cleared"] else None
    if cleared_s is not None and cleared_s < raised_s:
        raise ValueError("cleared is before raised")
    match row["label"]:
        case "good" | "bad" as verdict:
            said_ns = text_time_ns(row["at"])
            return AlertSpan(row["device"], row["head"], raised_s, cleared_s, verdict, said_ns)
        case "note" | "":
            return AlertSpan(row["device"], row["head"], raised_s, cleared_s)
        case other:
            raise ValueError(f"label is {other!r}, not good, bad, note or nothing")


def _seconds(text: str, column: str, *, counts_cycles: bool) -> float:
    try:
        return float(text) if counts_cycles else text_time_ns(text) / 1e9
    except ValueError:
        raise ValueError(f"{column} is {text!r}, not a {'cycle' if counts_cycles else 'time'}") from None
