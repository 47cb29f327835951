"""Law 3, crash equivalence, in snapshot mode: kill -9 of a whole agent at random instants of a stream.

No committed alert is lost or gets a second id; a fault that still shows after the restart is raised; missing history is
marked `gap`; what stands is retained again. An event may be published twice, with the same alert and sequence.
"""

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
from contextlib import closing, suppress

import msgspec
import pytest

from agent.words import AlertEvent
from tests.broker.listener import Heard, Listener
from tests.broker.running_agent import ROOT, configuration, with_output
from tests.broker.told import events_inline
from tests.streams import interleaved, life

DEVICES = [f"p{number}" for number in range(6)]
MENDED = ("p1", "p3")
N_UNSURE = 30  # messages under way while the agent is killed


def stream() -> list[tuple[str, bytes]]:
    """Six machines that wear out one after the other; those of MENDED get well at cycle 56, and their alerts clear."""
    lives = []
    for number, device in enumerate(DEVICES):
        onset = 5 + 6 * number
        later = life(device, 35, start=56, wear_from=1000 if device in MENDED else onset, seed=number)
        lives.append(life(device, 55, wear_from=onset, seed=number) + later)
    return interleaved(*lives)


def committed(agent) -> list[tuple[AlertEvent, bool]]:
    """The newest event of each device's alert, and whether it stands, read from a copy of what the kill left."""
    copy = agent.folder / "copy-of-state"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(agent.state, copy)
    with closing(sqlite3.connect(copy / "alerts.db")) as db:
        rows = db.execute("SELECT event, stands FROM alert").fetchall()
    return [(msgspec.json.decode(event, type=AlertEvent), bool(stands)) for event, stands in rows]


def kill_while_taking(agent, messages, wait_for: str, n: int) -> None:
    """Publish, and kill -9 when the n-th message on a topic below `wait_for` is heard: the rest is under way."""
    since = len(agent.listener.heard)
    left = n

    def is_time(one) -> bool:
        nonlocal left
        left -= one.topic.startswith(f"{ROOT}/{wait_for}")
        return left <= 0

    publisher = threading.Thread(target=agent.broker.publish_all, args=(messages,))
    publisher.start()
    if n:
        agent.listener.wait_for(is_time, f"{n} messages of {wait_for}", since=since)
    agent.kill()
    publisher.join()


def check_lives(events) -> None:
    """One alert after the other on each device; sequence without a hole; what is said twice is the same."""
    first_said: dict[tuple[str, int], dict] = {}
    for event in events:
        assert first_said.setdefault((event["alert"], event["sequence"]), event) == event
    newest: dict[str, dict] = {}
    for event in first_said.values():
        before = newest.get(event["device"])
        if event["event"] == "raised":
            assert before is None or before["event"] == "cleared", "a second alert for a fault that is known"
            assert event["sequence"] == 1
        else:
            assert (before["alert"], before["sequence"]) == (event["alert"], event["sequence"] - 1)
        newest[event["device"]] = event


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_agent_loses_no_alert_and_gives_none_a_second_id(agent, seed):
    """Three kills; after each the devices go on, or send again what they cannot be sure has arrived."""
    rng = random.Random(seed)
    messages = stream()
    cuts = sorted(rng.sample(range(60, len(messages) - 180, 2 * N_UNSURE), 3))
    start = 0
    seen: list[tuple[str, int]] = []
    for cut in cuts:
        agent.feed(messages[start:cut])
        check_gaps(agent, is_first_life=start == 0)
        agent.wait_for_snapshots(1)  # a device that is in no snapshot and no table starts as one never heard
        kill_while_taking(agent, messages[cut : cut + N_UNSURE], "score", rng.randrange(N_UNSURE - 5))
        table = committed(agent)
        seen += [(event.alert, event.sequence) for event, _ in table]
        agent.go()
        start = rng.choice([cut, cut + N_UNSURE])
        agent.feed([messages[start]])
        assert standing(agent) == {event.device: event.alert for event, stands in table if stands}
        start += 1
    agent.feed(messages[start:])
    check_gaps(agent, is_first_life=False)
    events = agent.events(all_lives=True)
    check_lives(events)
    assert set(seen) <= {(event["alert"], event["sequence"]) for event in events}
    assert list(standing(agent)) == [device for device in DEVICES if device not in MENDED]
    before = [json.loads(payload) for payload in events_inline(messages[: cuts[0]], agent.folder / "small.fwb")]
    assert events[: len(before)] == before


