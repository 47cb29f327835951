"""Models, the sources that they read, and the budgets of their bundles fit each other."""

from pathlib import Path

import msgspec
import pytest

from agent.bundle.manifest import Manifest
from agent.config.fit import (
    budget_doubts,
    budget_faults,
    channel_doubts,
    channel_faults,
    no_source_faults,
    reader_doubts,
)
from agent.config.plan import judged_heads
from agent.config.readers import Owner, Reader, owners, readers
from agent.config.settings import Model
from agent.config.source_settings import SourceSettings
from agent.config.source_tables import Time
from agent.judge.threshold import Chosen, Judged, parse_budget
from tests.small_anomaly import anomaly_manifest
from tests.small_bundle import small_manifest

CYCLES = small_manifest()
SECONDS = msgspec.structs.replace(CYCLES, time_unit="s")
CYCLE = Time(field="cycle", unit="cycle")


def source(name: str = "press", **changes: object) -> SourceSettings:
    values = {"name": name, "topic": f"{name}/{{device}}/cycle", "time": CYCLE, **changes}
    return SourceSettings.model_validate(values)


def owner(source: SourceSettings, index: int = 0, *joined: SourceSettings) -> Owner:
    return Owner(index, source, [*enumerate(joined, index + 1)])


def model(budget: str, fleet_size: int = 0) -> Model:
    return Model(bundle=Path("small.fwb"), budget=budget, fleet_size=fleet_size)


def judged(chosen: Chosen) -> Judged:
    return Judged(parse_budget("1 per device per 18d", fleet_size=0), chosen)


def reader(manifest: Manifest = CYCLES, index: int = 0, **settings: object) -> Reader:
    return Reader(index, Model.model_validate({"bundle": Path("small.fwb"), **settings}), manifest)


def with_channels(*names: str) -> Manifest:
    channels = tuple(msgspec.structs.replace(CYCLES.channels[0], name=name) for name in names)
    return msgspec.structs.replace(CYCLES, channels=channels)


def test_channels_and_time_are_the_bundles():
    assert list(channel_faults(owner(source(channels={"temp": "T24"})), [reader()])) == []
    for changes, key, what in (
        ({"channels": {"weer": "w"}}, ("channels", "weer"), "the bundle has no channel 'weer'; the nearest is wear"),
        ({"channels": {"zz": "w"}}, ("channels", "zz"), "the bundle has no channel 'zz'; it has temp, load, wear"),
        ({"channels": {"temp": "load"}}, ("channels",), "2 channels would be read from the payload field 'load'"),
        ({"channels": {"temp": "cycle"}}, ("channels",),
         "the payload field 'cycle' would be read as a channel and as the time"),
        ({"time": Time(field="ts", unit="s")}, ("time",),
         'the bundle counts cycles, so this must be unit = "cycle"'),
    ):  # fmt: skip
        assert list(channel_faults(owner(source(**changes)), [reader()])) == [(("source", 0, *key), what)]
    ((_, what),) = channel_faults(owner(source()), [reader(SECONDS)])
    assert what == "the bundle counts time, so this must be a unit of time, or arrival"
    assert list(channel_faults(owner(source(time=Time())), [reader(SECONDS)])) == []


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
    faults = [what for _, what in budget_faults(0, model(budget), manifest)]
    assert [words in what for what in faults] == ([] if words is None else [True])


def test_without_a_budget_the_usual_one_counts_as_the_bundle_does():
    """A configuration that names a bundle alone must run, whatever the bundle counts."""
    silent = Model(bundle=Path("small.fwb"))
    for manifest, usual in ((CYCLES, "1 per 1000 cycles"), (SECONDS, "1 per device per 30d")):
        assert list(budget_faults(0, silent, manifest)) == []
        assert {head: one.budget.text for head, one in judged_heads(silent, manifest).items()} == {"risk": usual}


def test_a_fleet_budget_with_its_size_is_fine():
    assert list(budget_faults(0, model("6 per day", fleet_size=40), SECONDS)) == []


