"""Where a machine's lives end, and what becomes of the rows in between."""

import numpy as np
import pytest

from agent.table.lives.cut import lives, machine_of

T_NS = np.arange(0, 100, 10)


def rows(of: slice) -> list[int]:
    return T_NS[of].tolist()


@pytest.mark.parametrize(
    ("failures", "resets", "downtime", "expected", "n_down"),
    [
        ([], [], 0, [(0, 90, None)], 0),
        ([90], [], 0, [(0, 90, 90)], 0),
        ([130, 95], [], 0, [(0, 90, 95)], 0),
        ([40], [], 0, [(0, 40, 40), (50, 90, None)], 0),
        ([45, 45, 20], [], 0, [(0, 20, 20), (30, 40, 45), (50, 90, None)], 0),
        ([], [40], 0, [(0, 30, None), (40, 90, None)], 0),
        ([40], [40], 0, [(0, 40, 40), (50, 90, None)], 0),
        ([40], [62], 30, [(0, 40, 40), (70, 90, None)], 2),
        ([40], [62], 10, [(0, 40, 40), (50, 60, None), (70, 90, None)], 0),
        ([120], [95], 0, [(0, 90, None)], 0),
        ([], [5, 6], 0, [(0, 0, None), (10, 90, None)], 0),
        ([-5], [-3], 9, [(0, 90, None)], 0),
    ],
    ids=[
        "none",
        "at the last row",
        "after the last row",
        "rows go on",
        "several, some twice",
        "a repair at a row",
        "repaired at once",
        "stood still",
        "repaired long after",
        "repaired before it failed",
        "a repair before any failure",
        "before the first row",
    ],
)
def test_failures_and_repairs_end_lives(failures, resets, downtime, expected, n_down):
    """First row, last row and failure of each life; a row at a failure is its last, one at a repair is the next's."""
    found, n_stopped = lives(T_NS, failures, resets, downtime)
    assert [(rows(of)[0], rows(of)[-1], t_fail) for of, t_fail in found] == expected
    assert n_stopped == n_down


def test_a_recorded_life_names_its_machine():
    assert [machine_of(name) for name in ("p7", "p7~2", "line~a", "p~1~13")] == [
        ("p7", 1),
        ("p7", 2),
        ("line~a", 1),
        ("p~1", 13),
    ]
