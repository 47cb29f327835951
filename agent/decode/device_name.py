"""Which device a reading is of: `device` of a source, a template over its topic's levels and its payload's tags."""

from collections.abc import Sequence

from agent.decode.sparkplug_topic import LEVELS_OF
from agent.decode.template import Template, braced_names
from agent.decode.topic import level_names
from agent.sources import Source


def payload_names(source: Source) -> tuple[str, ...]:
    """Names that a codec gives texts for: the source's tags, then the `{name}` for which keys stand in `readings`.

    The codec sparkplug knows its levels by itself.
    """
    names = (*LEVELS_OF.get(source.codec, ()), *(name for name, _ in source.tags))
    return tuple(dict.fromkeys((*names, *braced_names(source.payload.readings))))


class DeviceName:
    """Makes ids of texts. Other texts give another id.

    names        of what it is made
    is_in_topic  no payload is needed for it
    """

    def __init__(self, source: Source) -> None:
        """Raises ValueError where the template, or a topic, cannot be, or a name is known to neither topic nor tags."""
        self._template = Template.parse(source.device)
        names, of_topic, of_payload = self._template.names, level_names(source.topics), payload_names(source)
        unknown = [name for name in names if name not in of_topic + of_payload]
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in of_topic + of_payload) or "none"
            what = f"no topic level and no tag is named {{{unknown[0]}}}"
            raise ValueError(f"{what}; known names: {known}")
        self.names = frozenset(names)
        self.is_in_topic = self.names.isdisjoint(of_payload)
        # An index from 0 on is one of the payload's texts, one below 0 one of the topic's, which have them at the end.
        self._places = [
            of_payload.index(name) if name in of_payload else of_topic.index(name) - len(of_topic) for name in names
        ]
        is_plain = not any(self._template.texts) and len(names) == 1
        self._only = self._places[0] if is_plain else None

    def of(self, topic_tags: Sequence[str], payload_tags: Sequence[str] = ()) -> str:
        """The id, "" where one of its texts is empty.

        topic_tags    of an `Address`; payload_tags  texts of `payload_names`, in their order, "" for one that is absent
        """
        if self._only is not None:
            return payload_tags[self._only] if self._only >= 0 else topic_tags[self._only]
        values = [payload_tags[place] if place >= 0 else topic_tags[place] for place in self._places]
        return self._template.told_apart(values) if all(values) else ""