@pytest.mark.parametrize(
    ("extrapolated", "warned_of", "failures", "words"),
    [
        (False, 6, 6, None),
        (False, 0, 0, None),
        (True, 6, 6, '"1 per device per 18d" is too fine for this bundle: '),
        (True, 0, 6, '"1 per device per 18d" is too fine for this bundle: '),
        (False, 0, 6, '"1 per device per 18d" buys no warning with this bundle: '),
    ],
)
def test_a_budget_that_is_vouched_for_and_buys_nothing_is_told_another_way_out(
    extrapolated, warned_of, failures, words
):
    chosen = Chosen(0.9, 0.0, extrapolated, "1 per device per 18d", warned_of, failures, 0.0, 0.1, "failures")
    said = [what for _, what in budget_doubts(0, model("1 per device per 18d"), "risk", judged(chosen))]
    assert [what.startswith(words) for what in said] == ([] if words is None else [True])
    assert any("or train on more devices" in what for what in said) == (words is not None and not extrapolated)


def test_alarms_that_stand_too_long_at_every_threshold_are_said_at_the_key_that_bounds_them():
    chosen = Chosen(0.9, 0.0, False, "1 per device per 18d", 6, 6, 0.2, 0.1, "failures")
    ((key, what),) = budget_doubts(0, model("1 per device per 18d"), "risk", judged(chosen))
    assert key == ("model", 0, "time_in_alarm_max")
    assert "time in false alarm: 20.0% of at most 10%, and longer at every lower threshold" in what


def test_a_budget_for_a_head_that_the_bundle_lacks_or_in_another_unit_is_refused_at_its_key():
    own = Model(bundle=Path("small.fwb"), budget="1 per 900 cycles", anomaly_budget="1 per 30d", fleet_size=1)
    both = anomaly_manifest(with_risk=True)
    ((key, what),) = budget_faults(0, own, both)
    assert (key, "does not fit a bundle that counts cycles" in what) == (("model", 0, "anomaly_budget"), True)
    fits = own.model_copy(update={"anomaly_budget": "1 per 100 cycles"})
    assert list(budget_faults(0, fits, both)) == []
    assert [what for _, what in budget_faults(0, fits, CYCLES)] == [
        "the bundle has no head anomaly, whose alerts it could be for"
    ]


@pytest.mark.parametrize(("anomaly_budget", "key"), [("", "budget"), ("1 per 5000 cycles", "anomaly_budget")])
def test_a_doubt_about_anomaly_names_the_head_and_the_key_that_it_comes_from(anomaly_budget, key):
    own = Model(bundle=Path("small.fwb"), budget="1 per 4000 cycles", anomaly_budget=anomaly_budget)
    of_anomaly = judged_heads(own, anomaly_manifest(with_risk=True))["anomaly"]
    ((found, what),) = budget_doubts(0, own, "anomaly", of_anomaly)
    assert found == ("model", 0, key)
    assert what.startswith(f'"{of_anomaly.budget.text}" for anomaly is too fine for this bundle: this threshold is')


PRESS = with_channels("temp", "force")
PUMP = with_channels("temp", "flow")


def test_a_model_reads_the_sources_that_it_names_and_no_other():
    press, pump = reader(PRESS, name="a", sources=["press"]), reader(PUMP, 1, name="b")
    assert readers([press, pump], owner(source("press"))) == [press, pump]
    assert readers([press, pump], owner(source("pump"))) == [pump]


def test_among_several_a_model_that_names_no_source_reads_those_that_have_its_channels():
    """A source that maps a channel which it does not have, or whose time is of another kind, is another machine's."""
    press, pump = reader(PRESS, name="a"), reader(PUMP, 1, name="b")
    for mapped, read_by in (
        ({}, [press, pump]),
        ({"temp": "T"}, [press, pump]),
        ({"force": "F"}, [press]),
        ({"temp": "T", "flow": "Q"}, [pump]),
        ({"force": "F", "flow": "Q"}, []),
    ):
        assert readers([press, pump], owner(source(channels=mapped))) == read_by
    assert readers([press, pump], owner(source(time=Time()))) == []
    assert readers([press], owner(source(channels={"flow": "Q"}, time=Time()))) == [press], "alone it reads all"


