"""The protocol of a baseline: the task that it gets, the scorers that it tries, and the one that is taken."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer.data.history import Float64, History


class Scorer(Protocol):
    """A fitted method. The higher the score, the nearer the fault."""

    def score(self, history: History) -> Float64:
        """float64 [T], at least 0; row t comes from rows up to t only. NaN where they say nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """What a method may know beside the histories it is fitted to.

    every_s    time between rows
    h_max_s    an alert earlier than this before the fault is false
    objective  what a method tunes its own parameters by, the more the better: the mean lead at the budget over those
               histories; equal for all where no fault is known, and then the first setting is taken
    own_rows   a device's first rows, from which its own scale is learned where that is tried
    knows_age  are the first rows of a history those of a new device?
    seed       of all that is drawn
    """

    every_s: float
    h_max_s: float
    objective: Callable[[Scorer], float]
    own_rows: int = 20
    knows_age: bool = False
    seed: int = 0


Candidate = tuple[str, Scorer]
"""A setting in words, and the method fitted with it."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """One method, as docs/baselines.md lists it.

    candidates  fits it with each of its settings, the usual one first. Raises DataRefused where it cannot be fitted
    score       what its score is, in words
    after       whom it follows
    tuned       which of its parameters is tuned, and over which values
    library     what does the work
    is_seeded   does its result depend on the seed?
    """

    candidates: Callable[[Sequence[History], Task], Iterator[Candidate]]
    score: str
    after: str
    tuned: str
    library: str = "numpy"
    is_seeded: bool = False


def values(tried: Sequence[float]) -> str:
    """The values of a parameter, as docs/baselines.md lists them."""
    return ", ".join(f"{one:g}" for one in tried)
