"""Durations and sizes are written with their unit, and read back from what is printed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.quantity import format_size, parse_size
from agent.values.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("2m", 120), ("2min", 120), ("1h", 3600), ("1.5h", 5400), ("30d", 2_592_000),
     ("2w", 1_209_600), ("0s", 0), ("50us", 5e-5), ("10 s", 10)],
)  # fmt: skip
def test_durations(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1e3s", "30 days", "1h30m", "nans", "٣s", 30, True, None, []])
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(ValueError, match='such as "250ms", "30s"'):
        parse_duration(text)


def test_a_duration_beyond_all_use_is_refused():
    with pytest.raises(ValueError, match="at most 36500d"):
        parse_duration("999999999999999w")


@given(st.timedeltas(timedelta(0), timedelta(days=30_000)))
def test_a_printed_duration_is_read_back(duration):
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1.5MiB", 1_572_864), ("10MB", 10**7), (64, 64)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "64", "64K", "64kib", "-1B", True, 1.5, None])
def test_what_is_no_size_is_refused_with_examples(text):
    with pytest.raises(ValueError, match='such as "512B", "64KiB"'):
        parse_size(text)


@pytest.mark.parametrize("text", ["0.5B", "999999999999999GiB"])
def test_a_size_that_cannot_be_is_refused(text):
    with pytest.raises(ValueError, match="whole number of bytes up to"):
        parse_size(text)


@given(st.integers(0, 2**50))
def test_a_printed_size_is_read_back(size_bytes):
    assert parse_size(format_size(size_bytes)) == size_bytes
