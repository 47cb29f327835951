"""Forms of payloads that are trees, in each encoding; the small cases of each encoding are in tests/data/codec."""

import json
import math
from dataclasses import replace

import cbor2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decode.cbor import CborCodec
from agent.decode.json import JsonCodec
from agent.decode.msgpack import MsgpackCodec
from agent.decode.readings import Address, Batch, Intervened
from agent.sources import InterventionRule, PayloadForm, Source, SourceChannel, plain_channels

NAN = math.nan
ENCODINGS = {
    "json": (JsonCodec, lambda tree: json.dumps(tree).encode()),
    "cbor": (CborCodec, cbor2.dumps),
    "msgpack": (MsgpackCodec, msgspec.msgpack.encode),
}
SOURCE = Source("press", ("plant/{device}",), "ts", "s", plain_channels("temp", "load"))
ONE_VALUE = replace(SOURCE, topics=("plant/{device}/{field}",), channel="{field}", payload=PayloadForm(form="value"))
encodings = pytest.mark.parametrize("encoding", ENCODINGS)


def decode(encoding, *trees, tags=("p1",), source=SOURCE, **changes):
    """What payloads become, each the bytes of a tree, or bytes as they are."""
    codec, encode = ENCODINGS[encoding]
    payloads = [tree if isinstance(tree, bytes) else encode(tree) for tree in trees]
    addresses = [Address(0, tags[0], tags)] * len(payloads)
    arrived_ns = np.arange(len(payloads)) + 77
    return codec(replace(source, **changes)).decode(Batch(payloads, arrived_ns, addresses))


def rows(decoded):
    """(payload, device, time, values) of each reading."""
    row = range(len(decoded.x)) if decoded.row is None else decoded.row.tolist()
    device = [""] * len(decoded.x) if decoded.device is None else decoded.device
    x = [[None if value != value else value for value in values] for values in decoded.x.tolist()]
    return list(zip(row, device, [t_ns / 1e9 for t_ns in decoded.t_ns.tolist()], x, strict=True))


def faults(decoded):
    return sorted((fault.row, fault.reason) for fault in decoded.faults)


@encodings
def test_channels_stand_in_objects(encoding):
    """S2."""
    readings = decode(
        encoding,
        {"ts": 1, "values": {"temp": 55.1, "load": 1.2}},
        {"values": {"load": True}, "ts": 2, "more": {"temp": 1}},
        {"ts": 3},
        {"ts": 4, "values": None},
        {"ts": 5, "values": [1]},
        channels=plain_channels("values.temp", "values.load"),
    )
    expected = [(0, "", 1, [55.1, 1.2]), (1, "", 2, [None, 1])]
    assert rows(readings) == expected + [(row, "", row + 1, [None, None]) for row in (2, 3, 4)]
    assert faults(readings) == [(4, "bad_value")]


@encodings
def test_what_stands_beside_one_value_is_no_channel_that_was_forgotten(encoding):
    """S2, the second form: the unit is no channel, and the pressure may be one."""
    one = {"temp": {"value": 55.1, "unit": "C"}, "load": {"value": 2, "unit": "kN"}}
    trees = [{"ts": 1, "d": one}, {"ts": 1, "d": {**one, "pressure": {"value": 1}}}]
    readings = decode(encoding, *trees, channels=plain_channels("d.temp.value", "d.load.value"))
    assert rows(readings) == [(0, "", 1, [55.1, 2]), (1, "", 1, [55.1, 2])]
    assert faults(readings) == [(1, "extra_channel")]


@encodings
def test_each_element_of_an_array_is_a_reading(encoding):
    """S3. One that is bad is left out, and the others are used."""
    readings = decode(
        encoding,
        [{"ts": 1, "temp": 55, "load": 1}, {"ts": 2, "temp": 56, "load": 1}],
        [],
        [{"temp": 1}, {"ts": 3, "temp": 1}, 5],
        [{"temp": 1}, 5],
        {"ts": 1, "temp": 1},
        payload=PayloadForm(readings="[]"),
    )
    assert rows(readings) == [(0, "", 1, [55, 1]), (0, "", 2, [56, 1]), (2, "", 3, [1, None])]
    assert faults(readings) == [(1, "no_channels"), (2, "no_time"), (3, "no_time"), (4, "wrong_type")]


@encodings
def test_readings_may_stand_in_arrays_of_arrays_with_the_time_around_them(encoding):
    readings = decode(
        encoding,
        {"head": {"at": 7}, "ambient": 20, "lines": [{"rows": [{"temp": 1}, {"temp": 2}]}, {"rows": [{"temp": 3}]}]},
        {"head": {"at": 8}, "lines": [{"rows": []}, {}]},
        {"head": {}, "lines": [{"rows": [{"temp": 1}]}]},
        {"head": {"at": 9}},
        time_field="$.head.at",
        channels=plain_channels("temp", "$.ambient"),
        payload=PayloadForm(readings="lines[].rows[]"),
    )
    assert rows(readings) == [(0, "", 7, [value, 20]) for value in (1, 2, 3)]
    assert faults(readings) == [(1, "no_channels"), (2, "no_time"), (3, "no_channels")]


