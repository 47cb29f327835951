"""Whoever publishes anything: nothing raises, nothing grows, and what is printed is a configuration and no command."""

import random
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sample.guess import guesses_of
from agent.sample.report import configuration, table, unread_lines
from agent.sample.traffic import KEPT_BYTES_MAX, PAYLOADS_MAX, TOPICS_MAX, Message, Traffic
from tests.unit.sample.sampled import SPAN_S, guessed, traffic

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
TREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
TOPIC = st.lists(st.sampled_from(["plant", "p1", "p2", "temp", "", "data", "ä b"]) | TEXT, min_size=1, max_size=5)


def printed(found):
    """The configuration, read back; every line printable."""
    text = configuration({"host": "localhost"}, found, "made")
    lines = [*text.splitlines(), *table(found, SPAN_S).splitlines(), *unread_lines(found)]
    assert all(line.isprintable() for line in lines)
    return tomllib.loads(text)


@pytest.mark.slow
@given(st.lists(st.tuples(TOPIC.map("/".join), st.binary(max_size=40) | TREE), max_size=8))
def test_anything_is_guessed_or_listed(messages):
    found = guessed(*messages)
    sources = printed(found).get("source", [])
    assert [one["name"] for one in sources] == [one.settings["name"] for one in found.sources]


def test_random_bytes():
    rng = random.Random(1)
    found = guessed(*[(f"raw/p{at}/data", rng.randbytes(rng.randrange(1, 200))) for at in range(300)])
    assert not found.sources
    printed(found)


def test_a_hundred_thousand_topics_keep_a_bounded_part():
    everything = Traffic()
    for at in range(100_000):
        everything.add(Message(f"plant/p{at}/temp", b"21.5", at * 10**6, False))
    assert (len(everything.topics), everything.n_unlisted) == (TOPICS_MAX, 100_000 - TOPICS_MAX)
    (only,) = guesses_of(everything, SPAN_S).sources
    assert only.settings["topic"] == "plant/{device}/{channel}"


def test_large_payloads_are_kept_up_to_a_bound():
    everything = Traffic()
    payload = b"x" * 65_536
    for at in range(2 * KEPT_BYTES_MAX // len(payload)):
        everything.add(Message(f"t/{at}", payload, at, False))
    kept = [one for topic in everything.topics.values() for one in topic.kept]
    assert sum(len(one.payload) for one in kept) <= KEPT_BYTES_MAX
    everything.add(Message("t/0", payload + b"x", 1, False))
    assert everything.topics["t/0"].n_large == 1


def test_a_topic_keeps_its_first_payloads():
    everything = traffic(*[("plant/p1/temp", str(at)) for at in range(100)])
    assert len(everything.topics["plant/p1/temp"].kept) == PAYLOADS_MAX


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("plant/p\x1b[2J1/temp", b"21.5"),
        ("plant/p1/data", b'{"te\\u001b[31mmp": 1.5, "a\\"b": 2, "c\\nd": 3, "\\u2028": 4}'),
        ("plant/p1/data", b'{"deviceId": "\\u001b]0;x\\u0007", "temp": 1.5}'),
        ("plant/p1/data", b'{"temp": {"value": 1, "unit": "\\n[broker]"}}'),
        ("p" * 60_000, b"21.5"),
        ("plant/p1/data", b"[" * 60_000),
        ("plant/p1/data", b'{"a":' * 1000 + b"1" + b"}" * 1000),
        ("plant/p1/data", b'{"temp": 1e400, "vib": NaN, "n": ' + b"9" * 5000 + b"}"),
        ("plant/p1/data", b"," + b"a=" * 30_000),
        ("spBv1.0/G/NDATA/n", b"\xff" * 100),
        ("spBv1.0", b"21"),
    ],
)
def test_hostile_messages(topic, payload):
    found = guessed((topic, payload), ("plant/p2/data", {"temp": 1.5}), ("plant/p3/data", {"temp": 2.5}))
    assert any("p2" in one.example.message.topic or one.trial.n_read for one in found.sources)
    printed(found)
