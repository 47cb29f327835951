"""What of a changed configuration applies at once, and what is left for a restart."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.config.key_types import key_types
from agent.config.reload import LIVE, NOT_SET, Change, apply
from agent.config.settings import Settings

SOURCE = {"name": "press", "topic": "plant/{device}/cycle", "time": {"field": "cycle", "unit": "cycle"}}


def settings(**tables: object) -> Settings:
    values = {"agent": {"node": "g"}, "model": [{"bundle": Path("a.fwb")}], "source": [SOURCE]} | tables
    return Settings.model_validate(values)


def test_nothing_changed_is_nothing_told():
    assert apply(settings(), settings()) == (settings(), [], [])


def test_a_live_key_applies_and_the_others_keep_what_runs():
    file = settings(agent={"node": "h", "status_every": timedelta(seconds=3)}, publish={"scores": "all", "prefix": "x"})
    runs, live, left = apply(settings(), file)
    assert runs == settings(agent={"node": "g", "status_every": timedelta(seconds=3)}, publish={"scores": "all"})
    assert live == [Change("agent.status_every", "0:00:10", "0:00:03"), Change("publish.scores", "none", "all")]
    assert left == [Change("agent.node", "g", "h"), Change("publish.prefix", "forewarn", "x")]


def test_a_source_goes_by_its_name():
    other = {"name": "pump", "topic": "pumps/{device}"}
    _, live, left = apply(settings(), settings(source=[other, SOURCE | {"qos": 1}]))
    assert live == []
    assert Change("source[press].qos", "0", "1") in left
    assert Change("source[pump].topic", NOT_SET, "pumps/{device}") in left
    assert {change.key for change in left if change.key.startswith("source[press]")} == {"source[press].qos"}
    _, _, left = apply(settings(source=[SOURCE, other]), settings())
    assert Change("source[pump].topic", "pumps/{device}", NOT_SET) in left


def test_a_model_goes_by_its_name():
    main = {"bundle": Path("a.fwb")}
    shadow = {"name": "shadow", "bundle": Path("b.fwb"), "sources": ["press", "pump"]}
    _, live, left = apply(settings(), settings(model=[shadow, main | {"sources": ["press"]}]))
    assert live == []
    assert Change("model[main].sources", NOT_SET, "press") in left
    assert Change("model[shadow].sources", NOT_SET, "press, pump") in left
    assert {change.key for change in left if change.key.startswith("model[main]")} == {"model[main].sources"}


def test_an_output_that_comes_or_goes_needs_a_restart():
    with_output = settings(output={"host": "other"})
    runs, _, left = apply(settings(), with_output)
    assert runs == settings()
    assert Change("output.host", NOT_SET, "other") in left
    _, _, left = apply(with_output, settings())
    assert Change("output.host", "other", NOT_SET) in left


def test_a_key_that_was_not_given_is_told_as_not_set():
    _, _, left = apply(settings(), settings(broker={"username": "u", "password_file": Path("secret")}))
    assert left == [Change("broker.password_file", NOT_SET, "secret"), Change("broker.username", NOT_SET, "u")]


@pytest.mark.parametrize("key", sorted(LIVE))
def test_what_is_live_is_a_key(key):
    assert key in dict(key_types(Settings))


def test_a_key_deep_in_a_source_or_of_a_named_broker_is_told():
    file = settings(
        brokers={"two": {"host": "b"}},
        source=[SOURCE | {"channels": {"temp": {"scale": 2.0, "missing": [1.0, 2.0]}}, "topic": ["a/{device}", "b"]}],
    )
    _, live, left = apply(settings(), file)
    assert live == []
    assert {Change("brokers.two.host", NOT_SET, "b"), Change("source[press].channels.temp.scale", NOT_SET, "2.0"),
            Change("source[press].channels.temp.missing", NOT_SET, "1.0, 2.0"),
            Change("source[press].topic", "plant/{device}/cycle", "a/{device}, b")} <= {*left}  # fmt: skip
