"""What Sparkplug B messages become, their bytes written by tests/edge_node.py."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode.readings import Address, Batch, Intervened
from agent.decode.sparkplug import SparkplugCodec
from agent.sources import InterventionRule, PayloadForm, Source, SourceChannel, plain_channels
from agent.values.times import IMPOSSIBLE_NS
from tests.edge_node import EdgeNode, metric, payload, tagged, varint

T = 1_795_814_327_000  # ms
NS = 10**6
NAN = float("nan")
SOURCE = Source(
    name="plant",
    topics=("spBv1.0/#",),
    time_field="",
    time_unit="ms",
    channels=plain_channels("temp", "vib"),
    codec="sparkplug",
)
TEMP = SourceChannel("temp")
FLOATS = {"temp": ("Float", 20.5), "vib": ("Float", 1.25)}


def decode(codec, *messages, arrived_s=0.0):
    """Messages that all arrive at one time, in s after T."""
    topics, payloads = [topic for topic, _ in messages], [payload for _, payload in messages]
    arrived_ns = T * NS + round(arrived_s * 1e9)
    addresses = [Address(0, "", (), topic) for topic in topics]
    return codec.decode(Batch(payloads, np.full(len(messages), arrived_ns, np.int64), addresses))


def rows(decoded):
    return [
        (device, t_ns // NS - T, *x)
        for device, t_ns, x in zip(decoded.device, decoded.t_ns.tolist(), decoded.x.tolist(), strict=True)
    ]


def reasons(decoded):
    return [fault.reason for fault in decoded.faults]


def codec_with(*channels, **changes):
    return SparkplugCodec(replace(SOURCE, channels=channels or SOURCE.channels, **changes))


def of_one_metric(stored, datatype="", channel=TEMP, **changes):
    """What a metric in data becomes whose birth has `datatype`; decoded often, as the third is of a known form."""
    codec, node = codec_with(channel, **changes), EdgeNode()
    decode(codec, node.birth(T), node.message("DBIRTH", "d", [metric(None, datatype, name="temp", alias=1)], T))
    first, *others = (decode(codec, node.message("DDATA", "d", [tagged(2, 1) + stored], T)) for _ in range(4))
    assert {one.x.tobytes() for one in others} == {first.x.tobytes()}
    assert all(one.faults == first.faults for one in others)
    return first.x.ravel().tolist(), reasons(first)


# Births and data ------------------------------------------------------------------------------------------------


def test_aliases_of_a_birth_name_the_metrics_of_data():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    decoded = decode(
        codec,
        node.birth(T),
        node.device_birth("d1", T, FLOATS),
        node.data("d1", T + 1000, {"vib": ("Float", 2.0), "temp": ("Float", 21.0)}),
        node.data("d1", T + 2000, {"temp": ("Float", 22.0)}),
    )
    assert rows(decoded)[:2] == [("G/n1/d1", 0, 20.5, 1.25), ("G/n1/d1", 1000, 21.0, 2.0)]
    assert rows(decoded)[2][:3] == ("G/n1/d1", 2000, 22.0)
    assert np.isnan(decoded.x[2, 1])
    assert decoded.row.tolist() == [1, 2, 3]
    assert decoded.faults == []
    assert decoded.requests == []


def test_metrics_of_the_node_itself_are_of_the_device_group_and_node():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    supply = metric(12.0, "Float", name="temp", time_ms=T)
    decoded = decode(codec, node.birth(T, supply), node.message("NDATA", "", [metric(13.0, "Float", name="temp")], T))
    assert [row[:3] for row in rows(decoded)] == [("G/n1", 0, 12.0), ("G/n1", 0, 13.0)]


@pytest.mark.parametrize(
    ("template", "of_device", "of_node"),
    [
        ("{device}", "G/n1/d1", "G/n1"),
        ("{node}/{device}", "n1/d1", "n1"),
        ("{group}-{node}/{device}", "G-n1/d1", "G-n1"),
    ],
)
def test_ids_are_made_by_the_sources_template(template, of_device, of_node):
    codec, node = codec_with(device=template), EdgeNode()
    decoded = decode(codec, node.birth(T, metric(1.0, "Float", name="temp")), node.device_birth("d1", T, FLOATS))
    assert decoded.device.tolist() == [of_node, of_device]


def test_metrics_of_other_times_are_readings_of_their_own_by_time():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    metrics = [
        metric(3.0, alias=1, time_ms=T + 3000, as_type="Float"),
        metric(1.0, alias=1, time_ms=T + 1000, as_type="Float", is_historical=True),
        metric(5.0, alias=2, time_ms=T + 3000, as_type="Float"),
    ]
    born = [node.birth(T), node.device_birth("d1", T, FLOATS)]
    decoded = decode(codec, *born, node.message("DDATA", "d1", metrics, T + 4000))
    assert [row[1] for row in rows(decoded)] == [0, 1000, 3000]
    assert rows(decoded)[2] == ("G/n1/d1", 3000, 3.0, 5.0)


def test_a_birth_is_one_reading_at_its_own_time_since_it_says_what_is_now():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    old = [metric(20.0, "Float", name="temp", time_ms=T - 9000), metric(1.0, "Float", name="vib", time_ms=T - 1000)]
    decoded = decode(codec, node.birth(T), node.message("DBIRTH", "d1", old, T))
    assert rows(decoded) == [("G/n1/d1", 0, 20.0, 1.0)]


def test_a_metric_without_a_time_has_the_payloads_and_without_both_there_is_no_time():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS))
    plain = [metric(1.0, alias=1, as_type="Float")]
    assert rows(decode(codec, node.message("DDATA", "d1", plain, T + 7)))[0][1] == 7
    decoded = decode(codec, node.message("DDATA", "d1", plain, 0))
    assert (rows(decoded), reasons(decoded)) == ([], ["no_time"])


def test_a_time_beyond_2116_is_impossible():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS))
    decoded = decode(codec, node.data("d1", 2**63, FLOATS))
    assert decoded.t_ns.tolist() == [IMPOSSIBLE_NS]


def test_one_metric_is_read_for_two_channels():
    codec = codec_with(SourceChannel("temp"), SourceChannel("vib"), SourceChannel("temp", scale=1.8, offset=32))
    node = EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS))
    assert rows(decode(codec, node.data("d1", T, FLOATS)))[0][2:] == (20.5, 1.25, 20.5)


def test_metrics_that_no_channel_names_are_passed_over():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    other = {"Properties/Make": ("String", "Pi"), "fan": ("Int32", 3)}
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS | other))
    assert rows(decode(codec, node.data("d1", T, FLOATS | other)))[0][2:] == (20.5, 1.25)
    decoded = decode(codec, node.data("d1", T, other))
    assert (rows(decoded), reasons(decoded)) == ([], [])


def test_data_of_a_device_that_has_none_of_the_channels_are_counted():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    fan = {"fan": ("Int32", 3)}
    decode(codec, node.birth(T), node.device_birth("d1", T, fan))
    decoded = decode(codec, node.data("d1", T, fan))
    assert (reasons(decoded), decoded.faults[0].detail) == (
        ["no_channels"],
        "the birth of G/n1/d1 has none of the source's channels",
    )


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("Int8", -128), ("Int8", 127), ("Int16", -32768), ("Int16", 32767), ("Int32", -(2**31)), ("Int32", 2**31 - 1),
        ("Int64", -1), ("Int64", -(2**63)), ("Int64", 2**53), ("UInt8", 255), ("UInt16", 65535), ("UInt32", 2**32 - 1),
        ("UInt64", 2**64 - 2048), ("UInt64", 2**64 - 1), ("Float", -0.5), ("Double", 0.1), ("Double", 1e300),
        ("Boolean", 1), ("Boolean", 0), ("DateTime", 1_795_814_327_123),
    ],
)  # fmt: skip
def test_every_numeric_datatype(datatype, value):
    assert of_one_metric(metric(value, as_type=datatype), datatype) == ([float(value)], [])


@pytest.mark.parametrize(
    ("datatype", "stored", "value"), [("Int8", 2**32 - 1, -1), ("Int16", 2**32 - 5, -5), ("Int32", 2**64 - 5, -5)]
)
def test_a_sign_that_is_extended_further_than_the_datatype_is_read(datatype, stored, value):
    assert of_one_metric(tagged(10, stored), datatype) == ([value], [])


def test_an_integer_that_its_datatype_cannot_hold_is_a_bad_value():
    values, said = of_one_metric(tagged(10, 300), "Int8")
    assert np.isnan(values).all()
    assert said == ["bad_value"]


def test_a_value_stored_as_another_type_than_the_birth_says_is_read_as_what_it_is():
    assert of_one_metric(metric(2.5, as_type="Float"), "Double") == ([2.5], [])
    assert of_one_metric(metric(7, as_type="UInt32"), "Double") == ([7], [])
    assert of_one_metric(metric(7, as_type="UInt32")) == ([7], [])


@pytest.mark.parametrize(
    "stored",
    [metric(), metric(is_null=True), metric(3.5, as_type="Float", is_null=True), varint(10 << 3 | 1) + b"12345678"],
)
def test_null_and_absent_values_and_those_of_a_wrong_wire_type_are_missing(stored):
    values, said = of_one_metric(stored, "Float")
    assert np.isnan(values).all()
    assert said == []


@pytest.mark.parametrize(
    "stored",
    [
        metric("unavailable", as_type="String"), metric(b"x", as_type="Bytes"), metric(b"", as_type="DataSet"),
        metric(b"", as_type="Template"), metric(NAN, as_type="Float"), metric(float("inf"), as_type="Double"),
        tagged(15, b"\xff"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_a_bad_value(stored):
    values, said = of_one_metric(stored, "Double")
    assert np.isnan(values).all()
    assert said == ["bad_value"]


def test_words_and_numbers_as_text():
    channel = SourceChannel("temp", words=(("ON", 1.0), ("fault", NAN)))
    assert of_one_metric(metric("ON", as_type="String"), "String", channel) == ([1.0], [])
    assert of_one_metric(metric("55.1", as_type="String"), "String")[1] == ["bad_value"]
    text = PayloadForm(numbers_as_text=True)
    assert of_one_metric(metric("55.1", as_type="String"), "String", payload=text) == ([55.1], [])
    values, said = of_one_metric(metric("fault", as_type="String"), "String", channel)
    assert np.isnan(values).all()
    assert said == []


def test_an_alias_of_two_metrics_means_neither():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    twice = [metric(1.0, "Float", name=name, alias=1) for name in ("temp", "fan")]
    vib = metric(1.0, "Float", name="vib", alias=2)
    decode(codec, node.birth(T), node.message("DBIRTH", "d1", [*twice, vib], T))
    metrics = [metric(9.0, alias=1, as_type="Float"), metric(2.0, alias=2, as_type="Float")]
    decoded = decode(codec, node.message("DDATA", "d1", metrics, T))
    assert np.isnan(decoded.x[0, 0])
    assert decoded.x[0, 1] == 2.0
    assert reasons(decoded) == ["bad_value"]
    decoded = decode(codec, node.message("DDATA", "d1", metrics[:1], T))
    assert (rows(decoded), reasons(decoded)) == ([], ["no_channels"])


def test_an_alias_that_no_birth_has_is_a_reason_to_ask():
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS))
    metrics = [metric(9.0, alias=1, as_type="Float"), metric(2.0, alias=77, as_type="Float")]
    decoded = decode(codec, node.message("DDATA", "d1", metrics, T))
    assert rows(decoded)[0][2] == 9.0
    assert [topic for topic, _ in decoded.requests] == ["spBv1.0/G/NCMD/n1"]


def test_a_metric_may_tell_of_an_intervention_in_data_but_not_in_a_birth():
    rule = InterventionRule("Maintenance", (("fixed", "repaired"), ("true", "inspected")))
    codec, node = codec_with(interventions=rule), EdgeNode()
    said = {"Maintenance": ("String", "fixed")}
    born = decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS | said))
    assert born.interventions == []
    decoded = decode(codec, node.data("d1", T + 5, said))
    assert decoded.interventions == [Intervened(0, "G/n1/d1", (T + 5) * NS, "repaired")]
    assert (rows(decoded), reasons(decoded)) == ([], [])


DATA_VALUES = st.one_of(
    st.tuples(st.just("Float"), st.floats(-1e6, 1e6, width=32)),
    st.tuples(st.just("Double"), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("Int32"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("Int8"), st.integers(-128, 127)),
    st.tuples(st.just("UInt64"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("Boolean"), st.integers(0, 1)),
)


@pytest.mark.slow
@given(st.lists(DATA_VALUES, min_size=1, max_size=9), st.integers(0, 2**42))
def test_round_trip_of_values(values, time_ms):
    """Each value is read as it was written, by the first payload of its form and by later ones."""
    names = [f"m{index}" for index in range(len(values))]
    written = dict(zip(names, values, strict=True))
    codec, node = codec_with(*plain_channels(*names)), EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, written))
    for _ in range(2):
        decoded = decode(codec, node.data("d1", time_ms or 1, written))
        assert decoded.x.tolist() == [[float(value) for _, value in values]]
        assert decoded.t_ns.tolist() == [(time_ms or 1) * NS]
        assert decoded.faults == []


# Hostile ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\x12", "malformed"),
        (b"Online", "malformed"),
        (b"\x12\xff\xff\xff\xff\x07abc", "malformed"),  # a metric of 2 GB
        (b"\x12\x02\x08\x01" + b"\x12\x00" * 100_000, "malformed"),
        (payload(time_ms=T, seq=256), "malformed"),
        (payload(time_ms=T, seq=2**63), "malformed"),
    ],
)
def test_what_cannot_be_read_has_one_reason_and_a_neighbour_is_unharmed(data, reason):
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS))
    decoded = decode(codec, (node.topic("DDATA", "d1"), data), node.data("d1", T + 1, FLOATS))
    assert reasons(decoded) == [reason]
    assert rows(decoded) == [("G/n1/d1", 1, 20.5, 1.25)]
    assert decoded.row.tolist() == [1]


@pytest.mark.parametrize(
    "topic",
    ["spBv1.0/STATE/scada", "spBv1.0/G/NCMD/n1", "spBv1.0/G/DCMD/n1/d1", "spBv1.0/STATE/scada/x/y"],
)
def test_what_hosts_say_is_passed_over(topic):
    decoded = decode(SparkplugCodec(SOURCE), (topic, b"\xff"), (topic, b""))
    assert (rows(decoded), decoded.faults, decoded.requests) == ([], [], [])


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/G", "spBv1.0/G/DDATA/n1", "spBv1.0/G/NDATA/n1/d1", "spBv1.0/G/XDATA/n1", "plant/G/NDATA/n1",
        "spBv1.0//NDATA/n1", "spBv1.0/G/DDATA/n1/", "spBv1.0/G/DDATA/n1/d1/e", "spBv1.0", "",
    ],
)  # fmt: skip
def test_a_topic_that_is_not_sparkplugs_is_of_the_wrong_type(topic):
    decoded = decode(SparkplugCodec(SOURCE), (topic, payload(time_ms=T, seq=0)))
    assert reasons(decoded) == ["wrong_type"]


def test_readings_of_a_payload_are_bounded():
    """Values at 1,025 times, of a source of 1,024 channels, would be a table of 8 MB out of 20 kB: 64 are read."""
    codec = codec_with(*plain_channels("temp", *map(str, range(1023))))
    node = EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS))
    metrics = [metric(1.0, alias=1, time_ms=T + index, as_type="Float") for index in range(65)]
    assert len(decode(codec, node.message("DDATA", "d1", metrics[:64], T)).row) == 64
    decoded = decode(codec, node.message("DDATA", "d1", metrics, T))
    assert (len(decoded.row), reasons(decoded)) == (0, ["too_many_readings"])


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"]), st.binary())))
def test_junk_raises_nothing_and_has_a_reason_or_says_nothing(messages):
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    decode(codec, node.birth(T), node.device_birth("d1", T, FLOATS))
    decode(codec, *((node.topic(kind, "d1" if kind[0] == "D" else ""), data) for kind, data in messages))
    decode(codec, node.birth(T + 1), node.device_birth("d1", T + 1, FLOATS))
    assert rows(decode(codec, node.data("d1", T + 2, FLOATS))) == [("G/n1/d1", 2, 20.5, 1.25)]


# Settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("time", {"time_unit": "s"}),
        ("time", {"time_field": "ts"}),
        ("device", {"device": "{line}/{device}"}),
        ("channel", {"channel": "{channel}"}),
        ("tags", {"tags": (("line", "line"),)}),
        ("payload", {"payload": PayloadForm(readings="metrics[]")}),
    ],
)
def test_settings_that_the_codec_cannot_use_are_named(key, changes):
    assert [key for key, _ in SparkplugCodec.problems(replace(SOURCE, **changes))] == [key]


def test_a_source_that_says_nothing_of_time_has_no_problem():
    fine = [SOURCE, replace(SOURCE, time_unit="arrival"), replace(SOURCE, payload=PayloadForm(numbers_as_text=True))]
    assert [problem for source in fine for problem in SparkplugCodec.problems(source)] == []
