"""Commands to the agent as sources: what comes on their topics is input like any other, and has its place in the log.

Each source with devices of its own has one for interventions, one for labels of its alerts, and one for what is done
with them, read from the same broker. Their names hold a `/`, which no name of a configuration does.
"""

from typing import Final

from agent.config.settings import Agent, Publish, Settings
from agent.config.source_settings import SourceSettings
from agent.decode.alert_command import ALERT_COMMAND
from agent.decode.command import COMMAND
from agent.decode.label_command import LABEL_COMMAND
from agent.sources import Source
from agent.words import AlertAction

COMMANDS: Final = "cmd/"  # the names of these sources begin with it
COMMAND_QOS: Final = 1


def command_topic(publish: Publish, agent: Agent, source: str) -> str:
    """Where interventions in devices of a source are told."""
    return f"{command_root(publish, agent)}/intervention/{source}"


def label_topic(publish: Publish, agent: Agent, source: str) -> str:
    """Where alerts of a source's devices are labelled."""
    return f"{command_root(publish, agent)}/label/{source}"


def alert_topic(publish: Publish, agent: Agent, action: AlertAction, source: str) -> str:
    """Where somebody says what is to be done with alerts of a source's devices."""
    return f"{command_root(publish, agent)}/{action}/{source}"


def command_root(publish: Publish, agent: Agent) -> str:
    """What the topics of all commands begin with."""
    return f"{publish.prefix}/{agent.node}/cmd"


def command_source(settings: Settings, owner: SourceSettings) -> Source:
    """What brings commands to the devices of `owner`."""
    return Source(
        name=f"{COMMANDS}{owner.name}",
        topics=(command_topic(settings.publish, settings.agent, owner.name),),
        time_field="t",
        time_unit="cycle" if owner.time.unit == "cycle" else "iso8601",
        channels=(),
        tags=(("device", "device"),),
        codec=COMMAND,
        joins=owner.name,
    )


def label_source(settings: Settings, owner: SourceSettings) -> Source:
    """What brings labels of the alerts of `owner`."""
    return Source(
        name=f"{COMMANDS}label/{owner.name}",
        topics=(label_topic(settings.publish, settings.agent, owner.name),),
        time_field="t",
        time_unit="iso8601",
        channels=(),
        tags=(("alert", "alert"),),
        device="{alert}",
        codec=LABEL_COMMAND,
        joins=owner.name,
    )


def alert_source(settings: Settings, owner: SourceSettings) -> Source:
    """What brings commands that act on the alerts of `owner`: a topic for each that is allowed."""
    return Source(
        name=f"{COMMANDS}alert/{owner.name}",
        topics=tuple(
            alert_topic(settings.publish, settings.agent, action, owner.name)
            for action in dict.fromkeys(settings.commands.alerts)
        ),
        time_field="",
        time_unit="arrival",
        channels=(),
        tags=(("device", "device"),),
        codec=ALERT_COMMAND,
        joins=owner.name,
    )
