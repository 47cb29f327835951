"""What a training without labels asks of the data, and what it tells; no recorded failure is needed for it."""

from dataclasses import replace

import numpy as np
import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import engine, small_config
from trainer.data.check import Requirements, check_histories, check_parts
from trainer.data.check_normal import notes_on
from trainer.data.history import History
from trainer.data.split import Parts, Split, split

ASKS = replace(small_config().requirements, needs_failures=False, learning_rows=40)  # h_max is 20


def alive(n: int, n_rows: int) -> list[History]:
    return [replace(engine(f"m{index}", n_rows, seed=index), t_fail=None) for index in range(n)]


def parts_of(histories: list[History]) -> Parts:
    return split(histories, Split(fit=2, calibrate=2, play=2), needs_failures=False)


def refused(part: list[History], asks: Requirements = ASKS) -> str:
    good = tuple(alive(3, 60))
    with pytest.raises(DataRefused) as caught:
        check_parts(Parts(good, tuple(part), good), asks)
    return str(caught.value)


def test_devices_that_never_failed_are_learnt_from(capsys: pytest.CaptureFixture[str]) -> None:
    histories = alive(6, 60)
    check_histories(histories, ASKS)
    check_parts(parts_of(histories), ASKS)
    assert not capsys.readouterr().err
    still = [replace(one, x=one.x * np.float32([1, 0, 1])) for one in histories]
    check_parts(parts_of(still), ASKS)
    assert "channel 'T30' has one value in all rows" in capsys.readouterr().err
    with pytest.raises(DataRefused, match=r"none of 6 device\(s\) failed.*\n.*heads = \[\"anomaly\"\]"):
        check_histories(histories, replace(ASKS, needs_failures=True))


def test_a_recording_that_is_too_short_says_how_much_more() -> None:
    assert refused(alive(2, 30)) == (
        "anomaly.learning: part 'calibrate' of the split is too short: its longest life has 30 rows, and the first 40 "
        "of each device are learnt from\n  Record 11 rows more, one each 1, or lower anomaly.learning."
    )


def test_a_recording_full_of_faults_is_refused() -> None:
    faulty = [replace(one, faults=np.array([[5.0, 90.0]])) for one in alive(2, 60)]
    assert refused(faulty).startswith(
        "data: part 'calibrate' of the split is full of faults: 8 of its 120 rows are normal, at most 4 rows of a "
        "life, and the first 40 are learnt from\n  Record more normal time."
    )


def test_rows_near_to_a_failure_are_not_normal() -> None:
    """The last 41 of 70, which are within twice h_max, are left out."""
    assert "at most 29 rows of a life" in refused([engine("m1", 70)])


def test_constant_channels_and_early_faults_are_told() -> None:
    first, *others = alive(3, 60)
    assert not notes_on([first, *others], ("T24", "T30", "Ps30"), 40)
    still = [replace(one, x=one.x * np.float32([1, 0, np.nan])) for one in (first, *others)]
    early = replace(still[0], faults=np.array([[10.0, 12.0]]))
    late = replace(still[1], faults=np.array([[50.0, 52.0]]))
    assert notes_on([early, late], ("T24", "T30", "Ps30"), 40) == [
        "channels 'T30', 'Ps30' have one value in all rows of the fit devices: no chart looks at it",
        "device 'm0' has a labelled fault in the first 40 rows, which are learnt as normal",
    ]