def test_a_model_whose_channels_no_source_has_is_told_why_not():
    models = [reader(PRESS, name="a"), reader(PUMP, 1, name="b")]
    sources = [(0, source("press", channels={"force": "F"})), (1, source("mill", time=Time()))]
    why = "maps a channel 'force'; the source 'mill' counts time, the bundle cycles"
    assert list(no_source_faults(owners(sources), models)) == [
        (("model", 1), f"no source has its channels: the source 'press' {why}")
    ]
    sources = [(0, source("press", channels={"forces": "F"}))]
    assert [what for _, what in no_source_faults(owners(sources), models)] == [
        "no source has its channels: the source 'press' maps a channel 'forces', the nearest of the bundle is force",
        "no source has its channels: the source 'press' maps a channel 'forces'",
    ]
    assert list(no_source_faults(owners(sources), [reader(PUMP, name="b", sources=["press"])])) == []


def test_what_a_source_maps_is_a_channel_of_a_model_that_reads_it():
    models = [reader(PRESS, name="a", sources=["press"]), reader(PUMP, 1, name="b", sources=["press", "pump"])]
    assert list(channel_faults(owner(source("press", channels={"force": "F", "flow": "Q"})), models)) == []
    assert list(channel_faults(owner(source("pump", channels={"force": "F"}), 1), models)) == [
        (("source", 1, "channels", "force"), "the bundles have no channel 'force'; they have temp, flow")
    ]
    mill = owner(source("mill", channels={"forge": "F"}), 2)
    assert list(channel_faults(mill, [reader(PRESS, name="a"), models[1]])) == [
        (("source", 2, "channels", "forge"), "the bundles have no channel 'forge'; the nearest is force")
    ], "of a source that a model would read but for it"
    assert list(channel_faults(mill, models)) == [], "nobody means to read it"


def test_a_channel_that_no_model_reads_is_doubtful_unless_it_looks_like_a_typing_error():
    press = reader(PRESS, name="a")
    of = owner(source(channels={"temp": "T", "load": "L"}), 0, source("flow", joins="press", channels={"flow": "Q"}))
    assert list(channel_faults(of, [press])) == []
    assert list(channel_doubts(of, readers([press], of))) == [
        (("source", 0, "channels", "load"), "no model reads the channel 'load'"),
        (("source", 1, "channels", "flow"), "no model reads the channel 'flow'"),
    ]
    of = owner(source(channels={"temp": "T", "forge": "F"}))
    assert list(channel_faults(of, [press])) == [
        (("source", 0, "channels", "forge"), "the bundle has no channel 'forge'; the nearest is force")
    ]
    of = owner(source(channels={"temp": "T", "force": "F", "forge": "G"}))
    assert list(channel_faults(of, [press])) == [], "force is mapped itself"
    assert list(channel_doubts(of, [])) == [], "a source that no model reads is one doubt"


def test_a_channel_that_no_model_reads_has_a_payload_field_of_its_own():
    """For it is recorded beside the others."""
    for channels, field in (({"temp": "T", "load": "T"}, "T"), ({"temp": "T", "load": "x", "speed": "x"}, "x")):
        assert list(channel_faults(owner(source(channels=channels)), [reader(PRESS)])) == [
            (("source", 0, "channels"), f"2 channels would be read from the payload field {field!r}")
        ]
    both = owner(source(channels={"temp": "T", "load": "L"}), 0, source("b", joins="press", channels={"load": "L"}))
    assert list(channel_faults(both, [reader(PRESS)])) == [
        (("source", 1, "channels", "load"), "is read from the source 'press', too: leave it out of one of them")
    ]


