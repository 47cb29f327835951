import pytest

from agent.readable import against_arrival, span


@pytest.mark.parametrize(
    ("span_s", "text"),
    [
        (0, "0 s"),
        (1e-5, "1e-05 s"),
        (0.0125, "12.5 ms"),
        (0.9999, "1 s"),
        (1, "1 s"),
        (42, "42 s"),
        (59.96, "60 s"),
        (210, "3.5 min"),
        (-7200, "2 h"),
        (86_400, "1 day"),
        (129_600, "1.5 days"),
        (86_400 * 999.7, "1,000 days"),
        (1_795_814_327, "20,785 days"),
        (2**63 / 1e9, "106,752 days"),
    ],
)
def test_a_span_is_said_in_the_unit_that_suits_it(span_s, text):
    assert span(span_s) == text


def test_a_time_is_said_against_its_arrival():
    assert against_arrival(7200) == "its time is 2 h ahead of its arrival"
    assert against_arrival(-210) == "its time is 3.5 min behind its arrival"
