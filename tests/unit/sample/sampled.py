"""Messages as a broker brings them, for tests of `agent.sample`."""

import json

from agent.sample.guess import Guesses, guesses_of
from agent.sample.traffic import Message, Traffic

NOW_S = 1_795_814_330
SPAN_S = 20.0


def traffic(*messages: tuple[str, object], every_s: float = 1.0) -> Traffic:
    """Each (topic, payload) `every_s` after the one before; what is neither bytes nor text becomes JSON."""
    all_of_it = Traffic()
    for number, (topic, payload) in enumerate(messages):
        if not isinstance(payload, bytes):
            payload = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
        all_of_it.add(Message(topic, payload, round((NOW_S + number * every_s) * 1e9), False))
    return all_of_it


def guessed(*messages: tuple[str, object], every_s: float = 1.0) -> Guesses:
    return guesses_of(traffic(*messages, every_s=every_s), SPAN_S)


def source(*messages: tuple[str, object], every_s: float = 1.0) -> dict[str, object]:
    """The settings of the one source that reads all of them."""
    found = guessed(*messages, every_s=every_s)
    assert not found.unread, found.unread
    (only,) = found.sources
    assert only.trial.n_read == only.trial.n == len(messages), only
    return dict(only.settings)
