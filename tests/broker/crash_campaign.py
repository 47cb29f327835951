"""Law 3, crash equivalence in snapshot mode, at length: kill -9 again and again on one growing history (`make crash`).

Each round sends the fleet's next readings and kills, at a random instant of that, the agent, the broker that it hears,
or both together with the broker that it speaks to, whose retained messages are gone with it. Now and then the agent is
killed while it starts. No committed alert may be lost or get a second id, what stands must be retained again, what
others retained under the agent's topics must go, and each device's next row must say `gap`.

    python -m tests.broker.crash_campaign --rounds 50 --seed 0
"""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tests.broker.listener import Heard, Listener
from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import ROOT, RunningAgent, with_output
from tests.streams import Message, interleaved, message

FLEET = [f"p{number}" for number in range(8)]
PERIOD, ILL_FROM, MENDED_AT = 89, 10, 56  # cycles of one life after the other; no round is at the same point as another
CHUNK = 12  # cycles a round that are fed in peace, and as many more around the kill
FOREIGN = f"{ROOT}/alert/nobody/risk"
FAULTS = (
    "doubled", "lost", "changed", "not raised", "not cleared", "not retained", "foreign left", "gap missing",
)  # fmt: skip
AGENT, INPUT, BOTH, STARTING = "agent", "input broker", "agent and brokers", "agent while it starts"


def phase(device: str, cycle: int) -> int:
    """How far a device is in its life; each is at another point of it."""
    return (cycle + 11 * FLEET.index(device)) % PERIOD


def readings(device: str, first: int, n: int) -> list[Message]:
    """Wear grows and is mended, life after life."""
    found = []
    for cycle in range(first, first + n):
        now = phase(device, cycle)
        found.append(message(device, cycle, wear=max(0.0, (now - ILL_FROM) / 20) if now < MENDED_AT else 0.0))
    return found


def says_that_input_is_away(one: Heard) -> bool:
    return one.topic == f"{ROOT}/status" and not json.loads(one.payload)["broker"]["input"]["connected"]


@dataclass
class Tally:
    """What a campaign has counted; `faults` are the breaches of the law, one line each."""

    kills: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    gaps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def breach(self, kind: str, what: str) -> None:
        self.faults[kind] += 1
        self.said.append(f"{kind}: {what}")

    def table(self) -> str:
        rows = [
            *((f"kills of {name}", self.kills[name]) for name in (AGENT, INPUT, BOTH, STARTING)),
            *((f"events {name}", self.events[name]) for name in ("raised", "updated", "cleared")),
            ("events heard twice, the same", self.repeated),
            ("first rows that said gap", self.gaps),
            *((f"BROKEN: {kind}", self.faults[kind]) for kind in FAULTS),
        ]
        return "\n".join(f"{name:<32}{count:>8}" for name, count in rows)


def judge_events(tally: Tally, events: Sequence[dict[str, Any]], committed: set[tuple[str, int]]) -> None:
    """One alert after the other on each device; what is said again is the same; none of `committed` is lost."""
    first_said: dict[tuple[str, int], dict[str, Any]] = {}
    newest: dict[str, dict[str, Any]] = {}
    for event in events:
        key = (event["alert"], event["sequence"])
        if key in first_said:
            tally.repeated += 1
            if first_said[key] != event:
                tally.breach("changed", f"{key} was said in two ways")
            continue
        first_said[key] = event
        tally.events[event["event"]] += 1
        before = newest.get(event["device"], {"event": "cleared", "alert": "", "sequence": 0})
        if event["event"] == "raised" and before["event"] != "cleared":
            tally.breach("doubled", f"{event['device']} has {before['alert']} and now {event['alert']}")
        if event["event"] != "raised" and (before["alert"], before["sequence"] + 1) != key:
            tally.breach("lost", f"an event before {key} of {event['device']}")
        newest[event["device"]] = event
    for key in sorted(committed - set(first_said)):
        tally.breach("lost", f"{key} was committed and never said")


