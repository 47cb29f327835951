"""Which sources the broker lets the input read, and what a session that it keeps is to bring no more.

A kept session goes on bringing what an earlier configuration subscribed to. So the filters are remembered, each as a
note (`FILTER`), and those that no source has any more are unsubscribed from.
"""

from collections.abc import Sequence

import paho.mqtt.client as paho

from agent.decode.topic import Pattern
from agent.receive.kept_session import Notes
from agent.sources import Source

FILTER = "filter "  # a note that begins so names a filter: 0 once the session does not subscribe to it any more
_GRANTED, _IN_DOUBT = 1, 2  # a session may subscribe to what was not answered, and to what is refused by now


class Subscriptions:
    """One for each topic of a source. `of_source`: its name -> `pending`, `granted`, or `refused: WHY`.

    A source is granted when all of its topics are. `former` is what the session may still subscribe to for no source.
    """

    def __init__(self, reads: Sequence[tuple[Source, int]], notes: Notes) -> None:
        """reads: each source with the QoS of its subscriptions, 0 or 1; notes: of the session."""
        self.filters = [Pattern.parse(topic).filter for source, _ in reads for topic in source.topics]
        self.of_source = {source.name: "pending" for source, _ in reads}
        self._asks = [
            (source.name, Pattern.parse(topic).filter, of_source)
            for source, of_source in reads
            for topic in source.topics
        ]
        self.former = sorted({*notes.names(FILTER)} - {*self.filters})
        self._notes = notes
        self._unanswered: dict[int, tuple[str, str]] = {}  # message id of a SUBSCRIBE -> source and filter
        self._leaving: int | None = None  # message id of the UNSUBSCRIBE

    @property
    def unanswered(self) -> list[str]:
        """The sources of which the broker has not answered a SUBSCRIBE, each once."""
        return list(dict.fromkeys(source for source, _ in self._unanswered.values()))

    def request(self, client: paho.Client, *, is_kept: bool) -> list[str]:
        """Subscribe to all of them, and to nothing else; the sources of which the session has kept not all until now.

        is_kept  the session outlives the connection
        """
        begun: list[str] = []
        if self.former:
            _, self._leaving = client.unsubscribe(self.former)
        for name, topics, qos in self._asks:
            _, message_id = client.subscribe(topics, qos)
            if message_id is not None:
                self._unanswered[message_id] = name, topics
            if is_kept and self._notes.get(f"{FILTER}{topics}") != _GRANTED:
                self._notes.set(f"{FILTER}{topics}", _IN_DOUBT)
                begun.append(name)
        return list(dict.fromkeys(begun))

    def answer(self, message_id: int, refusal: str) -> str | None:
        """Take a SUBACK, `refusal` "" where it grants; the source, None for an answer to none of them."""
        if message_id not in self._unanswered:
            return None
        source, topics = self._unanswered.pop(message_id)
        if self._notes.get(f"{FILTER}{topics}"):  # none in a clean session
            self._notes.set(f"{FILTER}{topics}", _IN_DOUBT if refusal else _GRANTED)
        if refusal:
            self.of_source[source] = f"refused: {refusal}"
        elif self.of_source[source] == "pending" and source not in self.unanswered:
            self.of_source[source] = "granted"
        return source

    def leave(self, message_id: int) -> None:
        """Take an UNSUBACK. What it says of each filter changes nothing: one that is refused would be so again."""
        if message_id == self._leaving:
            for topics in self.former:
                self._notes.set(f"{FILTER}{topics}", 0)
            self.former, self._leaving = [], None

    def lose_connection(self) -> None:
        """The connection has ended: nothing is granted on the next one yet."""
        self.of_source = dict.fromkeys(self.of_source, "pending")
        self._unanswered.clear()
        self._leaving = None
