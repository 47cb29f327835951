"""Cells as numbers and times: the same in a CSV and a Parquet file, alone and among many."""

import math

import numpy as np
import pytest

from agent.sources import SourceChannel
from agent.table.cells import BadCell, cell_numbers, cell_texts, cell_times
from agent.table.form import Moments
from agent.values.times import IMPOSSIBLE_NS

NAN = math.nan
STATE = SourceChannel("state", words=(("ON", 1.0), ("OFF", 0.0), ("Bad", NAN), ("I/O Timeout", NAN)))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("55.1", 55.1), (" 5 ", 5.0), ("1e3", 1000.0), ("", NAN), ("  ", NAN), ("nan", NAN), ("NaN", NAN),
        ("-nan", NAN), ("true", 1.0), ("False", 0.0), ("ON", 1.0), (" OFF ", 0.0), ("Bad", NAN),
        ("I/O Timeout", NAN),
    ],
)  # fmt: skip
def test_a_text_is_a_number_or_none(text, number):
    assert cell_numbers([text], STATE).tobytes() == np.array([number]).tobytes()
    assert cell_numbers(["1", text, " OFF"], STATE).tobytes() == np.array([1, number, 0]).tobytes()


@pytest.mark.parametrize("text", ["1_000", "0x1F", "1,5", "on", "bad", "\u0665", "1 2", "--"])
def test_any_other_text_is_refused_with_its_place(text):
    with pytest.raises(BadCell) as refused:
        cell_numbers(["1", text, "x"], STATE)
    assert refused.value.index == 1


def test_numbers_of_a_typed_file_are_taken_as_they_are():
    assert cell_numbers(np.array([-np.nan]), STATE).tobytes() == np.array([np.nan]).tobytes()
    assert cell_numbers(np.array([1, 2]), STATE).tolist() == [1.0, 2.0]
    with pytest.raises(BadCell):
        cell_numbers(Moments(np.array([0]), is_local=True), STATE)
    assert list(cell_texts(np.array([2**60 + 1]))) == [str(2**60 + 1)]
    assert list(cell_texts(np.array([14.0, np.nan]))) == ["14", ""]


T_NS = 1_795_814_694_123_456_789


@pytest.mark.parametrize(
    ("cell", "unit", "t_ns"),
    [
        ("1795814694.5", "s", 1_795_814_694_500_000_000),
        ("1795814694123", "ms", 1_795_814_694_123_000_000),
        ("1795814694123456", "us", 1_795_814_694_123_456_000),
        (str(T_NS), "ns", T_NS),
        ("1.795814694e18", "ns", 1_795_814_694_000_000_000),
        ("7.25", "cycle", 7_250_000_000),
        ("", "s", IMPOSSIBLE_NS),
        ("-1", "s", IMPOSSIBLE_NS),
        ("-1", "ns", IMPOSSIBLE_NS),
        ("1_000", "s", IMPOSSIBLE_NS),
        ("1_000", "ns", IMPOSSIBLE_NS),
        ("1e30", "ns", IMPOSSIBLE_NS),
        ("late", "cycle", IMPOSSIBLE_NS),
    ],
)
def test_a_number_is_a_time_in_its_unit(cell, unit, t_ns):
    assert cell_times([cell], unit, "", are_texts=False).tolist() == [t_ns]
    assert cell_times([cell, "1"], unit, "", are_texts=False)[0] == t_ns


def test_a_typed_time_is_exact():
    assert cell_times(np.array([T_NS, -1]), "ns", "", are_texts=False).tolist() == [T_NS, IMPOSSIBLE_NS]
    assert cell_times(np.array([5, 6]), "ms", "", are_texts=False).tolist() == [5_000_000, 6_000_000]
    assert cell_times(np.array([5]), "iso8601", "", are_texts=True).tolist() == [IMPOSSIBLE_NS]


def test_a_date_of_a_file_is_local_where_it_has_no_zone():
    texts = ["2026-07-15T12:00:00.123456789", "2026-10-25T02:30:00"]
    local = np.array(texts, "M8[ns]").astype(np.int64)
    wanted = cell_times(texts, "s", "Europe/Berlin", are_texts=True)
    assert cell_times(Moments(local, is_local=True), "s", "Europe/Berlin", are_texts=False).tolist() == wanted.tolist()
    assert cell_times(Moments(local, is_local=False), "s", "Europe/Berlin", are_texts=False).tolist() == local.tolist()
    assert cell_times(Moments(local, is_local=True), "cycle", "", are_texts=False).tolist() == [IMPOSSIBLE_NS] * 2
