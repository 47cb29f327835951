"""Messages that one source can read: topics by what their payloads are, how deep they are, and their fields."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.config.topics import overlap
from agent.decode.topic import Pattern
from agent.sample.kinds import Seen, seen
from agent.sample.levels import RESERVED, Levels, is_id, is_kind, levels_of
from agent.sample.moments import looks_like_time
from agent.sample.traffic import Traffic
from agent.sample.trees import VALUES, form_of, has_array_of_numbers, leaves, number_of, readings_of
from agent.sources import PayloadForm

GROUPS_MAX: Final = 50  # that are told apart; more are listed as unread
LOOKS_MAX: Final = 8_000  # payloads that are parsed
MESSAGES_MAX: Final = 2_000  # of a group that are looked at
LEVELS_MAX: Final = 32  # of a topic
PATHS_MAX: Final = 256  # of a topic, by which it is compared
ALIKE: Final = 0.25  # share of the fields that two topics of one source have in common
OWN: Final = "forewarn/"  # what an agent writes, by its default
TREES: Final = ("json", "cbor", "msgpack")


@dataclass(slots=True)
class Group:
    """Topics that one source may read.

    form      of trees; None for other codecs
    messages  those of its topics that are looked at, in the order of their arrival
    levels    its patterns
    """

    codec: str
    compression: str
    form: PayloadForm | None
    topics: list[str]
    messages: list[Seen]
    paths: set[str] = field(default_factory=set)
    levels: list[Levels] = field(default_factory=list)

    @property
    def has_one_value(self) -> bool:
        """Whether the topic names the channel of the one value of a payload."""
        return self.codec == "text" or (self.form is not None and self.form.form == "value")

    @property
    def kind(self) -> tuple[str, str, PayloadForm | None]:
        """What topics of one group have in common."""
        return self.codec, self.compression, self.form


@dataclass(frozen=True, slots=True)
class Unread:
    """Topics that no source is made for."""

    topics: tuple[str, ...]
    n_messages: int
    why: str
    example: Seen


def groups_of(traffic: Traffic) -> tuple[list[Group], list[Unread]]:
    """All topics as groups, in the order of their first topics, and those that no codec reads."""
    unread: dict[str, list[Seen]] = defaultdict(list)
    groups: list[Group] = []
    crowd: list[Seen] = []
    n_looks = max(1, LOOKS_MAX // max(1, len(traffic.topics)))
    for name in sorted(traffic.topics):
        looks = [seen(one) for one in traffic.topics[name].kept[:n_looks]]
        of_topic = _of_topic(name, looks)
        if isinstance(of_topic, str):
            if looks:
                unread[of_topic].append(looks[0])
            continue
        home = next((group for group in groups if _belongs(group, of_topic)), None)
        if home is not None:
            _join(home, of_topic)
        elif len(groups) < GROUPS_MAX:
            groups.append(of_topic)
        else:
            crowd.append(looks[0])
    for group in groups:
        _find_levels(group)
    groups = _without_overlap(groups, unread)
    if crowd:
        unread[f"more than {GROUPS_MAX} kinds of messages: name some topics by --topic"] = crowd
    return groups, [_unread(traffic, why, looks) for why, looks in unread.items()]


def _unread(traffic: Traffic, why: str, looks: Sequence[Seen]) -> Unread:
    topics = tuple(dict.fromkeys(one.message.topic for one in looks))
    n_messages = sum(traffic.topics[topic].n_live + traffic.topics[topic].n_retained for topic in topics)
    return Unread(topics, n_messages, why, looks[0])


def _of_topic(name: str, looks: list[Seen]) -> Group | str:
    """The group of one topic by itself, or why nothing reads it."""
    if name.startswith(OWN):
        return "of forewarn itself"
    if not name.isprintable():
        return "its topic holds control characters"
    if any(char in level for level in name.split("/") for char in "{}+#") or not name:
        return "its topic has characters that stand for patterns"
    if name.count("/") >= LEVELS_MAX:
        return f"its topic has more than {LEVELS_MAX} levels"
    kinds = Counter((one.codec, one.compression) for one in looks if one.codec)
    if not kinds:
        return looks[0].why if looks else "larger than 64 KiB"
    codec, compression = kinds.most_common(1)[0][0]
    if any(one[1] != compression for one in kinds):
        compression = "auto"
    own = [one for one in looks if one.codec == codec]
    if codec not in TREES:
        return Group(codec, compression, None, [name], own)
    forms = [_single_value(one.content) or form_of(one.content) for one in own]
    counts = Counter(form for form in forms if form is not None)
    if not counts:
        is_array = any(has_array_of_numbers(one.content) for one in own)
        return "an array of numbers without names, which no codec reads" if is_array else "no number in it"
    form = counts.most_common(1)[0][0]
    trees = (reading.tree for one in own for reading in readings_of(one.content, form)[:1])
    paths = {path for tree in trees for path in [*leaves(tree)][:PATHS_MAX]}
    return Group(codec, compression, form, [name], own, paths)


def _single_value(tree: object) -> PayloadForm | None:
    """The form of a payload that is one value, with no more than a time and texts beside it."""
    if not isinstance(tree, dict):
        return None if isinstance(tree, list) else PayloadForm(form="value", value="")
    values = leaves(tree)
    numbers = [path for path, value in values.items() if number_of(value) is not None and not looks_like_time(path)]
    is_value = len(numbers) == 1 and numbers[0] in VALUES and not any(isinstance(one, list) for one in values.values())
    return PayloadForm(form="value", value=numbers[0]) if is_value and len(values) <= 6 else None


def _belongs(group: Group, of_topic: Group) -> bool:
    """Whether a topic is of a group: alike in kind, depth and root, in what kind of message it says, and in fields."""
    if group.kind != of_topic.kind:
        return False
    if group.codec == "sparkplug":
        return True
    first, other = group.topics[0].split("/"), of_topic.topics[0].split("/")
    if len(first) != len(other) or (first[0] != other[0] and not (is_id(first[0]) and is_id(other[0]))):
        return False
    if group.has_one_value:
        return True
    if any(a != b and is_kind(a) and is_kind(b) for a, b in zip(first, other, strict=True)):
        return False
    common = len(group.paths & of_topic.paths)
    return not group.paths or not of_topic.paths or common >= ALIKE * min(len(group.paths), len(of_topic.paths))


def _join(group: Group, of_topic: Group) -> None:
    group.topics += of_topic.topics
    group.paths |= of_topic.paths
    if len(group.messages) < MESSAGES_MAX:
        group.messages += of_topic.messages


def _find_levels(group: Group) -> None:
    """Set the patterns of a group's topics, and its messages in their order."""
    group.messages.sort(key=lambda one: one.message.arrived_ns)
    if group.codec != "sparkplug":
        group.levels = [levels_of(group.topics, has_channel=group.has_one_value)]


