"""Whether what the configuration names exists, fits the bundle, and keeps out of each other's way.

Each table is looked at by itself as far as that goes, so that a fault in one hides none in another.
"""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from agent.bundle.manifest import Manifest
from agent.config.lines import Key
from agent.config.secret import secret_fault
from agent.config.settings import Agent, Broker, Model, Publish, SourceSettings
from agent.config.trust import trust_fault
from agent.decode.json_object import field_problem
from agent.decode.topic import Pattern
from agent.judge.threshold import Chosen, default_budget, parse_budget, verdict
from agent.near import nearest

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


def budget_faults(model: Model, manifest: Manifest | None) -> Iterator[Fault]:
    """It can be read, has a fleet size where it needs one, and counts in the bundle's own time."""
    try:
        rates = [parse_budget(model.budget, fleet_size=size).rate_per_s for size in (1, 2)]
    except ValueError as error:
        yield ("model", "budget"), str(error)
        return
    if not all(0 < rate < math.inf for rate in rates):
        yield ("model", "budget"), f"{model.budget!r} is no number of false alarms that could be counted"
        return
    if rates[0] != rates[1] and not model.fleet_size:
        yield ("model", "fleet_size"), f"must be given: the budget {model.budget!r} is for the whole fleet"
    counts_cycles = "cycle" in model.budget.lower()
    if manifest is not None and counts_cycles != (manifest.time_unit == "cycle"):
        counts = "cycles" if manifest.time_unit == "cycle" else "time"
        example = default_budget(manifest.time_unit)
        yield ("model", "budget"), f'{model.budget!r} does not fit a bundle that counts {counts}; such as "{example}"'


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


def source_faults(index: int, source: SourceSettings, manifest: Manifest) -> Iterator[Fault]:
    """Its channels are the bundle's, each read from a field of its own; its time is of the bundle's kind."""
    key: Key = ("source", index)
    names = [channel.name for channel in manifest.channels]
    for name in source.channels:
        if name not in names:
            meant = nearest(name, names)
            what = f"the nearest is {meant}" if meant else f"it has {', '.join(names[:20])}"
            yield (*key, "channels", name), f"the bundle has no channel {name!r}; {what}"
    for name in names:
        if name not in source.channels and (problem := field_problem(name)):
            yield (*key, "channels"), f"must name a payload field for the bundle's channel {name!r}: {problem}"
    fields = Counter(source.channels.get(name, name) for name in names)
    for field, n_channels in fields.items():
        if n_channels > 1:
            yield (*key, "channels"), f"{n_channels} channels would be read from the payload field {field!r}"
        if field == source.time.field:
            yield (*key, "channels"), f"the payload field {field!r} would be read as a channel and as the time"
    if (source.time.unit == "cycle") != (manifest.time_unit == "cycle"):
        wanted = 'unit = "cycle"' if manifest.time_unit == "cycle" else "a unit of time, or arrival"
        counts = "cycles" if manifest.time_unit == "cycle" else "time"
        yield (*key, "time"), f"the bundle counts {counts}, so this must be {wanted}"


def topic_faults(
    sources: Sequence[tuple[int, SourceSettings]], publish: Publish | None, *, one_broker: bool
) -> Iterator[Fault]:
    """No message belongs to two sources, and forewarn does not read what it writes."""
    filters = [(index, source, Pattern.parse(source.topic).filter) for index, source in sources]
    for (_, first, one), (index, _, other) in combinations(filters, 2):
        if overlap(one, other):
            yield ("source", index, "topic"), f"overlaps with {first.topic!r} of the source {first.name!r}"
    if publish is None or not one_broker:
        return
    for index, _, topics in filters:
        if overlap(topics, f"{publish.prefix}/#"):
            yield ("source", index, "topic"), f"would read what forewarn itself publishes under {publish.prefix}/"


def budget_doubts(model: Model, chosen: Chosen) -> Iterator[Fault]:
    """A budget that the calibration devices cannot vouch for, or a threshold that would have warned of nothing."""
    if chosen.extrapolated or (chosen.failures and not chosen.warned_of):
        yield ("model", "budget"), f'"{model.budget}" is too fine for this bundle: {verdict(chosen)}'


def topic_doubts(sources: Sequence[SourceSettings]) -> Iterator[Fault]:
    """Patterns by which two machines of one name become one."""
    for index, source in enumerate(sources):
        if "+" in Pattern.parse(source.topic).levels:
            what = (
                f"`+` in {source.topic!r} lets several topics name one device: two machines of one name become one. "
                "Make {device} the level that tells them apart, or give each line a source of its own"
            )
            yield ("source", index, "topic"), what


def overlap(one: str, other: str) -> bool:
    """Whether a topic can match both topic filters."""
    pairs = (one.split("/"), other.split("/"))
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
