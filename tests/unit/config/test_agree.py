"""What the configuration names exists, fits the bundle, and keeps out of its own way."""

from datetime import timedelta
from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.agree import (
    agent_faults,
    broker_faults,
    budget_faults,
    field_faults,
    overlap,
    source_faults,
    topic_faults,
)
from agent.config.settings import Agent, Broker, Model, Publish, SourceSettings, Time
from tests.small_bundle import small_manifest

CYCLES = small_manifest()
SECONDS = msgspec.structs.replace(CYCLES, time_unit="s")
CYCLE = Time(field="cycle", unit="cycle")


def source(name: str = "press", topic: str = "plant/{device}/cycle", **changes: object) -> SourceSettings:
    return SourceSettings.model_validate({"name": name, "topic": topic, "time": CYCLE, **changes})


def model(budget: str, fleet_size: int = 0) -> Model:
    return Model(bundle=Path("small.fwb"), budget=budget, fleet_size=fleet_size)


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
    assert list(topic_faults(sources, Publish(), one_broker=True)) == [
        (("source", 2, "topic"), "overlaps with 'plant/{device}/cycle' of the source 'press'"),
        (("source", 3, "topic"), "would read what forewarn itself publishes under forewarn/"),
    ]
    assert len(list(topic_faults(sources, Publish(), one_broker=False))) == 1
    assert len(list(topic_faults(sources, Publish(prefix="plant"), one_broker=True))) == 3


def test_channels_and_time_are_the_bundles():
    assert list(source_faults(0, source(channels={"temp": "T24"}), CYCLES)) == []
    for changes, key, what in (
        ({"channels": {"weer": "w"}}, ("channels", "weer"), "the bundle has no channel 'weer'; the nearest is wear"),
        ({"channels": {"zz": "w"}}, ("channels", "zz"), "the bundle has no channel 'zz'; it has temp, load, wear"),
        ({"channels": {"temp": "load"}}, ("channels",), "2 channels would be read from the payload field 'load'"),
        ({"channels": {"temp": "cycle"}}, ("channels",),
         "the payload field 'cycle' would be read as a channel and as the time"),
        ({"time": Time(field="ts", unit="s")}, ("time",),
         'the bundle counts cycles, so this must be unit = "cycle"'),
    ):  # fmt: skip
        assert list(source_faults(0, source(**changes), CYCLES)) == [(("source", 0, *key), what)]
    ((_, what),) = source_faults(0, source(), SECONDS)
    assert what == "the bundle counts time, so this must be a unit of time, or arrival"
    assert list(source_faults(0, source(time=Time()), SECONDS)) == []


@pytest.mark.parametrize(
    ("budget", "manifest", "words"),
    [
        ("1 per 1000 cycles", CYCLES, None),
        ("1 per device per 30d", SECONDS, None),
        ("1 per device per 30d", None, None),
        ("never", CYCLES, "is not"),
        ("0 per 1000 cycles", CYCLES, "no false alarm at all"),
        (f"{'9' * 400} per {'9' * 400} cycles", CYCLES, "no number of false alarms"),
        ("6 per day", SECONDS, "must be given: the budget '6 per day' is for the whole fleet"),
        ("1 per device per 30d", CYCLES, 'does not fit a bundle that counts cycles; such as "1 per 1000 cycles"'),
        ("1 per 1000 cycles", SECONDS, 'does not fit a bundle that counts time; such as "1 per device per 30d"'),
    ],
)
def test_budgets(budget, manifest, words):
    faults = [what for _, what in budget_faults(model(budget), manifest)]
    assert [words in what for what in faults] == ([] if words is None else [True])


def test_a_fleet_budget_with_its_size_is_fine():
    assert list(budget_faults(model("6 per day", fleet_size=40), SECONDS)) == []


def test_the_state_folder_is_there_or_can_be_made(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert list(agent_faults(Agent(state_dir=tmp_path))) == []
    assert list(agent_faults(Agent(state_dir=tmp_path / "new" / "deep"))) == []
    for folder, words in ((file, "is not a folder"), (file / "in", "is not a folder"), (Path("a\0b"), "null byte")):
        ((key, what),) = agent_faults(Agent(state_dir=folder))
        assert (key, words in what) == (("agent", "state_dir"), True)


def test_a_state_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    """Whoever runs the tests may be root, who may write anywhere: so the question is answered here."""
    monkeypatch.setattr("os.access", lambda *_: False)
    ((_, what),) = agent_faults(Agent(state_dir=tmp_path))
    assert what == f"{tmp_path} may not be written to by this user"
    ((_, what),) = agent_faults(Agent(state_dir=tmp_path / "new"))
    assert what == f"{tmp_path / 'new'} does not exist, and {tmp_path} may not be written to by this user"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"s3cret\n", 0o600, None),
        (b"s3cret", 0o440, None),
        (b"s3cret", 0o644, "may be read by everybody (mode 0644): chmod o-rwx"),
        (b"\n", 0o600, "has 0 characters"),
        (b"x" * 5000, 0o600, "has 5000 characters"),
        (b"\xff", 0o600, "is not text"),
    ],
)
def test_secrets(tmp_path, content, mode, words):
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    faults = list(broker_faults("output", Broker(username="u", password_file=file)))
    assert [(key, words in what) for key, what in faults] == (
        [] if words is None else [(("output", "password_file"), True)]
    )


def test_missing_files_of_a_broker_are_refused(tmp_path):
    broker = Broker(username="u", password_file=tmp_path, tls=True, ca_file=tmp_path / "ca.pem")
    assert [what.rpartition("/")[2].partition(" ")[2] for _, what in broker_faults("broker", broker)] == [
        "is not a file",
        "is not a file that may be read",
    ]


def test_silence_must_be_stale_before_it_is_forgotten():
    with pytest.raises(ValueError, match="forget_after must be longer"):
        Agent(forget_after=timedelta(minutes=1))


def test_what_a_broker_would_close_the_connection_for_is_named():
    broker = Broker(client_id="a\0b", username="a\nb")
    assert [key for key, _ in broker_faults("broker", broker)] == [("broker", "client_id"), ("broker", "username")]
    ((key, what),) = field_faults(3, source(topic="a\x01b/{device}"))
    assert key == ("source", 3, "topic")
    assert what == "'a\\x01b/{device}' holds a control character: a broker closes the connection for it"
