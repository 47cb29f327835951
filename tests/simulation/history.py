"""One history: agents live and die in a simulated world until all that was to happen has happened."""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import agent.run
from agent.core import Core
from agent.core.entries import Entry
from agent.errors import ForewarnError
from agent.run import Daemon
from agent.service_manager import Supervisor
from agent.store.schema import HISTORY, read_history
from agent.words import AlertEvent, Taken
from tests.simulation import agent_parts
from tests.simulation.broker import QUOTA_EXCEEDED, Broker, Habits
from tests.simulation.clock import Clock
from tests.simulation.disk import SimulatedDisk
from tests.simulation.network import Network
from tests.simulation.observed import (
    Died,
    Item,
    Losses,
    ObservedCore,
    Part,
    SimulatedLog,
    has_nothing_to_do,
    items_of,
    state_of,
)
from tests.simulation.patched import below
from tests.simulation.plan import Fault, Plan, Said

SETTLE_S = 900.0  # after the last fault: an agent that is not done by then is stuck
SETTLE_TURN_S = 2.0
QUIET_S = 5.5  # in which it does what it does by the clock: ask for others of its node, remove what is nobody's
AFTER_S = 3.0  # from the end of the last life but one until devices speak again: by then the next one listens
LIVES_MAX = 40
EXIT_RESTART_S = 1.0  # after an exit by itself, as the unit has it
CATEGORY = {
    **dict.fromkeys(("write", "sync", "create", "rename", "remove", "sync_folder", "truncate"), "disk"),
    **dict.fromkeys(("begin", "commit", "committed"), "sql"),
    **dict.fromkeys(("send", "receive", "connect"), "net"),
    "wait": "wait",
    "read": "read",
}


