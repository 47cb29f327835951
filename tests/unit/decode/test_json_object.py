import math
from dataclasses import replace

import numpy as np
import pytest

from agent.decode.json_object import JsonObjectCodec, Undecodable
from agent.words import Source

SOURCE = Source(name="press", topic="{device}", time_field="ts", time_unit="s", fields=("temp", "load"))


def codec(**changes):
    return JsonObjectCodec(replace(SOURCE, **changes))


def decoded(one, payload, *, arrived_ns=0):
    """What a payload alone becomes: event time, whether that cannot be, and channels; and the doubt about it."""
    reading, doubt = one.decode(payload)
    t_ns, impossible, x = one.columns([reading], np.int64([arrived_ns]))
    return int(t_ns[0]), bool(impossible[0]), x[0].tolist(), doubt


def test_fields_come_in_the_channels_order_whatever_the_payloads_is():
    assert decoded(codec(), b'{"load": 2, "ts": 5, "temp": 1.5}') == (5 * 10**9, False, [1.5, 2.0], "")


@pytest.mark.parametrize("payload", [b'{"ts": 5, "temp": 1}', b'{"ts": 5, "temp": 1, "load": null}'])
def test_a_missing_or_null_channel_is_missing(payload):
    _, _, (temp, load), doubt = decoded(codec(), payload)
    assert (temp, doubt) == (1.0, "")
    assert math.isnan(load)


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
    assert decoded(codec(), payload) == (5 * 10**9, False, [1.0, 2.0], "Object contains unknown field `fan`")
    assert decoded(codec(report_extra=False), payload) == (5 * 10**9, False, [1.0, 2.0], "")


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
    got, impossible, (temp, load), _ = decoded(codec(time_unit=unit), b'{"ts": ' + payload + b', "temp": 1}')
    assert (got, impossible, temp) == (t_ns, False, 1.0)
    assert math.isnan(load)


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
    assert decoded(codec(time_unit=unit), b'{"ts": ' + payload + b', "temp": 1}')[1]


def test_without_a_time_field_the_arrival_is_the_time():
    one = codec(time_field="", time_unit="arrival")
    assert decoded(one, b'{"temp": 1, "load": 2}', arrived_ns=77) == (77, False, [1.0, 2.0], "")


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_a_null_among_many_readings_is_missing_and_the_others_are_as_without_it(unit):
    one = codec(time_unit=unit)
    payloads = [b'{"ts": 1, "temp": 1, "load": 2}', b'{"ts": 2, "temp": null, "load": 3}', b'{"ts": 3, "temp": 4}']
    t_ns, impossible, x = one.columns([one.decode(payload)[0] for payload in payloads], np.zeros(3, np.int64))
    scale = 10**9 if unit == "s" else 1
    assert t_ns.tolist() == [scale, 2 * scale, 3 * scale]
    assert not impossible.any()
    np.testing.assert_array_equal(x, np.float32([[1, 2], [np.nan, 3], [4, np.nan]]))
