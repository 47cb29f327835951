import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode.topic import Pattern, device_id_problem, level_names


@pytest.mark.parametrize(
    ("pattern", "topic", "tags"),
    [
        ("plant/{device}/telemetry", "plant/p7/telemetry", ("p7",)),
        ("plant/{device}/telemetry", "plant/p7/status", None),
        ("plant/{device}/telemetry", "plant/p7/telemetry/x", None),
        ("plant/{device}/telemetry", "plant/p7", None),
        ("{device}", "p7", ("p7",)),
        ("+/{device}/#", "a/p7/b/c", ("p7",)),
        ("+/{device}/#", "a/p7", ("p7",)),
        ("+/{device}/#", "a", None),
        ("plant/{device}", "plant/", ("",)),
        ("plant/{site}/{device}", "plant/north/p7", ("north", "p7")),
        ("plant/{line}/+/{device}/{channel}/#", "plant/l1/x/p7/temp/now/raw", ("l1", "p7", "temp")),
        ("plant/all", "plant/all", ()),
        ("plant/all", "plant/every", None),
        ("#", "a/b", ()),
        ("{a}/{b}", "a/b/c", None),
        ("a/#", "a", ()),
    ],
)
def test_the_tags_are_the_named_levels(pattern, topic, tags):
    assert Pattern.parse(pattern).tags(topic) == tags


@pytest.mark.parametrize(
    ("pattern", "topic"), [("#", "$SYS/broker/uptime"), ("+/{device}", "$SYS/p7"), ("{a}/{device}", "$SYS/p7")]
)
def test_a_wildcard_at_the_first_level_leaves_the_brokers_own_topics_out(pattern, topic):
    """MQTT 5, 4.7.2."""
    assert Pattern.parse(pattern).tags(topic) is None


def test_a_pattern_that_begins_with_a_dollar_matches_as_it_says():
    assert Pattern.parse("$SYS/{device}").tags("$SYS/p7") == ("p7",)


def test_the_filter_subscribes_to_every_text_of_a_named_level():
    assert Pattern.parse("plant/{line}/{device}/+/#").filter == "plant/+/+/+/#"


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("{device}/{device}", "two levels are named {device}"),
        ("plant/p{device}/x", "mixes a wildcard or a name with text"),
        ("plant/{a}{b}/x", "mixes a wildcard or a name with text"),
        ("plant/{a/b}/x", "mixes a wildcard or a name with text"),
        ("plant/{}/x", "is no name"),
        ("plant/{1st}/x", "is no name"),
        ("plant/#/{device}", "only be the last"),
        ("a+/{device}", "mixes a wildcard or a name with text"),
        ("$share/g/plant/{device}", "run several agents and give each its own topics"),
        ("$queue/plant/{device}", "run several agents and give each its own topics"),
        ("", "has a character at least"),
        ("plant/\0/{device}", "no NUL"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(pattern, match):
    with pytest.raises(ValueError, match=match):
        Pattern.parse(pattern)


LEVELS = st.lists(st.text(st.characters(blacklist_characters="/+#{}\0"), min_size=1), min_size=1, max_size=5)


@pytest.mark.slow
@given(LEVELS, st.data())
def test_the_texts_put_into_named_levels_come_out(levels, data):
    places = sorted(data.draw(st.sets(st.integers(0, len(levels) - 1), min_size=1)))
    pattern = "/".join(f"{{l{place}}}" if place in places else level for place, level in enumerate(levels))
    if not levels[0].startswith("$"):
        assert Pattern.parse(pattern).tags("/".join(levels)) == tuple(levels[place] for place in places)


@pytest.mark.parametrize(
    ("pattern", "device", "channel", "may"),
    [
        ("plant/{device}/tele", "{device}", "", False),
        ("plant/{line}/{device}/tele", "{line}/{device}", "", False),
        ("plant/{line}/{device}/tele", "{device}", "", True),
        ("plant/+/{device}/tele", "{device}", "", True),
        ("plant/{device}/#", "{device}", "", True),
        ("plant/{device}/{channel}", "{device}", "{channel}", False),
        ("plant/{device}/{channel}", "{device}", "", True),
        ("plant/+/{device}/{channel}", "{device}", "{channel}", True),
        ("plant/all", "{id}", "", False),
        ("plant/+/up", "{id}", "", True),
    ],
)
def test_a_pattern_says_whether_two_of_its_topics_may_name_one_device(pattern, device, channel, may):
    assert Pattern.parse(pattern).may_merge(device, channel) is may


def test_several_topics_have_the_names_of_all():
    assert level_names(("plant/{line}/{device}", "hall/{device}/{shift}")) == ("line", "device", "shift")


@pytest.mark.parametrize(("device", "problem"), [("p7", ""), ("", "empty"), ("é" * 65, "longer"), ("a\x07", "control")])
def test_device_ids(device, problem):
    assert problem in device_id_problem(device, 128)
    assert bool(problem) == bool(device_id_problem(device, 128))
