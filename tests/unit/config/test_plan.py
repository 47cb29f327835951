"""Settings become plain values for the layers that know no configuration."""

import math
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.bundle import file
from agent.bundle.manifest import Manifest, RunsWhile
from agent.config.budgeted import Budgeted
from agent.config.load import load
from agent.config.plan import Plan, Subscription, bounds, judged_heads, plan
from agent.config.settings import Agent, Model, Settings
from agent.config.source_tables import Time
from agent.core.bounds import Bounds
from agent.publish.status import ModelStatus
from agent.sources import AlignRule, InterventionRule, PayloadForm, Source, SourceChannel, plain_channels
from tests.bundles import write_small_bundle
from tests.configurations import SOURCE, VALID, write_configuration
from tests.small_anomaly import anomaly_manifest
from tests.small_bundle import small_manifest
from tests.streams import core

CYCLE = Time(field="cycle", unit="cycle")


def test_defaults_are_the_cores_own():
    """What the core does unconfigured and what the configuration says by default is one thing."""
    assert bounds(Agent()) == Bounds()


def test_a_source_lists_a_payload_field_for_every_channel_in_order(tmp_path):
    text = VALID + SOURCE + 'channels = { wear = "W" }\nfuture_max = "1m"\nreport_extra = false\nfirst_seen = "new"\n'
    settings = load(write_configuration(tmp_path, text), {})
    planned = plan(settings, {"main": file.read(settings.model[0].bundle)})
    assert planned.sources == (
        Source(
            name="press", topics=("plant/{device}/cycle",), time_field="cycle", time_unit="cycle",
            channels=plain_channels("temp", "load", "W"), future_max_s=60.0, report_extra=False,
            first_seen="new", silent_after_s="learned",
        ),
    )  # fmt: skip
    (model,) = planned.models
    assert (model.name, model.sources, model.channels) == ("main", (0,), ((0, 1, 2),))
    ((head, (_, chosen)),) = model.heads.items()
    assert (head, chosen.threshold, chosen.extrapolated) == ("risk", 0.5, True)
    status = ModelStatus.of(model, [source.name for source in planned.sources], core().view().models[0])
    assert (status.heads["risk"].warned_of, status.heads["risk"].failures) == (10, 10)
    assert 'can vouch for is "1 per 660 cycles"' in status.heads["risk"].verdict


@pytest.mark.parametrize(
    ("settings", "thresholds"),
    [
        ({}, {"risk": 0.5, "anomaly": 2.0}),
        ({"anomaly_budget": "1 per 100 cycles"}, {"risk": 0.5, "anomaly": 1.0}),
        ({"time_in_alarm_max": 0.01}, {"risk": 0.8, "anomaly": 4.0}),
    ],
)
def test_each_head_keeps_to_its_budget_by_a_threshold_of_its_own(settings, thresholds):
    """The budget holds for each; `anomaly` stands 2 % of the time in false alarm at 2.0, as risk does at 0.5."""
    manifest = anomaly_manifest(with_risk=True)
    model = Model.model_validate({"bundle": Path("both.fwb"), "budget": "1 per 900 cycles", **settings})
    heads = judged_heads(model, manifest)
    assert {head: one.chosen.threshold for head, one in heads.items()} == thresholds
    said = Budgeted.of_each(heads)
    assert said["anomaly"].verdict.startswith("this threshold is chosen from normal time alone: nothing is known of")
    assert said["risk"].verdict.startswith("at this threshold ")


