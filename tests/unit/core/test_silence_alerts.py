"""Alerts of silence: who is told of, when, under which id, and what is no silence."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, Heartbeat, HistoryLost, Listening, Messages
from agent.core.silence_alerts import read_kept
from agent.sources import Source
from agent.words import AlertEvent
from tests.laws.test_stops import BOTH, READS, with_running
from tests.streams import SOURCE, core, message

S = 10**9
BEGIN_NS = 1_700_000_000 * S
WATCHED = replace(SOURCE, silent_after_s=60.0)
LEARNS = replace(SOURCE, silent_after_s="learned")
BY_DEVICE = replace(WATCHED, device_silent_after_s=30.0)


class Shell:
    """Gives a core what the daemon's loop gives it: messages, and a heartbeat at each second without one."""

    def __init__(self, *sources: Source, bounds: Bounds | None = None, into: Core | None = None) -> None:
        self.core = into or Core(sources, (), bounds or Bounds())
        self.now_ns = BEGIN_NS
        self.alerts: list[AlertEvent] = []
        self.cycle = 0

    def listen(self, *sources: str) -> "Shell":
        self.core.apply(Listening(sources))
        return self

    def wait(self, seconds: float, *devices: str, every_s: float = 1.0, step_s: float = 1.0) -> list[AlertEvent]:
        """Time goes by in steps; the devices send each every_s. Returns what was said meanwhile."""
        said = []
        for step in range(1, round(seconds / step_s) + 1):
            self.now_ns += round(step_s * S)
            sends = devices and step % round(every_s / step_s) == 0
            said += self.send(*devices) if sends else self.core.apply(Heartbeat(self.now_ns)).alerts
        self.alerts += said
        return said

    def send(self, *devices: str) -> Sequence[AlertEvent]:
        self.cycle += 1
        messages = [message(device, self.cycle) for device in devices]
        topics, payloads = zip(*messages, strict=True)
        return self.core.apply(Messages(topics, payloads, [self.now_ns] * len(topics))).alerts


def what(events: Sequence[AlertEvent]) -> list[tuple[str, str, str, str]]:
    return [(event.kind, event.source, event.device, event.cause) for event in events]


def test_a_source_that_falls_silent_is_told_of_once_and_clears_when_it_is_heard():
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    assert shell.wait(60) == []
    (raised,) = shell.wait(600)
    assert what([raised]) == [("raised", "press", "", "silence")]
    assert (raised.head, raised.model, raised.severity, raised.quality) == ("silence", "", "major", "stale")
    assert raised.outputs == {"silence": (61.0, 60.0)}
    assert raised.t_ns == raised.raised_t_ns == BEGIN_NS + 71 * S
    assert shell.core.view().n_standing() == 1
    (cleared,) = shell.wait(5, "p1")
    assert what([cleared]) == [("cleared", "press", "", "heard_again")]
    assert (cleared.alert, cleared.sequence, cleared.state) == (raised.alert, 2, "normal")
    assert shell.core.view().n_standing() == 0
    assert shell.wait(30) == []
    (again,) = shell.wait(60)
    assert again.alert != raised.alert


def test_who_was_never_heard_is_not_silent():
    shell = Shell(WATCHED).listen("press")
    assert shell.wait(600) == []


def test_one_of_two_sources_that_is_never_heard_is_named_after_a_minute_of_listening():
    """A broker may grant a subscription that its ACL never serves: the other source is heard all the time."""
    lathe = replace(LEARNS, name="lathe", topics=("lathe/{device}",))
    shell = Shell(LEARNS, lathe).listen("press", "lathe")
    shell.wait(40, "p1")
    shell.listen()
    shell.wait(600)
    shell.listen("press", "lathe")
    shell.wait(20, "p1")
    assert shell.core.view().unheard == []
    shell = again(shell, LEARNS, lathe)
    shell.wait(5, "p1")
    assert shell.core.view().unheard == ["lathe"]
    shell.core.apply(Messages(["lathe/l1"], [message("l1", 1)[1]], [shell.now_ns]))
    assert shell.core.view().unheard == []


def test_without_the_setting_nobody_is():
    shell = Shell(SOURCE).listen("press")
    shell.wait(10, "p1")
    assert shell.wait(600) == []


def test_while_the_source_is_not_subscribed_to_no_time_counts():
    """30 s of silence, an outage of ten minutes, 29 s more: no alert; 3 s more: an alert."""
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    shell.wait(30)
    shell.listen()
    assert shell.wait(600) == []
    shell.listen("press")
    assert shell.wait(29) == []
    assert what(shell.wait(3)) == [("raised", "press", "", "silence")]


