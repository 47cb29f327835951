"""Histories as files that `read_table` and `forewarn replay` read."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from trainer.data.history import History


def write_table(
    histories: Sequence[History], channels: Sequence[str], rows: Path, failures: Path, faults: Path | None = None
) -> None:
    """Write `device,t,CHANNEL...`, `device,t_fail` and `device,start,end`; an unknown value is an empty cell.

    A float32 is written so that reading it gives the same bits. `faults` is written where a fault is labelled.
    """
    _write(
        rows,
        ("device", "t", *channels),
        (
            (one.device, f"{t:.17g}", *("" if v != v else str(v) for v in row))
            for one in histories
            for t, row in zip(one.t_s.tolist(), one.x, strict=True)
        ),
    )
    _write(
        failures,
        ("device", "t_fail"),
        ((one.device, "" if one.t_fail is None else f"{one.t_fail:.17g}") for one in histories),
    )
    if faults and any(len(one.faults) for one in histories):
        lines = (
            (one.device, *(f"{t:.17g}" if t < math.inf else "" for t in fault))
            for one in histories
            for fault in one.faults.tolist()
        )
        _write(faults, ("device", "start", "end"), lines)


def _write(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