def test_a_row_of_packed_numbers_has_no_channel_that_is_left_out():
    """The places of its channels say how long a row is."""
    packed = source(codec="float32", time=Time(field="int64", unit="ns"), channels={"temp": "0", "load": "3"})
    zoned = reader(msgspec.structs.replace(with_channels("temp", "zz"), time_unit="s"))
    assert list(channel_faults(owner(packed), [zoned])) == [
        (("source", 0, "channels", "load"), "the bundle has no channel 'load'; it has temp, zz")
    ]


def test_a_single_model_reads_those_of_several_sources_that_map_a_channel_of_it_or_none():
    press = reader(PRESS, name="a")
    sources = [
        source("press", channels={"temp": "T", "load": "L"}),
        source("plain"),
        source("pump", channels={"flow": "Q"}),
        source("clock", channels={"temp": "T"}, time=Time()),
    ]
    all_owners = owners([*enumerate(sources)])
    assert [one.source.name for one in all_owners if readers([press], one)] == ["press", "plain"]
    assert [fault for one in all_owners for fault in channel_faults(one, [press])] == []
    unread = "is read by no model, and not subscribed to"
    assert list(reader_doubts(all_owners, [press])) == [
        (("source", 2), f"{unread}: 'a' has no channel 'flow'"),
        (("source", 3), f"{unread}: 'a' counts cycles, this source counts time"),
    ]
    assert list(no_source_faults(all_owners, [press])) == []
    assert list(no_source_faults(owners([*enumerate(sources)][2:]), [press])) == [
        (
            ("model", 0),
            "no source has its channels: the source 'pump' maps a channel 'flow'; "
            "the source 'clock' counts time, the bundle cycles",
        )
    ]


def test_what_is_wrong_for_two_models_in_the_same_way_is_told_once():
    models = [reader(name="a", sources=["press"]), reader(SECONDS, 1, name="b", sources=["press"])]
    assert list(channel_faults(owner(source(channels={"temp": "load"})), models)) == [
        (("source", 0, "channels"), "2 channels would be read from the payload field 'load'"),
        (("source", 0, "time"),
         "the bundle of the model 'b' counts time, so this must be a unit of time, or arrival"),
    ]  # fmt: skip


def test_two_channels_of_two_models_may_be_one_payload_field():
    models = [reader(PRESS, name="a", sources=["press"]), reader(PUMP, 1, name="b", sources=["press"])]
    assert list(channel_faults(owner(source(channels={"force": "x", "flow": "x"})), models)) == []


def test_a_source_that_no_model_reads_and_one_that_different_models_read_are_doubtful():
    press, pump, shadow = reader(PRESS, name="a"), reader(PUMP, 1, name="b"), reader(with_channels("temp"), 2, name="c")
    alone = [source(channels={"force": "F"}), source("mill", time=Time())]
    why = "'a' counts cycles, this source counts time; 'b' counts cycles, this source counts time"
    unread = "is read by no model, and not subscribed to"
    assert list(reader_doubts(owners([*enumerate(alone)]), [press, pump])) == [(("source", 1), f"{unread}: {why}")]
    asked = reader(PRESS, 2, name="c", sources=["press"])
    assert [what for _, what in reader_doubts([owner(source("mill", channels={"flow": "Q"}))], [press, asked])] == [
        f"{unread}: 'a' has no channel 'flow'; 'c' names other sources"
    ]
    many = [reader(PRESS, index, name=f"m{index}", sources=["press"]) for index in range(5)]
    ((_, what),) = reader_doubts([owner(source("mill"))], many)
    assert what == f"{unread}: 'm0' names other sources; 'm1' names other sources; 'm2' names other sources; ..."
    assert list(reader_doubts([owner(source())], [press, shadow])) == [], (
        "a shadow that needs less reads the same machine"
    )
    ((key, what),) = reader_doubts([owner(source())], [press, pump, shadow])
    assert (key, what) == (
        ("source", 0),
        "is read by the models 'a' and 'b', whose channels differ: give each its `sources` if that is wrong",
    )
    asked = [reader(PRESS, name="a", sources=["press"]), reader(PUMP, 1, name="b", sources=["press"])]
    assert list(reader_doubts([owner(source())], asked)) == [], "whoever names a source knows what it is"
