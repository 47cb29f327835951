"""A gateway's clock that was 400 days ahead, and was followed: what goes on, and how an operator gets rid of it."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.core import Bounds
from agent.core.entries import Heartbeat
from agent.store.durability import DURABILITIES
from tests.journal_lives import Life
from tests.streams import SOURCE, core, life, message

BY_ARRIVAL = replace(SOURCE, time_field="", time_unit="arrival")
BY_OWN_CLOCK = replace(SOURCE, time_unit="s", future_max_s=300.0, past_max_s=3600.0)
AHEAD_S = 400 * 86_400
S = 10**9


BOUNDS = Bounds(stale_after_s=10, forget_after_s=100)


@pytest.fixture(params=DURABILITIES)
def begin(request, tmp_path):
    """Starts on the same folder again and again; devices are forgotten after 100 s."""
    return lambda source=BY_ARRIVAL: Life(tmp_path, mode=request.param, make=lambda: core(source, bounds=BOUNDS))


def with_an_alert_ahead(begin):
    """A life in which the clock leapt after 30 rows: 60 in all, and an alert of the last ones."""
    before = begin()
    before.take([*life("p1", 30), message("p2", 1)])
    before.take(life("p1", 60)[30:], at=AHEAD_S)
    (raised,) = before.outbox.standing()
    assert raised.t_ns > AHEAD_S * S
    return before, raised


def remove_states(folder):
    for path in folder.iterdir():
        if path.name.startswith(("snapshot-", "journal-")) or path.name == "stopped":
            path.unlink()


def test_time_goes_on_after_a_wrong_clock_was_followed(begin):
    """Arrival never runs back: the core sees seconds pass where the wall is 400 days behind, also after a restart."""
    before, _ = with_an_alert_ahead(begin)
    before.stop()
    after = begin()
    start_s = after.core.log_time_ns // S
    assert start_s > AHEAD_S
    for second in range(start_s, start_s + 120, 5):
        after.take([message("p1", 1)], at=second)
        after.apply(Heartbeat((second + 2) * S))
    assert after.core.view().device == ["p1"], "p2 was forgotten by the seconds that passed"
    assert after.core.counts["press", "forgotten"] == 1


def test_the_operators_way_out_of_a_clock_that_was_ahead(begin, tmp_path):
    """As docs/operations.md says it: without the state of devices, with the alert table."""
    before, raised = with_an_alert_ahead(begin)
    before.stop()
    remove_states(tmp_path)
    args = ["state", "forget", "p1", "--source", "press", "--state-dir", str(tmp_path)]
    assert CliRunner().invoke(main, args).exit_code == 0
    after = begin()
    assert [(one.alert, one.cause) for one in after.events()][-1] == (raised.alert, "forgotten")
    taken = after.take(life("p1", 60), at=100)
    assert len(taken.scores[0].entry) == 60
    assert after.core.log_time_ns < AHEAD_S * S
    (anew,) = after.outbox.standing()
    assert anew.alert != raised.alert
    assert anew.t_ns < AHEAD_S * S


def test_a_device_with_a_clock_of_its_own_keeps_its_alert_on_that_way(begin, tmp_path):
    """It was re-based to the wrong time, and its alert is dated ahead; then it is re-based to the right one."""
    before = begin(BY_OWN_CLOCK)
    before.take(life("p1", 30))
    before.take(life("p1", 120, wear_from=70)[30:], at=AHEAD_S)
    (raised,) = before.outbox.standing()
    assert raised.t_ns > AHEAD_S * S
    before.stop()
    remove_states(tmp_path)
    after = begin(BY_OWN_CLOCK)
    taken = after.take(life("p1", 40, start=200, wear_from=70), at=199)
    assert after.core.counts["press", "clock_rebased"] == 1
    assert after.core.counts["press", "late"] == 19
    assert taken.scores[0].t_ns.max() == 239 * S
    assert [one.alert for one in after.outbox.standing()] == [raised.alert]
