"""Which channel a topic names, for sources of one value a topic: `channel` of a source, a template over the levels."""

from agent.decode.template import Template
from agent.decode.topic import level_names
from agent.sources import Source

TAGS_MAX = 10_000  # topics' tags remembered; beyond it the memory starts anew
NO_CHANNEL = -1


class TopicChannel:
    """The column of a source's channels that a topic names."""

    def __init__(self, source: Source) -> None:
        """Raises ValueError where `channel` cannot be, or a name of it is no level of the topics."""
        self._template = Template.parse(source.channel)
        names = level_names(source.topics)
        unknown = [name for name in self._template.names if name not in names]
        if unknown:
            raise ValueError(f"no topic level is named {{{unknown[0]}}}")
        self._places = [names.index(name) for name in self._template.names]
        self._column = {field: column for column, field in enumerate(source.fields)}
        self._known: dict[tuple[str, ...], int] = {}

    def column(self, tags: tuple[str, ...]) -> int:
        """Index of the channel, NO_CHANNEL for none; tags of an `Address`."""
        column = self._known.get(tags)
        if column is None:
            column = self._column.get(self.field(tags), NO_CHANNEL)
            if len(self._known) >= TAGS_MAX:
                self._known.clear()
            self._known[tags] = column
        return column

    def field(self, tags: tuple[str, ...]) -> str:
        """The name that the topic gives."""
        return self._template.composed([tags[place] for place in self._places])