@encodings
def test_the_device_is_a_field_of_the_payload(encoding):
    """S4. A number is a name too; one that is absent leaves the id empty, which the caller refuses."""
    source = replace(SOURCE, topics=("plant/{line}/all",), tags=(("machine", "from.id"),), device="{line}/{machine}")
    trees = [{"from": {"id": name}, "ts": 1, "temp": 55} for name in ("p1", 17, None, True, 2**64 - 1)]
    readings = decode(encoding, *trees, {"ts": 1, "temp": 55}, tags=("north",), source=source)
    assert readings.device.tolist() == ["north/p1", "north/17", "", "", "north/18446744073709551615", ""]


@encodings
def test_the_keys_of_an_object_name_the_devices(encoding):
    """S4, objects of objects: one reading a device, and several."""
    source = replace(SOURCE, topics=("plant/all",))
    one = decode(
        encoding,
        {"p1": {"ts": 1, "temp": 55}, "p2": {"ts": 1, "temp": 56}},
        {"p1": {"ts": 1, "temp": 55}, "p2": None},
        {},
        payload=PayloadForm(readings="{device}"),
        source=source,
    )
    assert rows(one) == [(0, "p1", 1, [55, None]), (0, "p2", 1, [56, None]), (1, "p1", 1, [55, None])]
    assert faults(one) == [(1, "wrong_type"), (2, "no_channels")]
    tree = {"north": {"p1": [{"ts": 1, "temp": 1}, {"ts": 2, "temp": 2}]}, "south": {"p1": [{"ts": 1, "temp": 3}]}}
    form, device = PayloadForm(readings="{line}.{device}[]"), "{line}/{device}"
    several = decode(encoding, tree, payload=form, source=source, device=device)
    assert rows(several) == [
        (0, "north/p1", 1, [1, None]), (0, "north/p1", 2, [2, None]), (0, "south/p1", 1, [3, None])
    ]  # fmt: skip


@encodings
def test_pairs_of_one_time_are_one_reading(encoding):
    """S3, the second form."""
    readings = decode(
        encoding,
        [
            {"name": "temp", "value": 55.1, "ts": 1},
            {"name": "load", "value": 1.2, "ts": 2},
            {"name": "load", "value": "x", "ts": 1},
            {"name": "state", "value": [1], "ts": 1},
        ],
        [{"name": "temp", "value": None, "ts": 1}, {"name": "temp", "ts": 1}, {"name": "temp", "value": True, "ts": 1}],
        [{"name": "temp", "value": 2**1100 if encoding == "json" else NAN, "ts": 1}],
        [],
        [{"value": 1}],
        payload=PayloadForm(form="pairs"),
    )
    assert rows(readings) == [
        (0, "", 1, [55.1, None]), (0, "", 2, [None, 1.2]), (1, "", 1, [1, None]), (2, "", 1, [None, None])
    ]  # fmt: skip
    odd = "out_of_range" if encoding == "json" else "bad_value"
    assert faults(readings) == [
        (0, "bad_value"), (0, "extra_channel"), (2, odd), (3, "no_channels"), (4, "no_time")
    ]  # fmt: skip


@encodings
def test_pairs_go_by_words_and_by_their_own_names(encoding):
    readings = decode(
        encoding,
        {"metrics": [{"id": 1, "v": "on"}, {"id": 2, "v": "7"}]},
        payload=PayloadForm("metrics", "pairs", "id", "v", numbers_as_text=True),
        channels=(SourceChannel("1", words=(("on", 1.0),)), SourceChannel("2")),
        time_unit="arrival",
        time_field="",
    )
    assert (readings.t_ns.tolist(), readings.x.tolist(), readings.faults) == ([77], [[1, 7]], [])


@encodings
def test_arrays_of_channels_are_a_reading_a_place(encoding):
    readings = decode(
        encoding,
        {"ts": [1, 2], "temp": [1, None], "load": [3, True]},
        {"ts": [3, 4, 5], "temp": [1, 2]},
        {"ts": [], "temp": []},
        {"ts": [6, "x"], "temp": [5, "y"], "load": 3},
        {"ts": 1, "temp": [1]},
        payload=PayloadForm(form="columns"),
    )
    assert rows(readings) == [
        (0, "", 1, [1, 3]),
        (0, "", 2, [None, 1]),
        *[(1, "", time, [None, None]) for time in (3, 4, 5)],
        (3, "", 6, [5, None]),
        (3, "", -1e-9, [None, None]),
    ]
    assert faults(readings) == [(1, "bad_value"), (2, "no_channels"), (3, "bad_value"), (4, "no_time")]


