"""Law 3 below the agent: kill -9 just before each system call that keeps something, one life each; then another life.

The broker of these lives is this test: it has every message until it is acknowledged, and gives the rest again. After
the second life everything that was ever published must be what the twin says, each event once by id and sequence
(`journal`), or alerts of whole lives, none lost, none under a second id, none that the twin has not (`snapshot`).
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from agent.publish.message import event_message
from agent.store.outbox import ALERT_TABLE, Outbox
from tests.broker.test_crash_equivalence import check_lives
from tests.faults.kept_process import STREAM
from tests.faults.lives import Lives
from tests.faults.system_calls import failing
from tests.faults.twin import without_repeats
from tests.streams import core, take

CALLS = ("fsync", "fdatasync", "rename", "unlink", "ftruncate", "openat", "write", "pwrite64")
CALLS_MAX = 2000


def twin_events() -> list[dict]:
    return [json.loads(event_message(event)) for event in take(core(), STREAM).alerts]


def killed_at(lives: Lives, mode: str, folder: Path, call: str, number: int) -> bool:
    """Kill at the number-th such call, live once more, check; False when there is no such call."""
    folder.mkdir()
    said, status = lives.live(mode, folder, 0, lambda pid: failing(pid, f"{call}:signal=KILL:when={number}"))
    if status == 0:
        return False
    acknowledged = max([int(what) for word, what in said if word == "a"], default=0)
    more, status = lives.live(mode, folder, acknowledged)
    assert (status, more[-1][0]) == (0, "end"), (call, number, more)
    check(mode, [json.loads(what) for word, what in said + more if word == "e"], folder)
    return True


def check(mode: str, events: list[dict], folder: Path) -> None:
    twin = twin_events()
    outbox = Outbox(folder / ALERT_TABLE, 1000)
    standing = [event.device for event in outbox.standing()]
    outbox.close()
    assert not list(folder.glob("*.corrupt-*"))
    assert standing == ["ill"]
    if mode == "journal":
        assert without_repeats(events) == twin
        return
    check_lives(events)
    stands = defaultdict(list)
    for event in twin:
        stands[event["device"]].append((event["t_ns"], event["event"] != "cleared"))
    for event in events:
        if event["event"] == "raised":
            assert [state for t_ns, state in stands[event["device"]] if t_ns <= event["t_ns"]][-1:] == [True], event


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_kill_9_at_some_call_is_as_if_it_had_not_been(lives, durability, tmp_path, call):
    """One of each kind: the next test has them all."""
    assert killed_at(lives, durability, tmp_path / call, call, 3) or call in ("ftruncate", "unlink")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("call", CALLS)
def test_kill_9_at_each_call_is_as_if_it_had_not_been(lives, durability, tmp_path, call):
    n_killed = next(n for n in range(CALLS_MAX) if not killed_at(lives, durability, tmp_path / str(n), call, n + 1))
    assert n_killed > 2 or call == "ftruncate"
