"""An agent in journal mode at a third of what this machine can do, with a fault every few seconds, beside a twin.

    python -m tests.faults.soak --minutes 30 --seed 0 --json docs/figures/soak.json

First the top rate is measured, without faults. Then faults of `FAULTS` come by a schedule that the seed fixes, one at a
time and with a few seconds in between; a fault that ends the agent comes in the first third only, so that the memory of
one process is measured over the rest. Most of the traffic is a healthy fleet that is counted: the core must have taken
each message that the broker acknowledged, and none twice but those that the publisher itself had to send again. Some
machines fall ill and are mended all the while; their alerts must be the twin's, by id and sequence.

mosquitto is stopped in order here, since what it forgets in a kill -9 nobody can count; the campaign beside does that.
It has packet identifiers for 65,535 messages, and drops what is beyond its queue: while the agent is away the publisher
waits, as a device does that buffers, before the queue is full, and makes up for it afterwards.
"""

import json
import math
import os
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import click

from bench import result
from tests.broker.listener import Listener
from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import ROOT, RunningAgent, with_output
from tests.faults.oracle import Oracle, Tally
from tests.faults.proxy import GOOD, LOST, STALLED, Proxy, Way
from tests.faults.steady_publisher import SteadyPublisher
from tests.faults.system_calls import failing
from tests.faults.twin import Twin
from tests.streams import Message, message

MADE_MAX = 50_000  # messages that are made, and not taken by the agent's newest status: then the publisher waits
ASK_EVERY_S = 0.2  # of the status
QUEUE = 60_000  # after a reconnection mosquitto has all of it under way, and there are 65,535 packet identifiers
N_HEALTHY, N_WATCHED = 2000, 40
ILL, WELL = 30, 40  # cycles of a watched machine
PAUSE_S = (2.0, 5.0)  # between two faults
STEADY_S = 22.0  # five connections in a row that end within 20 s are taken for another client's, and waited out
TOP_RATE_S = 8.0
WARM_UP_S = 300.0  # of a process, before its memory is looked at
PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024
SYNC, WRITE = "fsync,fdatasync", "write,pwrite64"


class Fleet:
    """What is published: healthy machines in turn, and of the others a cycle each second, which `watched` remembers."""

    def __init__(self) -> None:
        self.watched: list[Message] = []
        self._n = self._cycle = 0
        self._due_s = time.monotonic()

    def make(self, n: int) -> list[Message]:
        messages = []
        if time.monotonic() >= self._due_s:
            self._due_s += 1.0
            self._cycle += 1
            for number in range(N_WATCHED):
                is_ill = (self._cycle + 7 * number) % (ILL + WELL) < ILL
                messages.append(message(f"w{number}", self._cycle, wear=2.5 * is_ill))
            self.watched += messages
        for number in range(self._n, self._n + n):
            cycle, device = divmod(number, N_HEALTHY)
            payload = b'{"cycle":%d,"temp":0.1,"load":0.2,"wear":0.0}' % (cycle + 1)
            messages.append((f"plant/h{device}/cycle", payload))
        self._n += n
        return messages


