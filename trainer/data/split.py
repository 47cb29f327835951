"""Machines dealt out by a seed, or their recordings cut at two dates. Never rows one by one.

By machine, two lives of one machine are never on two sides: what is left of it after a repair, and its sensors, would
be known. By time, every machine is on each side, later and later; the rows of the longest warning after a cut belong
to no side, since what is seen in them began before it.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

from agent.errors import DataRefused
from agent.table.lives.section import Section
from trainer.data.history import History, numbered
from trainer.data.plural import plural

PARTS = ("fit", "calibrate", "play")


class Split(Section):
    """Machines, never rows, are dealt out by this seed; it is not the training seed, so that runs stay comparable."""

    by: Literal["machine", "time"] = Field(
        default="machine",
        description="What is dealt out: whole machines, or each one's recording, cut at two dates.",
    )
    seed: int = Field(default=0, ge=0)
    fit: int = Field(default=70, ge=1, description="Machines, or shares of the rows, the weights are trained on.")
    calibrate: int = Field(default=10, ge=2, description="Those for probabilities, intervals and thresholds.")
    play: int = Field(default=20, ge=1, description="Those nothing is fitted on; evaluated and replayed.")

    @property
    def n_devices(self) -> int:
        return self.fit + self.calibrate + self.play


@dataclass(frozen=True, slots=True)
class Parts:
    """Lives as `split` dealt them out; no life is in two of them, and by machine no machine is."""

    fit: tuple[History, ...]
    calibrate: tuple[History, ...]
    play: tuple[History, ...]


def split(histories: Sequence[History], shares: Split, *, embargo_s: float = 0.0, needs_failures: bool = True) -> Parts:
    """Deal out the lives, independent of the order given.

    embargo_s       by time: rows sooner than this after a cut are left out
    needs_failures  each part must hold a life that failed

    Raises DataRefused when there are too few machines, or too few that failed.
    """
    parts = _by_time(histories, shares, embargo_s) if shares.by == "time" else _by_machine(histories, shares)
    if needs_failures:
        check_failures(parts, histories, shares)
    return parts


def _by_machine(histories: Sequence[History], shares: Split) -> Parts:
    """By the seed, the same share of failed machines to each part."""
    lives: dict[str, list[History]] = defaultdict(list)
    for history in sorted(histories, key=lambda history: (history.owner, history.t_s[0])):
        lives[history.owner].append(history)
    if len(lives) < shares.n_devices:
        what = f"{plural(len(lives), 'device')}, but split.fit + calibrate + play is {shares.n_devices}"
        raise DataRefused("split", what, next_step="Lower the three numbers or read more devices.")
    machines = list(lives)
    order = np.random.default_rng(shares.seed).permutation(len(machines))
    failed = {machine: any(history.failed for history in of) for machine, of in lives.items()}
    dealt = spread([machines[index] for index in order], failed)[: shares.n_devices]
    ends = (0, shares.fit, shares.fit + shares.calibrate, shares.n_devices)
    return Parts(*(tuple(one for machine in dealt[a:b] for one in lives[machine]) for a, b in pairwise(ends)))


def _by_time(histories: Sequence[History], shares: Split, embargo_s: float) -> Parts:
    """The dates are where the shares of all rows end, the same ones for every machine."""
    t_s = np.sort(np.concatenate([history.t_s for history in histories]))
    n_before = np.cumsum([shares.fit, shares.calibrate]) * len(t_s) // shares.n_devices
    cuts = t_s[n_before]
    starts, ends = (-np.inf, *(cuts + embargo_s)), (*cuts, np.inf)
    pieces: dict[str, list[tuple[int, History]]] = defaultdict(list)
    for history in sorted(histories, key=lambda history: (history.owner, history.t_s[0])):
        for place, (start_s, end_s) in enumerate(zip(starts, ends, strict=True)):
            if len((piece := history.between(start_s, end_s)).t_s):
                pieces[history.owner].append((place, piece))
    parts: tuple[list[History], ...] = ([], [], [])
    for machine, of in pieces.items():
        for (place, _), piece in zip(of, numbered(machine, [piece for _, piece in of]), strict=True):
            parts[place].append(piece)
    for name, part, end_s in zip(PARTS, parts, ends, strict=True):
        if not part:
            what = f"no row is left for part {name!r} once {embargo_s:g} after each cut are left out"
            raise DataRefused("split", what, next_step=f"Record longer, or raise split.{name}: it ends at {end_s:g}.")
    return Parts(*map(tuple, parts))


def check_failures(parts: Parts, histories: Sequence[History], shares: Split) -> None:
    """Raise DataRefused for a part in which nothing failed."""
    n_machines, n_failed = _count(histories), _count([history for history in histories if history.failed])
    for name, part in zip(PARTS, (parts.fit, parts.calibrate, parts.play), strict=True):
        if not any(history.failed for history in part):
            what = f"no device of the {_count(part)} in part {name!r} failed; of all {n_machines}, {n_failed} did"
            remedy = f"raise split.{name}, or record more failures"
            if shares.by == "machine":
                remedy = (
                    f"raise split.{name} to {math.ceil(n_machines / max(n_failed, 1)) + 1}, or record more failures"
                )
                if n_failed < len(PARTS):
                    remedy = 'record more failures, or do without: heads = ["anomaly"]'
            raise DataRefused("split", what, next_step=f"Each part needs a recorded failure: {remedy}.")


def _count(histories: Sequence[History]) -> int:
    """Of machines, which are what is dealt out: one may have several lives."""
    return len({history.owner for history in histories})


def spread(shuffled: Sequence[str], failed: dict[str, bool]) -> list[str]:
    """The same machines, each kind in the order given, so that every stretch holds its share of the failed ones."""
    place: dict[str, float] = {}
    for kind in (True, False):
        alike = [machine for machine in shuffled if failed[machine] is kind]
        place |= {machine: (rank + 0.5) / len(alike) for rank, machine in enumerate(alike)}
    return sorted(shuffled, key=lambda machine: place[machine])