@pytest.mark.parametrize("n_events", [1, 2])
def test_a_kill_between_commit_and_acknowledgement_repeats_an_event_but_makes_none(agent, n_events):
    """The agent dies as soon as an event is heard: its acknowledgement may be lost, the alert may not."""
    whole = life("p1", 80)
    agent.feed(whole[:35])
    kill_while_taking(agent, whole[35:60], "event", n_events)
    heard = agent.events()
    (event, stands) = committed(agent)[0]
    assert stands
    assert event.sequence >= heard[-1]["sequence"]
    agent.go()
    agent.feed(whole[60:])
    check_lives(agent.events(all_lives=True))
    assert standing(agent) == {"p1": heard[0]["alert"]}


@pytest.mark.slow
def test_a_broker_killed_again_and_again_costs_rows_but_no_alert(broker, output_broker, make_agent):
    """The input broker dies three times with messages under way; all that is said goes through another one."""
    messages = stream()
    with Listener(output_broker.port, "forewarn/#") as listener:
        agent = make_agent(with_output(broker.port, output_broker.port), hears=listener)
        agent.go()
        start = 0
        for cut in (140, 230, 320):
            agent.feed(messages[start:cut])
            check_gaps(agent, is_first_life=start == 0)
            broker.publish_all(messages[cut : cut + N_UNSURE])
            broker.kill()
            listener.wait_for(lambda one: says_connected(one, False), "the loss", since=len(listener.heard))
            before = agent.standing()
            agent.since = len(listener.heard)
            broker.start()
            agent.wait_until_it_listens()
            assert agent.standing() == before
            start = cut + N_UNSURE
        agent.feed(messages[start:])
        check_gaps(agent, is_first_life=False)
        check_lives(agent.events(all_lives=True))
        assert list(standing(agent)) == [device for device in DEVICES if device not in MENDED]


def test_an_agent_killed_while_it_starts_leaves_all_as_it_was(agent):
    """Seven kills, each a little later in the start: nothing is torn, and what stood still stands under its id."""
    whole = life("p1", 60)
    agent.feed(whole[:45])
    before = standing(agent)
    assert agent.stop() == 0
    for moment in range(1, 8):
        agent.start()
        with suppress(subprocess.TimeoutExpired):
            agent.process.wait(0.1 * moment)
        agent.process.kill()
        assert agent.process.wait() == -signal.SIGKILL
    agent.go()
    agent.feed(whole[45:])
    assert agent.qualities("p1") == ["gap"] + ["ok"] * 14
    assert standing(agent) == before
    check_lives(agent.events(all_lives=True))
    assert list(agent.state.glob("*.corrupt-*")) == []


def says_connected(one: Heard, wanted: bool) -> bool:
    """A status that says so of the input."""
    return one.topic == f"{ROOT}/status" and json.loads(one.payload)["broker"]["input"]["connected"] == wanted


def check_gaps(agent, *, is_first_life: bool) -> None:
    """The first row of each device after a restart says `gap`; in a first life it is warming up."""
    for device in DEVICES:
        assert agent.qualities(device)[:1] in ([], ["warming_up" if is_first_life else "gap"])


def standing(agent) -> dict[str, str]:
    """Device -> id of the alert that is retained on the broker."""
    return {alert["device"]: alert["alert"] for _, alert in sorted(agent.standing().items())}


def test_a_crash_before_the_first_snapshot_makes_no_device_new_again(make_agent, broker):
    """A bench's device is new at the very first start; after the crash it may have a past."""
    text = configuration(broker.port).replace('snapshot_every = "1s"', 'snapshot_every = "1h"')
    agent = make_agent(f'{text}first_seen = "new"\n')
    agent.go()
    agent.feed(life("p1", 3))
    assert agent.qualities("p1") == ["ok"] * 3
    agent.kill()
    agent.go()
    agent.feed(life("p1", 3, start=4))
    assert agent.qualities("p1") == ["warming_up", "warming_up", "ok"]
