"""An alert keeps the bundle that raised it, whichever bundle decides what becomes of it."""

import msgspec

from agent.bundle.label import label_of
from agent.bundle.manifest import RiskHead
from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, Heartbeat
from agent.words import UNKNOWN_BUNDLE, AlertEvent
from tests.small_bundle import small_manifest
from tests.streams import Message, core, life, take

LATER = msgspec.structs.replace(small_manifest(), name="later", risk=RiskHead((10.0, 20.0, 40.0)))
A, B = label_of(small_manifest(), "a" * 64), label_of(LATER, "b" * 64)


def first() -> Core:
    return core(digest=A.digest)


def later(*standing: AlertEvent, bounds: Bounds | None = None) -> Core:
    """A core with the later bundle, as it begins beside the table of the first."""
    into = core(manifest=LATER, digest=B.digest, bounds=bounds)
    into.apply(AlertsKept(standing, {("press", event.device): (0, event.t_ns) for event in standing}))
    return into


def standing(device: str = "p1") -> AlertEvent:
    """The newest event of an alert that the first bundle raised."""
    return take(first(), life(device, 45)).alerts[-1]


def worn(start: int, n: int) -> list[Message]:
    return life("p1", n, start=start, wear_from=start - 40)


def healthy(start: int, n: int) -> list[Message]:
    return life("p1", n, start=start, wear_from=10**6)


def labels(events: list[AlertEvent]) -> list[tuple[str, str, str | None]]:
    return [(one.kind, one.bundle.name, one.decided_by.name if one.decided_by else None) for one in events]


def test_an_event_carries_what_its_reader_must_know_of_the_bundle():
    event = standing()
    assert (event.bundle, event.decided_by) == (A, None)
    assert (A.horizons, A.quantiles, A.cap_s, A.time_unit) == (
        ("15 cycles", "30 cycles", "60 cycles"), (0.05, 0.5, 0.95), 125.0, "cycle",
    )  # fmt: skip


def test_a_later_bundle_ends_an_alert_and_does_not_become_the_one_that_raised_it():
    """What it raises after that is its own."""
    into = later(standing())
    (cleared,) = take(into, healthy(46, 40)).alerts
    assert labels([cleared]) == [("cleared", "small", "later")]
    assert (cleared.bundle, cleared.decided_by) == (A, B)
    anew = take(into, worn(90, 40), arrived_ns=2 * 10**9).alerts
    assert labels(anew[:1]) == [("raised", "later", None)]
    assert {(one.bundle, one.decided_by) for one in anew} == {(B, None)}


def test_an_alert_keeps_its_bundle_over_updates_and_further_restarts():
    """The second start with the later bundle, and one with the first again, read it from the table's event."""
    raised = msgspec.structs.replace(take(first(), life("p1", 45)).alerts[0], severity="warning")
    updated = [one for one in take(later(raised), worn(60, 20)).alerts if one.kind == "updated"][-1]
    assert (updated.bundle, updated.decided_by) == (A, B)
    assert labels(take(later(updated), healthy(80, 40)).alerts) == [("cleared", "small", "later")]
    again = first()
    again.apply(AlertsKept([updated], {("press", "p1"): (0, updated.t_ns)}))
    assert labels(take(again, healthy(80, 40)).alerts) == [("cleared", "small", None)]


def test_an_alert_of_a_table_without_bundles_is_ended_as_one_of_an_unknown_bundle():
    old = msgspec.structs.replace(standing(), bundle=UNKNOWN_BUNDLE)
    (cleared,) = take(later(old), healthy(46, 40)).alerts
    assert (cleared.bundle, cleared.decided_by) == (UNKNOWN_BUNDLE, B)


def test_the_alert_of_a_forgotten_device_keeps_its_bundle():
    bounds = Bounds(stale_after_s=1.0, forget_after_s=3.0)
    into = later(standing(), bounds=bounds)
    ended = [event for second in range(10) for event in into.apply(Heartbeat((100 + second) * 10**9)).alerts]
    assert [(one.cause, one.bundle, one.decided_by, one.outputs) for one in ended] == [("forgotten", A, B, {})]


def test_other_devices_are_not_touched_by_an_adopted_alert():
    into = later(standing("p9"))
    events = take(into, life("p1", 45)).alerts
    assert {(one.device, one.bundle, one.decided_by) for one in events} == {("p1", B, None)}
