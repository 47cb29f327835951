import json
from dataclasses import replace

import numpy as np
import pytest

from agent.decode import address as address_module
from agent.decode.codec import CODECS
from agent.decode.intake import Intake
from agent.decode.readings import Decoded
from agent.sources import Source, plain_channels

PRESS = Source(
    name="press", topics=("press/{device}",), time_field="ts", time_unit="s", channels=plain_channels("temp", "load")
)
OVEN = replace(PRESS, name="oven", topics=("oven/+/{device}",), channels=plain_channels("t", "l"), time_unit="ms")
NOW_NS = 1_700_000_000 * 10**9


def read(*messages, sources=(PRESS, OVEN)):
    intake = Intake(sources, payload_bytes_max=1000, device_id_bytes_max=20)
    topics = [topic for topic, _ in messages]
    payloads = [json.dumps(payload).encode() for _, payload in messages]
    return intake.read(topics, payloads, np.full(len(messages), NOW_NS))


def said(readings, *, topics=(), sources=(PRESS, OVEN)):
    """Every drop with its names."""
    names = [source.name for source in sources]
    topics = topics or [""] * 100
    return [drops.sample(row, topics, names) for drops in readings.drops for row in range(len(drops.message))]


def test_readings_of_two_sources_keep_the_order_of_the_messages():
    readings = read(
        ("oven/a/o1", {"ts": 1_700_000_000_500, "t": 1, "l": 2}),
        ("press/p1", {"ts": 1_700_000_000.25, "temp": 3, "load": 4}),
        ("oven/b/o2", {"ts": 1_700_000_001_000, "t": 5, "l": 6}),
    )
    assert readings.device.tolist() == ["o1", "p1", "o2"]
    assert readings.source.tolist() == [1, 0, 1]
    assert readings.message.tolist() == [0, 1, 2]
    assert (readings.t_ns - NOW_NS).tolist() == [500_000_000, 250_000_000, 1_000_000_000]
    assert readings.x.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_missing_channel_is_named_and_a_reading_without_any_is_dropped():
    readings = read(("press/p1", {"ts": 1, "temp": 1}), ("press/p2", {"ts": 1}), ("press/p3", {"ts": 1, "load": None}))
    assert readings.device.tolist() == ["p1"]
    assert np.isnan(readings.x).tolist() == [[False, True]]
    assert [(drop.device, drop.reason) for drop in said(readings)] == [
        ("p2", "no_channels"),
        ("p3", "no_channels"),
        ("p1", "missing_channel"),
    ]
    assert [drop.detail for drop in said(readings)[1:]] == [
        "no value in any of the fields temp, load",
        "load has no value",
    ]


def test_of_several_missing_channels_the_first_is_named_and_the_others_counted():
    source = Source(
        name="fan", topics=("fan/{device}",), time_field="", time_unit="arrival", channels=plain_channels("a", "b", "c")
    )
    intake = Intake([source], payload_bytes_max=100, device_id_bytes_max=10)
    (drop,) = said(intake.read(["fan/f1"], [b'{"a": 1}'], np.int64([1])), sources=[source])
    assert drop.detail == "b has no value, nor have 1 more"


def test_a_value_beyond_float32_is_infinite_not_an_error():
    assert read(("press/p1", {"ts": 1, "temp": 1e39, "load": -1e300})).x.tolist() == [[np.inf, -np.inf]]


def test_topics_are_forgotten_beyond_the_bound_and_read_all_the_same(monkeypatch):
    monkeypatch.setattr(address_module, "ADDRESSES_MAX", 3)
    messages = [(f"press/p{index}", {"ts": 1, "temp": 1, "load": 1}) for index in range(10)]
    assert read(*messages, *messages).device.tolist() == [f"p{index}" for index in range(10)] * 2


def test_long_topics_are_read_and_not_remembered():
    """Law 5: 100,000 topics of 64 KB each would be 6 GB."""
    intake = Intake([replace(PRESS, topics=("press/{device}/#",))], payload_bytes_max=1000, device_id_bytes_max=20)
    topics = ["press/p1/" + "x" * size for size in (1, 256 - 9, 257 - 9, 60_000)]
    for _ in range(2):
        readings = intake.read(topics, [b'{"ts": 1, "temp": 1, "load": 1}'] * 4, np.full(4, NOW_NS))
        assert readings.device.tolist() == ["p1"] * 4
    assert list(intake._addresses[()]._addresses) == topics[:2]


def test_no_message_gives_no_reading():
    readings = read()
    assert (len(readings.message), readings.x.shape, readings.drops) == (0, (0, 2), [])


