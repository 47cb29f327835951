"""What is allowed and unlike the training: `check` says so, with line and key."""

import pytest

from tests.lab import checked_source, write_lab


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ('[source.align]\nevery = "1s"\nmax_age = "1m"', "4 source[press].align.every: a row each 1s, and the bundle of"
         " the model 'main' learnt rows each 10 s: they are not scored as in training"),
        ('[source.align]\nlateness = "2m"', "4 source[press].align.lateness: readings wait 2m, and the bundle of the"
         " model 'main' takes 60 s without a row for lost history: warnings come late by as much"),
        ('[source.channels]\ntemp = { unit = "degF" }', "4 source[press].channels.temp: is in 'degF' here and in 'degC'"
         " in the bundle: give scale and offset"),
        ('[source.align]\nmax_age = "1m"', "3 source[press].align: a row is made for each message, and rows that come"
         " sooner than each 10 s, as the bundle of the model 'main' learnt them, are `too_fast`: every = \"10s\" makes"
         " them in time"),
        ('[source.channels]\ntemp = { max_age = "1m" }', "0 source[press].align: a row is made for each message, and"
         " rows that come sooner than each 10 s, as the bundle of the model 'main' learnt them, are `too_fast`: every ="
         ' "10s" makes them in time'),
        ('[source.align]\nevery = "10s"\nmax_age = "1m"', None),
        ('[source.align]\nevery = "10300ms"\nmax_age = "1m"', None),
        ('[source.channels]\ntemp = { unit = "degF", scale = 0.5555, offset = -17.78 }', None),
        ('[source.channels]\ntemp = { unit = "degC" }', None),
    ],
)  # fmt: skip
def test_what_is_unlike_the_training_is_doubtful(tmp_path, text, doubt):
    assert checked_source(tmp_path, text) == ([] if doubt is None else [doubt])


def test_codes_of_the_training_are_of_its_unit_and_no_other(tmp_path):
    write_lab(tmp_path, missing=(-9999.0,), words={"OFF": 0.0})
    assert checked_source(tmp_path, "[source.channels]\ntemp = { scale = 0.1 }") == [
        f"4 source[press].channels.temp: the bundle's {key} are of its own unit, not of this scale: give those of the "
        "payloads here"
        for key in ("missing", "words")
    ]
    given = "[source.channels]\ntemp = { scale = 0.1, missing = [-999], words = {} }"
    assert checked_source(tmp_path, given) == []
