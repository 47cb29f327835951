"""Two sinks at the bound: what one cursor pushes out the other one still has to tell."""

from agent.store.outbox import Outbox
from tests.alert_events import event

RAISED = event("raised", "a" * 32, t=1)
UPDATED = event("updated", "a" * 32, t=2)


def two_sinks(path):
    outbox = Outbox(path, 1)
    return outbox, outbox.cursor("first", mirrors=False), outbox.cursor("second", mirrors=False)


def test_what_one_sinks_bound_pushes_out_the_other_still_tells(tmp_path):
    """`first` is full; `second` has told all, and has room for the update."""
    outbox, _, second = two_sinks(tmp_path / "alerts.db")
    outbox.commit([RAISED])
    second.settle([one.number for one in second.sendable(10)], {})
    outbox.commit([UPDATED])
    assert [(one.is_alert, one.event and one.event.kind) for one in second.sendable(10)] == [(False, "updated")]
    outbox.close()


def test_a_full_sink_does_not_make_the_next_start_set_the_alert_table_aside(tmp_path):
    """Every standing alert would be lost by that."""
    outbox, _, second = two_sinks(tmp_path / "alerts.db")
    outbox.commit([RAISED])
    second.settle([one.number for one in second.sendable(10)], {})
    outbox.commit([UPDATED])
    outbox.close()
    again = Outbox(tmp_path / "alerts.db", 1)
    assert again.aside is None, again.why_aside
    assert len(again.standing()) == 1
    again.close()
