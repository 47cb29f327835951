"""Labelled machines choose among a few sets of charts, and against the bank only where they are sure."""

import numpy as np
import pytest

from trainer.anomaly.bank import default_bank, lasting
from trainer.anomaly.labelled import MACHINES_MIN, average_precision, choose_set
from trainer.data.history import Float64

BANK = {"all": [0, 1], "slow": [0], "fast": [1]}
FAULTY = np.arange(400) >= 300


def machines(n: int, seen_by: int, *, draw: np.random.Generator) -> list[Float64]:
    """Noise, in which one of two charts rises in the fault."""
    return [draw.random((400, 2)) + FAULTY[:, None] * (np.arange(2) == seen_by) * 0.8 for _ in range(n)]


def test_the_part_of_the_bank_whose_charts_rise_in_faults_is_chosen():
    draw = np.random.default_rng(0)
    for column, name in enumerate(("slow", "fast")):
        chosen = choose_set(BANK, {}, machines(4, column, draw=draw), [FAULTY] * 4)
        assert (chosen.name, chosen.n_machines) == (name, 4)
        assert chosen.precision[name] > chosen.precision["all"]


def test_what_a_plant_has_is_chosen_where_it_is_better_for_most_machines():
    draw = np.random.default_rng(0)
    assert choose_set({"bank": [0]}, {"limits": [1]}, machines(4, 1, draw=draw), [FAULTY] * 4).name == "limits"
    few = machines(MACHINES_MIN - 1, 1, draw=draw)
    assert choose_set({"bank": [0]}, {"limits": [1]}, few, [FAULTY] * len(few)).name == "bank"
    apart = machines(3, 0, draw=draw) + machines(3, 1, draw=draw)
    assert choose_set({"bank": [0]}, {"limits": [1]}, apart, [FAULTY] * 6).name == "bank"


def test_labels_that_are_chance_seldom_choose_against_the_bank():
    draw, names = np.random.default_rng(0), []
    for _ in range(60):
        fleet = [draw.random((200, 2)) for _ in range(6)]
        labels = [draw.random(200) < 0.2 for _ in fleet]
        names.append(choose_set({"bank": [0]}, {"limits": [1]}, fleet, labels).name)
    assert names.count("bank") > 40


def test_without_a_label_the_whole_bank_stays():
    chosen = choose_set(BANK, {}, [np.zeros((9, 2))], [np.zeros(9, bool)])
    assert (chosen.name, chosen.n_machines) == ("all", 0)


def test_levels_that_remember_more_than_was_learnt_are_left_out_unless_there_is_nothing_else():
    bank = default_bank(16, has_events=False)
    assert lasting(bank, 400) == bank
    assert lasting(bank, 40) == bank[1:], "two spans of 20 rows for the rate of 0.1, one of 40 for 0.05"
    assert lasting(bank, 20) == bank[2:]
    assert lasting(bank[:2], 20) == bank[:2]


@pytest.mark.parametrize(
    ("score", "expected"),
    [([3, 2, 1, 0], (1 + 2 / 3) / 2), ([3, 1, 2, 0], 1), ([1, 1, 1, 1], 0.5)],
)
def test_average_precision_by_hand(score, expected):
    positive = np.array([True, False, True, False])
    assert average_precision(np.array(score, float), positive) == pytest.approx(expected)