@encodings
def test_the_topic_names_the_channel_of_one_value(encoding):
    """S1; the other channels are no part of the message."""
    trees = [{"value": 55.1, "ts": 1}, {"value": "x", "ts": 2}, {"value": {}, "ts": 3}, {"ts": 4}, {"value": 1}]
    readings = decode(encoding, *trees, source=ONE_VALUE, tags=("p1", "load"))
    assert rows(readings) == [(0, "", 1, [None, 55.1]), *[(row, "", row + 1, [None, None]) for row in (1, 2, 3)]]
    assert faults(readings) == [(1, "bad_value"), (2, "bad_value"), (4, "no_time")]
    other = decode(
        encoding,
        trees[0],
        {"value": 2**1100 if encoding == "json" else [1], "ts": 2},
        source=ONE_VALUE,
        tags=("p1", "speed"),
    )
    assert (rows(other), faults(other)) == ([], [(0, "extra_topic"), (1, "extra_topic")])
    assert faults(decode(encoding, trees[0], source=ONE_VALUE, tags=("p1", "speed"), report_extra=False)) == []


@encodings
def test_a_payload_may_be_the_value_itself(encoding):
    form = PayloadForm(form="value", value="")
    trees = [21.4, True, None, "on", "off", [1]]
    channels = (SourceChannel("temp", words=(("on", 1.0),)),)
    readings = decode(
        encoding, *trees, source=ONE_VALUE, payload=form, time_unit="arrival", time_field="", tags=("p1", "temp"),
        channels=channels,
    )  # fmt: skip
    np.testing.assert_array_equal(readings.x[:, 0], [21.4, 1, NAN, 1, NAN, NAN])
    assert faults(readings) == [(4, "bad_value"), (5, "bad_value")]


@encodings
def test_a_payload_tells_of_work_on_the_machine(encoding):
    """Beside a reading, or instead of one; a text that is no word is doubted."""
    rule = InterventionRule("event.kind", (("fixed", "repaired"), ("new", "replaced")))
    readings = decode(
        encoding,
        {"ts": 1, "temp": 1, "event": {"kind": "fixed"}},
        {"ts": 2, "event": {"kind": "new"}},
        {"ts": 3, "temp": 1, "event": {"kind": "lunch"}},
        {"ts": -1, "temp": 1, "event": {"kind": "fixed"}},
        {"ts": 5, "temp": "x", "event": {"kind": ["fixed"]}},
        interventions=rule,
    )
    assert readings.interventions == [
        Intervened(0, None, 10**9, "repaired"),
        Intervened(1, None, 2 * 10**9, "replaced"),
    ]
    assert [row for row, *_ in rows(readings)] == [0, 2, 3, 4]
    assert faults(readings) == [(2, "unknown_intervention"), (4, "bad_value")]


@pytest.mark.slow
@encodings
def test_a_payload_of_too_many_readings_is_dropped_and_its_neighbours_are_not(encoding):
    """Law 5: 4,096 readings, and fewer where there are many channels; counted over all arrays of a payload."""
    one = {"ts": 1, "temp": 1}
    good = {"a": [{"r": [one]}]}
    too_many = [{"a": [{"r": [one] * 4097}]}, {"a": [{"r": [one] * 2048}, {"r": [one] * 2049}]}]
    form = PayloadForm(readings="a[].r[]")
    readings = decode(encoding, good, *too_many, good, payload=form)
    assert rows(readings) == [(0, "", 1, [1, None]), (3, "", 1, [1, None])]
    assert faults(readings) == [(1, "too_many_readings"), (2, "too_many_readings")]
    wide = plain_channels("temp", *(f"c{number}" for number in range(1023)))
    readings = decode(encoding, [one] * 64, [one] * 65, payload=PayloadForm(readings="[]"), channels=wide)
    assert (len(readings.x), faults(readings)) == (64, [(1, "too_many_readings")])
    columns = PayloadForm(form="columns")
    readings = decode(encoding, {"ts": [1] * 4097}, {"ts": [1], "temp": [2]}, payload=columns)
    assert (len(readings.x), faults(readings)) == (1, [(0, "too_many_readings")])
    readings = decode(encoding, {"temp": [1] * 4097}, payload=columns, time_unit="arrival", time_field="")
    assert (len(readings.x), faults(readings)) == (0, [(0, "too_many_readings")])


@encodings
def test_many_channels_are_found_among_many_fields_in_any_order(encoding):
    """With more fields than the types are quick for, each is looked up by itself; the reading is the same."""
    names = [f"c{number}" for number in range(1024)]
    tree = {name: number for number, name in enumerate(names)}
    backwards = {"ts": 5, **{f"d{number}": 0 for number in range(5000)}, **dict(reversed(tree.items()))}
    readings = decode(encoding, {**tree, "ts": 5}, backwards, channels=plain_channels(*names))
    assert readings.x.tolist() == [[*range(1024)]] * 2
    assert faults(readings) == [(1, "extra_channel")]


