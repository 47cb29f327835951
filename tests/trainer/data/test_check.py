"""What no training could learn from is refused before it starts, whatever the data set."""

from dataclasses import replace

import numpy as np
import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import engine, fleet, small_config
from tests.trainer.recordings import table
from trainer.config import Model, Risk
from trainer.data.check import ROWS_MAX, check_histories
from trainer.data.history import History


def test_a_good_fleet_passes_as_it_is() -> None:
    histories = fleet()
    check_histories(histories, small_config().requirements)


def test_a_fleet_in_which_nothing_failed_is_refused() -> None:
    alive = [replace(one, t_fail=None) for one in fleet(3)]
    with pytest.raises(
        DataRefused, match=r"none of 3 device\(s\) failed: .*\n  Name them in data.failures, or learn what is normal"
    ):
        check_histories(alive, small_config().requirements)


@pytest.mark.slow
def test_lives_too_short_or_too_long_are_named() -> None:
    short = [engine(f"new-{index}", 7) for index in range(6)]
    with pytest.raises(DataRefused, match=r"6 device\(s\) with fewer than 8 rows: new-0, .*, new-4, \.\.\.\n  Leave"):
        check_histories([*fleet(3), *short], small_config().requirements)
    with pytest.raises(
        DataRefused, match=r"1 device\(s\) with more than 1,000,000 rows: old\n  Use `forewarn-train resample`"
    ):
        check_histories([*fleet(3), engine("old", ROWS_MAX + 1)], small_config().requirements)


def test_dates_of_a_spreadsheet_are_told_before_any_cadence() -> None:
    """T9: a step of 1/24 is an hour of such days, no 41667 microseconds."""

    def moved(one: History, start: float) -> History:
        t_s = start + (one.t_s + 1) / 24
        return replace(one, t_s=t_s, t_fail=float(t_s[-1]))

    asked = replace(small_config().requirements, time_unit="s", cadence_s=3600.0)
    serial = r"The time 45717\.0\d+ looks like a date as spreadsheets count days, 2025-03-01T\d\d:\d\d:00: write it as"
    with pytest.raises(DataRefused, match=rf"half of the rows come .41667us.+\n  {serial}"):
        check_histories([moved(one, 45_717) for one in fleet(3)], asked)
    with pytest.raises(DataRefused, match=r"\n  Set cadence = .41667us"):
        check_histories([moved(one, 5) for one in fleet(3)], asked)


def test_a_channel_without_any_value_is_named() -> None:
    """One that only some devices have is none of it."""

    def without(one: History) -> History:
        return replace(one, x=np.where([False, True, False], np.float32(np.nan), one.x))

    first, *others = fleet(3)
    check_histories([without(first), *others], small_config().requirements)
    with pytest.raises(DataRefused, match=r"no device has a value of channel\(s\) 'T30'\n  Leave"):
        check_histories([without(one) for one in fleet(3)], small_config().requirements)


@pytest.mark.parametrize(
    ("cadence", "how", "then"), [(0.4, "more", r"\."), (3.0, "less", ", or use `forewarn-train resample")]
)
def test_another_cadence_than_that_of_the_rows_is_refused(cadence: float, how: str, then: str) -> None:
    """Windows make rows that come less often, never more often."""
    with pytest.raises(
        DataRefused,
        match=rf"model.cadence: is {cadence:g}, but half of the rows come 1 or {how} .*\n  Set cadence = 1{then}",
    ):
        check_histories(fleet(3), small_config(model=Model(hidden=8, cadence=cadence)).requirements)


def test_a_horizon_that_no_recorded_row_reaches_is_refused() -> None:
    cut = [replace(one, t_s=one.t_s[:-9], x=one.x[:-9]) for one in fleet(3)]
    check_histories(cut, small_config(risk=Risk(horizons=(9, 20))).requirements)
    with pytest.raises(
        DataRefused, match=r"risk.horizons: 5 is too short: no recorded failure is less than 9 after a row"
    ):
        check_histories(cut, small_config().requirements)


def test_a_cadence_of_clock_times_is_told_as_the_file_takes_it() -> None:
    """What the message proposes is a value that the configuration reads."""
    hourly = [replace(one, t_s=3600 * one.t_s, t_fail=3600 * one.t_fail) for one in fleet(3)]
    config = small_config(data=table(time_unit="s"), model=Model(hidden=8, cadence=60))
    with pytest.raises(DataRefused, match=r'cadence: is "1m", but half of the rows come "1h" .*\n  Set cadence = "1h"'):
        check_histories(hourly, config.requirements)
    assert Model(cadence="1h", dt_max="2d").cadence == 3600


def test_a_cadence_that_nobody_wrote_is_told_as_the_default() -> None:
    hourly = [replace(one, t_s=3600 * one.t_s, t_fail=3600 * one.t_fail) for one in fleet(3)]
    config = small_config(data=table(time_unit="s"), model=Model(hidden=8))
    with pytest.raises(DataRefused, match=r'cadence: is "1s", the default, but half of the rows come "1h" or more'):
        check_histories(hourly, config.requirements)
