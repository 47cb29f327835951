"""Whether what the configuration names exists, and keeps out of each other's way.

Each table is looked at by itself as far as that goes, so that a fault in one hides none in another. Whether models and
sources fit is for `agent.config.fit`.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import combinations

from agent.config.lines import Key
from agent.config.secret import secret_fault
from agent.config.settings import Agent, Broker, Publish, SourceSettings
from agent.config.trust import trust_fault
from agent.decode.json import field_problem
from agent.decode.topic import Pattern

Fault = tuple[Key, str]


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


def broker_faults(table: str, broker: Broker) -> Iterator[Fault]:
    """Its names can be sent, the files it names are there, and the secret is one."""
    for name, text in (("client_id", broker.client_id), ("username", broker.username)):
        if not text.isprintable():
            yield (table, name), f"{text!r} holds a control character: a broker closes the connection for it"
    if broker.password_file:
        fault = secret_fault(broker.password_file)
        if fault:
            yield (table, "password_file"), f"{broker.password_file} {fault}"
    if broker.ca_file:
        fault = trust_fault(broker.ca_file)
        if fault:
            yield (table, "ca_file"), f"{broker.ca_file} {fault}"


def field_faults(index: int, source: SourceSettings) -> Iterator[Fault]:
    """Its topic can be subscribed to, and the payload fields that it names can be read."""
    key: Key = ("source", index)
    if not source.topic.isprintable():
        yield (*key, "topic"), f"{source.topic!r} holds a control character: a broker closes the connection for it"
    for name, field in source.channels.items():
        if problem := field_problem(field):
            yield (*key, "channels", name), problem
    if problem := field_problem(source.time.field):
        yield (*key, "time", "field"), problem


def topic_faults(
    sources: Sequence[tuple[int, SourceSettings]], publish: Publish | None, *, one_broker: bool
) -> Iterator[Fault]:
    """No message belongs to two sources, and forewarn does not read what it writes."""
    filters = [(index, source, Pattern.parse(source.topic).filter) for index, source in sources]
    for (_, first, topics), (index, _, others) in combinations(filters, 2):
        if overlap(topics, others):
            yield ("source", index, "topic"), f"overlaps with {first.topic!r} of the source {first.name!r}"
    if publish is None or not one_broker:
        return
    for index, _, topics in filters:
        if overlap(topics, f"{publish.prefix}/#"):
            yield ("source", index, "topic"), f"would read what forewarn itself publishes under {publish.prefix}/"


def topic_doubts(sources: Sequence[SourceSettings]) -> Iterator[Fault]:
    """Patterns by which two machines of one name become one."""
    for index, source in enumerate(sources):
        if "+" in Pattern.parse(source.topic).levels:
            what = (
                f"`+` in {source.topic!r} lets several topics name one device: two machines of one name become one. "
                "Make {device} the level that tells them apart, or give each line a source of its own"
            )
            yield ("source", index, "topic"), what


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
