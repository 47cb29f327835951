"""Shapes of what is published, each with the source that must come of it."""

import gzip
import struct

import cbor2
import msgspec
import pytest

from tests.edge_node import EdgeNode
from tests.unit.sample.sampled import NOW_S, guessed, source

ISO = "2026-11-27T21:18:{:02}Z"


def test_a_tree_of_single_values_names_line_device_and_channel():
    found = source(*[
        (f"plant/line1/{pump}/{name}", text)
        for text in ("21.4", "21.5", "21.6") for pump in ("pump7", "pump8") for name in ("temperature", "vibration")
    ])  # fmt: skip
    assert found == {
        "name": "plant",
        "topic": "plant/{line}/{device}/{channel}",
        "codec": "text",
        "device": "{line}/{device}",
        "channel": "{channel}",
        "align": {"every": "5s", "max_age": "15s"},
        "report_extra": False,
        "channels": {"temperature": "temperature", "vibration": "vibration"},
    }


def test_one_machine_alone_is_named_by_the_level_that_counts():
    found = source(("plant/line1/pump7/temperature", "21.4"), ("plant/line1/pump7/state", "ON"))
    assert found["topic"] == "plant/{line}/{device}/{channel}"
    assert found["channels"]["state"] == {"field": "state", "words": {"ON": 1, "OFF": 0}}


def test_levels_that_are_parts_of_each_machine_belong_to_the_channel():
    """`motor` and `gearbox` stand under each mill with the same channels."""
    found = source(*[
        (f"plant/{mill}/{part}/{name}", "1.5")
        for mill in ("mill-1", "mill-2") for part in ("motor", "gearbox") for name in ("temp", "vib")
    ])  # fmt: skip
    assert "device" not in found  # its default
    assert (found["topic"], found["channel"]) == ("plant/{device}/{level3}/{channel}", "{level3}/{channel}")
    assert found["channels"]["temp"] == "gearbox/temp"


def test_nested_json_with_iso_times_and_the_device_in_the_payload():
    found = source(*[
        ("factory/telemetry", {"machine": {"id": mill}, "time": ISO.format(50 + at), "data": {"temp": 1.5, "ok": True}})
        for at in range(4) for mill in ("mill-1", "mill-2")
    ])  # fmt: skip
    assert found["topic"] == "factory/telemetry"
    assert (found["device"], found["tags"]) == ("{machine}", {"machine": "machine.id"})
    assert found["time"] == {"field": "time", "unit": "iso8601"}
    assert found["channels"] == {"temp": "data.temp", "ok": "data.ok"}
    assert "align" not in found


def test_a_field_whose_texts_are_its_name_and_a_number_names_the_device():
    found = source(*[("plant/fans", {"fan": f"fan-{n:02}", "mode": f"m{n}", "speed": 1}) for n in (1, 2, 3, 1, 2, 3)])
    assert (found["topic"], found["device"], found["tags"]) == ("plant/fans", "{machine}", {"machine": "fan"})


@pytest.mark.parametrize(
    ("payload", "form"),
    [
        ([{"ts": NOW_S, "temp": 55}, {"ts": NOW_S + 1, "temp": 56}], {"readings": "[]"}),
        ({"rows": [{"ts": NOW_S, "temp": 55}]}, {"readings": "rows[]"}),
        ({"ts": [NOW_S, NOW_S + 1], "temp": [55, 56]}, {"form": "columns"}),
        ([{"name": "temp", "value": 55, "ts": NOW_S}, {"name": "vib", "value": 1, "ts": NOW_S}], {"form": "pairs"}),
        ({"ts": NOW_S, "temp": "55.1"}, {"numbers_as_text": True}),
    ],
)
def test_forms_of_json(payload, form):
    found = source(("plant/p1/data", payload))
    assert found["payload"] == form
    assert found["time"] == {"field": "ts", "unit": "s"}
    assert found["channels"]["temp"] == "temp"


