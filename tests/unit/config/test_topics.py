"""Topics: levels and their names, sources that overlap, machines that would become one."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.broker_settings import Broker
from agent.config.settings import Publish
from agent.config.source_settings import SourceSettings
from agent.config.source_tables import Time
from agent.config.topics import overlap, topic_faults
from tests.lab import checked_source

CYCLE = Time(field="cycle", unit="cycle")


def source(name: str = "press", topic: str = "plant/{device}/cycle", **changes: object) -> SourceSettings:
    return SourceSettings.model_validate({"name": name, "topic": topic, "time": CYCLE, **changes})


LEVELS = ["a", "b", "+"]
FILTERS = [
    "/".join((*middle, *end))
    for n_levels in range(4)
    for middle in product(LEVELS, repeat=n_levels)
    for end in ((), ("#",))
    if middle or end
]
TOPICS = ["/".join(levels) for n_levels in range(1, 5) for levels in product(["a", "b", "c"], repeat=n_levels)]


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5, section 4.7, written by itself."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)] if len(levels) >= len(wanted) else []
    return len(wanted) == len(levels) and all(one in ("+", other) for one, other in zip(wanted, levels, strict=True))


MATCHED = {topics: frozenset(topic for topic in TOPICS if matches(topics, topic)) for topics in FILTERS}


@given(st.sampled_from(FILTERS), st.sampled_from(FILTERS))
def test_filters_overlap_when_some_topic_matches_both(one, other):
    assert overlap(one, other) == bool(MATCHED[one] & MATCHED[other])
    assert overlap(one, other) == overlap(other, one)


@pytest.mark.parametrize(
    ("one", "other", "both"), [("#", "$SYS/a", False), ("+/a", "$SYS/a", False), ("$SYS/#", "$SYS/a", True)]
)
def test_a_wildcard_leaves_the_brokers_own_topics_out(one, other, both):
    assert overlap(one, other) == overlap(other, one) == both


def test_overlapping_sources_and_fed_back_output_are_refused():
    sources = [(0, source()), (2, source("all", "plant/{device}/#")), (3, source("self", "forewarn/{device}/event"))]
    broker, other = Broker(), Broker(host="other")
    assert list(topic_faults(sources, Publish(), {"": broker}, broker)) == [
        (("source", 2, "topic"), "overlaps with 'plant/{device}/cycle' of the source 'press'"),
        (("source", 3, "topic"), "would read what forewarn itself publishes under forewarn/"),
    ]
    assert len(list(topic_faults(sources, Publish(), {"": broker}, other))) == 1
    assert len(list(topic_faults(sources, Publish(prefix="plant"), {"": broker}, broker))) == 3


@pytest.mark.parametrize(
    ("topic", "is_refused"),
    [
        ("{device}/events/rpc", False),  # makers' own: Shelly, then ESPHome
        ("{device}/sensor/{channel}/state", False),
        ("{line}/{device}/{channel}", False),  # matches forewarn/NODE/status, which is passed over
        ("+/{device}/tele", True),
        ("{device}/#", True),  # every score would come back
        ("#", True),
        ("forewarn/{device}/tele", True),
        ("plant/{device}/#", False),
    ],
)
def test_a_topic_that_begins_with_a_name_is_taken_as_makers_have_it(topic, is_refused):
    broker = Broker()
    found = list(topic_faults([(0, source(topic=topic))], Publish(), {"": broker}, broker))
    what = "would read what forewarn itself publishes under forewarn/"
    assert found == ([(("source", 0, "topic"), what)] if is_refused else [])


def test_a_prefix_of_several_levels_may_begin_as_topics_do():
    broker = Broker()
    sources = [(0, source(topic="plant/{device}/tele")), (1, source("other", "plant/out/{device}/tele"))]
    ((key, _),) = topic_faults(sources, Publish(prefix="plant/out"), {"": broker}, broker)
    assert key == ("source", 1, "topic")


def test_a_topic_that_a_broker_would_close_the_connection_for_is_named():
    ((key, what),) = topic_faults([(3, source(topic="a\x01b/{device}"))], Publish(), {}, None)
    assert key == ("source", 3, "topic")
    assert what == "'a\\x01b/{device}' holds a control character: a broker closes the connection for it"


@pytest.mark.parametrize(
    ("topic", "device", "doubt"),
    [
        ("plant/+/{device}/tele", "{device}", '`+` in \'plant/+/{device}/tele\' lets several topics name one device:'
         ' two machines of one name become one. Give that level a name, such as {line}, and say device ='
         ' "{line}/{device}"'),
        ("plant/{line}/{device}/tele", "{device}", "{line} in 'plant/{line}/{device}/tele' is no part of device ="
         " '{device}': two machines of one name become one. device = \"{line}/{device}\" tells them apart"),
        ("plant/{line}/{device}/tele", "{line}/{device}", None),
        ("plant/{device}/#", "{device}", None),
        ("plant/+/tele", "{machine}", None),
    ],
)  # fmt: skip
def test_two_machines_of_one_name_are_doubtful(tmp_path, topic, device, doubt):
    found = checked_source(tmp_path, f'tags = {{ machine = "id" }}\ndevice = "{device}"', f'topic = "{topic}"')
    assert found == ([] if doubt is None else [f"2 source[press].topic: {doubt}"])
