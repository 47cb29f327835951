"""Incidents are left out of normal calibration time; time without faults is left as it is."""

import numpy as np
import pytest

from agent.bundle.manifest import JudgePolicy
from agent.judge.threshold import choose, parse_budget
from trainer.data.history import Float64, History
from trainer.evaluation.incidents import incidents_as_text, without_incidents
from trainer.evaluation.normal_table import normal_table
from trainer.evaluation.threshold_sweep import Rules, alerts_at

EVERY, DAY = 300.0, 86_400.0
N, N_DEVICES, N_CHANNELS = 288 * 7, 6, 14
START = 1.7e9
RULES = Rules(JudgePolicy(0, 1, 1, 0.8, 3600.0, 0.5), EVERY, h_max_s=6 * 3600.0, h_min_s=0.0, n_thresholds=40)
MACHINES = [
    History(f"p{number}", START + EVERY * np.arange(N), np.zeros((N, 1), np.float32), None)
    for number in range(N_DEVICES)
]


def normal_rows(rng: np.random.Generator) -> Float64:
    return rng.normal(size=(N, N_CHANNELS))


def spoilt_rows(rng: np.random.Generator) -> tuple[Float64, Float64]:
    """A channel is four sigmas off for two hours at a time, on 5 % of the rows; and which rows those are."""
    rows, spoilt = normal_rows(rng), np.zeros(N, bool)
    for start in rng.integers(0, N - 24, int(0.05 * N / 24)).tolist():
        rows[start : start + 24, rng.integers(N_CHANNELS)] += rng.choice([-4.0, 4.0])
        spoilt[start : start + 24] = True
    return rows, spoilt


def chart(rows: Float64, rate: float) -> Float64:
    """The greatest of the squared charts of the channels, about 1 where few rows are higher."""
    smoothed, score = np.zeros(N_CHANNELS), np.empty(N)
    for row, values in enumerate(rows):
        smoothed += rate * (values - smoothed)
        score[row] = (smoothed**2).max()
    return score / (rate / (2 - rate)) / 9


def real_over_asked(scores: list[Float64], rng: np.random.Generator, rate: float) -> float:
    """False alarms of other, healthy devices at the blind threshold, over what the budget allows."""
    budget = parse_budget("1 per device per day", fleet_size=0)
    chosen = choose(normal_table(scores, MACHINES, RULES), budget)
    healthy = [chart(normal_rows(rng), rate) for _ in MACHINES]
    (fleet,) = alerts_at([chosen.threshold], healthy, MACHINES, RULES)
    return sum(len(one.spells) for one in fleet) / (N_DEVICES * N * EVERY) / budget.rate_per_s


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_the_budget_holds_though_a_twentieth_of_the_calibration_time_is_spoilt(rate: float) -> None:
    rng = np.random.default_rng(0)
    rows, spoilt = zip(*(spoilt_rows(rng) for _ in MACHINES), strict=True)
    scores = [chart(one, rate) for one in rows]
    trimmed = without_incidents(scores, MACHINES, RULES)
    found = [np.isnan(one[is_spoilt]).mean() for one, is_spoilt in zip(trimmed.scores, spoilt, strict=True)]
    assert np.mean(found) > 0.9, "nearly all that was spoilt"
    assert trimmed.share < 0.08, "and little else"
    assert trimmed.more == 0
    real, with_them = (real_over_asked([*of], np.random.default_rng(1), rate) for of in (trimmed.scores, scores))
    assert 0.5 <= real <= 2
    assert with_them < 0.7 * real


