"""One reason a message: what becomes of it is settled first, and then what is to be said. The codec here is a toy."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

from agent.decode import part as part_module
from agent.decode.codec import CODECS
from agent.decode.intake import Intake
from agent.decode.readings import Decoded, Fault, Intervened
from agent.sources import AlignRule, InterventionRule, Source, plain_channels

NAN = float("nan")
BY_TOPIC = Source("s", ("s/{device}",), "", "arrival", plain_channels("a", "b"), codec="toy")
BY_PAYLOAD = replace(BY_TOPIC, topics=("s/all",), device="{id}", tags=(("id", "id"),))


class Toy:
    """A payload is Python: a list of readings (device, time, values), of faults or of interventions."""

    def __init__(self, source):
        self.source = source

    def decode(self, batch):
        rows, faults, interventions = [], [], []
        for row, payload in enumerate(batch.payloads):
            for item in eval(payload, {"nan": NAN}):
                if len(item) == 2:
                    faults.append(Fault(row, *item))
                elif item[2] == "repaired":
                    interventions.append(Intervened(row, item[0] or None, item[1], "repaired"))
                else:
                    rows.append((row, *item))
        row, device, t_ns, x = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Decoded(
            np.array(row, np.int64),
            np.array(t_ns, np.int64),
            np.array(x, np.float64).reshape(-1, len(self.source.channels)),
            faults,
            None if self.source.device == "{device}" else np.array(device, np.object_),
            interventions,
        )

    @staticmethod
    def problems(source):
        return iter(())


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(CODECS, "toy", Toy)


def intake(*sources):
    return Intake(sources, payload_bytes_max=1000, device_id_bytes_max=8)


def read(*payloads, source=BY_TOPIC, into=None):
    payloads = [repr(payload).encode() for payload in payloads]
    topics = [source.topics[0].replace("{device}", f"d{number}") for number in range(len(payloads))]
    return (into or intake(source)).read(topics, payloads, np.arange(len(payloads)))


def reasons(readings):
    """(message, reason) of each."""
    return sorted((int(at), group.reason) for group in readings.drops for at in group.message)


@pytest.mark.parametrize(
    ("payload", "n_readings", "reason"),
    [
        ([("", 1, (1, 2))], 1, []),
        ([("", 1, (1, nan := NAN))], 1, ["missing_channel"]),
        ([("", 1, (nan, nan))], 0, ["no_channels"]),
        ([("", -1, (1, 2))], 0, ["impossible_time"]),
        ([("", -1, (nan, nan))], 0, ["impossible_time"]),
        ([("", 1, (nan, nan)), ("extra_channel", "c")], 0, ["no_channels"]),
        ([("", -1, (1, 2)), ("extra_channel", "c")], 0, ["impossible_time"]),
        ([("", 1, (1, 2)), ("extra_channel", "c")], 1, ["extra_channel"]),
        ([("", 1, (1, 2)), ("extra_channel", "c"), ("extra_channel", "d")], 1, ["extra_channel"]),
        ([("", 1, (1, nan)), ("extra_channel", "c")], 1, ["missing_channel"]),
        ([("", 1, (1, nan)), ("", 2, (1, nan))], 2, ["missing_channel"]),
        ([("", 1, (1, nan)), ("clock_unsteady", "any doubt that tells more")], 1, ["clock_unsteady"]),
        ([("malformed", "cut off")], 0, ["malformed"]),
        ([("extra_channel", "a doubt without a reading")], 0, ["no_channels"]),
    ],
)
def test_a_message_counts_one_reason(payload, n_readings, reason):
    good = [("", 1, (1, 2))]
    readings = read(good, payload, good)
    assert readings.message.tolist() == [0, *[1] * n_readings, 2]
    assert reasons(readings) == [(1, one) for one in reason]


@pytest.mark.parametrize(
    ("device", "why"), [("", "is empty"), ("x" * 9, "longer than 8 bytes"), ("a\n", "control"), ("\ud800", "control")]
)
def test_an_id_that_a_payload_names_is_looked_at(device, why):
    good = [("p1", 1, (1, 2))]
    readings = read(good, [("p2", 1, (1, 2)), (device, 1, (1, 2))], good, source=BY_PAYLOAD)
    assert readings.device.tolist() == ["p1", "p2", "p1"]
    assert reasons(readings) == [(1, "device_id")]
    (group,) = readings.drops
    assert why in group.sample(0, ["s/all"] * 3, ["s"]).detail


@pytest.mark.parametrize(
    ("source", "devices", "n_used"),
    [
        (BY_TOPIC, [""] * 5, 0),
        (BY_TOPIC, [""] * 4, 4),
        (BY_PAYLOAD, ["p", "q"] * 4, 8),
        (BY_PAYLOAD, ["p"] * 5 + ["q"], 0),
    ],
)
def test_a_payload_with_too_many_readings_of_one_device_is_dropped(monkeypatch, source, devices, n_used):
    """Each is a step of its own, for which all other devices wait."""
    monkeypatch.setattr(part_module, "OF_ONE_DEVICE_MAX", 4)
    good = [("p", 1, (1, 2))]
    readings = read(good, [(device, 1, (1, 2)) for device in devices], good, source=source)
    assert readings.message.tolist() == [0, *[1] * n_used, 2]
    assert reasons(readings) == ([] if n_used else [(1, "too_many_readings")])


def test_ids_of_payloads_are_remembered_within_a_bound(monkeypatch):
    monkeypatch.setattr(part_module, "DEVICES_MAX", 5)
    into = intake(BY_PAYLOAD)
    for number in range(20):
        readings = read([(f"p{number}", 1, (1, 2)), (f"q{number}", 1, (1, 2))], source=BY_PAYLOAD, into=into)
        assert readings.device.tolist() == [f"p{number}", f"q{number}"]
        assert len(into._readers[0]._fine_ids) <= 5


def test_interventions_name_their_device_and_a_message_that_brings_one_is_used():
    readings = read([("", 5, "repaired"), ("extra_channel", "c")], [("malformed", "")])
    assert [tuple(one) for one in readings.interventions] == [(0, 0, "d0", 5, "repaired", "")]
    assert reasons(readings) == [(0, "extra_channel"), (1, "malformed")]


def test_a_reading_and_an_intervention_of_one_refused_id_count_once():
    readings = read([("", 5, (1, 2)), ("", 5, "repaired")], source=BY_PAYLOAD)
    assert (readings.interventions, reasons(readings)) == ([], [(0, "device_id")])


def test_a_payload_with_too_many_interventions_is_dropped(monkeypatch):
    """What comes between two of them is stepped by itself: 4,000 in 56 kB took 290 ms."""
    monkeypatch.setattr(part_module, "INTERVENTIONS_MAX", 4)
    readings = read([("", 1, "repaired")] * 4, [("", 1, "repaired")] * 5 + [("", 1, (1, 2))])
    assert [one.message for one in readings.interventions] == [0] * 4
    assert (readings.message.tolist(), reasons(readings)) == ([], [(1, "too_many_readings")])


@pytest.mark.parametrize(
    ("item", "reason"), [(("", 5, "repaired"), "device_id"), (("p1", -1, "repaired"), "impossible_time")]
)
def test_an_intervention_that_cannot_be_is_dropped(item, reason):
    readings = read([item], source=BY_PAYLOAD)
    assert readings.interventions == []
    assert reasons(readings) == [(0, reason)]


@pytest.mark.parametrize(
    "changes", [{"align": AlignRule(max_age_s=30)}, {"align": AlignRule(every_s=1)}, {"channel": "{device}"}]
)
def test_where_readings_come_in_parts_no_channel_is_missing(changes):
    assert reasons(read([("", 1, (1, NAN))], source=replace(BY_TOPIC, **changes))) == []
    assert reasons(read([("", 1, (NAN, NAN))], source=replace(BY_TOPIC, **changes))) == [(0, "no_channels")]


def test_numbers_become_engineering_units_and_codes_no_values():
    a, b = BY_TOPIC.channels
    source = replace(BY_TOPIC, channels=(replace(a, scale=0.1, offset=-40), replace(b, missing=(-9999.0,))))
    readings = read([("", 1, (650, -9999))], [("", 1, (650, 3))], source=source)
    np.testing.assert_array_equal(readings.x, np.float32([[25, NAN], [25, 3]]))
    assert reasons(readings) == [(0, "missing_channel")]


def test_joined_sources_bring_parts_of_their_owners_rows():
    """Each source's channels stand in its columns of the owner's row; the devices are the owner's."""
    owner = replace(BY_TOPIC, name="motor", topics=("motor/{device}",), width=3)
    other = Source(
        "vib", ("vib/{device}",), "", "arrival", plain_channels("v"), codec="toy", joins="motor", columns=(2,)
    )
    into = intake(other, owner)
    topics = ["motor/p1", "vib/p1", "motor/p2", "vib/p1"]
    payloads = [repr([("", 1, x)]).encode() for x in ((1, 2), (3,), (4, NAN), (NAN,))]
    readings = into.read(topics, payloads, np.arange(4))
    assert readings.device.tolist() == ["p1", "p1", "p2"]
    assert readings.source.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(readings.x, np.float32([[1, 2, NAN], [NAN, NAN, 3], [4, NAN, NAN]]))
    assert reasons(readings) == [(2, "missing_channel"), (3, "no_channels")]
    np.testing.assert_array_equal(into.read(topics[1:2], payloads[1:2], np.arange(1)).x, np.float32([[NAN, NAN, 3]]))


