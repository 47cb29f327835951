"""Settings become plain values for the layers that know no configuration."""

import msgspec

from agent.bundle import file
from agent.config.load import load
from agent.config.plan import bounds, plan
from agent.config.settings import Agent, Settings
from agent.config.source_tables import Time
from agent.core.bounds import Bounds
from agent.publish.status import ModelStatus
from agent.words import Source, plain_channels
from tests.bundles import write_small_bundle
from tests.configurations import SOURCE, VALID, write_configuration
from tests.small_bundle import small_manifest

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
            first_seen="new",
        ),
    )  # fmt: skip
    (model,) = planned.models
    assert (model.name, model.sources, model.channels) == ("main", (0,), ((0, 1, 2),))
    assert (model.chosen.threshold, model.chosen.extrapolated) == (0.5, True)
    status = ModelStatus.of(model, [source.name for source in planned.sources], {"ok": 3})
    assert (status.warned_of, status.failures, status.finest_budget) == (10, 10, "1 per 660 cycles")


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
