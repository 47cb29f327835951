"""Data of a form that is known are read as any other: whatever their bytes, the result is that of one metric by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.decode import sparkplug_metrics
from agent.decode.readings import Address, Batch
from agent.decode.sparkplug import SparkplugCodec
from agent.decode.sparkplug_layout import layout_of
from agent.sources import Source, plain_channels
from tests.edge_node import EdgeNode, metric, payload, tagged, varint

T = 1_795_814_327_000  # ms
NS = 10**6
VALUES = {"temp": ("Float", 20.5), "vib": ("Double", 0.25), "load": ("Int16", -7), "on": ("Boolean", 1)}
SOURCE = Source(
    name="plant",
    topics=("spBv1.0/#",),
    time_field="",
    time_unit="ms",
    channels=plain_channels(*VALUES),
    codec="sparkplug",
)


def hear(codec, *messages):
    addresses = [Address(0, "", (), topic) for topic, _ in messages]
    arrived_ns = np.full(len(messages), T * NS, np.int64)
    return codec.decode(Batch([payload for _, payload in messages], arrived_ns, addresses))


def said(decoded):
    return (
        decoded.row.tolist(), decoded.t_ns.tolist(), decoded.x.tobytes(), decoded.faults, decoded.device.tolist(),
        decoded.requests,
    )  # fmt: skip


def learned(*metrics):
    """A codec that knows the form of data with these metrics, one that does not, and the next message of that form."""
    codec, node = SparkplugCodec(SOURCE), EdgeNode()
    hear(codec, node.birth(T), node.device_birth("d", T, VALUES))
    for second in range(3):
        hear(codec, node.message("DDATA", "d", metrics, T + second * 1000))
    assert any(layout is not None for layout in codec._metrics._layouts.values())
    fresh = SparkplugCodec(SOURCE)
    fresh.restore(codec.keep())
    return codec, fresh, node.message("DDATA", "d", metrics, T + 3000)


def by_alias(**changes):
    one = {"time_ms": T, "name": ""} | changes
    return [
        metric(value, alias=index + 1, time_ms=one["time_ms"], as_type=datatype, name=one["name"] and name)
        for index, (name, (datatype, value)) in enumerate(VALUES.items())
    ]


FORMS = {
    "by alias": by_alias(),
    "without times": by_alias(time_ms=0),
    "with names": by_alias(name="yes"),
    "one metric": by_alias()[:1],
    "datatypes and history": [
        metric(1.5, "Float", alias=1, time_ms=T, is_historical=True),
        metric("open", "String", name="valve", time_ms=T),
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_other_numbers_of_a_known_form(form):
    codec, fresh, message = learned(*FORMS[form])
    decoded = hear(codec, message)
    assert said(decoded) == said(hear(fresh, message))
    assert len(decoded.row) == 1


@pytest.mark.slow
@settings(max_examples=300)
@given(st.sampled_from(sorted(FORMS)), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=3))
@example("by alias", [(8, 0)])
def test_bytes_that_are_changed_mean_the_same_whether_the_form_was_known_or_not(form, changes):
    codec, fresh, (topic, data) = learned(*FORMS[form])
    bad = bytearray(data)
    for place, byte in changes:
        bad[place % len(bad)] = byte
    assert said(hear(codec, (topic, bytes(bad)))) == said(hear(fresh, (topic, bytes(bad))))
    assert codec.keep() == fresh.keep()


@pytest.mark.slow
@given(
    st.floats(width=32), st.floats(), st.integers(-(2**15), 2**15 - 1), st.integers(0, 1), st.integers(0, 2**44)
)  # fmt: skip
def test_any_number_of_a_known_form(temp, vib, load, on, time_ms):
    """NaN, infinite and null ones, integers of other lengths and times of other lengths are among them."""
    codec, fresh, (topic, _) = learned(*FORMS["by alias"])
    values = [(temp, "Float"), (vib, "Double"), (load, "Int16"), (on, "Boolean")]
    metrics = [
        metric(value, alias=index + 1, time_ms=time_ms, as_type=kind) for index, (value, kind) in enumerate(values)
    ]
    message = (topic, payload(*metrics, time_ms=T, seq=5))
    assert said(hear(codec, message)) == said(hear(fresh, message))


def test_a_new_birth_forgets_the_forms_of_the_old():
    codec, _, _ = learned(*FORMS["by alias"])
    node, names = EdgeNode(), [*VALUES]
    swapped = {name: VALUES[name] for name in (names[1], names[0], *names[2:])}
    node.aliases = {("d", name): index + 1 for index, name in enumerate(swapped)}
    hear(codec, node.birth(T), node.device_birth("d", T, swapped))
    decoded = [hear(codec, node.data("d", T, {"vib": ("Double", 2.0), "temp": ("Float", 1.0)})) for _ in range(4)]
    assert {(one.x[0, 0], one.x[0, 1]) for one in decoded} == {(1.0, 2.0)}


def test_the_memory_of_forms_is_bounded(monkeypatch):
    monkeypatch.setattr(sparkplug_metrics, "LAYOUTS_BYTES_MAX", 20_000)
    names = [f"m{index}" for index in range(200)]
    codec = SparkplugCodec(replace(SOURCE, channels=plain_channels(*names)))
    node = EdgeNode()
    hear(codec, node.birth(T), node.device_birth("d", T, dict.fromkeys(names, ("Float", 0.0))))
    for _ in range(2):
        for index, name in enumerate(names):
            decoded = hear(codec, node.data("d", T, {name: ("Float", float(index))}))
            assert decoded.x[0, index] == index
            assert len(codec._metrics._layouts) <= 20
    long = dict.fromkeys(names, ("Float", 1.0))
    n_before = len(codec._metrics._layouts)
    hear(codec, node.data("d", T, long), node.data("d", T, long))
    assert len(codec._metrics._layouts) <= n_before + 1


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x08", b"\x12\x05ab", varint(1 << 3) + b"\xff" * 10, b"\x0b\x0c", payload(time_ms=T, seq=1),
        payload(metric(1.0, alias=1, as_type="Float"), time_ms=T), payload(tagged(2, 1) * 2, seq=1),
        payload(metric(1.0, alias=1, as_type="Float"), seq=1) + tagged(3, 2),
        payload(metric(1.0, alias=1, as_type="Float"), seq=1) + tagged(4, b"uuid"),
        payload(metric(1.0, alias=1, as_type="Float", is_null=True), seq=1),
        payload(tagged(2, 1) + tagged(10, 1) + tagged(11, 1), seq=1),
        payload(tagged(2, 1) + tagged(10, b"x"), seq=1), payload(tagged(2, b"x") + tagged(10, 1), seq=1),
        payload(*[metric(1.0, alias=1, as_type="Float")] * 2, seq=1),
    ],
)  # fmt: skip
def test_what_is_no_ordinary_payload_has_no_layout(data):
    assert layout_of(data, lambda alias, name, datatype: (0, 9)) is None
