"""What the settings mean for a bundle: plain values for the layers that know no configuration."""

from dataclasses import dataclass

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.config.settings import Agent, Model, Settings
from agent.core import Core
from agent.core.bounds import Bounds
from agent.core.engine import load_engine
from agent.judge.threshold import Chosen, choose, parse_budget
from agent.words import Source


@dataclass(frozen=True, slots=True)
class Plan:
    """What would run: the bundle, the sources in its channel order, and the threshold for the budget."""

    bundle: Bundle
    sources: tuple[Source, ...]
    chosen: Chosen


def plan(settings: Settings, bundle: Bundle) -> Plan:
    """Settings that `load` has accepted, with the bundle that they name."""
    return Plan(bundle, sources(settings, bundle.manifest), threshold(settings.model, bundle.manifest))


def build(settings: Settings, plan: Plan) -> Core:
    """The core that runs, with the engine, decoders and judge inside it: `check` builds what `run` builds.

    Raises BundleRefused when the bundle's model cannot be run, or does not compute its golden rows.
    """
    engine = load_engine(plan.bundle)
    return Core(plan.sources, plan.bundle, engine, plan.chosen.threshold, bounds(settings.agent))


def sources(settings: Settings, manifest: Manifest) -> tuple[Source, ...]:
    """The sources, each with the payload field of every channel in the bundle's order."""
    return tuple(
        Source(
            name=source.name,
            topic=source.topic,
            time_field=source.time.field,
            time_unit=source.time.unit,
            fields=tuple(source.channels.get(channel.name, channel.name) for channel in manifest.channels),
            future_max_s=source.future_max.total_seconds(),
            past_max_s=source.past_max.total_seconds(),
            report_extra=source.report_extra,
            first_seen=source.first_seen,
        )
        for source in settings.source
    )


def threshold(model: Model, manifest: Manifest) -> Chosen:
    """The threshold for the budget. Raises ValueError when the budget is not one."""
    return choose(manifest.thresholds, parse_budget(model.budget, fleet_size=model.fleet_size))


def bounds(agent: Agent) -> Bounds:
    """The core's hard sizes."""
    return Bounds(
        max_devices=agent.max_devices,
        max_batch=agent.max_batch,
        payload_bytes_max=agent.payload_bytes_max,
        device_id_bytes_max=agent.device_id_bytes_max,
        tick_every_s=agent.tick_every.total_seconds(),
        stale_after_s=agent.stale_after.total_seconds(),
        forget_after_s=agent.forget_after.total_seconds(),
    )