@pytest.mark.parametrize("columns", [(0,), (0, 3), (0, 1, 2)])
def test_columns_that_the_owner_has_not_are_refused(columns):
    with pytest.raises(ValueError, match="source 'vib' has 2 channels in the columns"):
        intake(replace(BY_TOPIC, name="motor", width=3), replace(BY_TOPIC, name="vib", joins="motor", columns=columns))


def test_compressed_payloads_are_expanded_and_one_that_cannot_be_is_dropped_alone():
    into = intake(replace(BY_TOPIC, compression="gzip"))
    good = [gzip.compress(repr([("", number, (number, 2)), ("extra_channel", "")]).encode()) for number in range(3)]
    bomb, cut = gzip.compress(b" " * 10**6), good[0][:-5]
    payloads = [bomb, good[0], cut, good[1], good[2]]
    readings = into.read([f"s/d{number}" for number in range(5)], payloads, np.arange(5))
    assert readings.device.tolist() == ["d1", "d3", "d4"]
    assert readings.x[:, 0].tolist() == [0, 1, 2]
    used = [(at, "extra_channel") for at in (1, 3, 4)]
    assert reasons(readings) == sorted([(0, "too_large"), (2, "malformed"), *used])


def test_the_share_of_messages_of_which_nothing_could_be_read_is_counted_by_source():
    other = replace(BY_TOPIC, name="o", topics=("o/{device}",))
    into = intake(BY_TOPIC, other)
    unread = [("extra_topic", "")]  # a wildcard wider than the channels brings these, and nobody wants to read them
    bad, empty, doubtful = [("malformed", "")], [("", 1, (NAN, NAN))], [("", 1, (1, NAN)), ("", -1, (1, 2))]
    payloads = [repr(one).encode() for one in (bad, empty, doubtful, [], [("", 1, "repaired")], unread)]
    into.read([f"s/d{number}" for number in range(6)], payloads, np.arange(6))
    assert into.undecodable() == [0.02, 0.0]


