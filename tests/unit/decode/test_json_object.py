import math
from dataclasses import replace

import numpy as np
import pytest

from agent.decode.json_object import JsonObjectCodec, Undecodable
from agent.words import Source

SOURCE = Source(name="press", topic="{device}", time_field="ts", time_unit="s", fields=("temp", "load"))


def codec(**changes):
    return JsonObjectCodec(replace(SOURCE, **changes))


def test_fields_come_in_the_channels_order_whatever_the_payloads_is():
    assert codec().decode(b'{"load": 2, "ts": 5, "temp": 1.5}') == ((5.0, 1.5, 2.0), "")


@pytest.mark.parametrize("payload", [b'{"ts": 5, "temp": 1}', b'{"ts": 5, "temp": 1, "load": null}'])
def test_a_missing_or_null_channel_is_missing(payload):
    (_, temp, load), doubt = codec().decode(payload)
    assert (temp, doubt) == (1.0, "")
    assert load is None or math.isnan(load)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"{", "malformed"),
        (b'{"ts": 5}x', "malformed"),
        (b"\xff", "malformed"),
        (b'{"ts": NaN}', "malformed"),
        (b'{"ts": 5, "temp": NaN}', "malformed"),
        (b'{"ts": 5, "other": ' + b"[" * 100_000, "malformed"),
        (b"[]", "wrong_type"),
        (b'{"ts": 5, "temp": true}', "wrong_type"),
        (b'{"ts": 5, "temp": "21,4"}', "wrong_type"),
        (b'{"ts": "5", "temp": 1}', "wrong_type"),
        (b'{"ts": 5, "temp": 1e400}', "out_of_range"),
        (b'{"temp": 1, "load": 2}', "no_time"),
    ],
)
@pytest.mark.parametrize("report_extra", [True, False])
def test_what_cannot_be_read_is_named_by_a_reason(payload, reason, report_extra):
    with pytest.raises(Undecodable) as raised:
        codec(report_extra=report_extra).decode(payload)
    assert raised.value.reason == reason


def test_an_extra_field_is_doubtful_and_the_reading_is_used():
    payload = b'{"ts": 5, "temp": 1, "load": 2, "fan": 3}'
    assert codec().decode(payload) == ((5.0, 1.0, 2.0), "extra_channel")
    assert codec(report_extra=False).decode(payload) == ((5.0, 1.0, 2.0), "")


def test_an_extra_field_does_not_hide_a_wrong_one():
    with pytest.raises(Undecodable, match="wrong_type"):
        codec().decode(b'{"fan": 3, "ts": 5, "temp": "x"}')


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
    one = codec(time_unit=unit)
    (time, *_), _ = one.decode(b'{"ts": ' + payload + b', "temp": 1}')
    got, impossible = one.times_ns([time], np.int64([0]))
    assert got.tolist() == [t_ns]
    assert not impossible.any()


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
    one = codec(time_unit=unit)
    (time, *_), _ = one.decode(b'{"ts": ' + payload + b', "temp": 1}')
    assert one.times_ns([time, time], np.int64([0, 0]))[1].tolist() == [True, True]


def test_without_a_time_field_the_arrival_is_the_time():
    one = codec(time_field="", time_unit="arrival")
    (time, temp, load), _ = one.decode(b'{"temp": 1, "load": 2}')
    assert (time, temp, load) == (None, 1.0, 2.0)
    assert one.times_ns([time], np.int64([77]))[0].tolist() == [77]