def test_a_source_of_fewer_channels_has_nan_in_the_columns_that_it_lacks_and_is_not_short_of_them():
    fan = Source(
        name="fan", topics=("fan/{device}",), time_field="", time_unit="arrival", channels=plain_channels("speed")
    )
    messages = [("press/p1", {"ts": 1, "temp": 3, "load": 4}), ("fan/f1", {"speed": 7}), ("fan/f2", {"speed": None})]
    readings = read(*messages, sources=(fan, PRESS))
    np.testing.assert_array_equal(readings.x, np.float32([[3, 4], [7, np.nan]]))
    assert readings.t_ns.tolist() == [10**9, NOW_NS]
    assert [(drop.device, drop.detail) for drop in said(readings, sources=(fan, PRESS))] == [
        ("f2", "no value in any of the fields speed")
    ]
    alone = read(*messages[1:], sources=(fan, PRESS))
    np.testing.assert_array_equal(alone.x, np.float32([[7, np.nan]]))


class Boxes:
    """A codec whose payload lists devices, a letter each; the value is the place of the letter."""

    def __init__(self, source):
        pass

    def decode(self, batch):
        found = [
            (row, place, letter)
            for row, payload in enumerate(batch.payloads)
            for place, letter in enumerate(payload.decode())
        ]
        rows, places, letters = zip(*found, strict=True) if found else ((), (), ())
        row, x = np.array(rows, np.int64), np.array(places, np.float32)[:, None]
        return Decoded(row, batch.arrived_ns[row], x, device=np.array(letters, np.object_))


def test_a_codec_may_find_several_readings_in_a_payload_and_name_their_devices(monkeypatch):
    monkeypatch.setitem(CODECS, "boxes", Boxes)
    box = Source("box", ("box/{device}",), "", "arrival", plain_channels("place"), codec="boxes")
    for sources, more in (((box,), ()), ((PRESS, box), (("press/p1", b'{"ts": 1, "temp": 3, "load": 4}'),))):
        intake = Intake(sources, payload_bytes_max=1000, device_id_bytes_max=20)
        messages = [("box/b1", b"ab"), *more, ("box/b1", b""), ("box/b2", b"a")]
        topics, payloads = zip(*messages, strict=True)
        readings = intake.read(topics, payloads, np.arange(len(messages)))
        assert readings.device.tolist() == ["a", "b", *("p1" for _ in more), "a"]
        assert readings.message.tolist() == [0, 0, *(1 for _ in more), len(messages) - 1]
        assert readings.x[:, 0].tolist() == [0, 1, *(3 for _ in more), 0]
        assert readings.drops == []


def test_what_is_dropped_names_its_message_its_device_and_its_source():
    sources, topics = (PRESS, OVEN), ["press/p1", "oven/a/o1", "nobody", "press/", "press/p2", "oven/a/o2"]
    payloads = [b"{", b'{"ts": 1, "t": 1, "l": 2}', b"", b"{}", b"x" * 1001, b'{"ts": 1, "t": 1, "l": 2, "fan": 3}']
    intake = Intake(sources, payload_bytes_max=1000, device_id_bytes_max=20)
    readings = intake.read(topics, payloads, np.zeros(6, np.int64))
    assert readings.device.tolist() == ["o1", "o2"]
    assert sorted((drop.topic, drop.source, drop.device, drop.reason) for drop in said(readings, topics=topics)) == [
        ("nobody", "", "", "no_source"),
        ("oven/a/o2", "oven", "o2", "extra_channel"),
        ("press/", "press", "", "device_id"),
        ("press/p1", "press", "p1", "malformed"),
        ("press/p2", "press", "p2", "too_large"),
    ]


def test_messages_of_one_broker_belong_to_its_own_sources_though_topics_of_another_are_the_same():
    west = replace(PRESS, name="west", channels=plain_channels("temp"))
    intake = Intake((PRESS, west), payload_bytes_max=1000, device_id_bytes_max=20)
    payload, now = [b'{"ts": 1, "temp": 2, "load": 3}'], np.full(1, NOW_NS)
    found = [intake.read(["press/p1"], payload, now, among).source.tolist() for among in (("west",), ("press",), ())]
    assert found == [[1], [0], [0]]
    assert intake.read(["oven/a/o1"], payload, now, ("west",)).source.tolist() == []


def test_a_codec_that_raises_is_named_with_its_source(monkeypatch):
    """That is a fault of forewarn's, which ends the agent: whoever reports it knows which codec it was."""

    class Faulty:
        def __init__(self, source: Source) -> None: ...

        def decode(self, batch):
            raise IndexError("beyond the end")

    monkeypatch.setitem(CODECS, "faulty", Faulty)
    with pytest.raises(IndexError) as raised:
        read(("press/p1", {}), sources=(replace(PRESS, codec="faulty"), OVEN))
    assert raised.value.__notes__ == ["in the codec faulty of the source press"]
