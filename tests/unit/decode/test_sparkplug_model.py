"""The Sparkplug codec against a small model of sessions: any history, cut and restarted anywhere, gives the same."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from agent.decode.readings import Address, Batch
from agent.decode.sparkplug import SparkplugCodec
from agent.decode.sparkplug_nodes import ASK_EVERY_NS, REBIRTH_EVERY_NS, REORDER_NS, WAITING_MAX
from agent.sources import Source, plain_channels
from tests.edge_node import EdgeNode

pytestmark = pytest.mark.slow

T = 1_795_814_327_000  # ms
SOURCE = Source(
    name="plant",
    topics=("spBv1.0/#",),
    time_field="",
    time_unit="ms",
    channels=plain_channels("temp"),
    codec="sparkplug",
)
NODES = ("n0", "n1")
DEVICES = ("d0", "d1")


class Said(NamedTuple):
    """A message as a person would tell it, and its bytes."""

    kind: str
    node: str
    device: str
    seq: int
    bd_seq: int
    time_ms: int
    value: float
    topic: str
    payload: bytes


@dataclass
class Session:
    next_seq: int
    bd_seq: int
    newest_ms: int
    devices: set[str] = field(default_factory=set)
    early: dict[int, Said] = field(default_factory=dict)
    early_since_ns: int = 0


@dataclass
class Model:
    """What the specification and docs/sources.md say, with lists instead of columns."""

    sessions: dict[str, Session] = field(default_factory=dict)
    asked: list[tuple[int, str]] = field(default_factory=list)
    readings: list[tuple[str, int, float]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def hear(self, said: Said, now_ns: int) -> None:
        overdue = sorted(
            (session.early_since_ns, order, node)
            for order, (node, session) in enumerate(self.sessions.items())
            if session.early and now_ns - session.early_since_ns >= REORDER_NS
        )
        for _, _, node in overdue:
            self.end(node)
            self.ask(node, now_ns)
        session = self.sessions.get(said.node)
        if said.kind == "NBIRTH":
            early = session.early if session else {}
            kept = {seq: one for seq, one in early.items() if one.time_ms >= said.time_ms}
            self.reasons["no_birth"] += len(early) - len(kept)
            session = self.sessions[said.node] = Session(1, said.bd_seq, said.time_ms, early=kept)
            session.early_since_ns = now_ns
            self.drain(session, now_ns)
        elif said.kind == "NDEATH":
            if session and session.bd_seq == said.bd_seq:
                self.end(said.node)
        elif session is None:
            self.reasons["no_birth"] += 1
            self.ask(said.node, now_ns)
        elif said.seq == session.next_seq:
            self.follow(session, said, now_ns)
            self.drain(session, now_ns)
        elif (said.seq - session.next_seq) % 256 >= 128 and said.time_ms <= session.newest_ms:
            self.reasons["repeated"] += 1
        elif len(session.early) >= WAITING_MAX:
            self.reasons["no_birth"] += 1
            self.end(said.node)
            self.ask(said.node, now_ns)
        else:
            session.early_since_ns = session.early_since_ns if session.early else now_ns
            session.early[said.seq] = said

    def drain(self, session: Session, now_ns: int) -> None:
        while session.next_seq in session.early:
            self.follow(session, session.early.pop(session.next_seq), now_ns)
            session.early_since_ns = now_ns

    def follow(self, session: Session, said: Said, now_ns: int) -> None:
        session.next_seq = (said.seq + 1) % 256
        session.newest_ms = max(session.newest_ms, said.time_ms)
        if said.kind == "DDEATH":
            session.devices.discard(said.device)
        elif said.kind == "DDATA" and said.device not in session.devices:
            self.reasons["no_birth"] += 1
            self.ask(said.node, now_ns)
        else:
            session.devices.add(said.device)
            self.readings.append((f"G/{said.node}/{said.device}", said.time_ms * 10**6, said.value))

    def end(self, node: str) -> None:
        self.reasons["no_birth"] += len(self.sessions.pop(node).early)

    def ask(self, node: str, now_ns: int) -> None:
        if all(now_ns - when >= (REBIRTH_EVERY_NS if who == node else ASK_EVERY_NS) for when, who in self.asked):
            self.asked.append((now_ns, node))


class Histories(RuleBasedStateMachine):
    """Two edge nodes with two devices each; their messages get lost, wait, are sent twice and come in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = {name: EdgeNode(name=name) for name in NODES}
        for node in self.nodes.values():
            node.aliases.update({(device, "temp"): index for index, device in enumerate(DEVICES)})
        self.now_ns = T * 10**6
        self.n_values = 0
        self.under_way: list[Said] = []
        self.log: list[tuple[Said, int]] = []
        self.codec, self.model = SparkplugCodec(SOURCE), Model()
        self.readings: list[tuple[str, int, float]] = []
        self.reasons: Counter[str] = Counter()
        self.asked: list[str] = []

    def say(self, kind: str, name: str, device: str, fate: str) -> None:
        node, time_ms = self.nodes[name], self.now_ns // 10**6
        self.n_values += 1
        value = {"temp": ("Float", float(self.n_values))}
        if kind == "NBIRTH":
            node.bd_seq += fate != "sent"
            topic, payload = node.birth(time_ms)
        elif kind == "NDEATH":
            topic, payload = node.death()
        elif kind == "DBIRTH":
            topic, payload = node.device_birth(device, time_ms, value)
        elif kind == "DDATA":
            topic, payload = node.data(device, time_ms, value)
        else:
            topic, payload = node.device_death(device, time_ms)
        said = Said(kind, name, device, node.seq, node.bd_seq, time_ms, float(self.n_values), topic, payload)
        if fate == "delayed":
            self.under_way.append(said)
        if fate in ("sent", "twice"):
            self.arrive(said)
        if fate == "twice":
            self.arrive(said)

    def arrive(self, *messages: Said) -> None:
        for said in messages:
            self.model.hear(said, self.now_ns)
            self.log.append((said, self.now_ns))
        self.take(self.codec, [(said, self.now_ns) for said in messages])
        assert self.readings == self.model.readings
        assert self.reasons == self.model.reasons
        assert self.asked == [f"spBv1.0/G/NCMD/{node}" for _, node in self.model.asked]

    def take(self, codec: SparkplugCodec, log: list[tuple[Said, int]]) -> None:
        addresses = [Address(0, "", (), said.topic) for said, _ in log]
        arrived_ns = np.array([now_ns for _, now_ns in log], np.int64)
        decoded = codec.decode(Batch([said.payload for said, _ in log], arrived_ns, addresses))
        assert decoded.row is not None
        assert decoded.row.tolist() == sorted(decoded.row.tolist())
        self.readings += zip(decoded.device, decoded.t_ns.tolist(), decoded.x.ravel().tolist(), strict=True)
        self.reasons.update(fault.reason for fault in decoded.faults)
        self.asked += [topic for topic, _ in decoded.requests]

    fates = st.sampled_from(["sent", "sent", "sent", "delayed", "lost", "twice"])

    @rule(name=st.sampled_from(NODES), fate=fates)
    def birth(self, name, fate):
        self.say("NBIRTH", name, "", fate)

    @rule(name=st.sampled_from(NODES))
    def births(self, name):
        self.say("NBIRTH", name, "", "sent")
        for device in DEVICES:
            self.say("DBIRTH", name, device, "sent")

    @rule(name=st.sampled_from(NODES), fate=fates)
    def death(self, name, fate):
        self.say("NDEATH", name, "", fate)

    @rule(name=st.sampled_from(NODES), device=st.sampled_from(DEVICES), fate=fates)
    def device_birth(self, name, device, fate):
        self.say("DBIRTH", name, device, fate)

    @rule(name=st.sampled_from(NODES), device=st.sampled_from(DEVICES), fate=fates)
    def device_death(self, name, device, fate):
        self.say("DDEATH", name, device, fate)

    @rule(name=st.sampled_from(NODES), device=st.sampled_from(DEVICES), fates=st.lists(fates, max_size=6))
    def data(self, name, device, fates):
        for fate in fates:
            self.say("DDATA", name, device, fate)

    @rule(name=st.sampled_from(NODES), device=st.sampled_from(DEVICES), n=st.integers(30, 300))
    def much_data(self, name, device, n):
        for _ in range(n):
            self.say("DDATA", name, device, "sent")

    @rule(order=st.randoms(use_true_random=False))
    def delayed_messages_come(self, order):
        order.shuffle(self.under_way)
        arrived, self.under_way = self.under_way, []
        if arrived:
            self.arrive(*arrived)

    @rule(ms=st.sampled_from([1, 19, 20, 500, 1999, 2000, 9999, 10_000]))
    def time_passes(self, ms):
        self.now_ns += ms * 10**6

    @rule()
    def the_agent_restarts_from_its_snapshot(self):
        kept = self.codec.keep()
        self.codec = SparkplugCodec(SOURCE)
        self.codec.restore(kept)
        assert self.codec.keep() == kept

    def teardown(self) -> None:
        """The whole history at once, in a codec that never restarted, gives what its parts gave."""
        by_parts = self.readings, self.reasons, self.asked
        self.readings, self.reasons, self.asked = [], Counter(), []
        self.take(SparkplugCodec(SOURCE), self.log)
        assert (self.readings, self.reasons, self.asked) == by_parts


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
