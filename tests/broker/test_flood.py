"""Floods beside a healthy fleet (laws 2 and 5): its scores are equal to the bit, and what is refused is counted."""

from pathlib import Path

import pytest

from tests.broker.running_agent import configuration
from tests.broker.told import scores_inline
from tests.streams import in_bursts, interleaved, life, message

pytestmark = pytest.mark.alone
FLEET = [f"p{number}" for number in range(20)]
LIVES = [life(device, 40, wear_from=5 + number, seed=number) for number, device in enumerate(FLEET)]


def memory_mb(agent, which: str) -> float:
    """`VmRSS`, what is resident now, or `VmHWM`, the most that ever was."""
    lines = Path(f"/proc/{agent.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))


def assert_unharmed(agent, capsys, before_mb: float) -> None:
    """The fleet was told what a core without the flood says, on the connection it had. Memory is printed only."""
    expected = interleaved(*LIVES)
    for device in FLEET:
        assert agent.scores(device) == scores_inline(expected, device)
    assert agent.log("broker_lost") == []
    assert len(agent.log("broker_connected")) == 1
    with capsys.disabled():
        print(f"\nresident: {before_mb:.1f} MB before the flood, {memory_mb(agent, 'VmHWM'):.1f} MB at most")  # noqa: T201


@pytest.mark.slow
def test_a_flood_of_new_devices_is_counted_and_a_healthy_fleet_is_as_without_it(broker, make_agent, capsys):
    """Ten times `devices_max`, in bursts among the fleet's readings; a device that is over the bound stays over it."""
    n_flood = 5000
    agent = make_agent(configuration(broker.port).replace("[agent]", "[agent]\ndevices_max = 500"))
    agent.go()
    agent.feed(interleaved(*(one[:2] for one in LIVES)))
    before_mb = memory_mb(agent, "VmRSS")
    flood = [message(f"flood-{number}", cycle) for cycle in (1, 2) for number in range(n_flood)]
    status = agent.feed(in_bursts(interleaved(*(one[2:] for one in LIVES)), flood, seed=1))
    assert status["drops"] == {"press": {"devices_max": 2 * (n_flood - 480)}}
    assert sum(status["devices"].values()) == 500
    assert_unharmed(agent, capsys, before_mb)
    assert {line["reason"] for line in agent.log("reading_dropped")} == {"devices_max"}


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "n_counted"), [("3.1.1", 10), ("5", 0)])
def test_a_device_that_sends_nothing_but_10_mb_harms_nobody(broker, make_agent, capsys, protocol, n_counted):
    """100 MB at QoS 1 beside the fleet. mosquitto keeps them to itself when MQTT 5 tells it the bound; either way each
    is settled: after a restart none comes again."""
    agent = make_agent(configuration(broker.port, protocol=protocol))
    agent.go()
    agent.feed(interleaved(*(one[:2] for one in LIVES)))
    before_mb = memory_mb(agent, "VmRSS")
    rest = interleaved(*(one[2:20] for one in LIVES))
    for start in range(0, len(rest), 36):
        agent.broker.publish_all([*rest[start : start + 36], ("plant/huge/cycle", b"x" * 10_000_000)])
        agent._due += 36
    status = agent.feed(interleaved(*(one[20:] for one in LIVES)))
    assert status["drops"] == ({"press": {"too_large": n_counted}} if n_counted else {})
    assert sum(status["devices"].values()) == len(FLEET)
    assert_unharmed(agent, capsys, before_mb)
    agent.kill()
    agent.go()
    assert agent.feed([message("p1", 41)])["drops"] == {}
