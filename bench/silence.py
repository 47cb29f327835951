"""How often learned silence is wrong: false alarms a year of simulated sources that are never faulty.

    python -m bench.silence

Each source lives a year of pauses between its messages; an alarm is a pause above the limit that was learned from those
before it. Pauses are drawn at random (a Poisson process), from a distribution with a heavy tail, or by the hours of a
plant.
"""

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from agent.judge import silence
from agent.judge.silence import LEARNED_NS, WEEK_NS, PauseColumns

FLOOR_NS = 600 * 10**9  # agent.stale_after
DAY_S, HOUR_S = 86_400.0, 3600.0
N_SOURCES = 500
Float64 = npt.NDArray[np.float64]
Pauses = Callable[[Float64], Float64]  # of the sources, at the time of each, in s


def alarms_a_year(pauses: Pauses, n: int, days: float = 365.0) -> float:
    """Mean alarms of n sources."""
    columns, every = PauseColumns.empty(n), np.arange(n)
    now_ns = np.zeros(n, np.int64)
    week = now_ns // WEEK_NS
    silence.hear(columns, every, now_ns)
    n_alarms = 0
    while (is_alive := now_ns < days * DAY_S * 1e9).any():
        pause_ns = (pauses(now_ns / 1e9) * 1e9).astype(np.int64)
        limit_ns = silence.limits_ns(columns, np.full(n, LEARNED_NS), FLOOR_NS)
        n_alarms += int(np.count_nonzero(is_alive & (pause_ns > limit_ns)))
        now_ns = now_ns + pause_ns
        silence.begin_week(columns, now_ns // WEEK_NS != week)
        week = now_ns // WEEK_NS
        silence.hear(columns, every, now_ns)
    return n_alarms / n * 365 / days


def plant(now_s: Float64, *, rests_on_sundays: bool) -> Float64:
    """A message each ten minutes from 6 to 22 o'clock."""
    then_s = now_s + 600
    is_night = then_s % DAY_S >= 22 * HOUR_S
    day = then_s // DAY_S + is_night
    day += rests_on_sundays & (day % 7 == 6)
    opens_s = day * DAY_S + 6 * HOUR_S
    return np.maximum(then_s, opens_s) - now_s


def main() -> None:
    """Print the table, and the same as JSON."""
    rng = np.random.default_rng(1)
    kinds: dict[str, tuple[Pauses, int]] = {
        "at random, 10 minutes apart": (lambda now_s: rng.exponential(600, len(now_s)), N_SOURCES),
        "at random, 1 hour apart": (lambda now_s: rng.exponential(HOUR_S, len(now_s)), N_SOURCES),
        "at random, 6 hours apart": (lambda now_s: rng.exponential(6 * HOUR_S, len(now_s)), N_SOURCES),
        "log-normal, 10 minutes, sigma 1.5": (lambda now_s: 600 * rng.lognormal(0, 1.5, len(now_s)), N_SOURCES),
        "a plant that stops at night": (lambda now_s: plant(now_s, rests_on_sundays=False), 1),
        "and on Sundays": (lambda now_s: plant(now_s, rests_on_sundays=True), 1),
    }
    rates = {name: alarms_a_year(pauses, n) for name, (pauses, n) in kinds.items()}
    print("| messages come | false alarms a year |\n|---|---|")
    for name, alarms in rates.items():
        print(f"| {name} | {alarms:.3g} |")
    print(json.dumps({"bench": "silence", "alarms_a_year": rates}))


if __name__ == "__main__":
    main()
