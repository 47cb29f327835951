"""InfluxDB line protocol: what the contract's cases, whose device is in the topic, do not show."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.decode import influx
from agent.decode.influx import InfluxCodec
from agent.decode.readings import Address, Batch
from agent.sources import PayloadForm, Source, SourceChannel, plain_channels

PLANT = Source(
    name="plant",
    topics=("telegraf/{host}",),
    time_field="timestamp",
    time_unit="ns",
    channels=plain_channels("temp", "vib", "pump.temp"),
    device="{kind}/{machine}",
    tags=(("kind", "measurement"), ("machine", "machine id")),
    codec="influx",
)


def decode(source, *payloads, codec=None):
    """Of payloads a second apart."""
    addresses = [Address(0, "", ("h1",))] * len(payloads)
    payloads = [payload if isinstance(payload, bytes) else payload.encode() for payload in payloads]
    return (codec or InfluxCodec(source)).decode(Batch(payloads, np.arange(len(payloads)) * 10**9, addresses))


def test_measurement_and_tags_may_name_the_device():
    lines = [
        "press,machine\\ id=p\\,7,site=a temp=1 5",
        "press,machine\\ id=p8 temp=2 5",
        "pump,machine\\ id=p7 temp=3,vib=4 5",
    ]
    decoded = decode(PLANT, "\n".join(lines), "press temp=5 5")
    assert decoded.device.tolist() == ["press/p,7", "press/p8", "pump/p7", ""]
    nan = np.nan
    np.testing.assert_array_equal(decoded.x, [[1, nan, nan], [2, nan, nan], [nan, 4, 3], [5, nan, nan]])
    assert decoded.row.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(("unit", "ns"), [("s", 10**9), ("ms", 10**6), ("us", 1000), ("ns", 1), ("cycle", 10**9)])
def test_times_have_the_unit_that_the_source_says(unit, ns):
    assert decode(replace(PLANT, time_unit=unit), "m temp=1 1234567").t_ns.tolist() == [1234567 * ns]


def test_a_source_that_takes_the_time_of_arrival_takes_no_other():
    source = replace(PLANT, time_field="", time_unit="arrival")
    assert decode(source, "m temp=1", "m temp=1 5").t_ns.tolist() == [0, 10**9]


def test_texts_are_numbers_by_the_channels_words():
    channel = SourceChannel("temp", words=(("ON", 1.0), ('a "b\\', 2.0)))
    source = replace(PLANT, channels=(channel, *PLANT.channels[1:]))
    decoded = decode(source, 'm temp="ON" 1\nm temp="a \\"b\\\\" 2\nm temp="21.4",vib=1 3')
    assert decoded.x[:, :1].tolist()[:2] == [[1], [2]]
    assert [fault.reason for fault in decoded.faults] == ["bad_value"]


def test_what_a_line_says_is_the_same_remembered_or_not(monkeypatch):
    monkeypatch.setattr(influx, "SERIES_MAX", 2)
    codec = InfluxCodec(PLANT)
    lines = "\n".join(f"m,machine\\ id=p{number % 5} temp={number} {number}" for number in range(20))
    assert decode(PLANT, lines, codec=codec).device.tolist() == [f"m/p{number % 5}" for number in range(20)]
    assert len(codec._series) <= 2
    decode(PLANT, f"m,machine\\ id={'x' * 1000} temp=1", codec=codec)
    assert max(map(len, codec._series)) <= influx.SERIES_CHARS_MAX


def test_what_a_payload_may_bring_is_bounded():
    too_many = "m " + ",".join(["a=1"] * (influx.PAIRS_MAX + 1))
    wrong = "m temp=1 1\n" + "m\n" * (influx.WRONG_LINES_MAX + 1)
    wide = replace(PLANT, channels=plain_channels("temp", *(f"c{number}" for number in range(1023))))
    rows = "\n".join(f"m temp=1 {number}" for number in range(65))
    for source, payload, reason in (
        (PLANT, too_many, "too_large"),
        (PLANT, wrong, "malformed"),
        (wide, rows, "too_many_readings"),
    ):
        decoded = decode(source, payload)
        assert ([fault.reason for fault in decoded.faults], len(decoded.x)) == ([reason], 0)


def test_no_pattern_goes_back_over_what_it_has_read():
    """Linear time: every repetition is possessive."""
    patterns = [value.pattern for value in vars(influx).values() if isinstance(value, re.Pattern)]
    repeated = [repeat for pattern in patterns for repeat in re.findall(r"[])][*+]\+?", pattern)]
    assert repeated
    assert all(repeat.endswith("+") and len(repeat) == 3 for repeat in repeated)


NAME = st.text(st.sampled_from('a7 ,=\\"é.'), min_size=1, max_size=6).filter(
    lambda name: name[-1] != "\\" and name[0] not in '# "'
)
VALUE = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: (repr(number), number)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: (f"{number}i", float(number))),
    st.integers(0, 2**64 - 1).map(lambda number: (f"{number}u", float(number))),
    st.sampled_from([("t", 1.0), ("False", 0.0)]),
)


def written(text: str) -> str:
    return re.sub(r"([\\,= ])", r"\\\1", text)


@pytest.mark.slow
@given(st.data(), st.dictionaries(NAME, VALUE, min_size=1, max_size=4), st.dictionaries(NAME, NAME, max_size=3), NAME)
def test_what_is_written_is_read_back(data, fields, tags, measurement):
    assume(not any(f"{measurement}.{name}" in fields for name in fields))  # `7.7` is the field 7 of a measurement 7
    time = data.draw(st.integers(0, 2**62 - 1))
    source = replace(
        PLANT,
        channels=plain_channels(*fields),
        device="{kind}",
        tags=(("kind", "measurement"), *((f"t{index}", tag) for index, tag in enumerate(tags) if tag != "measurement")),
    )
    series = ",".join([written(measurement), *(f"{written(tag)}={written(value)}" for tag, value in tags.items())])
    line = f"{series} {','.join(f'{written(name)}={text}' for name, (text, _) in fields.items())} {time}"
    codec = InfluxCodec(source)
    decoded = decode(source, line, codec=codec)
    assert decoded.device.tolist() == [measurement]
    assert decoded.x.tolist() == [[number for _, number in fields.values()]]
    assert decoded.t_ns.tolist() == [time]
    assert next(iter(codec._series.values())).tags[1:] == tuple(tags[tag] for tag in tags if tag != "measurement")


@given(
    st.text(st.sampled_from('ab,= \\"1t\n#.i'), max_size=30), st.sampled_from(["", "m ", "m,a=b temp=1", 'm temp="'])
)
def test_no_text_raises(text, start):
    decoded = decode(PLANT, start + text)
    assert len(decoded.x) or [fault.reason for fault in decoded.faults]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"time_unit": "iso8601"}, "time.unit"),
        ({"time_field": "ts"}, "time.field"),
        ({"channel": "{host}"}, "channel"),
        ({"payload": PayloadForm(form="pairs")}, "payload"),
    ],
)
def test_what_it_cannot_use_is_a_problem(changes, key):
    assert list(InfluxCodec.problems(PLANT)) == []
    assert [problem for problem, _ in InfluxCodec.problems(replace(PLANT, **changes))] == [key]
