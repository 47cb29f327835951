"""Whether what the configuration names exists, and keeps out of each other's way.

Each table is looked at by itself as far as that goes, so that a fault in one hides none in another. Whether models and
sources fit is for `agent.config.fit`.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from agent.config.broker_settings import Broker
from agent.config.lines import Key
from agent.config.readers import Sources
from agent.config.secret import secret_fault
from agent.config.settings import Agent, Publish, Settings
from agent.config.source_settings import SourceSettings, names_in
from agent.config.trust import readers_of_key, trust_fault
from agent.decode.topic import Pattern
from agent.near import nearest

Fault = tuple[Key, str]
Brokers = Mapping[str, Broker]  # by the `broker` of sources, "" for [broker]


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


def brokers_faults(brokers: Brokers) -> Iterator[Fault]:
    """No two tables are of one broker: two connections of one client id would end each other for ever."""
    first: dict[tuple[str, int], str] = {}
    for name, broker in brokers.items():
        other = first.setdefault(broker.address, name)
        if other != name:
            what = f"is the broker of {broker_table(other)}: let its sources say that instead"
            yield ("brokers", name, "host"), what


def broker_table(name: str) -> str:
    """How the table of a source's `broker` is written."""
    return f"[brokers.{name}]" if name else "[broker]"


def named_broker_faults(index: int, source: SourceSettings, names: Collection[str]) -> Iterator[Fault]:
    """The broker that a source names is there. names: of all [brokers.NAME]"""
    if source.broker and source.broker not in names:
        meant = nearest(source.broker, names)
        listed = f"there are {', '.join(names)}" if names else "there is none"
        what = f"the nearest is {meant}" if meant else listed
        yield ("source", index, "broker"), f"there is no [brokers.{source.broker}]; {what}"


def topic_faults(sources: Sources, publish: Publish | None, brokers: Brokers, output: Broker | None) -> Iterator[Fault]:
    """No message belongs to two sources, and forewarn does not read what it writes."""
    filters = [
        (index, source, topic, Pattern.parse(topic).filter) for index, source in sources for topic in source.topic
    ]
    for (_, first, topic, topics), (index, source, _, others) in combinations(filters, 2):
        if first.broker == source.broker and overlap(topics, others):
            of = "this source" if first is source else f"the source {first.name!r}"
            yield ("source", index, "topic"), f"overlaps with {topic!r} of {of}"
    for index, source, topic, topics in filters:
        if not topic.isprintable():
            what = f"{topic!r} holds a control character: a broker closes the connection for it"
            yield ("source", index, "topic"), what
        broker = brokers.get(source.broker)
        is_output = broker is not None and output is not None and broker.address == output.address
        if publish is not None and is_output and overlap(topics, f"{publish.prefix}/#"):
            yield ("source", index, "topic"), f"would read what forewarn itself publishes under {publish.prefix}/"


def topic_doubts(sources: Sources) -> Iterator[Fault]:
    """Patterns by which two machines of one name become one."""
    for index, source in sources:
        key: Key = ("source", index, "topic")
        for topic in source.topic:
            pattern = Pattern.parse(topic)
            parts = names_in(source.device)
            if not {*parts} & {*names_in(topic)}:
                continue  # payloads name the device, whatever topic brings it
            loose = [name for name in names_in(topic) if name not in (*parts, *names_in(source.channel))]
            if loose:
                what = (
                    f'two machines of one name become one. device = "{{{loose[0]}}}/{source.device}" tells them apart'
                )
                yield key, f"{{{loose[0]}}} in {topic!r} is no part of device = {source.device!r}: {what}"
            elif "+" in pattern.levels:
                what = (
                    f"`+` in {topic!r} lets several topics name one device: two machines of one name become one. "
                    f'Give that level a name, such as {{line}}, and say device = "{{line}}/{source.device}"'
                )
                yield key, what


def broker_doubts(settings: Settings) -> Iterator[Fault]:
    """Private keys that others may read, and brokers that no source names."""
    tables: list[tuple[Key, Broker | None]] = [(("broker",), settings.broker), (("output",), settings.output)]
    tables += [(("brokers", name), broker) for name, broker in settings.brokers.items()]
    for key, broker in tables:
        what = readers_of_key(broker) if broker else ""
        if broker and what:
            yield (*key, "key_file" if broker.key_file else "cert_file"), what
    for name in settings.brokers.keys() - {source.broker for source in settings.source}:
        yield ("brokers", name), f'no source is read from it: broker = "{name}" in a [[source]] says so'


def overlap(first: str, second: str) -> bool:
    """Whether a topic can match both topic filters."""
    pairs = (first.split("/"), second.split("/"))
    for levels, others in (pairs, pairs[::-1]):
        if levels[0] in ("+", "#") and others[0].startswith("$"):
            return False  # a wildcard at the first level leaves the broker's own topics out
    for level, against in zip(*pairs, strict=False):
        if "#" in (level, against):
            return True
        if level != against and "+" not in (level, against):
            return False
    short, long = sorted(pairs, key=len)
    return len(short) == len(long) or long[len(short) :] == ["#"]  # a/# matches a, too