def test_a_source_has_each_field_that_its_models_read_once_and_each_model_knows_which(tmp_path):
    """Two models on one source, one of them on a source of its own, and a source that nobody reads."""
    small = small_manifest()
    first, *others = small.channels
    flow = msgspec.structs.replace(first, name="flow")
    pump = write_small_bundle(tmp_path / "pump.fwb", msgspec.structs.replace(small, channels=(flow, *others)))
    sources = [
        {"name": name, "topic": f"{name}/{{device}}", "time": CYCLE, "channels": channels, "qos": qos}
        for name, qos, channels in (("mill", 0, {"wear": "x"}), ("press", 1, {"wear": "W"}), ("pump", 0, {"flow": "Q"}))
    ]
    models = [
        {"bundle": write_small_bundle(tmp_path / "small.fwb"), "sources": ["press"]},
        {"bundle": pump, "name": "pump", "sources": ["press", "pump"]},
    ]
    settings = Settings.model_validate({"model": models, "source": sources})
    planned = plan(settings, {model.name: file.read(model.bundle) for model in settings.model})
    assert [(source.name, source.fields) for source in planned.sources] == [
        ("press", ("temp", "load", "W", "flow")),
        ("pump", ("Q", "load", "wear")),
    ]
    assert planned.qos == (1, 0)
    assert [(model.name, model.sources, model.channels) for model in planned.models] == [
        ("main", (0,), ((0, 1, 2),)),
        ("pump", (0, 1), ((3, 1, 2), (0, 1, 2))),
    ]


def test_the_channel_that_says_whether_a_machine_runs_is_read_behind_those_of_the_model(tmp_path):
    """It is mapped as any other, and one source may bring it for another that joins it."""
    runs = RunsWhile(msgspec.structs.replace(small_manifest().channels[0], name="running"), 0.5, 0.0)
    manifest = msgspec.structs.replace(small_manifest(), runs=runs)
    planned = planned_of(
        tmp_path, manifest, {"name": "press", "topic": "p/{device}", "channels": {"running": "on", "temp": "T"}}
    )
    assert planned.sources[0].fields == ("T", "load", "wear", "on")
    assert planned.models[0].channels == ((0, 1, 2, 3),)
    plc = {"name": "plc", "topic": "plc/{device}", "joins": "press", "channels": {"running": "on"}}
    press = {"name": "press", "topic": "p/{device}", "align": {"max_age": "1h"}}
    joined = planned_of(tmp_path, manifest, press, plc)
    assert [source.columns for source in joined.sources] == [(), (3,)]
    assert joined.models[0].channels == ((0, 1, 2, 3),)


def named(*names: str, **of_first: object) -> Manifest:
    """The small bundle's manifest with channels of these names. of_first: changes of the first"""
    small = small_manifest()
    channels = [msgspec.structs.replace(one, name=name) for one, name in zip(small.channels, names, strict=True)]
    channels[0] = msgspec.structs.replace(channels[0], **of_first)
    return msgspec.structs.replace(small, channels=tuple(channels))


def planned_of(folder: Path, manifest: Manifest, *sources: dict[str, object]) -> Plan:
    """The plan of one model, and sources that count cycles."""
    path = write_small_bundle(folder / "small.fwb", manifest)
    given = [{"topic": f"{one['name']}/{{device}}", "time": CYCLE, **one} for one in sources]
    settings = Settings.model_validate({"model": [{"bundle": path}], "source": given})
    return plan(settings, {"main": file.read(path)})


def test_what_the_recording_knew_holds_where_a_source_is_silent(tmp_path):
    recorded = {"missing": (-9999.0,), "words": {"OFF": 0.0}, "missing_words": ("n/a",), "column": "T_01"}
    manifest = named("temp", "load", "wear", **recorded)
    for given, wanted in (
        ({}, SourceChannel("T_01", (-9999.0,), (("OFF", 0.0), ("n/a", math.nan)))),
        ({"temp": "t"}, SourceChannel("t", (-9999.0,), (("OFF", 0.0), ("n/a", math.nan)))),
        ({"temp": {"missing": [0.0]}}, SourceChannel("T_01", (0.0,), (("OFF", 0.0), ("n/a", math.nan)))),
        ({"temp": {"words": {"x": math.nan}}}, SourceChannel("T_01", (-9999.0,), (("x", math.nan),))),
        ({"temp": {"scale": 0.1, "max_age": timedelta(seconds=3)}}, SourceChannel("T_01", scale=0.1, max_age_s=3.0)),
    ):
        planned = planned_of(tmp_path, manifest, {"name": "press", "channels": given})
        assert planned.sources[0].channels[0] == wanted
        assert planned.names == (("temp", "load", "wear"),)


