import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, Heartbeat, HistoryLost
from agent.core.snapshot_header import _FORMS, SCHEMA_VERSION
from agent.errors import SnapshotRefused, StateRefused
from agent.words import AlertEvent, Quality
from tests.streams import SOURCE, bytes_of, core, life, model, states_of, take


def saved():
    one = core()
    take(one, [*life("p1", 30), *life("p2", 5)])
    return one.snapshot()


@pytest.mark.slow
def test_a_snapshot_cut_at_any_byte_is_refused_and_changes_nothing():
    data, into = saved(), core()
    untouched = into.snapshot()
    for size in range(len(data)):
        with pytest.raises(SnapshotRefused):
            into.restore(data[:size])
    with pytest.raises(SnapshotRefused, match="its header describes"):
        into.restore(data + b"x")
    assert into.snapshot() == untouched


def test_of_another_bundle_only_the_model_starts_anew_and_says_gap():
    """Who is known, and how late each device's rows are, is of no bundle."""
    into = core()
    why = "the states in the snapshot are of another bundle"
    assert into.restore(saved().replace(b"d" * 64, b"e" * 64)) == {"main": why}
    assert into.view().device == ["p1", "p2"]
    again = take(into, life("p1", 33)[28:])
    assert into.counts["press", "repeated"] + into.counts["press", "late"] == 2
    assert again.scores[0].quality.tolist() == [Quality.GAP, Quality.WARMING_UP, Quality.OK]
    assert (
        again.scores[0].outputs["risk"].tobytes()
        == take(core(), life("p1", 33)[30:]).scores[0].outputs["risk"].tobytes()
    )


def test_an_unknown_column_group_is_refused_by_name():
    with pytest.raises(SnapshotRefused, match="column group 'spacinG' is unknown to this version"):
        core().restore(saved().replace(b'"spacing"', b'"spacinG"'))


def test_a_column_group_with_other_columns_is_refused_by_name():
    with pytest.raises(SnapshotRefused, match="column group 'spacing' has other columns than in this version"):
        core().restore(saved().replace(b'"newest_ns"', b'"newest_xx"'))


def test_a_group_that_a_snapshot_lacks_starts_empty_and_every_device_says_gap():
    """As of a version that did not have it yet."""
    one, into = core(), core()
    take(one, life("p1", 30))
    one._stepper.slots.groups.pop("mixed")
    assert into.restore(one.snapshot()) == {}
    assert take(into, life("p1", 32)[30:]).scores[0].quality.tolist() == [Quality.GAP, Quality.OK]


def test_a_model_that_is_gone_leaves_the_others_as_they_were():
    two = Core((SOURCE,), (model(SOURCE), model(SOURCE, name="shadow")), Bounds())
    take(two, life("p1", 30))
    assert (into := core()).restore(two.snapshot()) == {}
    alone = core()
    take(alone, life("p1", 30))
    rest = life("p1", 60)[30:]
    assert bytes_of(take(into, rest), "p1") == bytes_of(take(alone, rest), "p1")


def test_a_newer_schema_is_refused_by_its_number():
    with pytest.raises(SnapshotRefused, match="version 9, this forewarn reads version 7"):
        core().restore(saved().replace(b'"schema_version":7', b'"schema_version":9'))


@pytest.mark.parametrize("header", [b'{"x":"\xff"}', b'{"x":' + b"[" * 100_000, b"{"])
def test_a_header_that_is_no_json_is_refused(header):
    data = saved()
    magic = data[: data.index(b"\n") + 1]
    with pytest.raises(SnapshotRefused, match="its header cannot be read"):
        core().restore(magic + len(header).to_bytes(8, "little") + header)


def test_more_devices_than_the_bound_are_refused_and_not_for_the_snapshots_sake():
    """Nothing is wrong with it, so it must not be set aside for an older one."""
    with pytest.raises(StateRefused, match=r"2 devices, agent.devices_max is 1"):
        core(bounds=Bounds(devices_max=1)).restore(saved())


def test_a_state_that_is_not_finite_is_refused():
    one = core()
    take(one, life("p1", 5))
    states_of(one).state[0, 1] = np.nan
    with pytest.raises(SnapshotRefused, match="not finite"):
        core().restore(one.snapshot())


def test_devices_of_a_source_that_is_gone_stay_until_they_are_forgotten():
    into = core(replace(SOURCE, name="lathe"), bounds=Bounds(forget_after_s=5))
    into.restore(saved())
    assert sum(into.view().devices_by_quality().values()) == 2
    into.apply(Heartbeat(2 * 10**9))
    into.apply(Heartbeat(10 * 10**9))
    assert sum(into.view().devices_by_quality().values()) == 0


