"""Where the lives of a machine end: at its failures and at its repairs."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agent.words import Int64


class Life(NamedTuple):
    """Rows of a recorded device from one end to the next; t_fail_ns: None where a repair or the recording ended it."""

    rows: slice
    t_fail_ns: int | None


def lives(
    t_ns: Int64, failures: Sequence[int], resets: Sequence[int] = (), downtime_ns: int = 0
) -> tuple[list[Life], int]:
    """The lives that have rows, in their order, and how many rows are of none: it stood still for a repair.

    t_ns         int64 [T] rising
    failures     a row at the time of one is the last of its life
    resets       times of repairs: a row at the time of one is the first of the next life
    downtime_ns  between a failure and a repair that comes at most so long after it there is no life
    """
    ends = sorted({*((t, 0) for t in failures), *((t, 1) for t in resets)})  # a failure before a repair at once
    lives_: list[Life] = []
    start, n_down = 0, 0
    failed_ns: int | None = None
    for t, is_reset in ends:
        stop = max(start, int(np.searchsorted(t_ns, t, side="left" if is_reset else "right")))
        if is_reset and failed_ns is not None and t - failed_ns <= downtime_ns:
            n_down += stop - start
        elif stop > start:
            lives_.append(Life(slice(start, stop), None if is_reset else t))
        start, failed_ns = stop, None if is_reset else t
    if len(t_ns) > start:
        lives_.append(Life(slice(start, len(t_ns)), None))
    return lives_, n_down


def names_of(machine: str, n: int) -> list[str]:
    """Of its first, second, ... life."""
    return [machine, *(f"{machine}~{number}" for number in range(2, n + 1))]


def machine_of(device: str) -> tuple[str, int]:
    """The machine of a recorded device, and which life of it: `forewarn record` calls the second one of p7 `p7~2`."""
    match = re.fullmatch(r"(.+)~(\d{1,6})", device)
    return (match[1], int(match[2])) if match else (device, 1)
