import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode.topic import Pattern, device_id_problem


@pytest.mark.parametrize(
    ("pattern", "topic", "device"),
    [
        ("plant/{device}/telemetry", "plant/p7/telemetry", "p7"),
        ("plant/{device}/telemetry", "plant/p7/status", None),
        ("plant/{device}/telemetry", "plant/p7/telemetry/x", None),
        ("plant/{device}/telemetry", "plant/p7", None),
        ("{device}", "p7", "p7"),
        ("+/{device}/#", "a/p7/b/c", "p7"),
        ("+/{device}/#", "a/p7", "p7"),
        ("+/{device}/#", "a", None),
        ("plant/{device}", "plant/", ""),
    ],
)
def test_the_device_is_the_marked_level(pattern, topic, device):
    assert Pattern.parse(pattern).device(topic) == device


def test_the_filter_subscribes_to_every_device():
    assert Pattern.parse("plant/{device}/+/#").filter == "plant/+/+/#"


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("plant/telemetry", "exactly one level"),
        ("{device}/{device}", "exactly one level"),
        ("plant/p{device}/x", "exactly one level"),
        ("plant/#/{device}", "only be the last"),
        ("a+/{device}", "mixes a wildcard"),
        ("$share/g/plant/{device}", "shared subscription"),
    ],
)
def test_a_pattern_that_names_no_one_device_is_refused(pattern, match):
    with pytest.raises(ValueError, match=match):
        Pattern.parse(pattern)


@given(st.lists(st.text(st.characters(blacklist_characters="/+#{}\0"), min_size=1), min_size=1, max_size=5), st.data())
def test_the_device_put_into_a_topic_comes_out(levels, data):
    place = data.draw(st.integers(0, len(levels) - 1))
    device = levels[place]
    pattern = "/".join([*levels[:place], "{device}", *levels[place + 1 :]])
    if not pattern.startswith("$share/"):
        assert Pattern.parse(pattern).device("/".join(levels)) == device


@pytest.mark.parametrize(("device", "problem"), [("p7", ""), ("", "empty"), ("é" * 65, "longer"), ("a\x07", "control")])
def test_device_ids(device, problem):
    assert problem in device_id_problem(device, 128)
    assert bool(problem) == bool(device_id_problem(device, 128))
