"""What a field of `[source.interventions]` may hold, and that every codec with fields reads it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from agent.decode.codec import CODECS, codec_of
from agent.decode.intervention_words import InterventionWords
from agent.decode.readings import Address, Batch, Intervened
from agent.sources import InterventionRule, PayloadForm, Source, SourceChannel, plain_channels

WORDS = (("fixed", "repaired"), ("true", "inspected"), ("1", "replaced"))
RULE = InterventionRule("event", WORDS)
PRESS = Source("press", ("plant/{device}",), "", "arrival", plain_channels("temp"), interventions=RULE)
NS = 10**9


def decode(source, *payloads):
    addresses = [Address(0, "p1", ("p1",), "plant/p1")] * len(payloads)
    return codec_of(source).decode(Batch(payloads, np.arange(len(payloads)) * NS, addresses))


def faults(decoded):
    return [(fault.row, fault.reason) for fault in decoded.faults]


@pytest.mark.parametrize(
    ("found", "kind"),
    [("fixed", "repaired"), (True, "inspected"), (1, "replaced"), (1.0, "replaced"), ("1", "replaced"), (False, None),
     (None, None), (2.5, None), ("Fixed", None), (10**400, None), (float("nan"), None)],
)  # fmt: skip
def test_texts_truth_values_and_numbers_are_words(found, kind):
    assert InterventionWords(PRESS).kind(found) == kind


def test_only_a_text_is_doubted_and_the_doubt_names_the_words():
    words = InterventionWords(PRESS)
    assert words.doubt("Fixed") == "'Fixed' is no word of `interventions`, which are 'fixed', 'true', '1'"
    assert [words.doubt(found) for found in (0, False, None, "", 2.5)] == [""] * 5
    assert InterventionWords(replace(PRESS, report_extra=False)).doubt("Fixed") == ""


SENML = [{"n": "press:temp", "v": 5}, {"n": "press:event", "vs": "fixed"}]
PAYLOADS = {
    "json": (b'{"temp":5,"event":"fixed"}', b'{"event":true}', b'{"temp":5,"event":"lunch"}', b'{"event":"lunch"}'),
    "influx": (b'm temp=5,event="fixed"', b"m event=true", b'm temp=5,event="lunch"', b'm event="lunch"'),
    "senml": tuple(
        json.dumps(pack).encode()
        for pack in (
            SENML,
            [{"n": "event", "vb": True}],
            [SENML[0], {"n": "event", "vs": "lunch"}],
            [{"n": "event", "vs": "lunch"}],
        )
    ),
}


@pytest.mark.parametrize("codec", PAYLOADS)
def test_beside_a_reading_alone_and_a_text_that_is_no_word(codec):
    decoded = decode(replace(PRESS, codec=codec), *PAYLOADS[codec])
    assert [one._replace(device=None) for one in decoded.interventions] == [
        Intervened(0, None, 0, "repaired"),
        Intervened(1, None, NS, "inspected"),
    ]
    rows = np.arange(4) if decoded.row is None else decoded.row
    assert [row for row, x in zip(rows.tolist(), decoded.x[:, 0].tolist(), strict=True) if x == 5] == [0, 2]
    assert (2, "unknown_intervention") in faults(decoded)
    assert {row for row, _ in faults(decoded)} == {2, 3}


@pytest.mark.parametrize("codec", PAYLOADS)
def test_a_source_of_interventions_alone(codec):
    """It has no channels; what says nothing is dropped with a reason, and nothing is a reading."""
    source = replace(PRESS, codec=codec, channels=())
    decoded = decode(source, *PAYLOADS[codec])
    assert [one.kind for one in decoded.interventions] == ["repaired", "inspected"]
    assert decoded.x.shape == (0, 0)
    assert {2, 3} <= {row for row, _ in faults(decoded)}
    assert list(CODECS[codec].problems(source)) == []


@pytest.mark.parametrize("codec", [*PAYLOADS, "cbor", "msgpack", "sparkplug"])
@pytest.mark.parametrize("field", ["", "temp"])
def test_a_field_that_cannot_be_is_a_problem(codec, field):
    device = "{group}/{node}" if codec == "sparkplug" else "{device}"
    topics = ("spBv1.0/#",) if codec == "sparkplug" else PRESS.topics
    source = replace(PRESS, codec=codec, device=device, topics=topics, interventions=InterventionRule(field, WORDS))
    assert any(key == "interventions.field" for key, _ in CODECS[codec].problems(source))


def test_a_codec_without_fields_has_no_place_for_it():
    source = replace(PRESS, codec="float32")
    assert ("interventions", "the codec float32 does not use it: leave it out") in CODECS["float32"].problems(source)


COMMANDS = Source(
    "cmd/press", ("f/n/cmd/intervention/press",), "t", "iso8601", (), tags=(("device", "device"),), codec="command"
)  # fmt: skip


def test_a_command_has_its_own_time_or_that_of_arrival_and_a_note():
    decoded = decode(
        COMMANDS,
        b'{"device":"p1","kind":"repaired","t":"1970-01-01T00:00:05Z","note":"ring"}',
        b'{"device":"p/2","kind":"inspected"}',
    )
    assert decoded.interventions == [
        Intervened(0, "p1", 5 * NS, "repaired", "ring"),
        Intervened(1, "p/2", NS, "inspected", ""),
    ]
    cycles = decode(replace(COMMANDS, time_unit="cycle"), b'{"device":"p1","kind":"replaced","t":12.5}')
    assert cycles.interventions == [Intervened(0, "p1", 125 * NS // 10, "replaced", "")]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"", "empty"), (b"{", "malformed"), (b"\xff", "malformed"), (b"[]", "wrong_type"),
     (b'{"device":"p1"}', "wrong_type"),
     (b'{"device":"","kind":"repaired"}', "wrong_type"), (b'{"device":"p1","kind":"mended"}', "wrong_type"),
     (b'{"device":"p1","kind":"repaired","more":1}', "wrong_type"), (b"[" * 60_000, "wrong_type"),
     (b'{"device":"p1","kind":"repaired","note":"' + b"x" * 501 + b'"}', "wrong_type"),
     (b'{"device":"p1","kind":"repaired","t":"noon"}', "impossible_time")],
)  # fmt: skip
def test_a_bad_command_is_dropped_with_one_reason(payload, reason):
    decoded = decode(COMMANDS, payload)
    assert (decoded.interventions, [fault.reason for fault in decoded.faults]) == ([], [reason])


@pytest.mark.parametrize(("t", "unit"), [(b"5", "iso8601"), (b"-1", "cycle"), (b"1e300", "cycle")])
def test_a_time_that_cannot_be_is_left_to_who_drops_such_readings(t, unit):
    payload = b'{"device":"p1","kind":"repaired","t":' + t + b"}"
    assert [one.t_ns for one in decode(replace(COMMANDS, time_unit=unit), payload).interventions] == [-1]


def test_a_word_deep_in_a_form_of_devices_as_keys_is_of_that_device():
    source = replace(
        PRESS,
        topics=("plant/all",),
        payload=PayloadForm(readings="{device}"),
        channels=(SourceChannel("temp"),),
    )
    decoded = decode(source, b'{"p1":{"temp":1},"p2":{"temp":2,"event":"fixed"},"p3":{"event":1}}')
    assert [(one.device, one.kind) for one in decoded.interventions] == [("p2", "repaired"), ("p3", "replaced")]
