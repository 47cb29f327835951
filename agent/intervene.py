"""`forewarn intervene`: tell the running agent what was done to a machine, and wait until it says that it knows."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from agent.config import load as config
from agent.config.commands import command_topic
from agent.config.option import Utf8Text, config_option, owner_named
from agent.config.source_settings import SourceSettings
from agent.decode.command import NOTE_CHARS_MAX, InterventionCommand
from agent.errors import ConfigurationRefused
from agent.publish.command_client import send_command
from agent.publish.intervention import InterventionMessage
from agent.publish.topic import Topics
from agent.values.times import NS_PER, text_time_ns
from agent.words import InterventionKind

KINDS: Final = ("repaired", "replaced", "inspected")
COMMAND_TOPIC_HINT: Final = "[commands] interventions = true"


@click.command(short_help="Tell the agent that a machine was repaired, replaced or inspected.")
@click.argument("device", type=Utf8Text(may_be_empty=False))
@click.argument("kind", type=click.Choice(KINDS))
@config_option("The agent's main file, or the folder of a forewarn.toml: it says which broker, node and user.")
@click.option("--source", default="", help="Source of the device; needed where there are several.")
@click.option("--at", default="", help="When: an ISO 8601 time (default: now), or the number of a cycle.")
@click.option("--note", type=Utf8Text(), default="", help=f"What to keep with it, at most {NOTE_CHARS_MAX} characters.")
def intervene(device: str, kind: InterventionKind, file: Path, source: str, at: str, note: str) -> None:
    """\b
    forewarn intervene press-7 repaired --note "bearing changed"

    Tell the running agent what was done to DEVICE. Its alerts end with that cause; one that was repaired or replaced
    begins a new life, as a machine that is new. The agent keeps it for the trainer (`forewarn interventions`). It must
    have [commands] interventions = true, and this user must be allowed to publish there. Ends with 1 when no agent says
    within 5 s that it knows.
    """
    if len(note) > NOTE_CHARS_MAX:
        raise click.UsageError(f"--note has {len(note)} characters, at most {NOTE_CHARS_MAX} are kept")
    settings = config.load(file, os.environ)
    if not settings.commands.interventions:
        what = "its agent takes no interventions by command"
        raise ConfigurationRefused(file, what, next_step=f"Set {COMMAND_TOPIC_HINT} and restart it; see the docs.")
    owner = owner_named(settings, source)
    t, t_ns = _time(owner, at)
    topic = command_topic(settings.publish, settings.agent, owner.name)
    answer = send_command(
        settings,
        settings.broker_of(owner.broker),
        (topic, msgspec.json.encode(InterventionCommand(device, kind, t, note))),
        Topics.of(settings.publish.prefix, settings.agent.node).intervention,
        InterventionMessage,
        lambda said: (said.source, said.device, said.kind, said.t_ns) == (owner.name, device, kind, t_ns),
    )
    unheard = "" if answer.is_known else "; the agent has not heard of this device, and keeps it as a label"
    click.echo(f"{owner.name}/{device} {kind} at {answer.t}{unheard}")


def _time(owner: SourceSettings, at: str) -> tuple[str | float, int]:
    """What the command says of its time, and what that is in nanoseconds."""
    if owner.time.unit == "cycle":
        try:
            cycle = float(at)
            return cycle, round(cycle * NS_PER["cycle"])
        except (ValueError, OverflowError):
            raise click.UsageError(f"the source {owner.name} counts cycles: --at must be the number of one") from None
    at = at or datetime.now(UTC).isoformat()
    try:
        return at, text_time_ns(at)
    except ValueError as error:
        raise click.UsageError(f"--at: {error}") from None
