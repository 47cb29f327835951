"""Labelled machines choose among a few sets of charts, and only where they are sure."""

import numpy as np
import pytest

from trainer.anomaly.labelled import MACHINES_MIN, average_precision, choose_set
from trainer.data.history import Float64

SETS = {"all": [0, 1], "slow": [0], "fast": [1]}
FAULTY = np.arange(400) >= 300


def machines(n: int, seen_by: int, *, draw: np.random.Generator) -> list[Float64]:
    """Noise, in which one of two charts rises in the fault."""
    return [draw.random((400, 2)) + FAULTY[:, None] * (np.arange(2) == seen_by) * 0.8 for _ in range(n)]


def test_the_set_whose_charts_rise_in_faults_is_chosen():
    draw = np.random.default_rng(0)
    for column, name in enumerate(("slow", "fast")):
        chosen = choose_set(SETS, machines(4, column, draw=draw), [FAULTY] * 4)
        assert (chosen.name, chosen.n_machines) == (name, 4)
        assert chosen.precision[name] > chosen.precision["all"]


def test_the_first_set_stays_where_machines_are_few_or_disagree():
    draw = np.random.default_rng(0)
    few = machines(MACHINES_MIN - 1, 0, draw=draw)
    assert choose_set(SETS, few, [FAULTY] * len(few)).name == "all"
    apart = machines(3, 0, draw=draw) + machines(3, 1, draw=draw)
    assert choose_set(SETS, apart, [FAULTY] * 6).name == "all"


def test_labels_that_are_chance_seldom_choose():
    """Sets that are as good as each other: the first one stays in most fleets of six, though another is often ahead."""
    draw, names = np.random.default_rng(0), []
    for _ in range(60):
        fleet = [draw.random((200, 2)) for _ in range(6)]
        names.append(choose_set({"a": [0], "b": [1]}, fleet, [draw.random(200) < 0.2 for _ in fleet]).name)
    assert names.count("a") > 40


def test_without_a_label_the_first_set_stays():
    assert choose_set(SETS, [np.zeros((9, 2))], [np.zeros(9, bool)]).n_machines == 0


@pytest.mark.parametrize(
    ("score", "expected"),
    [([3, 2, 1, 0], (1 + 2 / 3) / 2), ([3, 1, 2, 0], 1), ([1, 1, 1, 1], 0.5)],
)
def test_average_precision_by_hand(score, expected):
    positive = np.array([True, False, True, False])
    assert average_precision(np.array(score, float), positive) == pytest.approx(expected)
