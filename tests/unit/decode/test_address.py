import numpy as np
import pytest

from agent.decode.address import Addresses, Ways
from agent.decode.readings import Address
from agent.sources import Source, plain_channels


def source(*topics, name="s", **changes):
    return Source(name, topics, "", "arrival", plain_channels("t"), **changes)


def find(topic, *sources):
    """The address of a topic and what is said of it."""
    drops = []
    (address,) = Addresses(sources, 20).find([topic], drops)
    assert address is None or address.topic == topic
    address = address and address._replace(topic="")
    return address, [(drop.reason, drop.source, drop.detail) for drop in drops]


def test_a_topic_gives_source_device_and_tags():
    press, oven = source("press/{line}/{device}"), source("oven/{device}/+/{shift}", device="{shift}/{device}")
    assert find("press/l1/p7", press, oven) == (Address(0, "p7", ("l1", "p7")), [])
    assert find("oven/o1/x/late", press, oven) == (Address(1, "late/o1", ("o1", "late")), [])


def test_a_source_with_several_topics_has_the_tags_of_all():
    several = source("plant/{line}/{device}", "hall/{device}/of/{line}", "yard/{device}")
    assert find("hall/p7/of/l1", several)[0] == Address(0, "p7", ("l1", "p7"))
    assert find("yard/p7", several)[0] == Address(0, "p7", ("", "p7"))


def test_a_device_that_the_payload_names_is_not_in_the_address():
    assert find("plant/l1", source("plant/{line}", device="{line}/{id}", tags=(("id", "id"),)))[0] == Address(
        0, "", ("l1",)
    )
    assert find("edge/e1", source("edge/{edge}", "edge/{edge}/{device}"))[0] == Address(0, "", ("e1", ""))


@pytest.mark.parametrize(
    ("topic", "reason", "of", "detail"),
    [
        ("nobody", "no_source", -1, "no source's topic matches"),
        ("plant/l1/", "device_id", 0, "the device id in the topic is empty"),
        ("plant//p7", "device_id", 0, "the device id in the topic is empty"),
        ("plant/l1/\x07", "device_id", 0, "the device id in the topic holds control characters"),
        ("plant/l1/" + "x" * 20, "device_id", 0, "the device id in the topic is longer than 20 bytes"),
    ],
)
def test_a_topic_without_an_address_has_one_reason(topic, reason, of, detail):
    assert find(topic, source("plant/{line}/{device}", device="{line}/{device}")) == (None, [(reason, of, detail)])


@pytest.mark.parametrize(
    ("sources", "has_one"),
    [
        ([source("plant/{device}")], True),
        ([source("plant/{device}"), source("oven/{device}", name="o")], True),
        ([source("plant/{device}"), source("oven/{device}", name="o", joins="s")], False),
        ([source("plant/{device}", "oven/{device}")], False),
        ([source("plant/+/{device}")], False),
        ([source("plant/{device}/{channel}", channel="{channel}")], False),
        ([source("plant/{line}/{device}", device="{line}/{device}")], True),
    ],
)
def test_the_topics_say_whether_counting_them_is_counting_devices(sources, has_one):
    assert Ways(sources).has_one_topic_a_device is has_one


def test_an_ordinary_read_asks_for_each_topic_once():
    """What was found is kept: the same object comes again."""
    addresses = Addresses([source("plant/{device}")], 20)
    topics = [f"plant/p{number % 3}" for number in range(9)]
    first, again = addresses.find(topics, []), addresses.find(topics, [])
    assert np.all([one is other for one, other in zip(first, again, strict=True)])