def test_an_object_of_devices():
    found = source(
        ("plant/all", {"p1": {"ts": NOW_S, "temp": 55, "vib": 1}, "p2": {"ts": NOW_S, "temp": 56, "vib": 1}})
    )
    assert found["payload"] == {"readings": "{device}"}
    assert found["channels"] == {"temp": "temp", "vib": "vib"}


def test_a_value_and_its_unit_beside_it():
    found = source(("plant/p1/data", {"temp": {"value": 55.1, "unit": "degC"}, "vib": {"value": 1, "unit": "mm/s"}}))
    assert found["channels"]["temp"] == {"field": "temp.value", "unit": "degC"}


def test_one_json_value_a_topic():
    found = source(*[
        (f"plant/{pump}/{name}", {"value": 55, "ts": (NOW_S + at) * 1000})
        for at in range(3) for pump in ("p1", "p2") for name in ("temp", "vib")
    ])  # fmt: skip
    assert found["payload"] == {"form": "value"}
    assert found["time"] == {"field": "ts", "unit": "ms"}
    assert found["channel"] == "{channel}"


@pytest.mark.parametrize(("codec", "write"), [("cbor", cbor2.dumps), ("msgpack", msgspec.msgpack.encode)])
def test_binary_trees(codec, write):
    found = source(*[(f"plant/p{device}/data", write({"ts": NOW_S, "temp": 21.5})) for device in (1, 2)])
    assert (found["codec"], found["topic"]) == (codec, "plant/{device}/data")


def test_compression_is_seen_by_the_first_bytes():
    found = source(
        ("plant/p1/data", gzip.compress(b'{"temp": 21.5}')), ("plant/p2/data", gzip.compress(b'{"temp": 1}'))
    )
    assert found["compression"] == "gzip"


@pytest.mark.parametrize(
    ("codec", "write"),
    [("senml", msgspec.json.encode), ("senml_cbor", lambda pack: cbor2.dumps([{-2: one["bn"], 0: one["n"], 1: one["u"],
      2: one["v"]} if "bn" in one else {0: one["n"], 1: one["u"], 2: one["v"]} for one in pack]))],
)  # fmt: skip
def test_senml_names_thing_and_channel(codec, write):
    pack = [
        {"bn": "urn:dev:ow:10e2073a0108006:", "n": "temp", "u": "Cel", "v": 23.5},
        {"n": "hum", "u": "%RH", "v": 60},
    ]
    found = source(("senml/all", write(pack)), ("senml/all", write(pack)))
    assert found["codec"] == codec
    assert (found["device"], found["tags"]) == ("{thing}", {"thing": "n"})
    assert found["channels"]["temp"] == {"field": "temp", "unit": "Cel"}


def test_sparkplug_needs_a_birth():
    node = EdgeNode()
    ms = NOW_S * 1000
    birth = [node.birth(ms), node.device_birth("d1", ms, {"Inputs/Temp": ("Float", 1.5)})]
    data = node.data("d1", ms + 1000, {"Inputs/Temp": ("Float", 2.5)})
    found = source(*birth, data)
    assert (found["codec"], found["topic"]) == ("sparkplug", "spBv1.0/G/#")
    assert found["channels"] == {"Temp": "Inputs/Temp"}
    (of_it,) = guessed(*birth, data).sources
    assert "--ask" in of_it.why["codec"]
    (unread,) = guessed(data).unread
    assert "--ask" in unread.why


def test_parts_of_a_row_are_held():
    """Each message has one of two channels."""
    found = source(*[("plant/p1/data", {"temp": 1.5, "b": 2}) if at % 2 else ("plant/p1/data", {"vib": 1.5, "b": 2})
                     for at in range(8)])  # fmt: skip
    assert found["align"] == {"every": "2s", "max_age": "10s"}


def test_groups_of_one_kind_that_would_overlap_become_one():
    found = source(("zigbee/0x00158d0001", {"temp": 1.5, "seen": 1}), ("zigbee/fan", {"power": 18, "state": "ON"}))
    assert found["topic"] == "zigbee/{device}"
    assert set(found["channels"]) == {"temp", "seen", "power", "state"}