def test_a_channel_that_is_not_mapped_is_a_field_of_its_own_name_whatever_characters_that_has(tmp_path):
    """`motor.temp` of a bundle is a field "motor.temp" of flat payloads, not a field `temp` of an object."""
    small = small_manifest()
    first, *others = small.channels
    dotted = msgspec.structs.replace(small, channels=(msgspec.structs.replace(first, name="motor.temp"), *others))
    write_small_bundle(tmp_path / "small.fwb", dotted)
    settings = load(write_configuration(tmp_path, VALID + SOURCE), {})
    (source,) = plan(settings, {"main": file.read(settings.model[0].bundle)}).sources
    assert source.fields == ('"motor.temp"', "load", "wear")


def test_a_model_reads_the_owner_whose_rows_have_the_columns_of_all_that_join_it(tmp_path):
    """Columns are the owner's own first; the model's channels stand in another order."""
    align = {"max_age": timedelta(seconds=5)}
    planned = planned_of(
        tmp_path,
        small_manifest(),
        {"name": "flow", "joins": "press", "channels": {"load": "l"}, "broker": "two", "qos": 1},
        {"name": "press", "align": align, "first_seen": "new", "overload": "oldest", "rate_max": 9},
        {"name": "work", "joins": "press", "interventions": {"words": {"fixed": "repaired"}}},
    )
    flow, press, work = planned.sources
    assert [(one.name, one.fields, one.columns, one.width, one.joins) for one in planned.sources] == [
        ("flow", ("l",), (2,), 0, "press"),
        ("press", ("temp", "wear"), (), 3, ""),
        ("work", (), (), 0, "press"),
    ]
    assert {flow.align, press.align, work.align} == {AlignRule(max_age_s=5.0)}
    assert {flow.first_seen, press.first_seen} == {"new"}
    assert work.interventions == InterventionRule("", (("fixed", "repaired"),))
    (model,) = planned.models
    assert (model.sources, model.channels) == ((1,), ((0, 2, 1),))
    assert planned.names == (("load",), ("temp", "wear"), ())
    assert planned.subscriptions[:2] == (Subscription("two", 1, "newest", 0), Subscription("", 0, "oldest", 9))


def test_events_of_one_field_are_columns_of_the_rows_of_the_source_that_is_joined(tmp_path):
    """A bundle's event without a key of its own has its number in the payload; words of the recording are of counts."""
    manifest = named("temp", "load", "wear")
    temp, *events = manifest.channels
    counted = [msgspec.structs.replace(one, event=True, words={"OFF": 0.0}) for one in events]
    manifest = msgspec.structs.replace(manifest, channels=(temp, *counted))
    channels = {"load": {"field": "errorID", "event": "error1"}, "wear": {"field": "errorID", "event": "17"}}
    errors = {"name": "errors", "joins": "press", "channels": channels}
    press, of_errors = planned_of(tmp_path, manifest, {"name": "press"}, errors).sources
    assert (press.fields, press.width) == (("temp",), 3)
    assert [(one.field, one.event, one.words) for one in of_errors.channels] == [
        ("errorID", "error1", ()),
        ("errorID", "17", ()),
    ]
    assert of_errors.columns == (1, 2)
    (alone,) = planned_of(tmp_path, manifest, {"name": "press"}).sources
    assert [one.event for one in alone.channels] == [None, "", ""]


def test_a_recording_reads_the_sources_too_that_no_model_reads(tmp_path):
    """By what they map; one that maps nothing has nothing to be recorded."""
    sources = [
        {"name": "press", "topic": "a/{device}"},
        {"name": "mill", "topic": "b/{device}", "channels": {"speed": "n"}},
        {"name": "hall", "topic": "c/{device}"},
    ]
    models = [{"bundle": write_small_bundle(tmp_path / "small.fwb"), "sources": ["press"]}]
    settings = Settings.model_validate({"source": sources, "model": models})
    bundles = {"main": file.read(tmp_path / "small.fwb")}
    assert plan(settings, bundles).names == (("temp", "load", "wear"),)
    planned = plan(settings, bundles, reads_all=True)
    assert [(one.name, one.fields) for one in planned.sources] == [
        ("press", ("temp", "load", "wear")),
        ("mill", ("n",)),
    ]
    assert planned.models == plan(settings, bundles).models


