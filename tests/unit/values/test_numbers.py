"""Written numbers, and what a channel's number stands for."""

import math

import numpy as np
import pytest

from agent.sources import SourceChannel
from agent.values.numbers import NUMBER_CHARS_MAX, engineering_units, number_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("55.1", 55.1),
        (" -3 ", -3.0),
        ("+1e3", 1000.0),
        ("1.E-2", 0.01),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0", -0.0),
        ("007", 7.0),
        ("1e400", math.inf),
        ("0" * 300 + "1", 1.0),
    ],
)
def test_a_number_has_digits_a_point_and_an_exponent(text, number):
    assert math.copysign(1, number_of(text)) == math.copysign(1, number)
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1_000",
        "0x1F",
        "55,1",
        "nan",
        "inf",
        "-Infinity",
        "1e",
        ".",
        "+",
        "1 2",
        "\u0665",
        "1" * (NUMBER_CHARS_MAX + 1),
        "on",
    ],
)
def test_anything_else_is_no_number(text):
    with pytest.raises(ValueError, match="is no number"):
        number_of(text)


PLAIN = SourceChannel("plain")


def test_without_a_mapping_x_is_given_back():
    x = np.float32([[1, np.nan]])
    assert engineering_units(x, (PLAIN, PLAIN)) is x
    wide = engineering_units(np.array([[1e300, 0.1]]), (PLAIN, PLAIN))
    assert wide.dtype == np.float32
    assert wide.tobytes() == np.float32([[np.inf, 0.1]]).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_code_for_no_value_is_the_same_in_both_widths(dtype):
    """-9999.1 is no float32, so a payload of float32 has another number than the configuration."""
    channels = (SourceChannel("a", missing=(-9999.1, 65535)), PLAIN)
    x = np.array([[-9999.1, -9999.1], [65535, 65535], [1, 1], [np.nan, 2]], dtype)
    before = x.copy()
    units = engineering_units(x, channels)
    assert units.tobytes() == np.float32([[np.nan, -9999.1], [np.nan, 65535], [1, 1], [np.nan, 2]]).tobytes()
    assert x.tobytes() == before.tobytes()


def test_a_code_beyond_float32_is_not_every_number_beyond_it():
    channels = (SourceChannel("a", missing=(1.7976931348623157e308,)),)
    x = np.array([[1.7976931348623157e308], [1e300]])
    assert engineering_units(x, channels).tobytes() == np.float32([[np.nan], [np.inf]]).tobytes()


def test_codes_are_found_before_numbers_are_scaled():
    channels = (SourceChannel("a", missing=(0,), scale=0.1, offset=-40), SourceChannel("b", offset=1))
    units = engineering_units(np.array([[0, 0], [400, 1]]), channels)
    assert units.tobytes() == np.float32([[np.nan, 1], [400 * 0.1 - 40, 2]]).tobytes()
