"""Topics of sources: what their levels name, that each message belongs to one source, and that machines stay apart."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from agent.config.agree import Fault
from agent.config.broker_settings import Broker
from agent.config.commands import command_root
from agent.config.readers import Sources
from agent.config.settings import Agent, Publish
from agent.config.source_settings import SourceSettings
from agent.decode.codec import SEVERAL_TOPICS
from agent.decode.sparkplug_topic import LEVELS_OF
from agent.decode.template import Template, braced_names
from agent.decode.topic import DEVICE, Pattern, is_named

Brokers = Mapping[str, Broker]  # by the `broker` of sources, "" for [broker]


def name_faults(index: int, source: SourceSettings) -> Iterator[Fault]:
    """The names that make a device and a channel are those of levels, the device's also those of payload fields."""
    device, channel = Template.parse(source.device).names, Template.parse(source.channel).names
    of_payload = (*source.tags, *braced_names(source.payload.readings))
    of_codec = LEVELS_OF.get(source.codec, ())
    for topic in source.topic:
        pattern = Pattern.parse(topic)
        if not device and (pattern.names or not {"+", "#"}.isdisjoint(pattern.levels)):
            what = f"{source.device!r} would be one machine for all topics that {topic!r} matches"
            yield ("source", index, "device"), what
        if twice := next((name for name in pattern.names if name in of_payload), ""):
            what = f"a level of {topic!r} and a payload field are both called {twice!r}: rename one"
            yield ("source", index, "tags" if twice in source.tags else "payload"), what
        for name in device:
            if name not in pattern.names + of_payload + of_codec:
                yield ("source", index, "device"), _not_named(source.device, name, topic)
        for name in channel:
            if name not in pattern.names:
                yield ("source", index, "channel"), f"no level of {topic!r} is called {{{name}}}"


def _not_named(device: str, name: str, topic: str) -> str:
    if device == DEVICE:
        return (
            f"nothing says which device a message is from: call a level of {topic!r} {{device}}, or name a payload "
            'field, as in device = "{machine}" and tags = { machine = "deviceId" }'
        )
    return f"no level of {topic!r} is called {{{name}}}, nor a payload field in `tags`"


def topic_faults(sources: Sources, publish: Publish | None, brokers: Brokers, output: Broker | None) -> Iterator[Fault]:
    """No message belongs to two sources, and forewarn does not read what it writes."""
    filters = [
        (index, source, topic, Pattern.parse(topic).filter) for index, source in sources for topic in source.topic
    ]
    addresses = {name: broker.address for name, broker in brokers.items()}
    for (_, first, topic, topics), (index, source, _, others) in combinations(filters, 2):
        of_one_broker = first.broker == source.broker or addresses.get(first.broker) == addresses.get(source.broker, "")
        if of_one_broker and overlap(topics, others):
            of = "this source" if first is source else f"the source {first.name!r}"
            yield ("source", index, "topic"), f"overlaps with {topic!r} of {of}"
    for index, source, topic, _ in filters:
        if not topic.isprintable():
            what = f"{topic!r} holds a control character: a broker closes the connection for it"
            yield ("source", index, "topic"), what
        is_output = output is not None and addresses.get(source.broker) == output.address
        if publish is not None and is_output and _reads_output(Pattern.parse(topic), publish.prefix):
            what = f"would read what forewarn itself publishes under {publish.prefix}/"
            yield ("source", index, "topic"), what


def _reads_output(pattern: Pattern, prefix: str) -> bool:
    """Whether a pattern is made to bring what forewarn publishes.

    A maker's topics often begin with the device, as `{device}/events/rpc`. What forewarn publishes is passed over there
    when it comes (`agent.receive.inbox`). With a `#` at the end it would all come, each score once more.
    """
    begins_with_name = any(map(is_named, pattern.levels[: prefix.count("/") + 1]))
    return (not begins_with_name or pattern.levels[-1] == "#") and overlap(pattern.filter, f"{prefix}/#")


def command_faults(sources: Sources, publish: Publish, agent: Agent) -> Iterator[Fault]:
    """No source reads the commands that the agent takes."""
    commands = f"{command_root(publish, agent)}/#"
    for index, source in sources:
        for topic in source.topic:
            if overlap(Pattern.parse(topic).filter, commands):
                yield ("source", index, "topic"), f"would read the commands to this agent, below {commands[:-2]}"


def topic_doubts(sources: Sources) -> Iterator[Fault]:
    """Patterns by which two machines of one name become one."""
    for index, source in sources:
        device = Template.parse(source.device).names
        named = {*device, *Template.parse(source.channel).names}
        for topic in source.topic if source.codec not in SEVERAL_TOPICS else ():
            pattern = Pattern.parse(topic)
            loose = next((name for name in pattern.names if name not in named), "")
            if not {*device} & {*pattern.names}:
                continue  # payloads name the device, whatever topic brings it
            if loose:
                what = (
                    f"{{{loose}}} in {topic!r} is no part of device = {source.device!r}: two machines of one name "
                    f'become one. device = "{{{loose}}}/{source.device}" tells them apart'
                )
                yield ("source", index, "topic"), what
            elif "+" in pattern.levels:
                what = (
                    f"`+` in {topic!r} lets several topics name one device: two machines of one name become one. "
                    f'Give that level a name, such as {{line}}, and say device = "{{line}}/{source.device}"'
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
