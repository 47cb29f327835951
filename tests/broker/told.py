"""What a core that reads the same messages, without a broker, would have published."""

from collections.abc import Sequence
from pathlib import Path

from agent.bundle import file
from agent.publish.message import event_message, score_messages
from agent.publish.topic import Topics
from tests.broker.running_agent import ROOT
from tests.small_bundle import small_manifest
from tests.streams import SOURCE, Message, core, take


def scores_inline(messages: Sequence[Message], device: str) -> list[bytes]:
    """The payloads of a device's scores, byte for byte."""
    topics = Topics(ROOT)
    said = score_messages(take(core(), messages).scores[0], [SOURCE], small_manifest(), topics)
    return [payload for topic, payload in said if topic == topics.score("press", device)]


def events_inline(messages: Sequence[Message], bundle: Path) -> list[bytes]:
    """The payloads of all alert events."""
    return [event_message(event) for event in take(core(digest=file.read(bundle).digest), messages).alerts]