class Soak:
    """One agent behind proxies, its brokers, and what is done to them."""

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.rng, self.n_junk = random.Random(seed), 0
        self.input, self.output = PrivateBroker(made(folder / "input")), PrivateBroker(made(folder / "output"))
        self.input.settings = (
            *(one for one in self.input.settings if not one.startswith("max_queued")),
            f"max_queued_messages {QUEUE}", "max_queued_bytes 0", "persistence true",
            f"persistence_location {self.input.folder}/",
        )  # fmt: skip
        for broker in (self.input, self.output):
            broker.start()
            stack.enter_context(closing(broker))
        self.to_input = stack.enter_context(Proxy(self.input.port))
        self.to_output = stack.enter_context(Proxy(self.output.port))
        self.listener = stack.enter_context(Listener(self.output.port, f"{ROOT}/event", f"{ROOT}/status"))
        text = with_output(self.to_input.port, self.to_output.port, durability="journal")
        text = text.replace('scores = "all"', 'scores = "none"').replace('"2ms"', '"20ms"').replace('"1s"', '"5s"', 1)
        self.agent = RunningAgent(made(folder / "agent"), self.input, self.listener, text)
        self.agent.go()
        stack.callback(self.agent.end)
        self.memory: list[tuple[float, float]] = []  # seconds, MB of the process that runs now
        self.lives = 1

    # Faults -----------------------------------------------------------------------------------------------------

    def kill_agent(self) -> None:
        self.agent.process.kill()
        self.agent.process.wait()
        self._begin_life()

    def restart_agent(self) -> None:
        assert self.agent.stop() == 0
        self._begin_life()

    def stop_agent_for_a_while(self) -> None:
        self.agent.process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.5, 3.0))
        self.agent.process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        self.agent.process.send_signal(signal.SIGHUP)

    def cut_input(self) -> None:
        self.to_input.cut()

    def cut_output(self) -> None:
        self.to_output.cut()

    def cut_inside_a_message(self) -> None:
        self.to_input.cut_inside(self.rng.randrange(1, 5000))
        time.sleep(0.5)
        self.to_input.treat(down=GOOD)

    def lose_acknowledgements(self) -> None:
        self.to_input.treat(up=LOST)
        time.sleep(0.5)
        self.to_input.cut()
        self.to_input.treat(up=GOOD)

    def stall(self) -> None:
        for proxy in (self.to_input, self.to_output):
            proxy.treat(up=STALLED, down=STALLED)
        time.sleep(self.rng.uniform(0.5, 3.0))
        for proxy in (self.to_input, self.to_output):
            proxy.treat(up=GOOD, down=GOOD)

    def delay(self) -> None:
        self.to_input.treat(down=Way(delay_s=0.05))
        time.sleep(1.0)
        self.to_input.treat(down=GOOD)

    def restart_input_broker(self) -> None:
        """SIGTERM: mosquitto saves what it holds. Nobody listens meanwhile: a proxy that accepts a connection, and ends
        it before a CONNACK, leaves the agent in doubt whether it still has its session (docs/decisions/0048).
        """
        self.to_input.refuse()
        self.input.close()
        self.input.start()
        self.to_input.accept()

    def slow_disk(self) -> None:
        with failing(self.agent.process.pid, f"{SYNC}:delay_exit=200000"):
            time.sleep(1.5)

    def full_disk(self) -> None:
        files = [path for path in self.agent.state.iterdir() if path.name.startswith(("journal", "snapshot", "alerts"))]
        with failing(self.agent.process.pid, f"{WRITE}:error=ENOSPC", paths=files):
            time.sleep(1.0)

    def hold_the_table(self) -> None:
        with closing(sqlite3.connect(self.agent.state / "alerts.db", isolation_level=None)) as shell:
            shell.execute("BEGIN EXCLUSIVE")
            time.sleep(0.5)
            shell.execute("ROLLBACK")

    def junk(self) -> None:
        self.input.publish_all([("plant/h1/cycle", bytes([byte])) for byte in range(256)])
        self.n_junk += 256

    # Around them ------------------------------------------------------------------------------------------------

    def _begin_life(self) -> None:
        self.memory.clear()
        self.lives += 1
        self.agent.go()

    def measure(self) -> None:
        """Memory of the process, which nothing but this soak may end."""
        if (code := self.agent.process.poll()) is not None:
            raise AssertionError(f"the agent ended with {code}: {self.agent.log_lines()[-20:]}")
        pages = int(Path(f"/proc/{self.agent.process.pid}/statm").read_text().split()[1])
        self.memory.append((time.monotonic(), pages * PAGE_KB / 1024))

    def taken(self) -> int:
        return int(str(self.agent.status()["taken"]))

    def wait_until_idle(self) -> None:
        """Nothing more is taken, and all is said."""
        last = -1
        while (now := self.taken()) != last or self.agent.status()["queues"]["outbox"]:  # type: ignore[index]
            last = now
            time.sleep(2.0)


ENDS_THE_AGENT: tuple[Callable[[Soak], None], ...] = (Soak.kill_agent, Soak.restart_agent)
FAULTS: tuple[Callable[[Soak], None], ...] = (
    Soak.stop_agent_for_a_while, Soak.reload, Soak.cut_input, Soak.cut_output, Soak.cut_inside_a_message,
    Soak.lose_acknowledgements, Soak.stall, Soak.delay, Soak.restart_input_broker, Soak.slow_disk, Soak.full_disk,
    Soak.hold_the_table, Soak.junk,
)  # fmt: skip

ENDS_THE_INPUT = {*ENDS_THE_AGENT, Soak.cut_input, Soak.cut_inside_a_message, Soak.lose_acknowledgements}
ENDS_THE_INPUT |= {Soak.restart_input_broker}


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


class Brake:
    """Makes messages as long as the broker surely has room for them, by what the agent's newest status says it took."""

    def __init__(self, soak: Soak, fleet: Fleet) -> None:
        self._soak, self._fleet = soak, fleet
        self._n_before = self._n_taken = soak.taken()
        self._n_made = 0
        self._asked_s = -math.inf

    def make(self, n: int) -> list[Message]:
        if time.monotonic() > self._asked_s + ASK_EVERY_S and self._soak.agent.has_status():
            self._asked_s, self._n_taken = time.monotonic(), self._soak.taken() - self._soak.n_junk
        if self._n_made - (self._n_taken - self._n_before) > MADE_MAX:
            return []
        messages = self._fleet.make(n)
        self._n_made += len(messages)
        return messages


