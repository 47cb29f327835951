"""Whether what the configuration names exists, and keeps out of each other's way.

Each table is looked at by itself as far as that goes, so that a fault in one hides none in another. Whether models and
sources fit is for `agent.config.fit`.
"""

import os
from collections.abc import Collection, Iterator, Sequence

from agent.config.alert_settings import Alerts
from agent.config.broker_settings import Broker
from agent.config.lines import Key
from agent.config.quantity import format_size
from agent.config.secret import secret_fault
from agent.config.settings import Agent, Settings
from agent.config.source_settings import LEARNED, SourceSettings
from agent.config.trust import readers_of_key, trust_fault
from agent.near import nearest
from agent.values.durations import format_duration, parse_duration

Fault = tuple[Key, str]
JOURNAL_OF_BROKER_MIN = 2**26
LOOKS_MIN = 4  # of `agent.tick_every`: what silence must last at the least, to be told of


def agent_faults(agent: Agent) -> Iterator[Fault]:
    """The state folder is there and writable, or can be made."""
    folder = agent.state_dir
    if "\0" in str(folder):
        yield ("agent", "state_dir"), "holds a null byte"
        return
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            yield ("agent", "state_dir"), f"{folder} is not a folder"
        elif not os.access(folder, os.W_OK | os.X_OK):
            missing = "" if folder == agent.state_dir else f" {agent.state_dir} does not exist, and"
            yield ("agent", "state_dir"), f"{missing} {folder} may not be written to by this user".strip()
    except OSError as error:
        yield ("agent", "state_dir"), (error.strerror or str(error)).lower()


def qos_faults(agent: Agent, sources: Sequence[tuple[int, SourceSettings]]) -> Iterator[Fault]:
    """What is read can be delivered again where the journal relies on that. sources: each with its place in the list"""
    for index, source in sources:
        if agent.durability == "journal" and source.qos == 0:
            what = 'is 0, and with agent.durability = "journal" must be 1: what comes at QoS 0 is never delivered again'
            yield ("source", index, "qos"), what


def journal_faults(agent: Agent, sources: Sequence[tuple[int, SourceSettings]]) -> Iterator[Fault]:
    """It has room for the rows of each broker that may wait: every file of it begins with them."""
    n_brokers = len({source.broker for _, source in sources})
    least = n_brokers * JOURNAL_OF_BROKER_MIN
    if agent.durability == "journal" and agent.journal_max < least:
        what = f"must be {format_size(least)} or more for {n_brokers} brokers, and not {format_size(agent.journal_max)}"
        yield ("agent", "journal_max"), what


def time_doubts(agent: Agent, timeless: Sequence[int]) -> Iterator[Fault]:
    """What the journal keeps can be told apart. timeless: places of the sources whose payloads say no time"""
    for index in timeless if agent.durability == "journal" else ():
        what = (
            "the time of arrival is that of a read: of a device that had messages waiting at the broker one row a read "
            "is kept, and the rest counts as `repeated`. Give the payload a time: time.field and time.unit"
        )
        yield ("source", index), what


def broker_faults(key: Key, broker: Broker) -> Iterator[Fault]:
    """Its names can be sent, the files it names are there, and the secret is one. key: of its table"""
    for name, text in (("client_id", broker.client_id), ("username", broker.username)):
        if not text.isprintable():
            yield (*key, name), f"{text!r} holds a control character: a broker closes the connection for it"
    if broker.password_file:
        fault = secret_fault(broker.password_file)
        if fault:
            yield (*key, "password_file"), f"{broker.password_file} {fault}"
    name, fault = trust_fault(broker)
    if fault:
        yield (*key, name), fault


def named_broker_faults(index: int, source: SourceSettings, names: Collection[str]) -> Iterator[Fault]:
    """The broker that a source names is there. names: of all [brokers.NAME]"""
    if source.broker and source.broker not in names:
        meant = nearest(source.broker, names)
        listed = f"there are {', '.join(names)}" if names else "there is none"
        what = f"the nearest is {meant}" if meant else listed
        yield ("source", index, "broker"), f"there is no [brokers.{source.broker}]; {what}"


def silence_faults(index: int, source: SourceSettings, agent: Agent) -> Iterator[Fault]:
    """Silence is looked for much more often than it is told of: what passes within two looks is no silence yet."""
    for key in ("silent_after", "device_silent_after"):
        text = getattr(source, key)
        if text not in ("", LEARNED) and parse_duration(text) < LOOKS_MIN * agent.tick_every:
            least = format_duration(LOOKS_MIN * agent.tick_every)
            yield ("source", index, key), f"must be {least} or more, four times agent.tick_every, and not {text!r}"


def broker_doubts(settings: Settings) -> Iterator[Fault]:
    """Private keys that others may read, what has no effect, and brokers that no source names."""
    tables: list[tuple[Key, Broker | None]] = [(("broker",), settings.broker), (("output",), settings.output)]
    tables += [(("brokers", name), broker) for name, broker in settings.brokers.items()]
    for key, broker in tables:
        what = readers_of_key(broker) if broker else ""
        if broker and what:
            yield (*key, "key_file" if broker.key_file else "cert_file"), what
        if broker and broker.protocol == "3.1.1" and "session_expiry" in broker.model_fields_set:
            yield (*key, "session_expiry"), "has no effect with MQTT 3.1.1: the broker alone decides"
    for name in settings.brokers.keys() - {source.broker for source in settings.source}:
        yield ("brokers", name), f'no source is read from it: broker = "{name}" in a [[source]] says so'


def alert_doubts(settings: Settings) -> Iterator[Fault]:
    """Alerts that need a person, and hides without an end, where no command may be given that ends them."""
    alerts, actions = settings.alerts, settings.commands.alerts
    needs = (
        (("alerts", "latch"), alerts.latch, "reset", "a latched alert stands for ever"),
        (("alerts", "acknowledge"), alerts.acknowledge == "required", "acknowledge", "such an alert stands for ever"),
        (("commands", "alerts"), "suppress" in actions, "unsuppress", "without a span it lasts for ever"),
        (("commands", "alerts"), "out_of_service" in actions, "in_service", "without a span it lasts for ever"),
    )
    for key, is_so, action, what in needs:
        if is_so and action not in actions:
            yield key, f'{what}: "{action}" is not in commands.alerts'


def maintenance_faults(alerts: Alerts, sources: Sequence[SourceSettings]) -> Iterator[Fault]:
    """Each window is of a source with devices of its own."""
    owners = [source.name for source in sources if not source.joins]
    for index, window in enumerate(alerts.maintenance):
        if window.source not in owners:
            near = nearest(window.source, owners)
            hint = f"; {near!r} is meant?" if near else f"; there are {', '.join(owners)}"
            yield ("alerts", "maintenance", index, "source"), f"no source with devices is named {window.source!r}{hint}"