class History:
    """The world of a plan.

    timeline  journal mode: the entries of the log that survive, a message each; snapshot mode: all that were taken
    lives     what each life took, and what the core gave back
    published what devices have said, in order
    alerts    the last event of each alert in the table, at the end; `standing` of those that stand
    losses    of history, that the core was told of
    intervened on which devices, by the table; `unheard` of those that a life did not know when it was told of them
    drops     what the agent knows at the end of the broker's count
    commits   events that were put into the outbox, with what is kept of them, and how often
    sins      what may not be, as it happens
    trace     what has happened: time, kind, what
    """

    def __init__(self, plan: Plan) -> None:
        self.what = plan
        self.clock = Clock()
        self.timeline: list[Item] = []
        self.lives: list[list[Part]] = []
        self.published: list[tuple[str, bytes]] = []
        self.alerts: list[AlertEvent] = []
        self.standing: list[AlertEvent] = []
        self.losses = Losses()
        self.intervened: set[str] = set()
        self.unheard: set[str] = set()
        self.drops: Any = None
        self.sins: list[str] = []
        self.commits: Counter[bytes] = Counter()
        self.trace: list[tuple[int, str, str]] = []
        self.turn_s = float(plan.world["turn_s"])
        self.settings, self.plan = agent_parts.configured(plan.agent | {"durability": plan.mode}, plan.world)
        rng = self._rng = Random(plan.seed)
        folder = self.settings.agent.state_dir
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.network = Network(self.clock, self.step, float(plan.world["latency_s"]), int(plan.world["read_bytes_max"]))
        self.disk = SimulatedDisk(self.clock, self.step, rng, folder)
        habits = Habits.of(plan.world, keeps=any(fault.kind == "restart_some" for fault in plan.faults))
        self.broker = Broker(self.clock, self.network, habits, rng, f"{agent_parts.CLIENT_ID}-in")
        self.is_alive = False
        self.daemon: Daemon | None = None
        self.counts: Counter[str] = Counter()
        self.n_lives = 0
        self.final: bytes = b""
        self._core: Core
        self.is_recovering = False
        self._stop = self._is_over = self._has_rotted = False
        self._may_exit_until_s = self._sql_fails_until_s = -1.0
        self._databases: list[sqlite3.Connection] = []
        self._armed: dict[tuple[str, int], list[Fault]] = {}
        self._last_s = 0.0
        for fault in plan.faults:
            self._arm(fault)
        self._say(plan.said)

    # Running ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let it happen; what went wrong is then in `sins`, and the oracle has the rest."""
        random.seed(self.what.seed)
        ObservedCore.world = self
        with below(self, self._databases):
            while not self._live():
                if self.n_lives >= LIVES_MAX:
                    self.sins.append(f"{LIVES_MAX} lives were not enough")
                    return
                self.clock.sleep(float(self.what.world["restart_s"]))

    def _live(self) -> bool:
        """One life; whether the history is at its end."""
        self.n_lives += 1
        self.lives.append([])
        self.is_alive, self._stop = True, False
        self.is_recovering = True
        self.note("life", "begins")
        try:
            return self._turns(Daemon(self.settings, Supervisor({}, SimulatedLog(self)), SimulatedLog(self)))  # type: ignore[arg-type]
        except Died as died:
            self._bury(is_power_cut=str(died) == "power")
        except (ForewarnError, sqlite3.Error) as error:
            self.note("exit", f"1: {error}")
            if self.clock.now_s > self._may_exit_until_s:
                self.sins.append(f"the agent ended: {error}")
            self._bury(is_power_cut=False)
            self.clock.sleep(EXIT_RESTART_S)
        return False

    def _turns(self, daemon: Daemon) -> bool:
        self.daemon = daemon
        while not self._stop and self.clock.now_s < self._last_s + 0.5:
            daemon.turn()
        if self._stop:
            self._close(daemon)
            return False
        self._heal()
        agent.run.TURN_S = SETTLE_TURN_S
        if not self._settle(daemon):
            return True
        if self.what.ends_by != "peace" and not self._is_over:
            self._is_over = True
            self._say(self.what.after, self.clock.now_s + AFTER_S)
            if self.what.ends_by == "stop":
                self._close(daemon)
            else:
                self._bury(is_power_cut=self.what.ends_by == "power")
            return False
        self._look(daemon)
        return True

    def _look(self, daemon: Daemon) -> None:
        """What is there at the end."""
        self.final = daemon._core.snapshot()
        self.drops = daemon._inputs.receivers[0]._broker_drops
        self.alerts = [read_history(row) for row in daemon._outbox._database.read(f"{HISTORY} ORDER BY number")]
        self.standing = daemon._outbox.standing()
        self.intervened = {device for (device,) in daemon._outbox._database.read("SELECT device FROM intervention")}
        self._bury(is_power_cut=False)

    def _settle(self, daemon: Daemon) -> bool:
        """Until all is delivered and told, and a while longer."""
        until_s = self.clock.now_s + SETTLE_S
        while not self._is_settled(daemon):
            daemon.turn()
            if self.clock.now_s > until_s:
                self.sins.append(f"stuck: broker {self.broker.waiting()}, {state_of(daemon)}")
                return False
        until_s = self.clock.now_s + QUIET_S
        while self.clock.now_s < until_s or not self._is_settled(daemon):
            daemon.turn()
            if self.clock.now_s > until_s + SETTLE_S:
                self.sins.append(f"never quiet: broker {self.broker.waiting()}, {state_of(daemon)}")
                return False
        return True

    def _is_settled(self, daemon: Daemon) -> bool:
        return not self.broker.waiting() and has_nothing_to_do(daemon)

    def _close(self, daemon: Daemon) -> None:
        """SIGTERM."""
        self.note("life", "is stopped")
        daemon.close()
        self._bury(is_power_cut=False)

    def _bury(self, *, is_power_cut: bool) -> None:
        self.is_alive = False
        self.daemon = None
        self.network.die(is_power_cut=is_power_cut)
        if is_power_cut:
            self.disk.cut_power()
        for database in self._databases:
            with suppress(sqlite3.Error):
                database.close()
        self._databases.clear()

    # What the agent is about to do ------------------------------------------------------------------------------

    def step(self, name: str) -> None:
        if not self.is_alive:
            raise Died("long since")
        kind = CATEGORY[name]
        self.counts[kind] += 1
        if name in ("begin", "commit") and self.clock.now_s < self._sql_fails_until_s:
            raise sqlite3.OperationalError("database or disk is full")
        if kind not in ("wait", "read"):
            self.note("step", name)
        for fault in self._armed.pop((kind, self.counts[kind]), ()):
            self._strike(fault)

    def note(self, kind: str, what: str) -> None:
        self.trace.append((self.clock.now_ns, kind, what))

    def make_core(self, *args: Any, **kwargs: Any) -> Core:
        self._core = ObservedCore(*args, **kwargs)
        return self._core

    def recovered(self) -> None:
        """The state is restored; entries that the journal has lost are gone."""
        self.is_recovering = False
        if self.what.mode == "journal":
            n = self._core.entry
            if n < len(self.timeline):
                self.note("log", f"{len(self.timeline) - n} entries are gone")
            del self.timeline[n:]
            self.losses.cut(n)

    def note_entry(self, number: int, entry: Entry, taken: Taken) -> None:
        items = items_of(entry)
        self.note("entry", f"{number} {len(items)} {type(entry).__name__}")
        self.losses.note((0 if self.what.mode == "journal" else self.n_lives, number), entry, self.clock.now_ns)
        if self.what.mode == "snapshot":
            self.lives[-1].append(Part(number, len(self.timeline), entry, taken))
            self.timeline += items
            return
        if number > len(self.timeline):
            self.sins.append(f"entry {number} follows entry {len(self.timeline) - 1}")
        known = self.timeline[number : number + len(items)]
        if known != items[: len(known)]:
            how = "when it is repeated" if self.is_recovering else "than it was"
            self.sins.append(f"entry {number} is another one {how}: {items[: len(known)]} for {known}")
        self.timeline[number : number + len(items)] = items

    # Faults -----------------------------------------------------------------------------------------------------

    def _arm(self, fault: Fault) -> None:
        if fault.when == "time":
            self._last_s = max(self._last_s, fault.nth)
            self.clock.at(fault.nth, lambda: self._strike(fault))
        else:
            self._armed.setdefault((fault.when, int(fault.nth)), []).append(fault)

    def _strike(self, fault: Fault) -> None:
        self.note("fault", f"{fault.kind} {fault.value} at {fault.when} {fault.nth}")
        now_s, kind, value = self.clock.now_s, fault.kind, fault.value
        self._last_s = max(self._last_s, min(now_s + value + 0.5, now_s + 3.0))
        if kind in ("kill", "power"):
            if self.is_alive:
                self.is_alive = False
                raise Died(kind)
        elif kind == "stop":
            self._stop = self.is_alive
        elif kind == "cut":
            self.network.cut(which=int(value))
        elif kind == "down":
            self.network.is_up = False
            self.network.cut()
            self.clock.after(value, lambda: setattr(self.network, "is_up", self.broker.is_up))
        elif kind.startswith("restart_"):
            self.broker.stop()
            self.clock.after(value, lambda: self._broker_up(kind.removeprefix("restart_")))
        elif kind == "forget_sessions":
            self.broker.forget_sessions()
        elif kind == "forget_retained":
            self.broker.forget_retained()
            self.network.cut()
        elif kind == "refuse":
            self.broker.refuses = lambda message: QUOTA_EXCEEDED if self.clock.now_s < now_s + value else 0
        elif kind == "wall":
            self.clock.set_wall(value)
        else:
            self._strike_disk(kind, now_s + value)

    def _strike_disk(self, kind: str, until_s: float) -> None:
        self._may_exit_until_s = max(self._may_exit_until_s, until_s + 2.0)
        if kind == "full":
            self.disk.fails_until_s[28] = until_s
        elif kind == "read_only":
            self.disk.fails_until_s[30] = until_s
        elif kind == "slow":
            self.disk.slow_until_s = until_s
        elif kind == "bad_sync":
            self.disk.bad_syncs += 1
            self._may_exit_until_s = 1e9
        elif kind == "sql_busy":
            self._sql_fails_until_s = until_s
        elif kind == "rot":
            self._rot()
        else:
            raise AssertionError(kind)

    def _rot(self) -> None:
        """A bit of the newest snapshot flips, once in a history: the older one or the whole log is there. It dies."""
        snapshots = sorted(name for name in self.disk.listing() if name.removeprefix("snapshot-").isdecimal())
        has_other = len(snapshots) > 1 or self.what.mode == "snapshot" or f"journal-{0:012d}" in self.disk.listing()
        if snapshots and has_other and not self._has_rotted:
            self._has_rotted = True
            self.disk.flip(snapshots[-1], at=self._rng.randint(0, 10**6), bit=self._rng.randint(0, 7))
        self._strike(Fault("now", 0, "kill"))

    def _broker_up(self, keeps: Any) -> None:
        if not self.broker.is_up:
            self.broker.start(keeps)

    def _heal(self) -> None:
        """From now on nothing happens any more."""
        self.note("world", "heals")
        self._armed.clear()
        self.disk.fails_until_s.clear()
        self.disk.bad_syncs = 0
        self.disk.slow_until_s = self._sql_fails_until_s = -1.0
        if not self.broker.is_up:
            self.broker.start("all")
        self.network.is_up = True
        self.broker.refuses = lambda _: 0

    def _say(self, what: Sequence[Said], from_s: float = 0.0) -> None:
        for said in what:
            self._last_s = max(self._last_s, from_s + said.at_s)
            self.clock.at(from_s + said.at_s, lambda said=said: self._publish(said.topic, said.payload))  # type: ignore[misc]

    def _publish(self, topic: str, payload: bytes) -> None:
        if self.broker.is_up:
            self.note("said", f"{topic} {payload[:60]!r}")
            self.published.append((topic, payload))
            self.broker.publish(topic, payload)
        else:
            self.clock.after(0.2, lambda: self._publish(topic, payload))
