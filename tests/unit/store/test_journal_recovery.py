"""Law 3 in journal mode: a core that was killed and started again is the one that never died, alerts included."""

import dataclasses
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import Bounds, Core, recent
from agent.core.entries import Heartbeat, HistoryLost
from agent.core.input_log import Origin, digest_of
from agent.store import journal
from agent.store.kept_inputs import PREPARED
from tests.journal_lives import FailingDisk, Life, flapping, read
from tests.streams import SOURCE, core, message, model

STREAM = flapping(120)
STEPS = st.lists(
    st.tuples(st.just("read"), st.integers(1, 30))
    | st.tuples(st.sampled_from(["kill", "kill before the commit", "stop", "snapshot", "beat", "lost"]), st.just(0)),
    min_size=1,
    max_size=14,
)


class Twin:
    """Takes the same entries, and never dies."""

    def __init__(self) -> None:
        self.core = core()
        self.events = []

    def apply(self, entry) -> None:
        self.events += self.core.apply(entry).alerts


def live(folder, steps) -> tuple[Life, Twin]:
    """Take the stream by these steps; whatever ends a life, another one goes on where it was."""
    life, twin, done, now_s = Life(folder), Twin(), 0, 0.0
    for step, size in steps:
        now_s += 100.0
        entry = None
        match step:
            case "read":
                entry = read(STREAM[done : done + size], at=done) if STREAM[done : done + size] else None
                done += size
            case "beat":
                entry = Heartbeat(life.core.log_time_ns + 10**9)
            case "lost":
                entry = HistoryLost("press", ["p1"])
            case "snapshot":
                life.durability.after_turn(now_s, 10.0)
            case "kill":
                life.die()
                life = Life(folder)
            case "kill before the commit":
                entry = read(STREAM[done : done + 5], at=done) if STREAM[done : done + 5] else None
                done += 5
                if entry is not None:
                    life.durability.apply(entry)
                    twin.apply(entry)
                    entry = None
                life.die()
                life = Life(folder)
            case "stop":
                life.stop()
                life = Life(folder)
        if entry is not None:
            life.apply(entry)
            twin.apply(entry)
    return life, twin


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(STEPS)
def test_after_any_deaths_state_and_alerts_are_those_of_a_twin_that_never_died(tmp_path_factory, steps):
    """Byte for byte: the snapshot of its core, and the events that were ever due."""
    life, twin = live(tmp_path_factory.mktemp("state"), steps)
    assert life.core.snapshot() == twin.core.snapshot()
    assert life.events() == twin.events
    assert life.said() == []
    life.outbox.close()


@pytest.mark.slow
def test_what_was_committed_is_not_committed_again_and_what_was_not_is(tmp_path):
    """The table is behind the journal by any number of entries."""
    twin = Twin()
    for start in range(0, 120, 10):
        twin.apply(read(STREAM[start : start + 10], at=start))
    assert len(twin.events) > 6
    for n_committed in range(13):
        folder = tmp_path / str(n_committed)
        folder.mkdir()
        life = Life(folder)
        for number, start in enumerate(range(0, 120, 10)):
            entry = read(STREAM[start : start + 10], at=start)
            if number < n_committed:
                life.apply(entry)
            else:
                life.durability.apply(entry)
        life.die()
        again = Life(folder)
        assert again.events() == twin.events
        again.die()


@pytest.mark.slow
def test_a_record_is_split_where_the_table_ends(tmp_path):
    """As after an upgrade that records more at once: what one call gives back must not depend on that."""
    life = Life(tmp_path)
    life.apply(read(STREAM[:60]))
    life.durability.apply(read(STREAM[60:], at=60))
    life.durability.before_acknowledge()
    with life.outbox._database.transaction() as db:
        db.execute("UPDATE applied SET entry = 90")
    expected = Twin()
    expected.apply(read(STREAM[:60]))
    expected.core.apply(read(STREAM[60:90], at=60))
    expected.apply(read(STREAM[90:], at=90))
    life.die()
    again = Life(tmp_path)
    assert again.events() == expected.events, "those of entries 61 to 90 were dropped, since the table says it has them"
    again.die()


@pytest.mark.slow
def test_the_tail_may_be_cut_at_any_byte_of_what_was_not_acknowledged(tmp_path):
    """A torn record is cut off; the records before it are used; what comes next is written behind them."""
    life = Life(tmp_path)
    life.take(STREAM[:10])
    name = journal.name_of(0)
    start = len((tmp_path / name).read_bytes())
    life.durability.apply(read(STREAM[10:12], at=10))
    life.die()
    whole = (tmp_path / name).read_bytes()
    for n_bytes in range(start, len(whole) + 1):
        (tmp_path / name).write_bytes(whole[:n_bytes])
        again = Life(tmp_path)
        assert again.core.n_messages == (12 if n_bytes == len(whole) else 10)
        assert again.said() == []
        again.take(STREAM[12:14], at=12)
        again.die()
        segment = journal.read(again.disk, 0)
        assert [*segment.records()]
        assert segment.state == "whole"
        (tmp_path / name).write_bytes(whole)


