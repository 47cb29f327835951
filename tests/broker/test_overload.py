"""What a source does when more comes than is taken, as its configuration says: counted through a real broker."""

import pytest

from tests.broker.running_agent import configuration, wait_until
from tests.streams import message

ROWS = 6000  # of one device: half as many again as may wait
pytestmark = [pytest.mark.slow, pytest.mark.alone]


def with_source(port: int, *lines: str, rows_max: int = 64) -> str:
    text = configuration(port).replace("rows_per_device_max = 4096", f"rows_per_device_max = {rows_max}")
    return "\n".join([text.replace('scores = "all"', 'scores = "none"'), *lines, ""])


def test_block_leaves_what_cannot_wait_with_the_broker_and_sheds_nothing(broker, make_agent):
    agent = make_agent(with_source(broker.port, 'overload = "block"', rows_max=256))
    agent.go()
    broker.publish_all([message("hog", row) for row in range(1, ROWS + 1)])
    wait_until(lambda: agent.status()["taken"] == ROWS, "all rows are taken")
    assert agent.status()["drops"] == {}
    assert agent.stop() == 0


def test_oldest_keeps_the_newest_rows_and_counts_the_others(broker, make_agent):
    agent = make_agent(with_source(broker.port, 'overload = "oldest"', rows_max=8))
    agent.go()
    broker.publish_all([message("hog", row) for row in range(1, ROWS + 1)])
    broker.publish_all([message("end", 1)])
    wait_until(lambda: agent.status()["devices"]["warming_up"] == 1, "the end marker is taken")
    n_shed = agent.status()["drops"]["press"]["shed"]
    assert n_shed > 0
    assert agent.stop() == 0
    (stopped,) = agent.log("agent_stopped")
    assert stopped["taken"] == ROWS + 1 - n_shed


def test_rate_max_drops_what_is_beyond_and_says_so(broker, make_agent):
    agent = make_agent(with_source(broker.port, "rate_max = 50"))
    agent.go()
    devices = [f"p{number}" for number in range(4)]
    broker.publish_all([message(device, row) for row in range(1, 101) for device in devices])
    broker.publish_all([("plant/end/cycle", b"")])

    def n_seen() -> int:
        status = agent.status()
        return status["taken"] + status["drops"].get("press", {}).get("rate", 0)

    wait_until(lambda: n_seen() == 401, "every message is taken or dropped")
    assert agent.status()["drops"]["press"]["rate"] > 0
    named = agent.wait_for_log("reading_dropped")
    assert (named["reason"], named["source"]) == ("rate", "press")
    assert agent.stop() == 0
