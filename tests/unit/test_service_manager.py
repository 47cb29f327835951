"""Which stage is stuck, as numbers; what the service manager is told, over a real socket."""

import os
import time

import pytest
import structlog
from structlog.testing import LogCapture

from agent import service_manager
from agent.service_manager import STEP_PATIENCE_S, Progress, Supervisor
from tests.service_manager import ServiceManager


def stuck_at(progress: Progress, now_s: float, **numbers: int) -> str:
    """The answer for an agent that is idle and connected, but for `numbers`."""
    idle = {"read": 0, "stepped": 0, "waiting": 0, "settled": 0, "connection": 1}
    return progress.stuck(now_s, **(idle | numbers))


def test_silence_and_an_absent_broker_are_never_stuck():
    progress = Progress(outbox_patience_s=30)
    for now_s in range(0, 100_000, 10):
        assert stuck_at(progress, now_s) == ""
    for now_s in range(100_000, 200_000, 10):
        assert stuck_at(progress, now_s, waiting=5, connection=0) == "", "it cannot leave"


def test_an_outbox_is_stuck_when_it_is_connected_and_nothing_leaves_for_longer_than_its_patience():
    progress = Progress(outbox_patience_s=30)
    assert stuck_at(progress, 1000) == ""
    for now_s, said in ((1010, ""), (1025, ""), (1030, ""), (1031, "outbox"), (2000, "outbox")):
        assert stuck_at(progress, now_s, waiting=5) == said
    assert stuck_at(progress, 2010, waiting=4, settled=1) == "", "one has left"
    assert stuck_at(progress, 2040, waiting=4, settled=1) == ""
    assert stuck_at(progress, 2041, waiting=4, settled=1) == "outbox"
    assert stuck_at(progress, 2042, waiting=0, settled=1) == "", "what the broker has refused does not wait"


def test_refusals_and_a_full_disk_are_never_stuck():
    """New alerts come faster than the broker refuses them; messages were read that cannot be kept."""
    progress = Progress(outbox_patience_s=30)
    for now_s in range(0, 1000, 10):
        assert stuck_at(progress, now_s, waiting=2, settled=now_s) == ""
        assert stuck_at(progress, now_s, read=0, stepped=90) == ""


def test_a_new_connection_is_a_new_chance_for_the_outbox():
    progress = Progress(outbox_patience_s=30)
    stuck_at(progress, 0, waiting=5, connection=1)
    assert stuck_at(progress, 31, waiting=5, connection=2) == ""
    assert stuck_at(progress, 61, waiting=5, connection=2) == ""
    assert stuck_at(progress, 62, waiting=5, connection=2) == "outbox"


def test_the_engine_is_stuck_when_messages_wait_and_none_is_stepped():
    progress = Progress(outbox_patience_s=30)
    stuck_at(progress, 0, read=100, stepped=90)
    assert stuck_at(progress, STEP_PATIENCE_S, read=200, stepped=90) == ""
    assert stuck_at(progress, STEP_PATIENCE_S + 1, read=300, stepped=90) == "step"
    assert stuck_at(progress, STEP_PATIENCE_S + 2, read=400, stepped=91) == "", "slow is not stuck"
    assert stuck_at(progress, 2 * STEP_PATIENCE_S + 2, read=400, stepped=91) == ""
    assert stuck_at(progress, 2 * STEP_PATIENCE_S + 3, read=400, stepped=91) == "step"


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    address = tmp_path / "notify" if request.param == "path" else f"@forewarn-test-{os.getpid()}"
    with ServiceManager(address) as one:
        yield one


def supervisor(manager: ServiceManager, **environ: str) -> tuple[Supervisor, LogCapture]:
    log = LogCapture()
    return Supervisor({"NOTIFY_SOCKET": manager.address, **environ}, structlog.wrap_logger(None, processors=[log])), log


def test_it_is_told_in_the_words_of_the_protocol(manager):
    one, _ = supervisor(manager, WATCHDOG_USEC="30000000")
    assert one.look_every_s == 15
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    one.ready()
    one.say("two\nREADY=0 lines")
    one.heed("")
    one.reloading()
    one.stopping()
    *told, reloading, monotonic, stopping = manager.told()
    assert told == ["READY=1", "STATUS=two READY=0 lines", "WATCHDOG=1"]
    assert (reloading, stopping) == ("RELOADING=1", "STOPPING=1")
    assert before_us <= int(monotonic.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_start_that_takes_long_asks_for_more_time_now_and_then(manager, monkeypatch):
    one, _ = supervisor(manager)
    for _ in range(3):
        one.starting()
    assert manager.told() == [], "it has only begun"
    monkeypatch.setattr(service_manager, "EXTEND_EVERY_S", 0.0)
    one.starting()
    monkeypatch.setattr(service_manager, "EXTEND_EVERY_S", 5.0)
    one.starting()
    assert manager.told() == ["EXTEND_TIMEOUT_USEC=60000000"]


def test_a_stuck_stage_is_said_once_and_starves_the_watchdog(manager):
    one, log = supervisor(manager, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    for stuck in ("outbox", "outbox", "step", ""):
        one.heed(stuck)
    assert manager.told() == ["WATCHDOG=1"]
    assert [(line["event"], line["stage"]) for line in log.entries] == [
        ("agent_stuck", "outbox"),
        ("agent_stuck", "step"),
    ]


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}], ids=str
)
def test_a_watchdog_that_is_not_ours_is_not_fed(manager, environ):
    one, _ = supervisor(manager, **environ)
    one.heed("")
    assert manager.told() == []
    assert one.look_every_s == 10


def test_without_a_service_manager_nothing_is_sent_and_nothing_said():
    log = LogCapture()
    one = Supervisor({}, structlog.wrap_logger(None, processors=[log]))
    one.ready()
    one.heed("")
    assert log.entries == []


def test_a_service_manager_that_is_gone_is_said_once(tmp_path):
    log = LogCapture()
    one = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}, structlog.wrap_logger(None, processors=[log]))
    one.ready()
    one.say("x")
    assert [line["event"] for line in log.entries] == ["service_manager_lost"]