def test_a_start_over_a_long_tail_says_again_and_again_that_it_goes_on(tmp_path):
    """The service manager would end it, and the next start would begin at the same place."""
    life = Life(tmp_path)
    for at in range(0, 120, 10):
        life.take(STREAM[at : at + 10], at=at)
        life.apply(HistoryLost("press"))
    life.die()
    calls: list[None] = []
    again = Life(tmp_path, starting=lambda: calls.append(None))
    assert (again.core.entry, len(calls)) == (132, 24), "reads and losses, one by one"
    again.die()


@pytest.mark.parametrize("left", [b"", b"FWJ1\0\0"])
def test_a_file_that_never_came_into_use_costs_nothing_at_this_start_or_a_later_one(tmp_path, left):
    """Killed while a rotation begins the next file. The older is written on, then the next one begins at a later entry
    and the agent is killed before the snapshot lasts: what is left of the first must not stand in the middle.
    """
    life = Life(tmp_path)
    life.take(STREAM[:10])
    life.die()
    (tmp_path / journal.name_of(10)).write_bytes(left)
    again = Life(tmp_path)
    assert again.said() == []
    again.take(STREAM[10:20], at=10)
    again.durability._begin()
    again.take(STREAM[20:24], at=20)
    again.die()
    assert journal.entries_of(again.disk) == [0, 20]
    last = Life(tmp_path)
    expected = Twin()
    expected.apply(read(STREAM[:24]))
    assert (last.said(), last.core.snapshot()) == ([], expected.core.snapshot())
    last.die()


@pytest.mark.slow
def test_another_bundle_takes_the_tail_with_the_alerts_that_stand(tmp_path):
    """The model warms up anew within the tail: it must not raise a second alert beside the one that stands."""
    life = Life(tmp_path)
    ill = [message("p1", number, wear=2.0 if number > 10 else 0.0) for number in range(1, 121)]
    life.take(ill[:20])
    life.durability.after_turn(100.0, 10.0)
    life.take(ill[20:], at=20)
    (standing,) = life.outbox.standing()
    life.die()
    again = Life(tmp_path, make=lambda: core(digest="e" * 64))
    assert [event.alert for event in again.outbox.standing()] == [standing.alert]
    assert {event.alert for event in again.events()} == {standing.alert}
    again.die()


def test_a_source_that_is_renamed_takes_the_tail_as_one_that_has_raised_nothing(tmp_path):
    """Killed before the commit of what ends the alert: that ends with its source, and the new one ends nothing."""
    life = Life(tmp_path)
    rows = [message("p1", number, wear=2.0 if 10 < number <= 30 else 0.0) for number in range(1, 61)]
    life.take(rows[:25])
    life.durability.after_turn(100.0, 10.0)
    (standing,) = life.outbox.standing()
    life.durability.apply(read(rows[25:], at=25))
    life.durability.before_acknowledge()
    life.die()
    new = dataclasses.replace(SOURCE, name="oven")
    again = Life(tmp_path, make=lambda: Core((new,), (model(new),), Bounds()))
    events = again.events()
    assert {event.alert for event in events} == {event.alert for event in events if event.kind == "raised"}
    assert [event.alert for event in events if event.cause == "source_removed"] == [standing.alert]
    again.die()


@pytest.mark.slow
def test_any_bit_that_flips_in_what_was_acknowledged_is_found_and_said(tmp_path):
    """The good records before it are used, the file is kept, alerts come from the table, devices say gap."""
    life = Life(tmp_path)
    for start in range(0, 60, 20):
        life.take(STREAM[start : start + 20], at=start)
    standing, events = life.outbox.standing(), life.events()
    life.die()
    name = journal.name_of(0)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    n_bytes = len(kept[name]) - 20  # the last 20 are those of the empty record, which was not synced
    for place in range(0, n_bytes, 37):
        for path in tmp_path.iterdir():
            path.unlink()
        for one, content in kept.items():
            (tmp_path / one).write_bytes(content)
        flipped = bytearray(kept[name])
        flipped[place] ^= 1 << place % 8
        (tmp_path / name).write_bytes(flipped)
        again = Life(tmp_path)
        assert "history_lost" in again.said()
        assert again.outbox.standing() == standing
        assert again.events()[: len(events)] == events
        assert len(list(tmp_path.glob("journal-*.corrupt-*"))) == 1
        scores = again.take(STREAM[60:62], at=60).scores[0]
        assert 0 not in scores.quality, "none is ok"
        again.die()
        last = Life(tmp_path)
        assert last.said() == [], "and that was all"
        last.die()