TAILS = {
    "exponential": lambda rng: rng.exponential(size=N),
    "normal": lambda rng: np.abs(rng.normal(size=N)),
    "squares": lambda rng: rng.normal(size=N) ** 2,
    "a power law": lambda rng: rng.pareto(2, N) + 0.1,
    "regimes": lambda rng: rng.exponential(size=N) * np.repeat(np.exp(0.5 * rng.normal(size=N // 48)), 48),
    "devices of another scale": lambda rng: rng.exponential(size=N) * np.exp(rng.normal()),
    "hardly anything": lambda rng: 1 + 1e-6 * rng.random(N),
    "nothing": lambda rng: np.zeros(N),
}


@pytest.mark.parametrize("tail", TAILS)
def test_time_without_faults_is_left_as_it_is(tail: str) -> None:
    """Ten fleets of each kind: at most one of them loses anything, and then hardly anything."""
    shares = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shares.append(without_incidents([TAILS[tail](rng) for _ in MACHINES], MACHINES, RULES).share)
    assert sum(share > 0 for share in shares) <= 1
    assert max(shares) < 0.01


def test_an_incident_says_when_and_where_so_that_somebody_can_look() -> None:
    rng = np.random.default_rng(3)
    scores = [rng.exponential(size=N) for _ in MACHINES]
    scores[2][500:530] += 60.0
    scores[2][510] = np.nan
    trimmed = without_incidents(scores, MACHINES, RULES)
    (incident,) = trimmed.incidents
    assert incident.device == "p2"
    start, end = ((time_s - START) / EVERY for time_s in (incident.start_s, incident.end_s))
    assert 500 - 2 * 12 <= start <= 500, "with what was high at most `clear_after` before"
    assert 529 <= end <= 529 + 2 * 12
    assert np.isnan(trimmed.scores[2][500:530]).all()
    assert np.isfinite(trimmed.scores[2][:476]).all()
    one, named, last = incidents_as_text(trimmed, "s", 8).splitlines()
    assert last.endswith("label those that were faults in data.faults. What was no fault will be alarmed again.")
    assert one.startswith("1 incident in the calibration time looks like a fault and is left out of the threshold, 0.")
    assert named.startswith("  p2 from 2023-11-16T15:03:20+00:00 to 2023-11-16T18:18:20+00:00, ")
    assert incidents_as_text(trimmed, "cycle", 8).splitlines()[1].startswith(f"  p2 from {incident.start_s:g} to ")


def test_a_recording_full_of_faults_keeps_most_of_its_time() -> None:
    """A third of it is far off: at most a fifth is left out, and it is said that there is more."""
    rng = np.random.default_rng(4)
    scores = [rng.exponential(size=N) for _ in MACHINES]
    for score in scores:
        for start in range(0, N, 288):
            score[start : start + 70] += 500.0
    trimmed = without_incidents(scores, MACHINES, RULES)
    assert trimmed.share <= 0.2
    assert trimmed.more > 0
    assert "more are left in: a recording so full of faults" in incidents_as_text(trimmed, "s", 8)


def test_incidents_of_most_machines_at_the_same_time_are_probably_planned_stops() -> None:
    """Two stops of all machines, and a fault of one."""
    rng = np.random.default_rng(5)
    scores = [rng.exponential(size=N) for _ in MACHINES]
    for number, score in enumerate(scores):
        for start in (400, 900):
            score[start + number : start + number + 30] += 60.0
    scores[0][1200:1230] += 60.0
    trimmed, n = without_incidents(scores, MACHINES, RULES), len(MACHINES)
    assert len(trimmed.incidents) == 2 * n + 1
    *_, together = incidents_as_text(trimmed, "s", n).splitlines()
    assert together.startswith(f"{2 * n} of them came on most of the {n} machines at the same time: probably planned")
    assert "[runs]" in together
    assert "[runs]" not in incidents_as_text(trimmed, "s", 3 * n)


def test_little_time_is_left_as_it_is() -> None:
    few = [History("p", np.arange(300.0), np.zeros((300, 1), np.float32), None)]
    score = np.ones(300)
    score[100:110] = 1e6
    trimmed = without_incidents([score], few, RULES)
    assert (trimmed.incidents, incidents_as_text(trimmed, "s", 8)) == ((), "")
    assert trimmed.scores[0] is score
