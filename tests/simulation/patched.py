"""Puts a simulated world below the real agent: what the agent asks the machine for, the world answers."""

import random
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import paho.mqtt.client as paho

import agent.config.plan
import agent.decode.expand
import agent.decode.part
import agent.publish.connection
import agent.publish.mqtt
import agent.receive.connect
import agent.receive.wait
import agent.run
import agent.store.journal_durability
from agent.config.plan import Plan
from agent.store.disk import Disk
from tests.simulation import agent_parts
from tests.simulation.clock import Clock
from tests.simulation.network import Network, SimulatedSelect, SimulatedSocket

PINGS_EVERY_S = 2.0
_version = cache(agent.store.journal_durability.version)
_find_spec = cache(agent.decode.expand.find_spec)
_codec_of = cache(agent.decode.part.codec_of)


class World(Protocol):
    """What is put below the agent."""

    clock: Clock
    network: Network
    disk: Disk
    turn_s: float
    n_lives: int
    is_alive: bool
    commits: Counter[bytes]
    plan: Plan

    def step(self, name: str) -> None:
        """Announces what the agent is about to do; raises where its process dies there."""

    def make_core(self, *args: Any, **kwargs: Any) -> Any:
        """The core of a life."""

    def recovered(self) -> None:
        """The state is restored."""


class SimulatedAttempt:
    """A try to connect that has its answer at once."""

    def __init__(self, client: paho.Client, connect: Callable[[], object]) -> None:
        self.client = client
        self.fault = ""
        try:
            connect()
        except OSError as error:
            self.fault = str(error)

    def is_over(self, timeout_s: float) -> bool:
        return True


class Work(Future[str]):
    """What another thread is to do: it is done at once at some later time, or when somebody waits for it."""

    def __init__(self, world: World, work: Callable[[], str]) -> None:
        super().__init__()
        self._world, self._work, self._life = world, work, world.n_lives
        self._is_begun = False
        world.clock.after(random.choice((0.0, 0.05, 0.4)), self._do)

    def result(self, timeout: float | None = None) -> str:
        self._do()
        return super().result(timeout)

    def _do(self) -> None:
        if self._is_begun or self._life != self._world.n_lives or not self._world.is_alive:
            return
        self._is_begun = True  # on a slow disk time passes within it
        try:
            self.set_result(self._work())
        except OSError as error:
            self.set_exception(error)


class SimulatedDatabase(sqlite3.Connection):
    """A commit is one step: it lasts, or nothing of it does."""

    world: World
    events: list[bytes]  # of the transaction that is open

    def execute(self, query: str, *values: Any) -> sqlite3.Cursor:
        if query.startswith("BEGIN IMMEDIATE"):
            self.world.step("begin")
            self.events = []
        elif values and query.startswith("INSERT INTO event "):
            self.events.append(values[0][1])
        elif query == "COMMIT":
            self.world.step("commit")
            done = super().execute(query, *values)
            self.world.commits.update(self.events)
            self.world.step("committed")
            return done
        return super().execute(query, *values)


@contextmanager
def below(world: World, databases: list[sqlite3.Connection]) -> Iterator[None]:
    """While this lasts, agents of this process live in `world`. `databases` gets those that they open."""
    clock, network = world.clock, world.network

    def sleep(span_s: float) -> None:
        world.step("wait")
        clock.sleep(span_s)

    connect_database = sqlite3.connect

    def open_database(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        made = connect_database(*args, **kwargs, factory=SimulatedDatabase)
        made.world, made.events = world, []
        databases.append(made)
        return made

    def open_inputs(*args: Any, **kwargs: Any) -> Any:
        world.recovered()
        return real_open_inputs(*args, **kwargs)

    real_open_inputs = agent.run.open_inputs
    every = {
        (time, "monotonic"): clock.monotonic,
        (time, "monotonic_ns"): clock.monotonic_ns,
        (time, "clock_gettime_ns"): lambda _which: clock.monotonic_ns(),
        (time, "time"): clock.time,
        (time, "time_ns"): clock.time_ns,
        (time, "sleep"): sleep,
        (secrets, "token_hex"): lambda n_bytes: random.randbytes(n_bytes).hex(),
        (sqlite3, "connect"): open_database,
        (paho, "time_func"): clock.monotonic,
        (paho.Client, "_create_socket"): lambda _: network.connect(),
        (paho.Client, "loop_start"): lambda client: _read_at_once(clock, client),
        (agent.receive.wait, "select"): SimulatedSelect(network),
        (agent.receive.connect, "Attempt"): SimulatedAttempt,
        (agent.publish.connection, "Attempt"): SimulatedAttempt,
        (agent.receive.connect, "difference"): lambda: "",
        (agent.config.plan, "load_engine"): lambda _: agent_parts.engine(),
        (agent.config.plan, "Core"): world.make_core,
        (agent.run, "open_inputs"): open_inputs,
        (agent.run, "StateFolder"): lambda _: world.disk,
        (agent.run, "TURN_S"): world.turn_s,
        (agent.run, "in_thread"): lambda: lambda work: Work(world, work),
        # What is always the same is made once
        (agent.store.journal_durability, "version"): _version,
        (agent.store.journal_durability, "rehearse"): lambda *_: None,  # a child, for what no simulated death is
        (agent.decode.expand, "find_spec"): _find_spec,
        (agent.decode.part, "codec_of"): _codec_of,
        (agent.run, "plan"): lambda *_: world.plan,
        (agent.run.bundle_file, "read"): lambda _: agent_parts.bundle(),
    }
    before = {(owner, name): getattr(owner, name) for owner, name in every}
    try:
        for (owner, name), value in every.items():
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name), value in before.items():
            setattr(owner, name, value)


def _read_at_once(clock: Clock, client: paho.Client) -> None:
    """In the place of paho's thread: what comes is read when it comes, and pings are sent."""
    sock = client.socket()
    if not isinstance(sock, SimulatedSocket):
        return
    link = sock.link

    def read() -> None:
        while link.is_open and link.is_readable and client.socket() is sock:
            client.loop_read()

    def look() -> None:
        if link.is_open and client.socket() is sock:
            client.loop_misc()
            clock.after(PINGS_EVERY_S, look)

    link.on_data = lambda: clock.after(0.0, read)  # not in the middle of what the client does now
    read()
    look()