def raised_event(device: str, t_ns: int) -> AlertEvent:
    event = take(core(), life("p1", 60)).alerts[0]
    return msgspec.structs.replace(event, device=device, t_ns=t_ns, raised_t_ns=t_ns)


def test_an_adopted_alert_is_not_raised_again_and_clears_under_its_own_id():
    """As after a crash without a snapshot: the table knows an alert, the core nothing else."""
    whole = take(core(), life("p1", 60))
    into = core()
    into.apply(AlertsKept([whole.alerts[0]], {("press", "p1"): (0, whole.alerts[0].t_ns)}))
    assert into.view().n_standing() == 1
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
    assert into.view().n_standing() == 1
    into.apply(AlertsKept([], {("press", "p1"): (0, 61 * 10**9)}))
    assert into.view().n_standing() == 0


def test_rows_not_newer_than_the_alert_table_are_late():
    """A device that sends its backlog again after the crash cannot raise what was raised and cleared already."""
    into = core()
    into.apply(AlertsKept([], {("press", "p1"): (0, 50 * 10**9)}))
    into.apply(HistoryLost())
    assert take(into, life("p1", 50)).alerts == []
    assert into.counts["press", "late"] == 49
    assert into.counts["press", "repeated"] == 1


def test_a_fault_that_still_shows_after_adoption_is_raised():
    into = core()
    into.apply(AlertsKept([], {("press", "p1"): (0, 40 * 10**9)}))
    into.apply(HistoryLost())
    assert [event.kind for event in take(into, life("p1", 70)).alerts][:1] == ["raised"]


def test_an_adopted_device_that_is_never_heard_is_forgotten_in_time():
    into = core(bounds=Bounds(forget_after_s=5))
    into.apply(AlertsKept([raised_event("p9", 10**9)], {("press", "p9"): (0, 10**9)}))
    assert into.apply(Heartbeat(100 * 10**9)).alerts == []
    assert into.apply(Heartbeat(101 * 10**9)).alerts == []
    (ended,) = into.apply(Heartbeat(110 * 10**9)).alerts
    assert (ended.device, ended.cause) == ("p9", "forgotten")


OLD = Path(__file__).parents[2] / "data" / "snapshot"  # each of the stream of `saved`, by the forewarn of its time


@pytest.mark.parametrize(("name", "says"), [("version-5", "GAP"), ("version-6", "OK")])
def test_a_snapshot_of_an_older_version_goes_on_to_the_bit(name, says):
    """Version 5 did not keep for how long channels stand still, so that its devices say `gap` once."""
    into, undisturbed = core(), core()
    assert into.restore((OLD / name).read_bytes()) == {}
    take(undisturbed, [*life("p1", 30), *life("p2", 5)])
    rest = [*life("p1", 60)[30:], *life("p2", 9)[5:]]
    again, expected = take(into, rest, arrived_ns=2 * 10**9), take(undisturbed, rest, arrived_ns=2 * 10**9)
    assert again.scores[0].outputs["risk"].tobytes() == expected.scores[0].outputs["risk"].tobytes()
    assert Quality(again.scores[0].quality[0]).name == says
    assert [(one.alert, one.kind) for one in again.alerts] == [(one.alert, one.kind) for one in expected.alerts]
    assert again.alerts


def test_each_version_that_is_read_has_a_file_of_its_time():
    assert {path.name for path in OLD.iterdir()} == {f"version-{one}" for one in _FORMS if one != SCHEMA_VERSION}


def test_a_group_that_lacks_a_column_is_taken_and_every_device_says_gap():
    """As of a version in which it did not have that column yet: what is not known is empty."""
    one, into = core(), core()
    take(one, life("p1", 30))
    data = one.snapshot()
    end = 16 + int.from_bytes(data[8:16], "little")
    header = json.loads(data[16:end])
    place = end
    for each in header["groups"]:
        sizes = [np.dtype(column["dtype"]).itemsize * max(column["width"], 1) for column in each["columns"]]
        if each["name"] == "restart":
            each["columns"].pop()
            data = data[: place + sizes[0]] + data[place + sum(sizes) :]
            break
        place += sum(sizes)
    head = json.dumps(header).encode()
    assert into.restore(data[:8] + len(head).to_bytes(8, "little") + head + data[end:]) == {}
    assert take(into, life("p1", 32)[30:]).scores[0].quality.tolist() == [Quality.GAP, Quality.OK]