def test_a_file_that_is_missing_is_history_that_is_lost(tmp_path):
    life = Life(tmp_path)
    life.take(STREAM[:20])
    life.durability.after_turn(100.0, 10.0)
    life.take(STREAM[20:40], at=20)
    life.die()
    (tmp_path / journal.name_of(20)).unlink()
    again = Life(tmp_path)
    assert again.said() == ["history_lost"]
    assert again.core.n_messages == 20
    again.die()


def test_a_file_that_was_begun_and_not_written_is_none(tmp_path):
    """Killed between the two, at a snapshot and at the very first start: nothing is lost, and nothing set aside."""
    life = Life(tmp_path)
    life.take(STREAM[:20])
    life.die()
    (tmp_path / journal.name_of(20)).touch()
    again = Life(tmp_path)
    assert again.said() == []
    assert again.core.n_messages == 20
    again.die()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_snapshots_let_go_of_files_but_for_those_that_the_older_one_needs(tmp_path):
    life = Life(tmp_path)
    for number in range(4):
        life.take(STREAM[number * 10 : number * 10 + 10], at=number * 10)
        life.durability.after_turn(100.0 * (number + 1), 10.0)
    assert journal.entries_of(life.disk) == [30, 40]
    life.die()
    newest = max(tmp_path.glob("snapshot-*"))
    newest.write_bytes(b"junk")
    again = Life(tmp_path)
    assert again.core.n_messages == 40
    assert again.said() == ["snapshot_set_aside"], "nothing else was lost"
    again.die()


def test_a_heartbeat_is_recorded_only_where_it_decides_something(tmp_path):
    life = Life(tmp_path)
    life.take(STREAM[:2])
    entry = life.core.entry
    for ms in range(0, 1000, 10):
        life.apply(Heartbeat(life.core.log_time_ns + ms * 10**6 % 10**8))
    assert life.core.entry == entry
    life.apply(Heartbeat(life.core.log_time_ns + 10**9))
    assert life.core.entry == entry + 1
    life.die()


def test_one_read_is_one_sync_and_it_is_before_the_table(tmp_path):
    disk = FailingDisk(tmp_path)
    life = Life(tmp_path, disk=disk)
    life.take(STREAM[:14])
    disk.synced.clear()
    assert not life.events()
    life.take(STREAM[14:40], at=14)
    assert life.events(), "there was a commit in it"
    assert disk.synced == [journal.name_of(0)]
    life.die()


def test_what_the_inputs_must_know_again_they_are_told(tmp_path):
    life = Life(tmp_path)
    life.take(STREAM[:3], origin=Origin("", [7, 8, 9]))
    life.durability.note("", "broker_dropped", 5)
    for snapshots in range(3):
        if snapshots:
            life.durability.after_turn(100.0 * snapshots, 10.0)
            life.apply(Heartbeat(life.core.log_time_ns + 10**9))
        before, life = life, Life(tmp_path)
        before.die()
        (kept,) = life.recovered.values()
        assert list(kept.recent) == [7, 8, 9]
        assert kept.notes == {"broker_dropped": 5}
    life.durability.begin_session("")
    life.die()
    last = Life(tmp_path)
    assert last.recovered[""].recent == {}
    last.die()


def test_a_fault_of_ours_names_the_alert_instead_of_going_on(tmp_path):
    life = Life(tmp_path)
    life.take(STREAM[:40])
    (alert, *_) = life.outbox.standing()
    with life.outbox._database.transaction() as db:
        db.execute("UPDATE alert SET stands = 0, event = ? WHERE device = ?", (_ended(alert), alert.device))
    life.die()
    with pytest.raises(Exception, match=rf"{alert.device}.*the alert none stands in it.*{alert.alert} in the restored"):
        Life(tmp_path)


def _ended(alert) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(alert, kind="cleared", state="normal"))


@pytest.mark.slow
def test_no_turn_makes_the_digests_of_all_that_may_come_again(tmp_path, monkeypatch):
    """A file of the journal begins with them."""
    made = []
    monkeypatch.setattr(recent, "digest_of", lambda *message: made.append(message) or digest_of(*message))
    life = Life(tmp_path, bytes_max=2**24)
    for first in range(0, 12_000, 1000):
        heard = [message(f"p{number}", first) for number in range(1000)]
        life.take(heard, origin=Origin("", [*range(1 + first, 1001 + first)]))
    life.durability.after_turn(100.0, 1000.0)
    assert made == [], "no file is due"
    n_before = []
    while life.durability._journal.entry == 0:
        n_before.append(len(made))
        life.durability.after_turn(2000.0, 1000.0)
    steps = [after - before for before, after in pairwise([*n_before, len(made)])]
    assert sum(steps) == 12_000
    assert max(steps) <= 2 * PREPARED + 1000, "the last one makes what little is left too"
    life.die()
    assert len(Life(tmp_path).recovered[""].recent) == 12_000
