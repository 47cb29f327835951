"""Packed rows: what the contract's cases, which have an int64 of milliseconds, do not show."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.decode.packed_float32 import PackedFloat32Codec
from agent.decode.readings import Address, Batch
from agent.sources import PayloadForm, Source, plain_channels
from agent.values.times import IMPOSSIBLE_NS

TEMP_VIB = Source("mill", ("mill/{device}",), "", "arrival", plain_channels("temp", "vib"), codec="float32")


def decode(source, *payloads):
    """Of payloads a second apart."""
    addresses = [Address(0, "m1", ("m1",))] * len(payloads)
    return PackedFloat32Codec(source).decode(Batch(payloads, np.arange(len(payloads)) * 10**9, addresses))


def packed(*rows):
    return np.array(rows, "<f4").tobytes()


def test_one_row_a_payload_takes_the_time_of_arrival():
    decoded = decode(TEMP_VIB, packed([55, 1]), packed([56, 2]))
    assert decoded.x.tolist() == [[55, 1], [56, 2]]
    assert decoded.t_ns.tolist() == [0, 10**9]
    assert decoded.row is None


def test_fields_that_are_numbers_are_places_in_the_row():
    source = replace(TEMP_VIB, channels=plain_channels("3", "0"))
    decoded = decode(source, packed([10, 11, 12, 13]), packed([20, 21, 22, 23], [30, 31, 32, 33]), packed([1, 2]))
    assert decoded.x.tolist() == [[13, 10], [23, 20], [33, 30]]
    assert decoded.row.tolist() == [0, 1, 1]
    assert [(fault.row, fault.reason) for fault in decoded.faults] == [(2, "malformed")]
    assert "16 bytes" in decoded.faults[0].detail


@pytest.mark.parametrize(
    ("field", "unit", "times", "t_ns"),
    [
        ("int64", "ns", [1795814327000000001, 2**62 - 1], [1795814327000000001, 2**62 - 1]),
        ("int64", "s", [3, -1, 2**62, -(2**63)], [3 * 10**9, IMPOSSIBLE_NS, IMPOSSIBLE_NS, IMPOSSIBLE_NS]),
        ("int64", "us", [1795814327000001], [1795814327000001000]),
        ("int64", "cycle", [7], [7 * 10**9]),
        ("float64", "s", [1795814327.25, np.nan, np.inf, -1], [1795814327250000000, *[IMPOSSIBLE_NS] * 3]),
        ("float64", "ms", [1.5], [1_500_000]),
        ("float64", "ns", [7.0], [7]),
    ],
)
def test_a_time_may_stand_before_each_row(field, unit, times, t_ns):
    source = replace(TEMP_VIB, time_field=field, time_unit=unit)
    kind = "<i8" if field == "int64" else "<f8"
    rows = np.zeros(len(times), [("t", kind), ("x", "<f4", 2)])
    rows["t"] = times
    assert decode(source, rows.tobytes()).t_ns.tolist() == t_ns


def test_an_infinite_value_is_missing_and_a_doubt_once_a_payload():
    decoded = decode(TEMP_VIB, packed([1, 2]), packed([np.inf, 2], [3, -np.inf]), packed([4, np.nan]))
    np.testing.assert_array_equal(decoded.x, [[1, 2], [np.nan, 2], [3, np.nan], [4, np.nan]])
    assert [tuple(fault) for fault in decoded.faults] == [(1, "bad_value", "temp is inf")]


FLOATS = st.floats(width=32, allow_infinity=False)


@pytest.mark.slow
@given(st.data(), st.integers(1, 5), st.lists(st.integers(0, 4), min_size=1, max_size=6), st.booleans())
def test_rows_are_read_back_however_many_a_payload_has(data, n_channels, n_rows, has_time):
    names = [f"c{index}" for index in range(n_channels)]
    source = replace(TEMP_VIB, channels=plain_channels(*names))
    members = [("x", "<f4", (n_channels,))]
    if has_time:
        source = replace(source, time_field="int64", time_unit="ns")
        members.insert(0, ("t", "<i8"))
    payloads = []
    for n in n_rows:
        rows = np.zeros(n, members)
        rows["x"] = data.draw(arrays("<f4", (n, n_channels), elements=FLOATS))
        if has_time:
            rows["t"] = data.draw(arrays("<i8", n, elements=st.integers(0, 2**62 - 1)))
        payloads.append(rows)
    decoded = decode(source, *(rows.tobytes() for rows in payloads))
    whole = np.concatenate(payloads)
    row = np.arange(len(n_rows)).repeat(n_rows)
    np.testing.assert_array_equal(decoded.x, whole["x"])
    assert (np.arange(len(whole)) if decoded.row is None else decoded.row).tolist() == row.tolist()
    assert decoded.t_ns.tolist() == (whole["t"] if has_time else row * 10**9).tolist()
    assert [fault.row for fault in decoded.faults] == [row for row, n in enumerate(n_rows) if not n]
    assert {fault.reason for fault in decoded.faults} <= {"empty"}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"time_field": "ts", "time_unit": "s"}, "time.field"),
        ({"time_field": "int64", "time_unit": "iso8601"}, "time.unit"),
        ({"channels": plain_channels("0", "vib")}, "channels"),
        ({"channels": plain_channels("0", "99999")}, "channels"),
        ({"channels": plain_channels("0", "01")}, "channels"),
        ({"channels": ()}, "channels"),
        ({"channel": "{device}"}, "channel"),
        ({"tags": (("machine", "id"),)}, "tags"),
        ({"payload": PayloadForm(form="pairs")}, "payload"),
    ],
)
def test_what_it_cannot_use_is_a_problem(changes, key):
    assert list(PackedFloat32Codec.problems(TEMP_VIB)) == []
    assert [problem for problem, _ in PackedFloat32Codec.problems(replace(TEMP_VIB, **changes))] == [key]
