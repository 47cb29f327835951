"""Written times, of payloads and of tables."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.values.times import IMPOSSIBLE_NS, NS_PER, T_NS_MAX, scaled_ns, text_time_ns, texts_ns, time_zone

AT_NS = 1_795_814_694 * 10**9  # 2026-11-27T21:24:54Z
MIDNIGHT_NS = 1_795_737_600 * 10**9
MANY = 60  # texts that are read as columns


@pytest.mark.parametrize(
    ("text", "t_ns"),
    [
        ("2026-11-27", MIDNIGHT_NS),
        ("20261127", MIDNIGHT_NS),
        ("2026-W48-5", MIDNIGHT_NS),
        ("2026-11-27T21:24:54Z", AT_NS),
        ("2026-11-27T21:24:54+00", AT_NS),
        ("2026-11-27T21:24:54+0000", AT_NS),
        ("2026-11-27T22:54:54+01:30", AT_NS),
        ("2026-11-27T15:24:54-06", AT_NS),
        ("20261127T212454Z", AT_NS),
        ("20261127T212454+0000", AT_NS),
        ("2026-11-27T21:24Z", AT_NS - 54 * 10**9),
        ("2026-11-27T21Z", AT_NS - (24 * 60 + 54) * 10**9),
        ("2026-11-27 21:24:54", AT_NS),
        (" 2026-11-27T21:24:54 ", AT_NS),
        ("2026-11-27t21:24:54z", AT_NS),
        ("2026-11-27T21:24:54.1Z", AT_NS + 10**8),
        ("2026-11-27T21:24:54.1234567Z", AT_NS + 123_456_700),
        ("2026-11-27T21:24:54.123456789Z", AT_NS + 123_456_789),
        ("2026-11-27T21:24:54,000000001", AT_NS + 1),
        ("20261127T212454.123456789+00", AT_NS + 123_456_789),
        ("2026-11-27T21:24:54.1234567899999Z", AT_NS + 123_456_789),
    ],
)
def test_a_text_is_read_to_the_nanosecond_alone_and_among_many(text, t_ns):
    assert text_time_ns(text) == t_ns
    assert texts_ns([text]).tolist() == [t_ns]
    assert texts_ns(["2026-11-27T21:24:54Z", text] * MANY).tolist() == [AT_NS, t_ns] * MANY
    assert texts_ns([text] * MANY).tolist() == [t_ns] * MANY


@pytest.mark.parametrize(
    "text",
    [
        "", "27.11.2026", "11/27/2026 21:24", "2026-11-27+01", "2026-11-27X21:24:54", "2026-02-29",
        "2026-11-27T24:00:00Z",
        "2026-11-27T21:60:00Z", "2026-11-27T21:24:60Z", "2026-11-27T21:24:54.Z", "2026-11-27T21:24:54+24:00",
        "2026-00-10T00:00:00Z", "2026-13-10T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-31T00:00:00Z", "1795814694",
        "\u0662\u0660\u0662\u0666-11-27T21:24:54Z", "2026-11-27T21:24:54.\u0661Z",
        "2026-11-27T21:24:54." + "1" * 10_000, "0000-01-01T00:00:00", "noon", "2026-11-27\x0021:24:54",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_alone_and_among_many(text):
    with pytest.raises(ValueError, match="is no ISO 8601 time") as refused:
        text_time_ns(text)
    assert len(str(refused.value)) < 200
    good = "2026-11-27T21:24:54Z"
    assert texts_ns([text, good] * MANY).tolist() == [IMPOSSIBLE_NS, AT_NS] * MANY
    assert texts_ns([text] * MANY).tolist() == [IMPOSSIBLE_NS] * MANY


@pytest.mark.parametrize(
    "text", ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2117-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_out_of_range_is_impossible(text):
    with pytest.raises(ValueError, match="before 1970 or after 2116"):
        text_time_ns(text)
    assert texts_ns([text] * MANY).tolist() == [IMPOSSIBLE_NS] * MANY
    local = text.removesuffix("Z")  # no zone may bring it beyond what Python's dates hold
    for zone in ("Pacific/Kiritimati", "Pacific/Honolulu"):
        assert set(texts_ns([local] * MANY, zone).tolist()) == set(texts_ns([local], zone).tolist())


def test_a_text_without_an_offset_is_local_time_of_the_zone():
    """Winter, summer, the hour that spring leaves out, the hour that comes twice; an offset in the text wins."""
    utc = {
        "2026-01-15T12:00:00": "2026-01-15T11:00:00Z",
        "2026-07-15T12:00:00": "2026-07-15T10:00:00Z",
        "2026-03-29T02:30:00": "2026-03-29T01:30:00Z",
        "2026-10-25T02:30:00": "2026-10-25T00:30:00Z",
        "2026-10-25T02:30:00+01:00": "2026-10-25T01:30:00Z",
        "2026-07-15": "2026-07-14T22:00:00Z",
    }
    for text, same in utc.items():
        assert texts_ns([text] * MANY, "Europe/Berlin").tolist() == texts_ns([same] * MANY).tolist()
        assert text_time_ns(text, "Europe/Berlin") == text_time_ns(same)


def test_a_zone_that_nobody_knows_is_refused():
    for name in ("Europe/Atlantis", "Europe", "../../etc/passwd", "CET+1\0"):
        with pytest.raises(ValueError, match="is no time zone"):
            time_zone(name)


ZONES = st.sampled_from(
    ["", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Africa/Monrovia", "Australia/Lord_Howe"]
)
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1))
OFFSETS = st.sampled_from([None, UTC, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=14))])


@pytest.mark.slow
@given(
    st.lists(MOMENTS, min_size=1, max_size=9),
    OFFSETS,
    ZONES,
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_texts_mean_what_python_says_they_mean(moments, offset, zone, spec):
    texts = [moment.replace(tzinfo=offset).isoformat(timespec=spec) for moment in moments]
    aware = [datetime.fromisoformat(text) for text in texts]
    aware = [moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone or "UTC")) for moment in aware]
    micros = [(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for moment in aware]
    wanted = [micro * 1000 for micro in micros]
    assert [text_time_ns(text, zone) for text in texts] == wanted
    assert texts_ns(texts * MANY, zone).tolist() == wanted * MANY


@pytest.mark.slow
@given(st.lists(st.text("0123456789-:T Zz+.,W", max_size=30) | MOMENTS.map(str), max_size=9), ZONES)
def test_a_text_means_the_same_alone_and_among_many(texts, zone):
    """Law 2 begins here: a neighbour's text changes nothing, and nothing but IMPOSSIBLE_NS comes of a bad one."""
    alone = [int(texts_ns([text], zone)[0]) for text in texts]
    assert texts_ns(texts * MANY, zone).tolist() == alone * MANY


def test_scaled_times_are_exact_and_bounded():
    t_s = np.array([0, 1_795_814_694.5, 1.000000001, -1, np.nan, np.inf, T_NS_MAX / 1e9])
    wanted = [0, AT_NS + 5 * 10**8, 10**9 + 1, *[IMPOSSIBLE_NS] * 4]
    assert scaled_ns(t_s, NS_PER["s"]).tolist() == wanted
    assert scaled_ns(np.array([1_795_814_694_001.0]), NS_PER["ms"]).tolist() == [AT_NS + 10**6]