def test_a_source_without_channels_brings_interventions_alone():
    rule = InterventionRule("", (("fixed", "repaired"),))
    work = replace(BY_TOPIC, name="w", topics=("w/{device}",), codec="text", channels=(), interventions=rule, joins="s")
    readings = intake(BY_TOPIC, work).read(["w/d0", "w/d1"], [b"fixed", b"what"], np.array([5, 6]))
    assert [tuple(one) for one in readings.interventions] == [(0, 0, "d0", 5, "repaired", "")]
    assert reasons(readings) == [(1, "no_channels")]


def test_a_payload_whose_readings_pass_too_many_points_of_a_grid_is_dropped(monkeypatch):
    """Each point is a row; how far readings lie apart must not decide how long one payload takes."""
    monkeypatch.setitem(CODECS, "toy", Toy)
    source = replace(BY_TOPIC, align=AlignRule(every_s=1.0, max_age_s=5.0))
    for span_s, n_readings in ((300, 2), (301, 0)):
        payload = repr([("", t_s * 10**9, (1, 2)) for t_s in (1000, 1000 + span_s)]).encode()
        readings = Intake([source], payload_bytes_max=1000, device_id_bytes_max=20).read(
            ["s/p1"], [payload], np.int64([0])
        )
        assert len(readings.message) == n_readings
        assert [group.reason for group in readings.drops] == ["too_many_readings"] * (n_readings == 0)
