"""A source that another session brings, or one that goes on with it again, has missed what came between: a gap."""

import pytest

from tests.broker.running_agent import configuration
from tests.streams import life

pytestmark = pytest.mark.slow

ROWS = life("p1", 52, wear_from=1000)
OTHER = """
[[source]]
name = "other"
topic = "x/{device}/cycle"
time = { field = "cycle", unit = "cycle" }
qos = 1
"""


def from_broker(port: int, name: str) -> str:
    text = configuration(port, durability="journal")
    table = f'[brokers.{name}]\nhost = "127.0.0.1"\nport = {port}\n[[model]]'
    return f'{text.replace("[[model]]", table)}broker = "{name}"\n'


def lives(agent, broker, *texts: str) -> list[str]:
    """Qualities of the last life's rows; one row is published while the agent has no configuration but the others."""
    agent.go()
    agent.feed(ROWS[:45])
    agent.stop()
    for text in texts[:-1]:
        agent.file.write_text(text)
        agent.go()
        broker.publish_all(ROWS[45:46])
        agent.stop()
    if not texts[:-1]:
        broker.publish_all(ROWS[45:46])
    agent.file.write_text(texts[-1])
    agent.go()
    agent.feed(ROWS[46:52])
    agent.expect(0)
    return agent.qualities("p1")


def test_a_broker_that_has_another_name_is_another_session(broker, make_agent):
    agent = make_agent(from_broker(broker.port, "a"))
    assert lives(agent, broker, from_broker(broker.port, "b")) == ["gap", *["ok"] * 5]


def test_a_source_that_was_taken_out_and_comes_back_has_a_gap(broker, make_agent):
    text = configuration(broker.port, durability="journal")
    agent = make_agent(text + OTHER)
    without = text[: text.index("[[source]]")] + OTHER
    assert lives(agent, broker, without, text + OTHER) == ["gap", *["ok"] * 5]
