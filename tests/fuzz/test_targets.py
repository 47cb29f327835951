"""The fuzz targets hold for what they begin with and for every input that once showed a fault, and they can fail."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.decode.codec import CODECS
from agent.decode.json import JsonCodec
from agent.decode.readings import Fault
from tests.fuzz.codecs import all_variants
from tests.fuzz.costs import TRIES, Costs
from tests.fuzz.reads import Outcome, check_fate, check_stateless, new_intake, read
from tests.fuzz.target import FIRST_NS, MESSAGES_MAX, SEPARATOR, Message, input_of, messages_of
from tests.fuzz.targets import MODULES, target_of
from tests.fuzz.variants import Variant

FOUND = Path(__file__).parents[1] / "data" / "fuzz"
ONCE_FAILED = sorted(path for path in FOUND.glob("*/*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_a_target_holds_for_its_seeds(name):
    seeds = target_of(name).seeds()
    assert len({*seeds}) > 3
    for seed in seeds:
        target_of(name).check(seed, Costs())


@pytest.mark.parametrize("path", ONCE_FAILED, ids=lambda path: f"{path.parent.name}-{path.name[:20]}")
def test_an_input_that_once_showed_a_fault_shows_none(path):
    target_of(path.parent.name).check(path.read_bytes(), Costs())


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_takes_the_settings_of_its_variants(codec):
    for variant in all_variants(codec):
        assert [*CODECS[codec].problems(variant.source)] == []


def test_an_input_is_cut_into_messages():
    messages = messages_of(input_of((1, b"one"), (2, b""), (5, b"two")), ["a", "b", "c"])
    assert messages == [
        Message("b", b"one", FIRST_NS + 10**9),
        Message("c", b"", FIRST_NS + 2 * 10**9),
        Message("c", b"two", FIRST_NS + 2 * 10**9),
    ]
    assert messages_of(b"", ["a"]) == [Message("a", b"", FIRST_NS + 10**9)]
    assert len(messages_of(SEPARATOR * 100, ["a"])) == MESSAGES_MAX


USED, DROPPED, DOUBTED = (0, "p1", 1, b""), (0, "p1", "malformed", ""), (0, "p1", "bad_value", "")


@pytest.mark.parametrize(
    ("outcome", "what"),
    [
        (Outcome([], [], []), "lost without a word"),
        (Outcome([USED], [DROPPED], []), "used and dropped"),
        (Outcome([USED], [DOUBTED, DOUBTED], []), "two doubts"),
        (Outcome([], [DOUBTED, DROPPED], []), "not used"),
        (Outcome([], [DROPPED, DROPPED], []), "dropped twice"),
    ],
)
def test_a_fate_that_must_not_be_is_seen(outcome, what):
    with pytest.raises(AssertionError, match=what):
        check_fate(outcome, of_others=False)


class Neighbourly(JsonCodec):
    """Its first channel is the number of payloads of the call."""

    def decode(self, batch):
        decoded = super().decode(batch)
        return replace_x(decoded, float(len(batch.payloads)))


class Wordy(JsonCodec):
    """Doubts whatever stands beside something else."""

    def decode(self, batch):
        decoded = super().decode(batch)
        doubts = [Fault(row, "bad_value", "") for row in range(1, len(batch.payloads))]
        return type(decoded)(decoded.row, decoded.t_ns, decoded.x, doubts)


def replace_x(decoded, number):
    x = np.where(np.arange(decoded.x.shape[1]) == 0, number, decoded.x)
    return type(decoded)(decoded.row, decoded.t_ns, x, decoded.faults)


@pytest.mark.parametrize("codec", [Neighbourly, Wordy])
def test_a_codec_whose_readings_depend_on_their_neighbours_is_seen(monkeypatch, codec):
    monkeypatch.setitem(CODECS, "toy", codec)
    variant: Variant = all_variants("json")[1]
    intake = new_intake([replace(variant.source, codec="toy")])
    one = Message(variant.topics[0], variant.healthy, FIRST_NS)
    ((outcome,), _) = read(intake, [one])
    with pytest.raises(AssertionError):
        check_stateless(intake, [one], (one, outcome), Costs())


def test_a_call_that_costs_too_much_is_seen():
    calls = []
    with pytest.raises(AssertionError, match="it took"):
        Costs(seconds_max=-1.0).of(lambda: lambda: calls.append(1))
    assert len(calls) == TRIES
    tracemalloc.start()
    try:
        with pytest.raises(AssertionError, match="it held"):
            Costs(bytes_max=10_000).of(lambda: lambda: bytes(20_000))
        costs = Costs(bytes_max=30_000)
        assert costs.of(lambda: lambda: len(bytes(20_000))) == 20_000
    finally:
        tracemalloc.stop()
    assert 20_000 <= costs.most_bytes <= 30_000
