import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode.device_name import DeviceName, payload_names
from agent.sources import PayloadForm, Source, plain_channels


def source(device, *topics, tags=(), readings=""):
    tags = tuple((tag, tag) for tag in tags)
    form = PayloadForm(readings=readings)
    return Source("s", topics, "", "arrival", plain_channels("t"), device=device, tags=tags, payload=form)


@pytest.mark.parametrize(
    ("device", "topic", "tags", "texts", "is_in_topic", "name"),
    [
        ("{device}", "plant/{device}", (), (("p7",), ()), True, "p7"),
        ("{line}/{device}", "plant/{line}/{device}", (), (("l1", "p7"), ()), True, "l1/p7"),
        ("{device}@{line}", "plant/{line}/{device}", (), (("l1", "p7"), ()), True, "p7@l1"),
        ("{id}", "plant/all", ("kind", "id"), ((), ("pump", "p7")), False, "p7"),
        ("{line}/{id}", "plant/{line}/up", ("id",), (("l1",), ("p7",)), False, "l1/p7"),
        ("press", "plant/press/tele", (), ((), ()), True, "press"),
        ("hall-{device}", "plant/{device}", (), (("p7",), ()), True, "hall-p7"),
    ],
)
def test_the_id_is_made_of_the_texts_of_topic_and_payload(device, topic, tags, texts, is_in_topic, name):
    made = DeviceName(source(device, topic, tags=tags))
    assert made.is_in_topic is is_in_topic
    assert made.of(*texts) == name


def test_an_id_with_an_empty_text_is_none():
    assert DeviceName(source("{line}/{device}", "{line}/{device}")).of(("", "p7")) == ""
    assert DeviceName(source("{line}/{id}", "{line}", tags=("id",))).of(("l1",), ("",)) == ""


def test_a_name_that_nobody_gives_is_refused():
    with pytest.raises(ValueError, match=r"no topic level and no tag is named {lines}; known names: {line}, {id}"):
        DeviceName(source("{lines}/{id}", "plant/{line}", tags=("id",)))
    with pytest.raises(ValueError, match=r"known names: none"):
        DeviceName(source("{device}", "plant/all"))


def test_keys_that_stand_for_readings_name_something_too():
    assert payload_names(source("{device}", "plant/all", tags=("site",), readings="{device}[]")) == ("site", "device")
    assert DeviceName(source("{device}", "plant/all", readings="{device}")).of((), ("p7",)) == "p7"


@given(st.lists(st.tuples(*[st.text("ab/%", min_size=1, max_size=3)] * 3), min_size=2, max_size=2, unique=True))
def test_two_machines_never_get_one_id(pair):
    """`a/b` and `c` are not `a` and `b/c`, though both are `a/b/c` when they are joined."""
    made = DeviceName(source("{line}/{cell}/{id}", "plant/{line}", tags=("cell", "id")))
    one, other = (made.of((line,), (cell, device)) for line, cell, device in pair)
    assert one != other
