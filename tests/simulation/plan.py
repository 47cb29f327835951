"""What happens in one history: the messages of devices, the faults, and the world they happen in; all from one seed."""

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal

import msgspec

from agent.words import ALERT_ACTIONS
from tests.simulation.clock import START_NS

Mode = Literal["snapshot", "journal"]
MODES: tuple[Mode, ...] = ("snapshot", "journal")
SPACING_S = 0.1  # cadence of the bundle
BURST_S = 0.25  # most devices speak at multiples of it, as if a gateway collected what they say
STEPS = {  # kinds of steps at which a fault may strike, with about how many of them a history has
    "disk": 200,
    "sql": 40,
    "net": 120,
    "wait": 50,
}


class Said(msgspec.Struct, frozen=True):
    """A device publishes."""

    at_s: float
    topic: str
    payload: bytes


class Fault(msgspec.Struct, frozen=True):
    """Strikes at the nth step of a kind, or `nth` seconds after the beginning where `when` is "time".

    value  of what it is: for how many seconds, by how many, or which
    """

    when: str
    nth: float
    kind: str
    value: float = 0.0


class Plan(msgspec.Struct, frozen=True):
    """One history.

    agent    settings of the agent that are not the default of the simulation
    world    of broker and network: see history.py
    ends_by  how the last life but one ends, when all is delivered; peace: that one is the last
    after    what devices say in the life after that, all at once
    """

    seed: int
    mode: Mode
    agent: dict[str, str]
    world: dict[str, int | float | str]
    said: tuple[Said, ...]
    faults: tuple[Fault, ...]
    ends_by: Literal["peace", "stop", "kill", "power"]
    after: tuple[Said, ...] = ()


def draw(seed: int, mode: Mode) -> Plan:
    """The history of a seed."""
    rng = Random(f"{mode} {seed}")
    span_s = rng.choice([1.0, 2.0, 3.0])
    said = _said(rng, span_s)
    world: dict[str, int | float | str] = {
        "window": rng.choice([1, 5, 5, *(6 * [20])]),
        "queue_max": rng.choice([1000, 1000, 1000, 10, 40]),
        "drops": rng.choice(["newest", "oldest"]),
        "ids": rng.choice(["sequential", "lowest", "random"]),
        "receive_maximum": rng.choice([1, 2, 20, 20, 100]),
        "answers_late_s": rng.choice([0.0, 0.0, 0.01, 0.3]),
        "latency_s": rng.choice([0.0, 0.001, 0.02]),
        "read_bytes_max": rng.choice([60, 300, *(12 * [2**16])]),
        "protocol": rng.choice(["5", "5", "auto", "3.1.1"]),
        "turn_s": rng.choice([0.1, 0.5, 1.0, 1.0]),
        "session_expiry": rng.choice(["1h", "1h", "1s"]),
        "silent_after": rng.choice(["", "learned", "1s"]),
        "device_silent_after": "",
        "restart_s": rng.choice([0.0, 0.1, 1.0]),
    }
    agent = {
        "delay_max": rng.choice(["0s", "20ms", "100ms"]),
        "tick_every": rng.choice(["200ms", "1s", "1s"]),
        "snapshot_every": rng.choice(["1s", "1s", "3s", "1h"]),
        "rows_per_device_max": rng.choice(["64", "64", "2"]),
        "stale_after": rng.choice(["1s", "10m"]),
        "forget_after": rng.choice(["20m", "20m", "3s"]),
    }
    if agent["tick_every"] == "1s" and world["silent_after"] == "1s":
        world["silent_after"] = "4s"  # it is looked for so often
    if world["silent_after"] and rng.random() < 0.5:
        world["device_silent_after"] = "1s" if agent["tick_every"] == "200ms" else "4s"
    if agent["forget_after"] == "3s":
        agent["stale_after"] = "1s"
    faults = tuple(_fault(rng, span_s) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4, 5])))
    ends_by = rng.choice(["peace", "peace", "stop", "kill", "power"])
    after = _after(said)
    people = Random(f"people {seed}")
    if mode == "journal" and people.random() < 0.4:
        world["alerts"] = people.choice(["plain", "flood", "acknowledge", "latch", "chatter"])
        said = tuple(sorted((*said, *_orders(people, span_s)), key=lambda one: one.at_s))
    return Plan(seed, mode, agent, world, said, faults, ends_by, after)


