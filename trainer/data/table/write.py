"""Histories as files that `read_table` and `forewarn replay` read."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from agent.words import Float32
from trainer.data.history import History
from trainer.data.runs import Runs, read_channels


def write_table(
    histories: Sequence[History],
    channels: Sequence[str],
    rows: Path,
    failures: Path,
    faults: Path | None = None,
    runs: Runs | None = None,
) -> None:
    """Write `device,t,CHANNEL...`, `device,t_fail` and `device,start,end`; an unknown value is an empty cell.

    A float32 is written so that reading it gives the same bits. `faults` is written where a fault is labelled. With
    `runs` the rows of stops are there, without any other value.
    """
    _write(
        rows,
        ("device", "t", *read_channels(channels, runs)),
        (
            (history.device, f"{t:.17g}", *("" if v != v else str(v) for v in row))
            for history in histories
            for t, row in (
                zip(history.t_s.tolist(), history.x, strict=True)
                if runs is None
                else with_stops(history, channels, runs)
            )
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


def with_stops(history: History, channels: Sequence[str], runs: Runs) -> Iterator[tuple[float, Float32]]:
    """Time and values, float32 [inputs], of every row; one that runs says so by the next whole number over `above`."""
    names = read_channels(channels, runs)
    x = np.full((len(history.t_s) + len(history.stopped), len(names)), np.nan, np.float32)
    x[: len(history.t_s), : len(channels)] = history.x
    place, n_rows = names.index(runs.channel), len(history.t_s)
    if place == len(channels):
        x[:n_rows, place] = math.floor(runs.above) + 1
    x[n_rows:, place] = history.stopped.value
    t_s = np.concatenate((history.t_s, history.stopped.t_s))
    order = np.argsort(t_s, kind="stable")
    return zip(t_s[order].tolist(), x[order], strict=True)


def _write(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