class Campaign:
    """One agent between two brokers, and the history that grows."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.tally = Tally()
        self._rng = random.Random(seed)
        self._folder = folder
        self._input, self._output = (PrivateBroker(self._made(name)) for name in ("input", "output"))
        self._cycle = 1
        self._committed: set[tuple[str, int]] = set()
        self._standing: dict[str, str] = {}
        self._subscriptions = 1  # of the listener: one a life of its broker

    def run(self, rounds: int) -> None:
        self._input.start()
        self._output.start()
        with closing(self._input), closing(self._output), Listener(self._output.port, "forewarn/#") as listener:
            text = with_output(self._input.port, self._output.port)
            self._listener = listener
            self._agent = RunningAgent(self._made("agent"), self._input, listener, text)
            try:
                self._agent.go()
                self._agent.feed(self._next())
                self._agent.wait_for_snapshots(
                    1
                )  # a device that is in no snapshot and no table starts as one never heard
                for number in range(rounds):
                    self._round(self._rng.choices((AGENT, INPUT, BOTH, STARTING), (4, 2, 3, 1))[0])
                    if sys.stderr.isatty():
                        click.echo(f"\r{number + 1} of {rounds} rounds ", nl=False, err=True)
                self._agent.feed(self._next())
                judge_events(self.tally, self._agent.events(all_lives=True), self._committed)
            finally:
                self._agent.end()

    def _round(self, victim: str) -> None:
        """Kill, start again, look at what stands, and let the fleet go on, from a little before perhaps."""
        self.tally.kills[victim] += 1
        messages = self._next()
        publisher = threading.Thread(target=self._publish, args=(messages,))
        publisher.start()
        time.sleep(self._rng.uniform(0, 0.1))
        if victim == INPUT:
            since = len(self._listener.heard)
            self._input.kill()
            publisher.join()
            self._listener.wait_for(says_that_input_is_away, "the loss", since=since)
            self._agent.since = len(self._listener.heard)
            self._input.start()
            self._agent.wait_until_it_listens()
        else:
            self._agent.kill()
            publisher.join()
            self._look_at_the_table()
            if victim == BOTH:
                self._kill_both_brokers()
            if victim == STARTING:
                self._kill_while_starting()
            self._output.publish(FOREIGN, b"{}", retain=True)
            self._agent.go()
        resent = messages[self._rng.randrange(len(messages)) :]
        self._agent.feed(resent[:1])
        if victim != INPUT:
            self._look_at_what_is_retained()
        self._agent.feed(resent[1:] + self._next())
        self._look_at_the_first_rows()
        self._look_at_faults_that_show()

    def _publish(self, messages: list[Message]) -> None:
        with suppress(OSError, AssertionError):  # the broker dies under it
            self._input.publish_all(messages, timeout_s=1.0)

    def _kill_both_brokers(self) -> None:
        """All that the output has acknowledged was heard; then nothing of it is retained any more."""
        self._listener.say("forewarn/end")
        self._listener.wait_for(lambda one: one.topic == "forewarn/end", "all that was said")
        for broker in (self._input, self._output):
            broker.kill()
            broker.start()
        self._subscriptions += 1
        self._listener.wait_until_subscribed(self._subscriptions)

    def _kill_while_starting(self) -> None:
        self._agent.start()
        with suppress(subprocess.TimeoutExpired):
            self._agent.process.wait(self._rng.uniform(0.1, 0.9))
        self._agent.process.kill()
        self._agent.process.wait()
        self._look_at_the_table()

    # What must hold ---------------------------------------------------------------------------------------------

    def _look_at_the_table(self) -> None:
        """What is committed, from a copy of what the kill left."""
        copy = self._folder / "copy-of-state"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._agent.state, copy)
        with closing(sqlite3.connect(copy / "alerts.db")) as db:
            rows = db.execute("SELECT event, stands FROM alert").fetchall()
        found = [(json.loads(event), bool(stands)) for event, stands in rows]
        self._committed |= {(event["alert"], event["sequence"]) for event, _ in found}
        self._standing = {event["device"]: event["alert"] for event, stands in found if stands}

    def _look_at_what_is_retained(self) -> None:
        """The alerts that stood when the agent was killed, and nothing that others left there."""
        try:
            self._listener.wait_for(
                lambda one: one == Heard(FOREIGN, b"", False), "the end of a foreign alert", since=self._agent.since
            )
        except AssertionError as error:
            self.tally.breach("foreign left", str(error))
        retained = {str(alert["device"]): str(alert["alert"]) for alert in self._agent.standing().values()}
        if retained != self._standing:
            self.tally.breach("not retained", f"{self._standing} stood, {retained} is retained")

    def _look_at_the_first_rows(self) -> None:
        for device in FLEET:
            first = self._agent.qualities(device)[0]
            self.tally.gaps += first == "gap"
            if first != "gap":
                self.tally.breach("gap missing", f"the first row of {device} says {first}")

    def _look_at_faults_that_show(self) -> None:
        """What has been ill, or well, through a chunk in peace is under an alert, or under none."""
        standing = {str(alert["device"]) for alert in self._agent.standing().values()}
        for device in FLEET:
            now = phase(device, self._cycle - 1)
            if now in range(MENDED_AT - CHUNK, MENDED_AT) and device not in standing:
                self.tally.breach("not raised", f"{device} at {now} of {PERIOD} cycles")
            if now in range(MENDED_AT + 2 * CHUNK, PERIOD) and device in standing:
                self.tally.breach("not cleared", f"{device} at {now} of {PERIOD} cycles")

    def _next(self) -> list[Message]:
        """The fleet's next cycles."""
        first, self._cycle = self._cycle, self._cycle + CHUNK
        return interleaved(*(readings(device, first, CHUNK) for device in FLEET))

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder


@click.command()
@click.option("--rounds", default=50, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(rounds: int, seed: int) -> None:
    """Kill and restart; print what was counted; exit 1 when the law was broken."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), seed)
        campaign.run(rounds)
    for line in campaign.tally.said:
        click.echo(line, err=True)
    click.echo(f"{rounds} rounds, seed {seed}\n{campaign.tally.table()}")
    sys.exit(1 if campaign.tally.said else 0)


if __name__ == "__main__":
    main()