VALUE = st.floats(-1e9, 1e9) | st.booleans() | st.none() | st.sampled_from(["on", "off"])
MEANS = {"on": 1.0, "off": 0.0, None: NAN}
WORDS = (("on", 1.0), ("off", 0.0))
CHANNELS = tuple(SourceChannel(field, words=WORDS) for field in ("temp", "load", "speed"))
READING = st.fixed_dictionaries({"ts": st.integers(0, 2**31)}, optional=dict.fromkeys(("temp", "load", "speed"), VALUE))


def numbers(reading):
    return [float(MEANS.get(value, value)) for value in (reading.get(one.field) for one in CHANNELS)]


def as_array(readings):
    return readings, PayloadForm(readings="[]")


def as_keys(readings):
    return {f"p{number}": reading for number, reading in enumerate(readings)}, PayloadForm(readings="{key}")


def as_columns(readings):
    tree = {name: [reading.get(name) for reading in readings] for name in ("ts", "temp", "load", "speed")}
    return tree, PayloadForm(form="columns")


def as_pairs(readings):
    pairs = [
        {"n": one.field, "v": reading.get(one.field), "ts": number}
        for number, reading in enumerate(readings)
        for one in CHANNELS
    ]
    return pairs, PayloadForm("", "pairs", "n", "v")


@pytest.mark.slow
@encodings
@pytest.mark.parametrize("form", [as_array, as_keys, as_columns, as_pairs])
@settings(deadline=None, max_examples=40)
@given(readings=st.lists(READING, min_size=1, max_size=5), junk=st.dictionaries(st.text(max_size=3), VALUE, max_size=3))
def test_readings_come_back_from_every_form_and_by_the_patient_way(encoding, form, readings, junk):
    """Round trip. The second payload has a bad value or an odd key more, so that it is mended: the rest is the same."""
    tree, payload = form(readings)
    worse = {**tree, 7: 7, "odd": junk} if isinstance(tree, dict) and payload.readings == "" else tree
    worse = ENCODINGS[encoding][1](worse)
    decoded = decode(
        encoding, tree, b"\xef\xbb\xbf" + worse if encoding == "json" else worse, payload=payload, channels=CHANNELS,
        report_extra=False,
    )  # fmt: skip
    assert decoded.faults == []
    half = len(decoded.x) // 2
    np.testing.assert_array_equal(decoded.x[:half], [numbers(reading) for reading in readings])
    np.testing.assert_array_equal(decoded.x[half:], decoded.x[:half])
    times = range(len(readings)) if form is as_pairs else [reading["ts"] for reading in readings]
    assert (decoded.t_ns // 10**9).tolist() == [*times, *times]


TREES = st.recursive(
    VALUE | st.floats() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["ts", "temp", "load", "name", "value", "a"]) | st.text(max_size=2), inner, max_size=5
        )
    ),
    max_leaves=20,
)
FORMS = [
    PayloadForm(), PayloadForm("[]"), PayloadForm("{d}[]"), PayloadForm("a[].a[]"), PayloadForm(form="pairs"),
    PayloadForm("a"), PayloadForm(form="columns"), PayloadForm(form="value"), PayloadForm(numbers_as_text=True),
]  # fmt: skip


@pytest.mark.slow
@encodings
@settings(deadline=None, max_examples=100)
@given(trees=st.lists(TREES, max_size=4), form=st.sampled_from(FORMS), unit=st.sampled_from(["s", "ns", "iso8601"]))
def test_any_tree_is_read_or_told_and_changes_no_other(encoding, trees, form, unit):
    """Each payload alone gives what it gives among others; one that is dropped has one fault and no reading."""
    encode = {"json": lambda tree: json.dumps(tree, default=repr).encode(), "cbor": cbor2.dumps}.get(encoding)
    payloads = [(encode or msgspec.msgpack.encode)(tree) for tree in trees]
    source = replace(ONE_VALUE, payload=form, time_unit=unit, channel="{field}" if form.form == "value" else "")
    together = decode(encoding, *payloads, source=source, tags=("p1", "temp"))
    alone = [decode(encoding, payload, source=source, tags=("p1", "temp")) for payload in payloads]
    assert [str(row[1:]) for row in rows(together)] == [str(row[1:]) for one in alone for row in rows(one)]
    for number, one in enumerate(alone):
        assert [fault[1] for fault in faults(together) if fault[0] == number] == [reason for _, reason in faults(one)]
        assert len(one.x) or len(one.faults) == 1, "a payload is lost without a word, or told twice"
        assert not np.isinf(one.x).any()
