"""Histories as recorded data for `forewarn replay`: rows in one CSV, failures in another."""

import csv
from collections.abc import Sequence
from pathlib import Path

from trainer.data.history import History


def write_recorded(histories: Sequence[History], channels: Sequence[str], data: Path, truth: Path) -> None:
    """Write `device,t,CHANNEL...` and `device,t_fail`; a missing value or an unknown failure is an empty cell.

    A float32 is written so that reading it gives the same bits.
    """
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "t", *channels])
        for history in histories:
            for t, row in zip(history.t_s.tolist(), history.x, strict=True):
                writer.writerow([history.device, f"{t:.17g}", *("" if v != v else str(v) for v in row)])
    with truth.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "t_fail"])
        for history in histories:
            writer.writerow([history.device, "" if history.t_fail is None else f"{history.t_fail:.17g}"])
