"""What lies between the agent and its broker cuts, stalls, delays, splits, gathers and turns bits.

A proxy stands between the broker and the agent's input; who publishes, who listens and the agent's output are at the
broker itself. The agent must end up with what an undisturbed core has of the messages that the broker delivered.
"""

import json
import random
import time

import pytest

from tests.broker.running_agent import ROOT, wait_until, with_output
from tests.broker.told import events_inline, scores_inline
from tests.faults.proxy import GOOD, LOST, STALLED, Way
from tests.streams import interleaved, life

KEEPALIVE_S = 5  # the shortest that may be set
STALL_S = 3.0


@pytest.fixture
def behind(broker, proxy, make_agent, durability):
    """An agent that hears its broker through the proxy."""
    text = with_output(proxy.port, broker.port, durability=durability)
    agent = make_agent(text.replace("[broker]", f'[broker]\nkeepalive = "{KEEPALIVE_S}s"'))
    agent.go()
    return agent


def test_a_link_that_splits_gathers_and_delays_changes_no_byte(behind, proxy):
    """Single bytes, then 50 ms of traffic in one piece, then 100 ms late: all is as without it, on one connection."""
    messages = interleaved(*(life(f"p{number}", 60, seed=number) for number in range(3)))
    for first, down in ((0, Way(chunk_bytes=1)), (60, Way(gather_s=0.05)), (120, Way(delay_s=0.1))):
        proxy.treat(down=down)
        behind.feed(messages[first : first + 60])
    for number in range(3):
        assert behind.scores(f"p{number}") == scores_inline(messages, f"p{number}")
    said = [one.payload for one in behind.listener.heard if one.topic == f"{ROOT}/event"]
    assert said == events_inline(messages, behind.folder / "small.fwb")
    assert proxy.n_connections == 1


@pytest.mark.slow
def test_a_connection_that_is_cut_inside_a_message_leaves_nothing_of_it(behind, broker, proxy, durability):
    """Reset within the header, the topic and the payload of a PUBLISH: with `journal` the broker gives it again, else
    it is gone with the session, and the next row says `gap`."""
    whole = life("p1", 45)
    behind.feed(whole[:30])
    delivered, qualities = whole[:30], ["warming_up"] * 2 + ["ok"] * 28
    for number, n_bytes in enumerate((1, 12, 60)):
        cut, *after = whole[30 + 5 * number : 35 + 5 * number]

        def lose(cut=cut, n_bytes=n_bytes, number=number) -> None:
            proxy.cut_inside(n_bytes)
            broker.publish_all([cut])
            wait_until(lambda: len(behind.log("broker_lost")) > number, "the loss")
            proxy.treat(down=GOOD)

        behind.reconnect(lose)
        behind.feed(after)
        is_again = durability == "journal"
        delivered += [cut, *after] if is_again else after
        qualities += ["ok"] * 5 if is_again else ["gap"] + ["ok"] * 3
    found = [json.loads(payload) for payload in behind.scores("p1", all_lives=True)]
    assert [score["quality"] for score in found] == qualities
    twin = [json.loads(payload) for payload in scores_inline(delivered, "p1")]
    assert [score["risk"] for score in found] == [score["risk"] for score in twin]


@pytest.mark.long
def test_a_link_that_stalls_is_waited_for(behind, broker, proxy):
    """Messages wait in the network and at the broker: none is lost, and no connection is made anew."""
    messages = life("p1", 45)
    behind.feed(messages[:10])
    proxy.treat(down=STALLED)
    broker.publish_all(messages[10:40])
    behind.expect(30)
    time.sleep(STALL_S)
    assert behind.status()["taken"] == 10
    proxy.treat(down=GOOD)
    status = behind.feed(messages[40:])
    assert behind.scores("p1") == scores_inline(messages, "p1")
    assert status["broker"]["input"]["connected"]
    assert proxy.n_connections == 1


@pytest.mark.long
def test_a_link_that_swallows_everything_is_given_up_and_what_was_raised_waits(broker, proxy, make_agent, durability):
    """Half-open: both ends believe in the connection, and nothing arrives. Input and output notice within twice the
    keepalive; the alert that was raised meanwhile waits in the outbox, and leaves when there is a way again."""
    text = with_output(broker.port, proxy.port, durability=durability) + f'keepalive = "{KEEPALIVE_S}s"\n'
    agent = make_agent(text)
    agent.go()
    messages = life("p1", 60)
    agent.feed(messages[:15])
    proxy.treat(up=LOST, down=LOST)
    broker.publish_all(messages[15:55])
    agent.wait_for_log("alert_raised")
    agent.wait_for_log("output_lost")
    assert agent.events() == []
    proxy.treat(up=GOOD, down=GOOD)
    agent.expect(40)
    agent.feed(messages[55:])
    said = [one.payload for one in agent.listener.heard if one.topic == f"{ROOT}/event"]
    assert said == events_inline(messages, agent.folder / "small.fwb")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_bits_that_turn_on_the_way_end_a_connection_at_most(behind, broker, proxy, seed):
    """MQTT has no checksum of its own: a turned bit may be a wrong length, type, topic, packet id or digit."""
    rng = random.Random(seed)
    whole = life("p1", 60)
    behind.feed(whole[:5])
    for number in range(4):
        first = proxy.connections[-1].passed["down"]
        proxy.treat(down=Way(flips=frozenset(rng.sample(range(first, first + 400), 4))))
        broker.publish_all(life(f"noise{number}", 8))
    proxy.treat(down=GOOD)
    behind.reconnect(proxy.cut)
    n_before = len(behind.scores("p1"))
    broker.publish_all(whole[5:])
    wait_until(lambda: len(behind.scores("p1")) == n_before + 55, "all rows of a healthy device")
    assert behind.stop() == 0


@pytest.mark.long
def test_a_connection_that_the_broker_half_closes_is_made_anew(behind, proxy):
    """FIN from there, while our own way still stands open."""
    behind.feed(life("p1", 5))
    behind.reconnect(proxy.connections[-1].end_down)
    behind.feed(life("p1", 5, start=6))
    assert behind.log("agent_failed") == []
