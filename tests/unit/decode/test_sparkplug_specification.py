"""The examples of the Sparkplug 3.0 specification, section 6.4, in its own notation, and what they become."""

import json
from pathlib import Path

import numpy as np

from agent.decode.intake import Intake
from agent.sources import Source, SourceChannel, plain_channels
from tests.edge_node import metric, payload

CASE = json.loads((Path(__file__).parents[2] / "data/codec/sparkplug/specification.json").read_text())


def encoded(of):
    """The bytes of a payload as the specification writes it."""
    metrics = [
        metric(
            int(value) if isinstance(value := one["value"], bool) else value,
            one["dataType"],
            name=one["name"],
            time_ms=one["timestamp"],
        )
        for one in of["metrics"]
    ]
    return payload(*metrics, time_ms=of["timestamp"], seq=of.get("seq"))


def test_the_specifications_examples():
    source = Source(
        name="plant",
        topics=("spBv1.0/#",),
        time_field="",
        time_unit="ms",
        channels=(*plain_channels(*CASE["channels"]), SourceChannel("Properties/OS", words=(("Raspbian", 1.0),))),
        codec="sparkplug",
    )
    intake = Intake([source], payload_bytes_max=10**6, device_id_bytes_max=128)
    topics = [message["topic"] for message in CASE["messages"]]
    payloads = [encoded(message["payload"]) for message in CASE["messages"]]
    readings = intake.read(topics, payloads, np.full(len(topics), 1_486_144_502_122_000_000))
    got = [
        [topics[message].split("/")[2], device, t_ns, *(None if np.isnan(value) else value for value in x.tolist())]
        for message, device, t_ns, x in zip(
            readings.message, readings.device, readings.t_ns.tolist(), readings.x.astype(float).round(3), strict=True
        )
    ]
    assert got == CASE["readings"]
    assert {group.reason for group in readings.drops} == {"missing_channel"}
    assert readings.requests == []
