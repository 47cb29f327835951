"""The columns of a recording are called as the channels."""

import pytest

from agent.config.plan import Plan, plan
from agent.config.settings import Settings
from agent.errors import ConfigurationRefused
from agent.record.columns import columns_of, counted_of


def planned(*sources: dict[str, object]) -> Plan:
    return plan(
        Settings.model_validate({"source": [{"topic": f"{one['name']}/{{device}}"} | one for one in sources]}), {}
    )


def test_a_source_that_joins_another_has_its_columns_there():
    found = planned(
        {"name": "flow", "joins": "press", "channels": {"flow": "q", "oil": "o"}},
        {"name": "press", "channels": {"temp": "t"}},
        {"name": "mill", "channels": {"temp": "x"}},
    )
    assert columns_of(found) == {1: ("temp", "flow", "oil"), 2: ("temp",)}


def test_columns_of_events_are_known_wherever_they_come_from():
    found = planned(
        {"name": "codes", "joins": "press", "channels": {"e1": {"field": "code", "event": "E1"}, "oil": "o"}},
        {"name": "press", "channels": {"temp": "t", "alarms": {"field": "n", "event": True}}},
    )
    assert columns_of(found) == {1: ("temp", "alarms", "e1", "oil")}
    assert counted_of(found) == {1: {"alarms", "e1"}}


def test_a_channel_that_two_models_read_in_two_ways_has_two_columns():
    names = (("temp", "vib", "temp", "temp"),)
    (source,) = planned({"name": "press", "channels": {name: name for name in "abcd"}}).sources
    assert columns_of(Plan((), (source,), (), names)) == {0: ("temp", "vib", "temp~2", "temp~3")}


@pytest.mark.parametrize("name", ["t", "device"])
def test_a_channel_with_the_name_of_another_column_is_refused(name):
    with pytest.raises(ConfigurationRefused, match=rf"source 'press' has a channel '{name}'"):
        columns_of(planned({"name": "press", "channels": {name: "x"}}))
