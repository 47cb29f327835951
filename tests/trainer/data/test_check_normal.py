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
    good = tuple(alive(3, 80))
    with pytest.raises(DataRefused) as caught:
        check_parts(Parts(good, tuple(part), good), asks)
    return str(caught.value)


def test_devices_that_never_failed_are_learnt_from(capsys: pytest.CaptureFixture[str]) -> None:
    histories = alive(6, 90)
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
        "anomaly.learning: part 'calibrate' of the split is too short: its longest life has 30 rows, the first 40 of "
        "each life are learnt from, and 0 normal ones come after that where 100 must\n"
        "  Record at least 60 rows more of each life, one each 1, or lower anomaly.learning."
    )
    assert "Record at least 15 rows more of each life" in refused([*alive(1, 65), *alive(1, 85)])


@pytest.mark.parametrize("n_rows", [[30, 30], [41, 8, 60], [65, 85], [139]])
def test_as_many_rows_more_as_it_says_are_enough_and_one_fewer_is_not(n_rows: list[int]) -> None:
    said = refused([alive(1, n)[0] for n in n_rows])
    more = int(said.partition("Record at least ")[2].split()[0])
    assert "Record at least 1 row more" in refused([alive(1, n + more - 1)[0] for n in n_rows])
    good = tuple(alive(3, 80))
    check_parts(Parts(good, tuple(alive(1, n + more)[0] for n in n_rows), good), ASKS)


def test_a_recording_full_of_faults_is_refused() -> None:
    faulty = [replace(one, faults=np.array([[5.0, 190.0]])) for one in alive(2, 120)]
    assert refused(faulty).startswith(
        "data: part 'calibrate' of the split is full of faults: 8 of its 240 rows are normal, the first 40 of each "
        "life are learnt from, and 0 normal ones come after that where 100 must\n  Record more normal time."
    )


def test_rows_near_to_a_failure_are_not_normal() -> None:
    """The last 41 of 170, which are within twice h_max, are left out."""
    assert "full of faults: 129 of its 170 rows are normal" in refused([engine("m1", 170)])


def test_constant_channels_and_early_faults_are_told() -> None:
    first, *others = alive(3, 60)
    assert not notes_on([first], others, ("T24", "T30", "Ps30"), 40)
    still = [replace(one, x=one.x * np.float32([1, 0, np.nan])) for one in (first, *others)]
    early = replace(still[0], faults=np.array([[10.0, 12.0]]))
    late = replace(still[1], faults=np.array([[50.0, 52.0]]))
    assert notes_on(still[:2], [early, late], ("T24", "T30", "Ps30"), 40) == [
        "channels 'T30', 'Ps30' have one value in all rows of the fit devices: no chart looks at it",
        "device 'm0' has a labelled fault in the first 40 rows, which are learnt as normal",
    ]