def test_an_alert_stands_while_the_broker_is_away():
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    shell.wait(100)
    shell.listen()
    shell.wait(100)
    shell.listen("press")
    assert shell.wait(100) == []
    assert what(shell.wait(2, "p1")) == [("cleared", "press", "", "heard_again")]


@pytest.mark.parametrize("slept_s", [5, 59, 300, 86_400, 400 * 86_400])
def test_time_that_nobody_watched_is_no_silence(slept_s):
    """The process was stopped, the host slept, or its clock was set: the next entry comes that much later."""
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    shell.now_ns += slept_s * S
    assert shell.wait(3, "p1") == []
    shell.now_ns += slept_s * S
    assert shell.wait(55) == []
    assert what(shell.wait(10)) == [("raised", "press", "", "silence")]


def test_a_source_of_its_own_broker_is_judged_by_itself():
    lathe = replace(WATCHED, name="lathe", topics=("lathe/{device}",))
    shell = Shell(WATCHED, lathe).listen("press", "lathe")
    shell.core.apply(Messages(["lathe/l1"], [message("l1", 1)[1]], [shell.now_ns]))
    assert what(shell.wait(90, "p1")) == [("raised", "lathe", "", "silence")]
    assert shell.core.view().silent == [("lathe", "")]


def test_one_device_of_a_source_that_is_heard():
    shell = Shell(BY_DEVICE).listen("press")
    shell.wait(10, "p1", "p2")
    (raised,) = shell.wait(60, "p1")
    assert what([raised]) == [("raised", "press", "p2", "silence")]
    assert raised.severity == "warning"
    assert raised.outputs == {"silence": (31.0, 30.0)}
    assert what(shell.wait(2, "p1", "p2")) == [("cleared", "press", "p2", "heard_again")]


@pytest.mark.slow
def test_ids_that_somebody_sent_once_are_no_silent_devices():
    shell = Shell(BY_DEVICE).listen("press")
    shell.send("p1", *(f"x{number}" for number in range(50)))
    assert shell.wait(300, "p1") == []


@pytest.mark.slow
def test_when_all_are_silent_that_is_one_alert():
    shell = Shell(BY_DEVICE).listen("press")
    shell.wait(10, *(f"p{index}" for index in range(20)))
    assert what(shell.wait(600)) == [("raised", "press", "", "silence")]
    assert what(shell.wait(10, "p3")) == [("cleared", "press", "", "heard_again")]
    assert len(shell.wait(30, "p3")) == 19, "those that do not come back with it are told of"


def test_a_device_that_is_forgotten_takes_its_alert_with_it():
    shell = Shell(BY_DEVICE, bounds=Bounds(stale_after_s=20, forget_after_s=120)).listen("press")
    shell.wait(5, "p1", "p2")
    assert what(shell.wait(200, "p1")) == [
        ("raised", "press", "p2", "silence"),
        ("cleared", "press", "p2", "forgotten"),
    ]
    assert shell.core.view().n_standing() == 0


def test_a_source_whose_machines_all_stand_is_not_silent():
    """As their model knows; also where messages may have been missed since; until one runs again."""
    into = core(replace(READS, silent_after_s=60.0), manifest=BOTH)
    shell = Shell(into=into).listen("press")
    for running, lost, said in ((1.0, False, 1), (0.0, False, 0), (0.0, True, 0), (1.0, False, 1)):
        shell.cycle += 1
        ((topic, payload),) = with_running([message("p1", shell.cycle)], running)
        assert into.apply(Messages([topic], [payload], [shell.now_ns])).alerts == []
        shell.wait(2)
        if lost:
            into.apply(HistoryLost("press"))
        assert len([event for event in shell.wait(120) if event.kind == "raised"]) == said


