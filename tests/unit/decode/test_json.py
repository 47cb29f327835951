from dataclasses import replace

import numpy as np
import pytest

from agent.decode.json import JsonCodec
from agent.decode.readings import Address, Batch
from agent.sources import PayloadForm, Source, SourceChannel, plain_channels
from agent.values.times import IMPOSSIBLE_NS

SOURCE = Source(
    name="press", topics=("{device}",), time_field="ts", time_unit="s", channels=plain_channels("temp", "load")
)


NAN = float("nan")


def batch(payloads, arrived_ns=0):
    return Batch(payloads, np.full(len(payloads), arrived_ns), [Address(0, "p1")] * len(payloads))


def decode(*payloads, arrived_ns=0, **changes):
    """The readings of payloads, by the codec of a source with `changes`."""
    return JsonCodec(replace(SOURCE, **changes)).decode(batch(payloads, arrived_ns))


def decoded(payload, **changes):
    """What a payload alone becomes: event times and channels of its readings, and reasons of drops and doubts."""
    readings = decode(payload, **changes)
    return readings.t_ns.tolist(), readings.x.tolist(), [fault.reason for fault in readings.faults]


def test_fields_come_in_the_channels_order_whatever_the_payloads_is():
    assert decoded(b'{"load": 2, "ts": 5, "temp": 1.5}') == ([5 * 10**9], [[1.5, 2.0]], [])


@pytest.mark.parametrize("payload", [b'{"ts": 5, "temp": 1}', b'{"ts": 5, "temp": 1, "load": null}'])
def test_a_missing_or_null_channel_is_missing(payload):
    readings = decode(payload)
    assert readings.faults == []
    np.testing.assert_array_equal(readings.x, np.float32([[1, NAN]]))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"{", "malformed"),
        (b'{"ts": 5}x', "malformed"),
        (b"\xff", "malformed"),
        (b'{"ts": NaN}', "impossible_time"),
        (b'{"ts": 5, "temp": NaNo}', "malformed"),
        (b'{"ts": 5, "note": "NaN}', "malformed"),
        (b'{"ts": nan nan}', "malformed"),
        (b'"' * 1001, "malformed"),
        (b'"' + b'\\"' * 1000, "malformed"),
        (b"-" * 1000, "malformed"),
        (b'{"ts": 5, "other": ' + b"[" * 100_000, "malformed"),
        (b"[]", "wrong_type"),
        (b"null", "wrong_type"),
        (b'{"ts": "5", "temp": 1}', "impossible_time"),
        (b'{"ts": true, "temp": 1}', "impossible_time"),
        (b'{"ts": 1e400, "temp": 1}', "impossible_time"),
        (b'{"ts": {}, "temp": 1}', "impossible_time"),
        (b'{"ts": null, "temp": 1}', "no_time"),
        (b'{"temp": 1, "load": 2}', "no_time"),
    ],
)
@pytest.mark.parametrize("report_extra", [True, False])
def test_what_cannot_be_read_is_named_by_a_reason(payload, reason, report_extra):
    assert decoded(payload, report_extra=report_extra) == ([], [], [reason])


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("2026-11-28T06:30:00Z", "is '2026-11-28T06:30:00Z': a text: unit iso8601?"),
        ("1795814327", "is '1795814327': a number as a text: payload.numbers_as_text?"),
    ],
)
def test_a_time_as_text_is_told_with_the_setting_that_reads_it(time, why):
    (fault,) = decode(f'{{"ts": "{time}", "temp": 1, "load": 2}}'.encode()).faults
    assert (fault.reason, fault.detail) == ("impossible_time", f"ts {why}")


def test_an_extra_field_is_doubtful_and_the_reading_is_used():
    payload = b'{"ts": 5, "temp": 1, "load": 2, "fan": 3}'
    (doubt,) = decode(payload).faults
    assert doubt.detail == "Object contains unknown field `fan`"
    assert decoded(payload) == ([5 * 10**9], [[1.0, 2.0]], ["extra_channel"])
    assert decoded(payload, report_extra=False) == ([5 * 10**9], [[1.0, 2.0]], [])


def test_an_extra_field_does_not_hide_a_wrong_one():
    faults = decode(b'{"fan": 3, "ts": 5, "temp": "x", "load": 1}').faults
    assert [(fault.reason, fault.detail) for fault in faults] == [
        ("bad_value", "temp is 'x'"),
        ("extra_channel", "no channel is read from the field 'fan'"),
    ]


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"nan", "temp is 'nan'"),
        (b"NaN", "temp is 'NaN'"),
        (b"-nan(ind)", "temp is '-nan(ind)'"),
        (b"Infinity", "temp is 'Infinity'"),
        (b"+inf", "temp is '+inf'"),
        (b'"unavailable"', "temp is 'unavailable'"),
        (b'"55.1"', "temp is '55.1'"),
        (b"[1]", "temp is an array"),
        (b'{"value": 1}', "temp is an object"),
        (b"1e400", "temp is beyond what a double holds"),
        (b"-" + b"9" * 5000, "temp is beyond what a double holds"),
        (b"9" * 5000 + b".5e2", "temp is beyond what a double holds"),
    ],
)
@pytest.mark.parametrize("report_extra", [True, False])
def test_a_bad_value_costs_its_channel_and_not_the_reading(value, detail, report_extra):
    payload = b'{"ts": 5, "temp": ' + value + b', "load": 2}'
    readings = decode(b'{"ts": 4, "temp": 1, "load": 1}', payload, report_extra=report_extra)
    assert readings.t_ns.tolist() == [4 * 10**9, 5 * 10**9]
    np.testing.assert_array_equal(readings.x, [[1, 1], [NAN, 2]])
    assert [(fault.row, fault.detail) for fault in readings.faults] == [(1, detail)]


