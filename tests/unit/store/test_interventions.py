"""What was done to machines is kept once, with the ends of the alerts, and done again where the snapshot is older."""

import sqlite3
from contextlib import closing

import pytest

from agent.core import Bounds, Core
from agent.errors import StateRefused
from agent.sources import Source
from agent.store import interventions
from agent.store.durability import DURABILITIES
from agent.store.interventions import read_interventions
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.words import InterventionLabel
from tests.alert_events import event
from tests.journal_lives import Life
from tests.streams import SOURCE, life, model, states_of

COMMANDS = Source(
    name="cmd/press",
    topics=("f/n/cmd/intervention/press",),
    time_field="t",
    time_unit="cycle",
    channels=(),
    tags=(("device", "device"),),
    codec="command",
    joins="press",
)
REPAIRED = InterventionLabel("press", "p1", 5, "repaired", 60, "cycle", "ring")


@pytest.fixture
def path(tmp_path):
    return tmp_path / ALERT_TABLE


def test_a_label_is_kept_once_with_its_alert_ends(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([event("cleared", "ab12", t=60.0, device="p1")], [REPAIRED])
        outbox.commit([], [REPAIRED._replace(entry=90), REPAIRED._replace(device="p2", is_known=False)])
    assert read_interventions(path) == [REPAIRED, REPAIRED._replace(device="p2")]


def test_an_error_in_the_transaction_keeps_neither(path):
    with closing(Outbox(path, 100)) as outbox:
        with pytest.raises(sqlite3.Error):
            outbox.commit([event("cleared", "ab12", t=60.0)], [REPAIRED, REPAIRED._replace(device=None)])
        assert outbox.newest() == {}
    assert read_interventions(path) == []


def test_the_oldest_go_beyond_the_bound(path, monkeypatch):
    monkeypatch.setattr(interventions, "KEPT_MAX", 3)
    with closing(Outbox(path, 100)) as outbox:
        for entry in range(5):
            outbox.commit([], [REPAIRED._replace(t_ns=entry, entry=entry)])
    assert [one.t_ns for one in read_interventions(path)] == [2, 3, 4]


def test_a_database_of_version_3_gets_the_table_and_keeps_what_it_has(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([event("raised", "ab12", t=60.0)])
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "DROP TABLE intervention; DROP TABLE history; DROP TABLE label; DROP TABLE applied; DROP TABLE hide;"
            "PRAGMA user_version = 3"
        )
    assert read_interventions(path) == [], "beside an agent that was not started since"
    with closing(Outbox(path, 100)) as outbox:
        assert (outbox.aside, len(outbox.standing())) == (None, 1)
        outbox.commit([], [REPAIRED])
    assert read_interventions(path) == [REPAIRED]


def test_a_broken_label_is_refused_and_the_table_set_aside(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([], [REPAIRED])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE intervention SET kind = 'mended'")
    with pytest.raises(StateRefused, match="the intervention in 'p1' of 'press' is broken"):
        read_interventions(path)
    with closing(Outbox(path, 100)) as outbox:
        assert "the intervention in 'p1'" in outbox.why_aside


def test_without_a_table_it_says_so(path):
    with pytest.raises(StateRefused, match="is not there"):
        read_interventions(path)


def made() -> Core:
    """With a source, and one that brings commands to it."""
    return Core((SOURCE, COMMANDS), (model(SOURCE),), Bounds())


def command(kind: str, cycle: int) -> tuple[str, bytes]:
    return COMMANDS.topics[0], f'{{"device":"p1","kind":"{kind}","t":{cycle}}}'.encode()


def state_of_p1(process: Life) -> tuple[bytes, bool]:
    columns = states_of(process.core)
    slot = process.core._stepper.slots.find(0, "p1")
    return columns.state[slot].tobytes(), bool(columns.is_new[slot])


@pytest.fixture(params=DURABILITIES)
def begin(request, tmp_path):
    """Starts on the same folder again and again."""
    return lambda: Life(tmp_path, mode=request.param, make=made)


def test_what_was_done_after_the_snapshot_is_done_again_after_a_kill(begin):
    """At each start until a snapshot has it, and then no more."""
    before = begin()
    before.take(life("p1", 60))
    before.durability.after_turn(10.0, 10.0)  # a snapshot of the worn machine
    worn = state_of_p1(before)
    ends = before.take([command("repaired", 60)]).alerts
    assert [end.cause for end in ends] == ["repaired"]
    new = state_of_p1(before)
    before.die()
    for _ in range(2):
        again = begin()
        assert state_of_p1(again) == new != worn
        assert again.core.view().n_standing() == 0
        again.die()
    again = begin()
    again.take(life("p1", 20))
    grown = state_of_p1(again)
    again.durability.after_turn(10.0, 10.0)
    again.die()
    last = begin()
    assert state_of_p1(last) == grown
    last.die()


def test_a_machine_whose_first_rows_a_kill_has_lost_is_new_no_more(begin):
    """Only a state that has seen its rows from the first on needs no warm-up."""
    before = begin()
    before.take(life("p1", 60))
    before.durability.after_turn(10.0, 10.0)
    before.take([command("replaced", 60)])
    assert before.qualities(life("p1", 5, start=61, wear_from=1000)) == ["OK"] * 5
    before.die()
    again = begin()
    qualities = again.qualities(life("p1", 4, start=66, wear_from=1000))
    assert qualities == (["OK"] * 4 if again.mode == "journal" else ["GAP", "WARMING_UP", "OK", "OK"])


def test_an_inspection_leaves_the_state_as_it_is_after_a_kill_too(begin):
    before = begin()
    before.take(life("p1", 60))
    before.durability.after_turn(10.0, 10.0)
    worn = state_of_p1(before)
    before.take([command("inspected", 60)])
    before.die()
    again = begin()
    assert (state_of_p1(again), again.core.view().n_standing()) == (worn, 0)
    again.die()


def test_a_stop_in_order_repeats_nothing(begin):
    before = begin()
    before.take([*life("p1", 60), command("replaced", 60), *life("p1", 9)])
    grown = state_of_p1(before)
    before.stop()
    again = begin()
    assert state_of_p1(again) == grown
    again.die()


def test_a_machine_of_a_source_that_is_gone_is_passed_over(begin):
    before = begin()
    before.outbox.commit([], [REPAIRED._replace(source="mill")])
    before.die()
    assert begin().core.view().device == []
