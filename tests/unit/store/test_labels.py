"""Alerts are remembered after their end, and what people say of them is kept once, whatever happens to the process."""

import sqlite3
from contextlib import closing

import pytest

from agent.errors import StateRefused
from agent.store import labels
from agent.store.labelled_alerts import read_labelled
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.words import AlertLabel
from tests.alert_events import event

RAISED = event("raised", "ab12", t=57.0, device="p7")
CLEARED = event("cleared", "ab12", t=60.0, device="p7")
BAD = AlertLabel("ab12", "bad", 5, "wet", "anna", "press")


@pytest.fixture
def path(tmp_path):
    return tmp_path / ALERT_TABLE


def test_an_ended_alert_whose_device_is_forgotten_can_be_labelled(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([RAISED, event("raised", "cd34", t=58.0)])
        outbox.commit([event("cleared", "ab12", t=60.0, device="p7", cause="forgotten")])
        outbox.commit([], [], [BAD])
        assert (outbox.alert("ab12").cause, outbox.alert("ff")) == ("forgotten", None)
    first, second = read_labelled(path)
    assert (first.event.alert, first.labels, first.verdict) == ("ab12", (BAD._replace(source=""),), "bad")
    assert (second.event.alert, second.labels, second.verdict) == ("cd34", (), None)


def test_of_good_and_bad_the_later_counts_and_all_are_kept_each_once(path):
    later, remark = BAD._replace(label="good", t_ns=7), BAD._replace(label="note", t_ns=9)
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([RAISED], [], [later])
        for _ in range(2):  # as a message that the broker delivers again
            outbox.commit([], [], [BAD, remark])
    (kept,) = read_labelled(path)
    assert [label.label for label in kept.labels] == ["bad", "good", "note"]
    assert kept.verdict == "good"


def test_a_label_of_an_unknown_alert_or_of_another_sources_alert_is_not_kept(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([RAISED], [], [BAD._replace(alert="ff"), BAD._replace(source="mill")])
    (kept,) = read_labelled(path)
    assert kept.labels == ()


def test_an_error_in_the_transaction_keeps_neither_the_alert_nor_its_label(path):
    with closing(Outbox(path, 100)) as outbox:
        with pytest.raises(sqlite3.Error):
            outbox.commit([RAISED], [], [BAD, BAD._replace(note=None)])
        assert outbox.alert("ab12") is None
    assert read_labelled(path) == []


def test_beyond_the_bound_the_oldest_alerts_go_but_for_labelled_ones_and_the_oldest_labels(path, monkeypatch):
    monkeypatch.setattr(labels, "ALERTS_MAX", 2)
    monkeypatch.setattr(labels, "LABELS_MAX", 2)
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([RAISED], [], [BAD])
        for number in range(4):
            outbox.commit([event("raised", f"{number}", t=60.0 + number)])
        assert [one.event.alert for one in read_labelled(path)] == ["ab12", "2", "3"]
        for t_ns in range(6, 9):
            outbox.commit([], [], [BAD._replace(alert="3", t_ns=t_ns)])
        outbox.commit([event("raised", "4", t=70.0)])
    assert [(one.event.alert, len(one.labels)) for one in read_labelled(path)] == [("3", 2), ("4", 0)]


def test_a_database_of_version_4_remembers_what_its_table_has(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([RAISED, event("raised", "cd34", t=58.0)])
        outbox.commit([CLEARED])
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "DROP TABLE history; DROP TABLE label; DROP TABLE applied; DROP TABLE hide; PRAGMA user_version = 4"
        )
    assert read_labelled(path) == [], "beside an agent that was not started since"
    with closing(Outbox(path, 100)) as outbox:
        assert outbox.aside is None
        outbox.commit([], [], [BAD])
    assert [(one.event.alert, one.verdict) for one in read_labelled(path)] == [("cd34", None), ("ab12", "bad")]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("UPDATE label SET label = 'mended'", "the label of the alert 'ab12' is broken"),
        ("UPDATE history SET source = 'mill'", "the alert 'ab12' of 'mill' is broken"),
        ("UPDATE history SET event = x'00'", "the alert 'ab12' of its history is broken"),
    ],
)
def test_what_is_broken_is_refused_and_the_database_set_aside(path, spoil, why):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([RAISED], [], [BAD])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(spoil)
    with pytest.raises(StateRefused, match=why):
        read_labelled(path)
    with closing(Outbox(path, 100)) as outbox:
        assert why in outbox.why_aside
