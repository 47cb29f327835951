"""Topics: no device id can reach another level, and each is told apart from every other."""

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.publish.topic import Topics, escape

TOPICS = Topics.of("forewarn", "gateway-1")
DEVICE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.slow
@given(DEVICE, DEVICE)
@example("a/b", "a%2Fb")
@example("+", "#")
@example("\0", "%00")
@example("..", ".")
def test_escaping_keeps_devices_apart_and_can_be_undone(one, other):
    assert unquote(escape(one)) == one
    assert (escape(one) == escape(other)) == (one == other)


@given(DEVICE)
@example("../../status")
@example("$SYS/x")
@example("p1\n\0")
def test_an_escaped_device_is_one_plain_level_of_bounded_length(device):
    level = escape(device)
    assert level.isascii()
    assert level.isprintable()
    assert not set(level) & set("+#/$ ")
    assert len(level) <= 3 * len(device.encode())
    below = "forewarn/gateway-1/alert"
    assert TOPICS.alert(device, "p1", "main", "risk") == f"{below}/{level}/p1/risk"
    assert TOPICS.alert("press", device, "main", "risk") == f"{below}/press/{level}/risk"
    assert TOPICS.alert("press", "p1", f"m{device}", "risk") == f"{below}/press/p1/m{level}/risk"
    assert TOPICS.score(device, device).count("/") == 4
    assert TOPICS.score(device, device, f"m{device}").count("/") == 5


@given(DEVICE, DEVICE, DEVICE | st.just("main"))
def test_an_alerts_topic_says_whose_it_is(source, device, model):
    assert TOPICS.alert_of(TOPICS.alert(source, device, model, "risk")) == (source, device, model, "risk")


@pytest.mark.parametrize(
    "below",
    [
        "",
        "p1/risk",
        "press/p1/main/risk",
        "press/p1/m/n/risk",
        "press/p%zz/risk",
        "press/p%ff/risk",
        "press/p%2d/risk",
        "+/#/risk",
    ],
)
def test_a_topic_that_no_alert_has_is_nobodys(below):
    assert TOPICS.alert_of(f"forewarn/gateway-1/alert/{below}") is None
    assert TOPICS.alert_of("elsewhere/press/p1/risk") is None


@given(DEVICE, DEVICE)
@example("silence", "silence")
@example("press", "main")
def test_silence_is_of_no_model_and_that_of_a_whole_source_of_no_device(source, device):
    """Neither topic is one of a model's alert, whatever the names."""
    of_device, of_source = TOPICS.alert(source, device, "", "silence"), TOPICS.alert(source, "", "", "silence")
    assert TOPICS.alert_of(of_device) == (source, device, "", "silence")
    assert TOPICS.alert_of(of_source) == (source, "", "", "silence")
    assert TOPICS.alert("press", "p7", "", "silence") == "forewarn/gateway-1/alert/press/p7/silence"
    assert TOPICS.alert("press", "", "", "silence") == "forewarn/gateway-1/alert/press/silence"


def test_topics_are_those_of_the_documentation():
    assert [TOPICS.available, TOPICS.status, TOPICS.event, TOPICS.alerts] == [
        "forewarn/gateway-1/available",
        "forewarn/gateway-1/status",
        "forewarn/gateway-1/event",
        "forewarn/gateway-1/alert/#",
    ]
    assert Topics.of("plant/north", "g").alert("press", "p7", "main", "risk") == "plant/north/g/alert/press/p7/risk"
