"""Which sources the broker lets the input read."""

from collections.abc import Sequence

import paho.mqtt.client as paho

from agent.decode.topic import Pattern
from agent.words import Source


class Subscriptions:
    """One for each topic of a source. `of_source`: its name -> `pending`, `granted`, or `refused: WHY`.

    A source is granted when all of its topics are.
    """

    def __init__(self, sources: Sequence[Source], qos: Sequence[int]) -> None:
        """qos: 0 or 1, of each source."""
        self.filters = [Pattern.parse(topic).filter for source in sources for topic in source.topics]
        self.of_source = {source.name: "pending" for source in sources}
        self._asks = [
            (source.name, Pattern.parse(topic).filter, of_source)
            for source, of_source in zip(sources, qos, strict=True)
            for topic in source.topics
        ]
        self._unanswered: dict[int, str] = {}  # message id of a SUBSCRIBE -> source

    @property
    def unanswered(self) -> list[str]:
        """The sources of which the broker has not answered a SUBSCRIBE, each once."""
        return list(dict.fromkeys(self._unanswered.values()))

    def request(self, client: paho.Client) -> None:
        """Subscribe to all of them."""
        for name, topics, qos in self._asks:
            _, message_id = client.subscribe(topics, qos)
            if message_id is not None:
                self._unanswered[message_id] = name

    def answer(self, message_id: int, refusal: str) -> str | None:
        """Take a SUBACK, `refusal` "" where it grants; the source, None for an answer to none of them."""
        source = self._unanswered.pop(message_id, None)
        if source is not None and refusal:
            self.of_source[source] = f"refused: {refusal}"
        elif source is not None and self.of_source[source] == "pending" and source not in self.unanswered:
            self.of_source[source] = "granted"
        return source

    def lose_connection(self) -> None:
        """The connection has ended: nothing is granted on the next one yet."""
        self.of_source = dict.fromkeys(self.of_source, "pending")
        self._unanswered.clear()