def test_channels_that_no_model_reads_are_columns_of_a_recording_alone(tmp_path):
    """What joins with nothing else is not subscribed to when a model runs."""
    sources = [
        {"name": "press", "topic": "a/{device}", "channels": {"speed": "n", "temp": "t"}},
        {"name": "flow", "topic": "b/{device}", "joins": "press", "channels": {"flow": "q", "load": "l"}},
        {"name": "hall", "topic": "c/{device}", "joins": "press", "channels": {"damp": "d"}},
    ]
    models = [{"bundle": write_small_bundle(tmp_path / "small.fwb")}]
    settings = Settings.model_validate({"source": sources, "model": models})
    bundles = {"main": file.read(tmp_path / "small.fwb")}
    planned, recorded = plan(settings, bundles), plan(settings, bundles, reads_all=True)
    assert [(one.name, one.fields, one.columns, one.width) for one in planned.sources] == [
        ("press", ("t", "wear"), (), 3),
        ("flow", ("l",), (2,), 0),
    ]
    assert planned.models[0].channels == ((0, 2, 1),)
    assert recorded.names == (("temp", "wear", "speed"), ("load", "flow"), ("damp",))
    assert [one.fields for one in recorded.sources] == [("t", "wear", "n"), ("l", "q"), ("d",)]
    assert [(one.columns, one.width) for one in recorded.sources] == [((), 6), ((3, 4), 0), ((5,), 0)]
    assert recorded.models[0].channels == ((0, 3, 1),)


def test_without_a_model_all_sources_are_planned_with_what_they_map():
    sources = [
        {"name": "press", "topic": "a/{device}", "channels": {"temp": {"field": "t", "scale": 2.0}}},
        {"name": "flow", "topic": "b/{device}", "joins": "press", "channels": {"flow": "q"}},
    ]
    planned = plan(Settings.model_validate({"source": sources}), {})
    assert planned.models == ()
    assert [one.channels for one in planned.sources] == [(SourceChannel("t", scale=2.0),), (SourceChannel("q"),)]
    assert planned.names == (("temp",), ("flow",))


def test_every_key_of_a_source_reaches_the_layers_below():
    keys = {
        "time": {"field": "t", "unit": "iso8601", "zone": "Europe/Berlin"},
        "device": "{line}/{device}", "tags": {"device": "id"}, "compression": "gzip", "codec": "json",
        "payload": {"readings": "a[]", "form": "pairs", "name": "n", "value": "v", "numbers_as_text": True},
        "align": {"every": timedelta(seconds=2), "max_age": timedelta(seconds=4), "quorum": 0.5,
                  "lateness": timedelta(seconds=6)},
        "future_max": timedelta(seconds=7), "past_max": timedelta(minutes=8), "report_extra": False,
        "silent_after": "90s", "device_silent_after": "learned",
    }  # fmt: skip
    source = {"name": "press", "topic": ("x/{line}", "y/{line}"), **keys}
    assert plan(Settings.model_validate({"source": [source]}), {}).sources == (
        Source(
            name="press", topics=("x/{line}", "y/{line}"), time_field="t", time_unit="iso8601", zone="Europe/Berlin",
            channels=(), device="{line}/{device}", tags=(("device", "id"),), compression="gzip",
            payload=PayloadForm("a[]", "pairs", "n", "v", numbers_as_text=True), align=AlignRule(2.0, 4.0, 0.5, 6.0),
            future_max_s=7.0, past_max_s=480.0, report_extra=False, silent_after_s=90.0,
            device_silent_after_s="learned",
        ),
    )  # fmt: skip
