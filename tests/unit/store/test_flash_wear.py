"""What is written to the state directory is counted, and large snapshots are spaced by what they weigh."""

import sqlite3
import subprocess
import sys

import pytest
import structlog
from structlog.testing import LogCapture

from agent.store import file, snapshot
from agent.store.disk import StateFolder
from agent.store.flash_wear import DAY_S, FlashWear

DAY_BYTES_MAX = 2**30


@pytest.fixture
def log():
    return LogCapture()


@pytest.fixture
def wear(tmp_path, log):
    return FlashWear(StateFolder(tmp_path), tmp_path / "alerts.db", structlog.wrap_logger(None, processors=[log]))


def written_by(path):
    """What the kernel was asked to write of a file's growth: its size, as nothing is overwritten yet."""
    return path.stat().st_size


def test_files_are_counted_by_what_they_are_for(wear, tmp_path):
    name = snapshot.write(wear.disk, b"x" * 1000, b"y" * 500)
    file.write(wear.disk, "stopped", b"z")
    with_journal = wear.disk.create("journal-000000000000")
    with_journal.write(b"12345")
    with_journal.close()
    more = wear.disk.append("journal-000000000000")
    more.write(memoryview(b"678"))
    more.close()
    sizes = {path: written_by(tmp_path / path) for path in (name, "stopped", "journal-000000000000")}
    assert wear.written == {"snapshots": sizes[name], "other": sizes["stopped"], "journal": 8}
    assert sizes[name] > 1500


def test_what_sqlite_writes_is_counted_by_its_log(wear, tmp_path):
    """While the log grows, its size is what was written; after a checkpoint it begins anew, within its old size."""
    db = sqlite3.connect(tmp_path / "alerts.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE t (x)")
    log = tmp_path / "alerts.db-wal"
    before = log.stat().st_size
    wear.turn(1.0)
    for number in range(50):
        db.execute("INSERT INTO t VALUES (?)", ("x" * 3000,))
        wear.turn(2.0 + number)
    header = 32
    assert wear.written["alert_table"] == log.stat().st_size - header > before
    counted = wear.written["alert_table"]
    db.execute("PRAGMA wal_checkpoint(RESTART)")
    db.execute("INSERT INTO t VALUES (?)", ("x" * 3000,))
    wear.turn(100.0)
    in_database = (tmp_path / "alerts.db").stat().st_size
    assert counted + in_database < wear.written["alert_table"] < counted + in_database + 10 * 4120
    db.close()
    wear.turn(200.0)
    assert not (tmp_path / "alerts.db-shm").exists(), "SQLite has put all into the database"


def test_a_look_at_sqlites_log_takes_no_lock_from_it(wear, tmp_path):
    """Whoever finds no lock on the byte 128 takes the database for one that nobody uses, and its index for old."""
    db = sqlite3.connect(tmp_path / "alerts.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t (x)")
    wear.turn(1.0)
    wear.turn(2.0)
    other = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)"
    command = [sys.executable, "-c", other, tmp_path / "alerts.db-shm"]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    assert "BlockingIOError" in done.stderr
    db.close()


def test_the_pace_is_that_of_the_last_day(wear):
    wear.turn(1000.0)
    wear.count("snapshot-1.new", 5000)
    assert wear.bytes_per_day(1000.0 + 3599) is None, "the first hour says nothing of a day"
    assert wear.bytes_per_day(1000.0 + DAY_S / 2) == 10_000
    for hour in range(1, 60):
        wear.turn(1000.0 + hour * 3600)
    assert wear.bytes_per_day(1000.0 + 60 * 3600) == 0, "more than a day ago"


def test_snapshots_are_as_far_apart_as_was_asked_while_they_are_small(wear, log):
    assert wear.snapshot_every_s(30.0, DAY_BYTES_MAX) == 30.0
    snapshot.write(wear.disk, b"x" * 100_000)
    assert wear.snapshot_every_s(30.0, DAY_BYTES_MAX) == 30.0
    assert log.entries == []


def test_large_snapshots_write_no_more_a_day_than_the_bound_and_that_is_said_once(wear, log):
    snapshot.write(wear.disk, b"x" * 10_000_000)
    every_s = wear.snapshot_every_s(30.0, DAY_BYTES_MAX)
    assert DAY_S / every_s * wear.snapshot_bytes == pytest.approx(DAY_BYTES_MAX)
    assert every_s > 30
    assert wear.snapshot_every_s(30.0, DAY_BYTES_MAX) == every_s
    (line,) = log.entries
    assert (line["event"], line["log_level"]) == ("snapshots_spaced", "warning")
    assert line["every_s"] == round(every_s)
    assert "snapshot_bytes_per_day_max" in line["next_step"]


def test_the_bound_holds_from_the_start_on_for_the_size_that_is_there(tmp_path, wear):
    """Else an agent that is killed again and again would write a large one soon after each start."""
    snapshot.write(wear.disk, b"x" * 10_000_000)
    again = FlashWear(StateFolder(tmp_path), tmp_path / "alerts.db", structlog.wrap_logger(None, processors=[]))
    assert again.snapshot_bytes == wear.snapshot_bytes > 10_000_000