def test_what_no_source_reads_is_listed_with_its_reason():
    found = guessed(
        ("plant/p1/temp", "21.5"), ("door/log", "opened by the night shift"), ("raw/p1/data", b"\xff\xfe\xfd\xfc" * 3),
        ("bad/json", "{no"), ("forewarn/g/status", {"taken": 1}),
    )  # fmt: skip
    assert [one.settings["topic"] for one in found.sources] == ["plant/{device}/{channel}"]
    why = {one.topics[0]: one.why for one in found.unread}
    assert why["door/log"] == "texts that are neither numbers nor words for them"
    assert why["raw/p1/data"].endswith('(rows of float32, perhaps: codec = "float32")')
    assert why["bad/json"] == "begins with { and is no JSON"
    assert why["forewarn/g/status"] == "of forewarn itself"


@pytest.mark.parametrize("payload", [[NOW_S * 1000, 19.9, 2.82], {"ts": NOW_S, "d": [[1, 2], [3, 4]]}])
def test_arrays_of_numbers_are_told_as_such(payload):
    (unread,) = guessed(("plant/p1/data", payload)).unread
    assert unread.why == "an array of numbers without names, which no codec reads"


def test_pairs_by_other_names_are_found_and_machines_are_no_pairs():
    pairs = [{"label": "Temp", "num": 20.5}, {"label": "Vib", "num": 1}]
    found = source(("plant/p1/data", {"ts": NOW_S, "d": pairs}))
    assert found["payload"] == {"readings": "d", "form": "pairs", "name": "label", "value": "num"}
    assert found["channels"] == {"Temp": "Temp", "Vib": "Vib"}
    for name, texts in (("machine", ("mill", "press")), ("label", ("mill-1", "mill-2"))):
        of_machines = [{name: text, "temp": 20.5} for text in texts]
        assert source(("plant/all", {"ts": NOW_S, "d": of_machines}))["payload"] == {"readings": "d[]"}


def test_no_source_is_spoken_of_that_is_not_there():
    messages = [(f"plant/p{p}/{name}", f"a text, {p}") for p in range(3) for name in ("x", "y")]
    found = guessed(*messages, ("plant/p1/data", {"temp": 1.5, "vib": 2}))
    assert not found.sources
    why = {one.topics[0]: one.why for one in found.unread}
    assert "--topic" in why["plant/p1/data"]
    assert "a source above" not in "".join(why.values())


def test_numbers_in_an_array_of_objects_are_found_beside_a_number_that_is_a_text():
    """As publishers of OPC UA have it."""
    found = source(*[
        ("opc/press", {"MessageId": str(at), "Messages": [{"Timestamp": ISO.format(50 + at), "Payload":
         {"Temp": {"Value": 20 + at}, "Vib": {"Value": 2.5}}}]}) for at in range(4)
    ])  # fmt: skip
    assert found["payload"] == {"readings": "Messages[]"}
    assert found["channels"] == {"Temp": "Payload.Temp.Value", "Vib": "Payload.Vib.Value"}


def test_float32_is_never_guessed():
    assert not guessed(("plant/p1/raw", struct.pack("<4f", 1.5, 2.5, 3.5, 4.5))).sources


def test_influx_lines():
    lines = [f"press,machine=p{p} temp=55.{p},on=t {NOW_S + p}000000000" for p in (1, 2)]
    found = source(*[("telegraf/gw/press", line) for line in lines])
    assert (found["codec"], found["device"], found["time"]) == (
        "influx",
        "{machine}",
        {"field": "timestamp", "unit": "ns"},
    )
    assert found["channels"] == {"temp": "press.temp", "on": "press.on"}


def test_the_same_sample_gives_the_same_guess():
    messages = [(f"plant/p{p}/{name}", "1.5") for p in range(5) for name in ("b", "a")]
    assert guessed(*messages) == guessed(*messages)
