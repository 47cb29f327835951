"""Law 3, crash equivalence, in snapshot mode and without a broker: a crash may come after any entry.

No committed alert is lost or gets a second id, a fault that still shows after the restart is raised, and missing state
history is marked `gap`. What is committed is what an alert table would hold: a dict stands for it here. The state comes
from either of the two newest snapshots, or from none. `tests/broker` kills whole agents.
"""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core.entries import AlertsKept, HistoryLost
from agent.words import AlertEvent, Quality
from tests.small_bundle import small_manifest
from tests.streams import Message, core, in_bursts, life, take

pytestmark = pytest.mark.slow

THRESHOLD = 0.5
DEVICES = ("p1", "p2", "p3", "p4")


def lives(seed: int) -> list[Message]:
    """Four machines, in bursts: two that wear out, one that is mended and wears out again, a sound one."""
    mended = life("p3", 60, wear_from=15, seed=seed) + life("p3", 20, start=61, wear_from=1000, seed=seed)
    return in_bursts(
        life("p1", 120, wear_from=20, seed=seed),
        life("p2", 120, wear_from=60, seed=seed + 1),
        mended + life("p3", 60, start=81, wear_from=85, seed=seed + 2),
        life("p4", 120, wear_from=1000, seed=seed + 3),
        seed=seed,
    )


class CrashedAtAnyTime(RuleBasedStateMachine):
    """A core, the alert table beside it, and what a listener has heard."""

    @initialize(seed=st.integers(0, 50), n=st.integers(0, 400))
    def start(self, seed: int, n: int) -> None:
        self.messages = lives(seed)
        self.place = 0
        self.core = core(threshold=THRESHOLD)
        self.snapshots: list[tuple[bytes, dict[str, int]]] = []  # with the devices that it knows
        self.known: dict[str, int] = {}  # devices the core has heard of -> event time of the newest row
        self.table: dict[str, AlertEvent] = {}  # device -> its newest event
        self.raised: set[str] = set()  # ids
        self.due_gap: set[str] = set()
        self.over: dict[str, list[bool]] = {device: [] for device in DEVICES}  # of `ok` rows of this life
        self.take(n)

    @rule(n=st.integers(1, 60))
    def feed(self, n: int) -> None:
        self.take(n)

    def take(self, n: int) -> None:
        taken = take(self.core, self.messages[self.place : self.place + n])
        self.place = min(self.place + n, len(self.messages))
        events = {event.entry: event for event in taken.alerts}
        scores = taken.scores[0]
        for row, entry in enumerate(scores.entry.tolist()):
            self.hear_score(
                str(scores.device[row]),
                int(scores.t_ns[row]),
                Quality(scores.quality[row]),
                scores.outputs["risk"][row],
            )
            if entry in events:
                self.commit(events.pop(entry))
        assert events == {}

    @rule()
    def snapshot(self) -> None:
        self.snapshots = [*self.snapshots[-1:], (self.core.snapshot(), dict(self.known))]

    @precondition(lambda self: self.place > 0)
    @rule(newest=st.sampled_from([0, 0, 0, 1, 2]), lost=st.integers(-40, 40))
    def crash(self, newest: int, lost: int) -> None:
        """`newest` snapshots are corrupt; then messages are lost while nobody listens, or devices send some again."""
        good = self.snapshots[: max(0, len(self.snapshots) - newest)]
        self.snapshots = good
        self.core = core(threshold=THRESHOLD)
        self.known = {device: event.t_ns for device, event in self.table.items()}
        if good:
            self.core.restore(good[-1][0])
            for device, t_ns in good[-1][1].items():
                self.known[device] = max(t_ns, self.known.get(device, 0))
        self.core.apply(
            AlertsKept(
                self.standing(), {(one.source, one.device): (one.t_epoch, one.t_ns) for one in self.table.values()}
            )
        )
        self.core.apply(HistoryLost())
        self.due_gap = set(self.known)
        self.over = {device: [] for device in DEVICES}
        self.place = min(max(0, self.place + lost), len(self.messages))

    @invariant()
    def what_stands_in_the_table_stands_in_the_core(self) -> None:
        if hasattr(self, "core"):
            assert self.core.view().n_standing() == len(self.standing())

    def standing(self) -> list[AlertEvent]:
        return [event for event in self.table.values() if event.state != "normal"]

    def hear_score(self, device: str, t_ns: int, quality: Quality, risk: np.ndarray) -> None:
        newest_ns = self.known.get(device, 0)
        assert t_ns > newest_ns, "a row is stepped twice"
        if device in self.due_gap:
            assert quality == Quality.GAP
            self.due_gap.remove(device)
        elif t_ns - newest_ns <= 2 * 10**9:
            assert quality != Quality.GAP, "history that is not lost is called so"
        self.known[device] = t_ns
        if quality == Quality.OK:
            self.over[device].append(bool(risk[small_manifest().judging["risk"].policy.horizon] >= THRESHOLD))

    def commit(self, event: AlertEvent) -> None:
        before = self.table.get(event.device)
        if event.kind == "raised":
            assert before is None or before.kind == "cleared", "a fault that is known is raised again"
            assert event.alert not in self.raised
            assert event.sequence == 1
            self.raised.add(event.alert)
        else:
            assert before is not None
            assert (event.alert, event.sequence) == (before.alert, before.sequence + 1)
        assert event.quality == "ok"
        assert before is None or event.t_ns > before.t_ns
        self.table[event.device] = event
        if event.kind == "cleared":
            self.over[event.device] = []

    @invariant()
    def a_fault_that_shows_stands(self) -> None:
        """Two of the last three `ok` rows over the threshold, the newest among them, whatever was lost before."""
        for device, over in getattr(self, "over", {}).items():
            if over[-1:] == [True] and sum(over[-3:]) >= 2:
                assert device in {event.device for event in self.standing()}


TestCrashEquivalence = CrashedAtAnyTime.TestCase
TestCrashEquivalence.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