def test_nan_in_a_text_or_a_name_is_left_alone():
    payload = b'{"ts": 5, "temp": nan, "load": 2, "note": "a \\" nan", "nan": [1, "-inf"]}'
    (doubt,) = decode(payload, report_extra=False).faults
    assert doubt.detail == "temp is 'nan'"


def test_many_bad_values_are_one_doubt():
    (doubt,) = decode(b'{"ts": 5, "temp": nan, "load": "x"}').faults
    assert doubt.detail == "temp is 'nan', and 1 more"


def test_a_byte_order_mark_is_passed_over():
    assert decoded(b'\xef\xbb\xbf{"ts": 5, "temp": 1, "load": 2}') == ([5 * 10**9], [[1, 2]], [])


def test_words_and_booleans_are_numbers():
    channels = (SourceChannel("temp", words=(("on", 1.0), ("n/a", NAN))), SourceChannel("load", words=(("on", 2.0),)))
    payloads = [b'{"ts": 5, "temp": "on", "load": "on"}', b'{"ts": 5, "temp": "n/a", "load": true}']
    readings = decode(*payloads, channels=channels)
    np.testing.assert_array_equal(readings.x, [[1, 2], [NAN, 1]])
    assert readings.faults == []


def test_numbers_may_come_as_texts():
    """Also where one of them is no number, so that the payload is looked at again."""
    form = PayloadForm(numbers_as_text=True)
    payloads = [b'{"ts": "5", "temp": "1.5", "load": "true"}', b'{"ts": "5", "temp": " +1.5", "load": "nan"}']
    readings = decode(*payloads, payload=form)
    np.testing.assert_array_equal(readings.x, [[1.5, 1], [1.5, NAN]])
    assert readings.t_ns.tolist() == [5 * 10**9] * 2
    assert [(fault.row, fault.detail) for fault in readings.faults] == [(1, "load is 'nan'")]


@pytest.mark.parametrize(
    ("unit", "payload", "t_ns"),
    [
        ("s", b"1700000000.25", 1_700_000_000_250_000_000),
        ("ms", b"1700000000250", 1_700_000_000_250_000_000),
        ("us", b"1700000000250000", 1_700_000_000_250_000_000),
        ("ns", b"1700000000250000001", 1_700_000_000_250_000_001),
        ("cycle", b"57", 57_000_000_000),
        ("iso8601", b'"2023-11-14T22:13:20.25Z"', 1_700_000_000_250_000_000),
        ("iso8601", b'"2023-11-15T00:13:20.25+02:00"', 1_700_000_000_250_000_000),
        ("iso8601", b'"2023-11-14T22:13:20.25"', 1_700_000_000_250_000_000),
    ],
)
def test_every_unit_of_time(unit, payload, t_ns):
    assert decoded(b'{"ts": ' + payload + b', "temp": 1, "load": 2}', time_unit=unit) == ([t_ns], [[1.0, 2.0]], [])


@pytest.mark.parametrize(
    ("unit", "payload"),
    [
        ("s", b"-1"),
        ("s", b"1e300"),
        ("ns", b"99999999999999999999"),
        ("ns", b"-5"),
        ("iso8601", b'"1969-12-31T00:00:00Z"'),
    ],
)
def test_a_time_that_cannot_be_is_impossible(unit, payload):
    right = {"iso8601": b'"1970-01-01T00:00:05Z"', "ns": b"5000000000"}.get(unit, b"5")
    payloads = [b'{"ts": ' + time + b', "temp": 1, "load": 2}' for time in (right, payload, right)]
    assert decode(*payloads, time_unit=unit).t_ns.tolist() == [5 * 10**9, IMPOSSIBLE_NS, 5 * 10**9]


def test_without_a_time_field_the_arrival_is_the_time():
    payload = b'{"temp": 1, "load": 2}'
    assert decoded(payload, time_field="", time_unit="arrival", arrived_ns=77) == ([77], [[1.0, 2.0]], [])


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_a_null_among_many_readings_is_missing_and_the_others_are_as_without_it(unit):
    readings = decode(
        b'{"ts": 1, "temp": 1, "load": 2}',
        b'{"ts": 2, "temp": null, "load": 3}',
        b'{"ts": 3, "temp": 4}',
        time_unit=unit,
    )
    scale = 10**9 if unit == "s" else 1
    assert readings.t_ns.tolist() == [scale, 2 * scale, 3 * scale]
    np.testing.assert_array_equal(readings.x, np.float32([[1, 2], [NAN, 3], [4, NAN]]))


@pytest.mark.parametrize("bad", [b"", b"{", b'{"ts": "x"}'])
@pytest.mark.parametrize("place", [0, 1, 4])
def test_a_bad_payload_is_left_out_in_its_place(bad, place):
    payloads = [b'{"ts": %d, "temp": 1, "load": 2}' % number for number in range(4)]
    payloads[place:place] = [bad, bad]
    readings = decode(*payloads)
    assert readings.t_ns.tolist() == [0, 10**9, 2 * 10**9, 3 * 10**9]
    assert readings.row.tolist() == [row for row in range(6) if row not in (place, place + 1)]
    assert [fault.row for fault in readings.faults] == [place, place + 1]
