"""Settings become plain values for the layers that know no configuration."""

from agent.bundle import file
from agent.config.load import load
from agent.config.plan import bounds, plan
from agent.config.settings import Agent
from agent.core.bounds import Bounds
from agent.publish.status import ModelStatus
from agent.words import Source
from tests.configurations import SOURCE, VALID, write_configuration


def test_defaults_are_the_cores_own():
    """What the core does unconfigured and what the configuration says by default is one thing."""
    assert bounds(Agent()) == Bounds()


def test_a_source_lists_a_payload_field_for_every_channel_in_order(tmp_path):
    text = VALID + SOURCE + 'channels = { wear = "W" }\nfuture_max = "1m"\nreport_extra = false\nfirst_seen = "new"\n'
    settings = load(write_configuration(tmp_path, text), {})
    planned = plan(settings, file.read(settings.model.bundle))
    assert planned.sources == (
        Source(
            name="press", topic="plant/{device}/cycle", time_field="cycle", time_unit="cycle",
            fields=("temp", "load", "W"), future_max_s=60.0, report_extra=False,
            first_seen="new",
        ),
    )  # fmt: skip
    assert (planned.chosen.threshold, planned.chosen.extrapolated) == (0.5, True)
    status = ModelStatus.of(planned, settings.model.budget)
    assert (status.warned_of, status.failures, status.finest_budget) == (10, 10, "1 per 660 cycles")
