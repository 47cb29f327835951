"""What a plant asks of one pump, hour by hour: speed by its duty, valves, levels and weather.

Nothing here knows of wear. All is drawn from the pump's own generator, float64 [hours] in the units of `Load`.
"""

from typing import Literal

import numpy as np

from trainer.data.history import Float64
from trainer.data.pumps.physics import Load

Duty = Literal["steady", "shifts", "swinging"]
DUTIES: tuple[Duty, ...] = ("steady", "shifts", "swinging")
RATED_SPEED = 3600 * 2 * np.pi / 60  # rad/s
RATED_RESISTANCE = 3.36e7  # Pa s^2/m^6


def planned(rng: np.random.Generator, first_hour: int, hours: int) -> Load:
    """A life's load; `first_hour` is the hour of the week in which it begins."""
    clock = first_hour + np.arange(hours)
    site = rng.uniform(10, 26)
    day = rng.uniform(2, 6) * np.sin(2 * np.pi * (clock - 9) / 24)
    valves = np.exp(blocks(rng, hours, (6, 72), (np.log(0.5), np.log(2.2))))
    jitter = 0.003 * rng.standard_normal(hours)
    return Load(
        drive=RATED_SPEED * (speed_share(rng, clock) + jitter),
        resistance=RATED_RESISTANCE * valves,
        static=500e3 + wander(rng, hours, scale=20e3, memory=60),
        suction=239e3 + wander(rng, hours, scale=12e3, memory=12),
        ambient=site + day + wander(rng, hours, scale=3, memory=48),
    )


def speed_share(rng: np.random.Generator, clock: np.ndarray) -> Float64:
    """Share of the rated speed: nearly constant, high by day and low by night, or as the process wants it."""
    hours, duty = len(clock), DUTIES[rng.integers(len(DUTIES))]
    if duty == "steady":
        return rng.uniform(0.82, 0.96) + blocks(rng, hours, (24, 120), (-0.05, 0.04))
    if duty == "shifts":
        by_day = (clock % 24 >= 6) & (clock % 24 < 22)
        high, low = rng.uniform(0.88, 0.98), rng.uniform(0.70, 0.82)
        return np.where(by_day, high, low) + blocks(rng, hours, (24, 120), (-0.02, 0.02))
    return blocks(rng, hours, (4, 48), (0.70, 1.0))


def blocks(rng: np.random.Generator, hours: int, lasting: tuple[int, int], within: tuple[float, float]) -> Float64:
    """A value that holds for a time drawn from `lasting` hours, and then another one."""
    n = hours // lasting[0] + 1
    ends = np.cumsum(rng.integers(*lasting, size=n, endpoint=True))
    return rng.uniform(*within, size=n)[np.searchsorted(ends, np.arange(hours), side="right")]


def wander(rng: np.random.Generator, hours: int, *, scale: float, memory: float) -> Float64:
    """A first-order random walk about 0 with standard deviation `scale` that forgets within `memory` hours."""
    stays = np.exp(-1 / memory)
    steps = scale * np.sqrt(1 - stays**2) * rng.standard_normal(hours)
    value, walk = scale * rng.standard_normal(), np.empty(hours)
    for hour, step in enumerate(steps.tolist()):
        value = stays * value + step
        walk[hour] = value
    return walk
