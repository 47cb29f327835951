"""Settings of a source that no codec of trees can use, and the key that each is told at."""

from dataclasses import replace

import pytest

from agent.decode.codec import CODECS
from agent.sources import InterventionRule, PayloadForm, Source, plain_channels

SOURCE = Source("press", ("plant/{device}",), "ts", "s", plain_channels("values.temp", "load"))
VALUE = {"topics": ("plant/{device}/{field}",), "channel": "{field}"}
RULE = InterventionRule("event", (("fixed", "repaired"),))


@pytest.mark.parametrize("codec", ["json", "cbor", "msgpack"])
@pytest.mark.parametrize(
    ("changes", "key", "problem"),
    [
        ({"channels": plain_channels("a..b")}, "channels", "is no path"),
        ({"channels": plain_channels("rows[].temp")}, "channels", "goes into an array"),
        ({"channels": plain_channels("a", "a.b")}, "channels", "goes on where a value"),
        ({"channels": plain_channels("a.b", "a")}, "channels", "another path goes on from there"),
        ({"channels": plain_channels("ts")}, "channels", "is read twice"),
        ({"channels": plain_channels("")}, "channels", "needs a path"),
        ({"time_field": "rows[0].ts"}, "time.field", "goes into an array"),
        ({"tags": (("line", "a..b"),)}, "tags.line", "is no path"),
        ({"tags": (("line", "load"),)}, "tags.line", "is read twice"),
        ({"payload": PayloadForm(readings="rows[0]")}, "payload.readings", "a bracket without its partner"),
        ({"payload": PayloadForm(form="pairs", name="a..b")}, "payload.name", "is no path"),
        ({"payload": PayloadForm(form="pairs", value="name")}, "payload.value", "is read twice"),
        ({"payload": PayloadForm(form="pairs"), "interventions": RULE}, "interventions.field", "no place for it"),
        ({"payload": PayloadForm(form="columns"), "interventions": RULE}, "interventions.field", "no place for it"),
        ({"interventions": replace(RULE, field="")}, "interventions.field", "needs a path"),
        ({"channel": "{field}"}, "channel", 'payload.form = "value"'),
        ({"payload": PayloadForm(form="value")}, "payload.form", "needs a channel"),
        ({**VALUE, "payload": PayloadForm(form="value", value="")}, "payload.value", "has no time"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_at_its_key(codec, changes, key, problem):
    ((told, what),) = CODECS[codec].problems(replace(SOURCE, codec=codec, **changes))
    assert told == key
    assert problem in what


@pytest.mark.parametrize("codec", ["json", "cbor", "msgpack"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"time_unit": "arrival", "time_field": ""},
        {"payload": PayloadForm(readings="lines[].{machine}[]"), "tags": (("line", "$.line"),)},
        {"payload": PayloadForm(form="pairs")},
        {"payload": PayloadForm(readings="data", form="columns")},
        {"interventions": RULE},
        {**VALUE, "payload": PayloadForm(form="value")},
        {**VALUE, "payload": PayloadForm(form="value", value=""), "time_unit": "arrival", "time_field": ""},
    ],
)
def test_a_source_without_problems_has_a_codec(codec, changes):
    source = replace(SOURCE, codec=codec, **changes)
    assert list(CODECS[codec].problems(source)) == []
    assert CODECS[codec](source)
