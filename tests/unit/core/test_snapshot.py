from dataclasses import replace

import msgspec
import numpy as np
import pytest

from agent.core import Bounds
from agent.errors import SnapshotRefused
from agent.words import AlertEvent
from tests.streams import SOURCE, core, life, take


def saved():
    one = core()
    take(one, [*life("p1", 30), *life("p2", 5)])
    return one.snapshot()


def test_a_snapshot_cut_at_any_byte_is_refused_and_changes_nothing():
    data, into = saved(), core()
    untouched = into.snapshot()
    for size in range(len(data)):
        with pytest.raises(SnapshotRefused):
            into.restore(data[:size])
    with pytest.raises(SnapshotRefused, match="1 bytes follow"):
        into.restore(data + b"x")
    assert into.snapshot() == untouched


def test_the_snapshot_of_another_bundle_is_refused_by_name():
    with pytest.raises(SnapshotRefused, match="belongs to bundle eeeeeeeeeeee, the agent runs dddddddddddd"):
        core().restore(saved().replace(b"d" * 64, b"e" * 64))


def test_a_newer_schema_is_refused_by_its_number():
    with pytest.raises(SnapshotRefused, match="version 9, this forewarn reads version 4"):
        core().restore(saved().replace(b'"schema_version":4', b'"schema_version":9'))


@pytest.mark.parametrize("header", [b'{"x":"\xff"}', b'{"x":' + b"[" * 100_000, b"{"])
def test_a_header_that_is_no_json_is_refused(header):
    data = saved()
    magic = data[: data.index(b"\n") + 1]
    with pytest.raises(SnapshotRefused, match="its header cannot be read"):
        core().restore(magic + len(header).to_bytes(8, "little") + header)


def test_more_devices_than_the_bound_are_refused():
    with pytest.raises(SnapshotRefused, match=r"2 devices, agent.devices_max is 1"):
        core(bounds=Bounds(max_devices=1)).restore(saved())


def test_a_state_that_is_not_finite_is_refused():
    one = core()
    take(one, life("p1", 5))
    one._stepper.slab.columns.state[0, 1] = np.nan
    with pytest.raises(SnapshotRefused, match="not finite"):
        core().restore(one.snapshot())


def test_devices_of_a_source_that_is_gone_stay_until_they_are_forgotten():
    into = core(replace(SOURCE, name="lathe"), bounds=Bounds(forget_after_s=5))
    into.restore(saved())
    assert sum(into.devices_by_quality().values()) == 2
    into.tick(2 * 10**9)
    into.tick(10 * 10**9)
    assert sum(into.devices_by_quality().values()) == 0


def raised_event(device: str, t_ns: int) -> AlertEvent:
    event = take(core(), life("p1", 60)).alerts[0]
    return msgspec.structs.replace(event, device=device, t_ns=t_ns, raised_t_ns=t_ns)


def test_an_adopted_alert_is_not_raised_again_and_clears_under_its_own_id():
    """As after a crash without a snapshot: the table knows an alert, the core nothing else."""
    whole = take(core(), life("p1", 60))
    into = core()
    into.adopt([whole.alerts[0]], {("press", "p1"): (0, whole.alerts[0].t_ns)})
    assert into.n_standing() == 1
    later = take(into, [*life("p1", 60)[40:], *life("p1", 60, start=61, wear_from=1000)])
    assert "raised" not in [event.kind for event in later.alerts]
    assert later.alerts[-1].kind == "cleared"
    assert later.alerts[-1].alert == whole.alerts[0].alert
    sequence = [event.sequence for event in later.alerts]
    assert sequence == list(range(2, 2 + len(sequence)))


def test_the_alert_table_wins_over_the_snapshot():
    """The snapshot knows a standing alert, the table that it was cleared since: it does not stand."""
    one, into = core(), core()
    raised = take(one, life("p1", 60)).alerts
    assert raised[-1].kind in ("raised", "updated")
    into.restore(one.snapshot())
    assert into.n_standing() == 1
    into.adopt([], {("press", "p1"): (0, 61 * 10**9)})
    assert into.n_standing() == 0


def test_rows_not_newer_than_the_alert_table_are_late():
    """A device that sends its backlog again after the crash cannot raise what was raised and cleared already."""
    into = core()
    into.adopt([], {("press", "p1"): (0, 50 * 10**9)})
    into.mark_gap("")
    assert take(into, life("p1", 50)).alerts == []
    assert into.counts["press", "late"] == 49
    assert into.counts["press", "repeated"] == 1


def test_a_fault_that_still_shows_after_adoption_is_raised():
    into = core()
    into.adopt([], {("press", "p1"): (0, 40 * 10**9)})
    into.mark_gap("")
    assert [event.kind for event in take(into, life("p1", 70)).alerts][:1] == ["raised"]


def test_an_adopted_device_that_is_never_heard_is_forgotten_in_time():
    into = core(bounds=Bounds(forget_after_s=5))
    into.adopt([raised_event("p9", 10**9)], {("press", "p9"): (0, 10**9)})
    assert into.tick(100 * 10**9).alerts == []
    assert into.tick(101 * 10**9).alerts == []
    (ended,) = into.tick(110 * 10**9).alerts
    assert (ended.device, ended.cause) == ("p9", "forgotten")