def top_rate(soak: Soak, fleet: Fleet) -> float:
    """Messages a second that the agent takes when some always wait for it, and never more than the broker queues."""
    with SteadyPublisher(soak.input.port, math.inf, Brake(soak, fleet).make):
        time.sleep(TOP_RATE_S / 4)
        begun_s, first = time.monotonic(), soak.taken()
        time.sleep(TOP_RATE_S)
        rate_per_s = (soak.taken() - first) / (time.monotonic() - begun_s)
    soak.wait_until_idle()
    return rate_per_s


def slope_mb_per_h(memory: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through it, from WARM_UP_S on; NaN for too short a life."""
    warm = [(at_s, mb) for at_s, mb in memory if at_s >= memory[0][0] + WARM_UP_S]
    if len(warm) < 60:
        return math.nan
    return 3600 * statistics.linear_regression(*zip(*warm, strict=True)).slope


def by_minute(memory: Sequence[tuple[float, float]]) -> list[float]:
    """The least of each minute: what stays."""
    least: dict[int, float] = {}
    for at_s, mb in memory:
        minute = int((at_s - memory[0][0]) / 60)
        least[minute] = min(mb, least.get(minute, mb))
    return [round(mb, 1) for mb in least.values()]


def run(minutes: float, seed: int) -> tuple[dict[str, object], list[str]]:
    """The figures, and what was broken."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        soak = Soak(Path(name), seed, stack)
        fleet = Fleet()
        rate_per_s = top_rate(soak, fleet)
        n_before = soak.taken()
        ends_s, kills_until_s = (time.monotonic() + 60 * share * minutes for share in (1, 1 / 3))
        steady_s = 0.0  # from when on the input may be ended again
        with SteadyPublisher(soak.input.port, rate_per_s / 3, Brake(soak, fleet).make) as publisher:
            while (now_s := time.monotonic()) < ends_s:
                faults = FAULTS + ENDS_THE_AGENT if now_s < kills_until_s else FAULTS
                fault = soak.rng.choice([one for one in faults if now_s >= steady_s or one not in ENDS_THE_INPUT])
                fault(soak)
                if fault in ENDS_THE_INPUT:
                    steady_s = time.monotonic() + STEADY_S
                tally.kills[fault.__name__] += 1
                quiet_s = time.monotonic() + soak.rng.uniform(*PAUSE_S)
                while time.monotonic() < quiet_s:
                    soak.measure()
                    time.sleep(0.5)
                if sys.stderr.isatty():
                    click.echo(f"\r{tally.kills.total()} faults, {soak.memory[-1][1]:.0f} MB ", nl=False, err=True)
        soak.wait_until_idle()
        n_taken = soak.taken() - n_before
        twin = Twin(soak.agent.folder / "small.fwb")
        twin.take(fleet.watched)
        oracle = Oracle(twin, tally, has_time=True)
        oracle.compare_events(soak.listener.heard)
        if not oracle.is_standing(soak.agent.standing().values()):
            tally.breach("what is retained is not what stands")
        drops = soak.agent.status()["drops"]
        for reason in ("broker_dropped", "session_lost"):
            if reason in drops.get("", {}):  # type: ignore[attr-defined]
                tally.breach(f"{reason}: {drops}, {soak.agent.log('broker_session_lost')}")
        n_junk = 256 * tally.kills["junk"]
        n_sent = publisher.n_acknowledged + n_junk
        if not n_sent <= n_taken <= n_sent + publisher.n_again:
            tally.breach(f"{n_sent} messages, of which {publisher.n_again} were sent again; {n_taken} were taken")
        figures: dict[str, object] = {
            "minutes": minutes, "seed": seed, "top_rate_per_s": round(rate_per_s), "rate_per_s": round(rate_per_s / 3),
            "messages": n_sent, "taken": n_taken, "sent_again": publisher.n_again, "lives": soak.lives,
            "memory_mb": round(soak.memory[-1][1], 1), "memory_slope_mb_per_h": round(slope_mb_per_h(soak.memory), 2),
            "memory_mb_by_minute": by_minute(soak.memory),
            "drops": drops, **{f"fault {name}": n for name, n in tally.kills.items()},
            **tally.counts, "broken": len(tally.said),
        }  # fmt: skip
    return figures, tally.said


@click.command()
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
def main(minutes: float, seed: int, path: Path | None) -> None:
    """Soak; print what was counted; exit 1 when something was lost or doubled."""
    figures, said = run(minutes, seed)
    for line in said:
        click.echo(line, err=True)
    click.echo("\n".join(f"{name:<32}{json.dumps(value):>14}" for name, value in figures.items()))
    result.write(path, "soak", [figures])
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
