"""What was heard -> sources that read it, each tried with the sample, and what no source reads. Pure.

Topics become groups (`groups`), whose levels are told apart (`levels`). Of each group a source is guessed by its codec.
A guess is then tried: the same codecs that the agent has read the sample by it (`trial`), and what share they read is
said. The same sample gives the same guess.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.sample.channels import CHANNELS_MAX
from agent.sample.groups import Group, Unread, beside, filters, groups_of
from agent.sample.kinds import Seen
from agent.sample.other_sources import KINDS, value_settings
from agent.sample.traffic import PAYLOADS_MAX, Traffic
from agent.sample.trees_source import tree_settings
from agent.sample.trial import Trial, source_of, trial

SURE: Final = 0.9  # share of messages that a guess must read, or it is said
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Guess:
    """A source: the keys of its table and comments on them, what it was made of, and how its trial went."""

    settings: Mapping[str, Any]
    why: Mapping[str, str]
    n_topics: int
    n_live: int
    n_retained: int
    example: Seen
    trial: Trial

    @property
    def topics(self) -> tuple[str, ...]:
        """Its topic patterns."""
        topic = self.settings["topic"]
        return (topic,) if isinstance(topic, str) else tuple(topic)


@dataclass(frozen=True, slots=True)
class Guesses:
    """sources that do not overlap, and topics that none reads."""

    sources: tuple[Guess, ...]
    unread: tuple[Unread, ...]


def guesses_of(traffic: Traffic, span_s: float) -> Guesses:
    """Sources for what was heard in `span_s` seconds."""
    groups, unread = groups_of(traffic)
    sources: list[Guess] = []
    failed: dict[str, str] = {}  # why topics within those of a group have no source -> why there is none, in truth
    for group in groups:
        try:
            sources.append(_guess(group, traffic, span_s, {str(one.settings["name"]) for one in sources}))
        except ValueError as error:
            n_messages = sum(traffic.topics[one].n_live + traffic.topics[one].n_retained for one in group.topics)
            unread.append(Unread(tuple(group.topics), n_messages, str(error), group.messages[0]))
            failed[beside(group)] = f"among topics that could not be read ({error}): name its own by --topic"
    return Guesses(tuple(sources), tuple(replace(one, why=failed.get(one.why, one.why)) for one in unread))


def _guess(group: Group, traffic: Traffic, span_s: float, taken: set[str]) -> Guess:
    """The source of a group. Raises ValueError where there is none."""
    if group.codec in KINDS:
        keys, why = KINDS[group.codec](group, span_s)
    else:
        keys, why = (value_settings if group.has_one_value else tree_settings)(group, span_s)
    topics = keys.pop("topic")
    settings: dict[str, Any] = {"name": _name(group, taken), "topic": topics[0] if len(topics) == 1 else topics}
    settings |= {"codec": group.codec} | ({"compression": group.compression} if group.compression != "none" else {})
    settings |= {key: value for key, value in keys.items() if (key, value) != ("device", "{device}")}
    outcome = trial(source_of(settings), _unbroken(group, traffic))
    if not outcome.devices:
        reasons = ", ".join(f"{reason} {count}" for reason, count in outcome.reasons.items())
        raise ValueError(f"looks like {group.codec}, and no message of the sample could be read as such: {reasons}")
    counts = [traffic.topics[one] for one in group.topics]
    if len(settings["channels"]) >= CHANNELS_MAX:
        why["channels"] = f"the first {CHANNELS_MAX} that were seen"
    return Guess(
        settings,
        {key: text for key, text in why.items() if text and (key in settings or key == "device")},
        n_topics=len(group.topics),
        n_live=sum(one.n_live for one in counts),
        n_retained=sum(one.n_retained for one in counts),
        example=group.messages[0],
        trial=outcome,
    )


def _unbroken(group: Group, traffic: Traffic) -> Sequence[Seen]:
    """The messages of a group to be tried: of Sparkplug, whose messages are numbered, those before the first gap."""
    if group.codec != "sparkplug":
        return group.messages
    last_kept: dict[str, int] = {one.message.topic: one.message.arrived_ns for one in group.messages}
    full = [last for topic, last in last_kept.items() if traffic.topics[topic].n_live > PAYLOADS_MAX]
    return [one for one in group.messages if one.message.arrived_ns <= min(full, default=one.message.arrived_ns)]


def _name(group: Group, taken: set[str]) -> str:
    """A name of the topic's own words, another one for each source."""
    levels: Sequence[str] = filters(group)[0].split("/")
    words = [_NO_NAME.sub("-", level).strip("-") for level in levels if level not in ("+", "#")]
    name = "sparkplug" if group.codec == "sparkplug" else "-".join(filter(None, words[:3]))[:48].strip("-") or "source"
    return next(one for one in (name, *(f"{name}-{count}" for count in range(2, len(taken) + 3))) if one not in taken)