def _without_overlap(groups: list[Group], unread: dict[str, list[Seen]]) -> list[Group]:
    """Groups whose patterns do not overlap: those of one kind become one, of others the one with fewer topics goes."""
    kept: list[Group] = []
    for group in sorted(groups, key=lambda one: -len(one.topics)):
        other = next((one for one in kept if _overlap(one, group)), None)
        if other is None:
            kept.append(group)
        elif other.kind == group.kind and len({topic.count("/") for topic in other.topics + group.topics}) == 1:
            _join(other, group)
            _find_levels(other)
        else:
            unread[beside(other)] += group.messages[:1]
    return sorted(_with_depths(kept), key=groups.index)


def beside(group: Group) -> str:
    """Why there is no source for topics within those of this group."""
    pattern = group.levels[0].pattern if group.levels else "spBv1.0/#"
    return f"another form of payload within {pattern}, which a source above reads"


def _with_depths(groups: list[Group]) -> Iterator[Group]:
    """Single values of one device at several depths, such as `d/temp` and `d/relay/0/power`, as one group."""
    taken: set[int] = set()
    for index, group in enumerate(groups):
        if index in taken:
            continue
        if group.codec == "text":
            for place, other in enumerate(groups[index + 1 :], index + 1):
                if place not in taken and other.kind == group.kind and _has_same_devices(group, other):
                    taken.add(place)
                    _join(group, other)
                    group.levels += other.levels
        yield group


def _has_same_devices(group: Group, other: Group) -> bool:
    first, second = group.levels[0], other.levels[0]
    if (first.device, first.channel) != (second.device, second.channel) or first.device != "{device}":
        return False
    return bool(_devices(first.pattern, group.topics) & _devices(second.pattern, other.topics))


def _devices(pattern: str, topics: Sequence[str]) -> set[str]:
    parsed = Pattern.parse(pattern)
    place = parsed.names.index(RESERVED[0])
    return {tags[place] for topic in topics if (tags := parsed.tags(topic)) is not None}


def _overlap(one: Group, other: Group) -> bool:
    return any(overlap(first, second) for first in filters(one) for second in filters(other))


def filters(group: Group) -> list[str]:
    """MQTT filters of a group."""
    return [Pattern.parse(one.pattern).filter for one in group.levels] or ["spBv1.0/#"]
