import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sources import SourceChannel
from agent.values.value import BadValue, value_of

VALVE = SourceChannel("valve", words=(("ON", 1.0), ("OFF", 0.0), ("n/a", math.nan)))


@pytest.mark.parametrize(
    ("found", "number"),
    [(55.1, 55.1), (55, 55.0), (True, 1.0), (False, 0.0), (2**70, 2.0**70), ("ON", 1.0), ("OFF", 0.0), (-0.0, -0.0)],
)
def test_a_value_is_a_number(found, number):
    assert value_of(found, VALVE) == number


@pytest.mark.parametrize("found", [None, "n/a"])
def test_null_and_a_word_for_no_value_are_missing(found):
    assert math.isnan(value_of(found, VALVE))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("unavailable", "valve is 'unavailable'"),
        ("on", "valve is 'on'"),
        ("55.1", "valve is '55.1'"),
        ("x" * 70_000, f"valve is '{'x' * 40}...'"),
        (math.nan, "valve is nan"),
        (-math.inf, "valve is -inf"),
        ([1], "valve is an array"),
        ({"value": 1}, "valve is an object"),
        (b"1", "valve is bytes"),
    ],
)
def test_anything_else_is_a_bad_value_that_names_field_and_value(found, text):
    with pytest.raises(BadValue) as error:
        value_of(found, VALVE)
    assert (str(error.value), error.value.reason) == (text, "bad_value")


@pytest.mark.parametrize("found", [10**400, "1e400", "9" * 350])
def test_a_number_beyond_a_double_is_out_of_range(found):
    with pytest.raises(BadValue, match="beyond what a double holds") as error:
        value_of(found, VALVE, numbers_as_text=True)
    assert error.value.reason == "out_of_range"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("55.1", 55.1),
        (" 55.1\n", 55.1),
        ("+5", 5.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e5", 1e5),
        ("True", 1.0),
        ("OFF", 0.0),
    ],
)
def test_a_text_is_a_number_where_the_source_says_so(text, number):
    assert value_of(text, VALVE, numbers_as_text=True) == number


@pytest.mark.parametrize("text", ["", "nan", "Infinity", "1_000", "0x10", "5,1", "1e", "٣", "9" * 70_000])
def test_a_text_that_writes_no_number_is_a_bad_value(text):
    with pytest.raises(BadValue):
        value_of(text, VALVE, numbers_as_text=True)


@pytest.mark.slow
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists))
def test_a_value_is_finite_or_missing_or_told(found):
    told = ""
    try:
        number = value_of(found, VALVE, numbers_as_text=True)
    except BadValue as error:
        told, number = str(error), 0.0
    assert len(told) < 400
    assert math.isfinite(number) or found is None or str(found).strip().lower() in ("n/a", "null")
    assert not math.isinf(number)
