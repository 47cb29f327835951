"""Which sources the broker lets the input read."""

from collections.abc import Sequence

import paho.mqtt.client as paho

from agent.decode.topic import Pattern
from agent.words import Source


class Subscriptions:
    """One for each source. `of_source`: its name -> `pending`, `granted`, or `refused: WHY`."""

    def __init__(self, sources: Sequence[Source], qos: Sequence[int]) -> None:
        self.filters = [Pattern.parse(source.topics[0]).filter for source in sources]
        self.of_source = {source.name: "pending" for source in sources}
        self._qos = qos
        self._unanswered: dict[int, str] = {}  # message id of a SUBSCRIBE -> source

    @property
    def unanswered(self) -> list[str]:
        """The sources whose SUBSCRIBE the broker has not answered."""
        return list(self._unanswered.values())

    def request(self, client: paho.Client) -> None:
        """Subscribe to all of them."""
        for name, topics, qos in zip(self.of_source, self.filters, self._qos, strict=True):
            _, message_id = client.subscribe(topics, qos)
            if message_id is not None:
                self._unanswered[message_id] = name

    def answer(self, message_id: int, refusal: str) -> str | None:
        """Take a SUBACK, `refusal` "" where it grants; the source, None for an answer to none of them."""
        source = self._unanswered.pop(message_id, None)
        if source is not None:
            self.of_source[source] = f"refused: {refusal}" if refusal else "granted"
        return source

    def lose_connection(self) -> None:
        """The connection has ended: nothing is granted on the next one yet."""
        self.of_source = dict.fromkeys(self.of_source, "pending")
        self._unanswered.clear()
