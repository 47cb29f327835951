"""Planned stops are found by a channel that is on or off where the others say so, too, and stops come again."""

import numpy as np
import pytest

from trainer.data.find_stops import Found, find_stops

N = 2000


def plant(
    *stops: tuple[int, int], machines: int = 3, struck: int = 3, starts_in: int = 12, low: float = 0.0
) -> tuple[dict, np.ndarray, dict]:
    """Four channels of levels that differ between machines; three of them fall in a stop, and rise again in a while."""
    x, on, rows_of = [], [], {}
    for number in range(machines):
        rng = np.random.default_rng(number)
        run = np.ones(N)
        rise = np.ones(N)
        for start, end in stops if number < struck else ():
            run[start:end] = 0
            rise[start:end] = 0
            rise[end : end + starts_in] = np.linspace(0, 1, starts_in)
        level = np.array([10, 50, 5, 1]) * (1 + number)
        rows = level * (1 + 0.02 * rng.normal(size=(N, 4)))
        rows[:, :3] *= rise[:, None]
        x.append(rows)
        on.append(np.where(run > 0, 1.0, low))
        rows_of[f"m{number}"] = np.arange(number * N, (number + 1) * N)
    return {"running": np.concatenate(on).astype(np.float32)}, np.concatenate(x).astype(np.float32), rows_of


WEEKLY = ((400, 450), (1000, 1060), (1700, 1740))


def test_stops_that_come_again_on_most_machines_are_planned():
    found = find_stops(*plant(*WEEKLY))
    assert found == Found("running", 0.5, 9, 3, 450, found.start_rows, is_planned=True)
    assert 9 <= found.start_rows <= 12


def test_what_goes_off_once_or_on_few_machines_may_be_a_fault():
    once, few = find_stops(*plant(WEEKLY[0])), find_stops(*plant(*WEEKLY, struck=1))
    assert once is not None
    assert few is not None
    assert (once.is_planned, once.n_stops) == (False, 3)
    assert (few.is_planned, few.n_machines) == (False, 1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda on: 1 - on, "an alarm is on seldom"),
        (lambda on: np.where(np.arange(len(on)) % 50 < 2, 0, 1), "the others do not know of it"),
        (lambda on: on + (np.arange(len(on)) % 3 == 0), "it has three values or more"),
        (np.ones_like, "it stands still"),
        (lambda on: np.full_like(on, np.nan), "it has none"),
    ],
)
def test_another_channel_of_few_values_is_none(change, why):
    candidates, x, rows_of = plant(*WEEKLY)
    changed = {name: change(on).astype(np.float32) for name, on in candidates.items()}
    assert find_stops(changed, x, rows_of) is None, why


def test_a_channel_that_is_sent_on_change_and_one_with_other_values_will_do():
    candidates, x, rows_of = plant(*WEEKLY, low=-5.0)
    on = candidates["running"].copy()
    for at in rows_of.values():
        changed = np.diff(on[at], prepend=np.nan) != 0
        candidates["running"][at[~changed]] = np.nan
    x[::7, 1] = np.nan
    found = find_stops({"other": np.ones(len(x), np.float32), **candidates}, x, rows_of)
    assert found is not None
    assert (found.above, found.n_stops, found.n_rows, found.is_planned) == (-2.0, 9, 450, True)