# Law 1 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 150), max_size=12))
def test_any_split_of_the_input_gives_the_same_alerts_and_state(at):
    """Two devices with pauses of 10 ms to 90 s; those above two ticks are time that nobody watched."""
    rng = np.random.default_rng(5)
    arrived = BEGIN_NS + np.cumsum(rng.choice([S // 100, S // 2, 2 * S - 1, 90 * S], 150, p=[0.3, 0.3, 0.38, 0.02]))
    messages = [message("p1" if number % 7 else "p2", number) for number in range(90)]
    messages += [message("p1", number) for number in range(90, 150)]
    topics, payloads = zip(*messages, strict=True)

    def said(cuts: Sequence[int]) -> tuple[list[AlertEvent], bytes]:
        into = Core((BY_DEVICE,), (), Bounds())
        into.apply(Listening(("press",)))
        alerts: list[AlertEvent] = []
        for start, end in pairwise([0, *sorted(cuts), 150]):
            alerts += into.apply(Messages(topics[start:end], payloads[start:end], arrived[start:end].tolist())).alerts
        return alerts, into.snapshot()

    alerts, state = said([])
    assert [event.device for event in alerts] == ["p2"], "or nothing is shown"
    assert said(at) == (alerts, state)


def ticks(shell: Shell, days: float, *, pause_s: float) -> list[AlertEvent]:
    """Days in which p1 is heard each pause_s, in steps of half an hour: the core's tick is as long."""
    return shell.wait(days * 86_400, "p1", every_s=pause_s, step_s=1800)


SLOW = Bounds(tick_every_s=1800, stale_after_s=2 * 3600)


def test_learned_is_three_times_the_longest_pause():
    shell = Shell(LEARNS, bounds=SLOW).listen("press")
    assert ticks(shell, 4, pause_s=2 * 3600) == []
    assert shell.wait(6 * 3600, step_s=1800) == []
    (raised,) = shell.wait(3600, step_s=1800)
    assert raised.outputs["silence"][1] == 6 * 3600


def test_learned_is_never_below_the_floor():
    shell = Shell(LEARNS, bounds=SLOW).listen("press")
    assert ticks(shell, 2, pause_s=1800) == []
    (raised,) = shell.wait(4 * 3600, step_s=1800)
    assert raised.outputs["silence"][1] == 2 * 3600


def test_before_it_is_learned_a_week_holds():
    """Heard for half a day: too short to know what is usual."""
    shell = Shell(LEARNS, bounds=SLOW).listen("press")
    ticks(shell, 0.5, pause_s=1800)
    assert shell.wait(7 * 86_400, step_s=1800) == []
    (raised,) = shell.wait(3600, step_s=1800)
    assert raised.outputs["silence"][1] == 7 * 86_400


@pytest.mark.slow
def test_a_pause_in_which_an_alert_stood_is_learned_like_any_other():
    """A plant that stops for 14 hours each night, from the third night on: it is told of once."""
    shell = Shell(LEARNS, bounds=SLOW).listen("press")
    ticks(shell, 2, pause_s=1800)
    said = []
    for _ in range(20):
        said += shell.wait(14 * 3600, step_s=1800)
        said += shell.wait(10 * 3600, "p1", every_s=1800, step_s=1800)
    assert what(said) == [("raised", "press", "", "silence"), ("cleared", "press", "", "heard_again")]


@pytest.mark.slow
def test_and_forgotten_after_two_weeks():
    shell = Shell(LEARNS, bounds=SLOW).listen("press")
    ticks(shell, 3, pause_s=1800)
    shell.wait(20 * 3600, step_s=1800)
    ticks(shell, 15, pause_s=1800)
    (raised,) = shell.wait(4 * 3600, step_s=1800)
    assert raised.outputs["silence"][1] == 2 * 3600


def test_of_devices_it_is_learned_of_each():
    source = replace(LEARNS, device_silent_after_s="learned")
    shell = Shell(source, bounds=SLOW).listen("press")
    said = []
    for _ in range(4 * 12):
        said += shell.wait(2 * 3600, "fast", every_s=1800, step_s=1800)
        said += shell.send("slow")
    said += shell.wait(6 * 3600, "fast", every_s=1800, step_s=1800)
    assert said == []
    assert what(shell.wait(3600, "fast", every_s=1800, step_s=1800)) == [("raised", "press", "slow", "silence")]


# Crash equivalence: the state goes through a snapshot, and what stands through the alert table ------------------------


def again(shell: Shell, *sources: Source, standing: Sequence[AlertEvent] | None = None) -> Shell:
    """The same time in another core, from a snapshot of the first; `standing` is what the alert table says then."""
    after = Core(sources, (), Bounds())
    after.restore(shell.core.snapshot())
    other = Shell(into=after)
    other.now_ns, other.cycle = shell.now_ns, shell.cycle
    if standing is not None:
        other.alerts += after.apply(AlertsKept(standing, {})).alerts
        other.listen().listen("press")
    return other


@pytest.mark.slow
@pytest.mark.parametrize("cut_s", range(0, 110, 9))
def test_a_snapshot_at_any_point_is_the_same_again(cut_s):
    def whole(cut: bool) -> list[AlertEvent]:
        shell = Shell(BY_DEVICE).listen("press")
        said = shell.wait(10, "p1", "p2")
        for step in range(110):
            if cut and step == cut_s:
                shell = again(shell, BY_DEVICE)
            said += shell.wait(1, *(("p1",) if step < 40 else ("p2",) if step > 104 else ()))
        return said

    said = whole(cut=False)
    assert len(said) == 4, "or the test shows nothing: a device and a source are told of, and clear"
    assert whole(cut=True) == said


def test_a_snapshot_before_anybody_listens_is_the_same_again():
    """A tick has said which week it is; a pause of this week must not become one of the week before."""
    before = Shell(LEARNS)
    before.wait(2)
    after = again(before, LEARNS)
    for shell in (before, after):
        shell.listen("press")
        shell.wait(3, "p1", every_s=0.25, step_s=0.25)
    assert after.core.snapshot() == before.core.snapshot()


def test_an_alert_that_stood_at_a_crash_stands_on_under_its_id():
    """The snapshot is older than the raise: what stands is in the table, and ends only when the source is heard."""
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    older = again(shell, WATCHED)
    (raised,) = shell.wait(90)
    after = again(older, WATCHED, standing=[raised])
    after.now_ns = shell.now_ns
    assert after.core.view().n_standing() == 1
    assert after.wait(300) == []
    (cleared,) = after.wait(2, "p1")
    assert (cleared.alert, cleared.cause) == (raised.alert, "heard_again")


def test_the_same_of_a_device_that_no_snapshot_knows():
    shell = Shell(BY_DEVICE).listen("press")
    shell.wait(10, "p1", "p2")
    (raised,) = shell.wait(40, "p1")
    after = again(Shell(BY_DEVICE), BY_DEVICE, standing=[raised])
    after.now_ns, after.cycle = shell.now_ns, shell.cycle
    assert after.core.view().n_standing() == 1
    assert after.wait(200, "p1") == []
    assert what(after.wait(2, "p1", "p2")) == [("cleared", "press", "p2", "heard_again")]


@pytest.mark.parametrize("log_time_ns", [0, 10 * S, 60 * S - 1])
def test_an_alert_that_stood_is_adopted_by_a_core_that_knows_nothing_or_lives_in_1970(log_time_ns):
    """A crash before the first snapshot, or a gateway whose clock is not set yet: it stands, also over a snapshot."""
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    (raised,) = shell.wait(90)
    fresh = Core((WATCHED,), (), Bounds())
    if log_time_ns:
        fresh.apply(Heartbeat(log_time_ns))
    fresh.apply(AlertsKept([raised], {}))
    after = again(Shell(into=fresh), WATCHED).listen("press")
    after.now_ns = log_time_ns
    assert after.wait(30) == []
    assert after.core.view().n_standing() == 1
    assert what(after.wait(2, "p1")) == [("cleared", "press", "", "heard_again")]


def test_an_alert_that_the_table_says_has_ended_does_not_stand():
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    shell.wait(90)
    after = again(shell, WATCHED, standing=[])
    assert after.core.view().n_standing() == 0


def test_an_alert_that_nobody_watches_any_more_ends():
    shell = Shell(BY_DEVICE).listen("press")
    shell.wait(10, "p1", "p2")
    (raised,) = shell.wait(40, "p1")
    after = again(shell, WATCHED, standing=[raised])
    assert after.core.view().n_standing() == 1
    assert what(after.wait(2, "p1")) == [("cleared", "press", "p2", "not_watched")]


def test_an_alert_of_a_source_that_is_gone_ends():
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    (raised,) = shell.wait(90)
    after = again(shell, replace(WATCHED, name="lathe"), standing=[raised])
    assert what(after.alerts) == [("cleared", "press", "", "source_removed")]
    assert after.core.view().n_standing() == 0


def test_what_is_kept_of_silence_is_checked_when_it_is_read():
    shell = Shell(WATCHED).listen("press")
    shell.wait(10, "p1")
    (raised,) = shell.wait(90)
    foreign = msgspec.structs.replace(raised, head="risk")
    for kept, why in (
        (([], [foreign]), "of a model"),
        (b"junk", "array"),
        (([("press", (True, 2**63, 0, 0, 0, 0), (0, 0, 0, 0, 0))], []), "<="),
    ):
        data = msgspec.msgpack.encode(kept)
        with pytest.raises(ValueError, match=why):
            read_kept(data)


@pytest.mark.parametrize("others", [(), (replace(SOURCE, name="yard", topics=("yard/{device}/cycle",)),)])
def test_a_device_whose_source_has_another_name_is_watched_from_its_next_row_on(others):
    """Until then it has no source, and says nothing of any other."""
    before = Shell(BY_DEVICE, *others).listen("press")
    before.wait(20, "p1", "p2")
    core_after = Core((replace(BY_DEVICE, name="renamed"), *others), (), Bounds())
    core_after.restore(before.core.snapshot())
    after = Shell(into=core_after).listen("renamed")
    after.now_ns, after.cycle = before.now_ns, before.cycle
    assert after.wait(10) == []
    assert after.wait(20, "p1") == []
    assert after.wait(20, "p1", "p2") == []
    assert what(after.wait(40, "p1")) == [("raised", "renamed", "p2", "silence")]