def _said(rng: Random, span_s: float) -> tuple[Said, ...]:
    """Machines that fall ill and recover, some of them without a clock, with what else comes along."""
    said: list[Said] = []
    is_apart = rng.random() < 0.04
    for number in range(rng.randint(2, 4)):
        has_clock = rng.random() < 0.6
        topic = f"plant/d{number}/{'press' if has_clock else 'pump'}"
        spell = rng.choice([4, 8, 12])
        n, begins_s = rng.randint(8, 28), rng.uniform(0, span_s / 2)
        at_s, is_ill, left = begins_s, rng.random() < 0.3, rng.randint(1, spell)
        for row in range(n):
            if left == 0:
                is_ill, left = not is_ill, rng.randint(2, spell)
            left -= 1
            at_s += span_s / 2 / n * rng.choice([0.0, 0.5, 1.0, 1.0, 2.5])
            values: dict[str, object] = {
                "temp": round(rng.gauss(0, 0.05), 5),
                "load": round(rng.gauss(0, 0.05), 5),
                "wear": round(rng.gauss(2.5 if is_ill else 0.0, 0.1), 5),
            }
            if has_clock:
                values["t"] = START_NS // 10**9 + row * SPACING_S
            together_s = at_s if is_apart else BURST_S * round(at_s / BURST_S)
            said.append(Said(together_s, topic, json.dumps(values).encode()))
            if rng.random() < 0.02:
                said.append(Said(together_s, topic, rng.choice([b"", b"{", b"x" * 3000, said[-1].payload])))
    if rng.random() < 0.3:
        command = {"device": "d0", "kind": rng.choice(["repaired", "replaced", "inspected"])}
        at_s = rng.uniform(0, span_s)
        said.append(Said(at_s, "forewarn/sim/cmd/intervention/press", json.dumps(command).encode()))
    return tuple(sorted(said, key=lambda one: one.at_s))


def _orders(rng: Random, span_s: float) -> Iterator[Said]:
    """What people do with alerts; some of it cannot be done."""
    for ref in range(rng.randint(1, 8)):
        action, source = rng.choice(ALERT_ACTIONS), rng.choice(["press", "pump"])
        order = {"device": rng.choice(["d0", "d1", "d2", "d3", ""]), "ref": str(ref)}
        if action in ("shelve", "suppress", "out_of_service"):
            order["for"] = rng.choice(["300ms", "1s", "1h"])
        if rng.random() < 0.2:
            order["head"] = rng.choice(["risk", "silence", "flood", "risc"])
        topic = f"forewarn/sim/cmd/{action}/{source}"
        yield Said(round(rng.uniform(0.3, 1.2) * span_s, 3), topic, json.dumps(order).encode())


def _after(said: Sequence[Said]) -> tuple[Said, ...]:
    """The next row of each device with a clock: none is missing before it."""
    newest = {one.topic: json.loads(one.payload) for one in said if b'"t"' in one.payload}
    rows = {topic: values | {"t": round(values["t"] + SPACING_S, 1)} for topic, values in newest.items()}
    return tuple(Said(0.0, topic, json.dumps(values).encode()) for topic, values in rows.items())


DEATHS = ("kill", "kill", "power", "power", "stop")
OF_NET = ("cut", "cut", "down", "restart_all", "restart_some", "restart_nothing", "forget_sessions", "forget_retained")
OF_DISK = ("full", "full", "read_only", "slow", "bad_sync", "sql_busy", "rot", "rot")
OTHERS = ("refuse", "wall")


def _fault(rng: Random, span_s: float) -> Fault:
    kind = rng.choice(rng.choice([DEATHS, DEATHS, DEATHS, OF_NET, OF_NET, OF_DISK, OTHERS]))
    value = {
        "wall": rng.choice([-3600.0, -1.0, 1.0, 60.0]),
        "stop": 0.0,
        "cut": float(rng.randint(0, 3)),
    }.get(kind, rng.choice([0.05, 0.5, 2.0]))
    when = rng.choice(["time", *STEPS])
    if when == "time":
        return Fault(when, round(rng.uniform(0, span_s), 4), kind, value)
    typical = STEPS[when]
    nth = rng.randint(1, typical if rng.random() < 0.7 else max(1, typical // 5))
    return Fault(when, nth, kind, value)
