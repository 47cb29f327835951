"""`forewarn state`: looks into a state directory, checks it, and moves it to another place without losing anything."""

import errno
import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest
from click.testing import CliRunner

from agent.bundle.stored_zip import pack, unpack
from agent.cli import main
from agent.store import journal, records
from agent.store.disk import StateFolder
from agent.store.durability import DURABILITIES
from agent.store.lock import lock
from tests.journal_lives import Life
from tests.streams import life
from tests.unit.store.test_durability import REST, WORN


def run(*args, exit_code=0):
    """Standard output of `forewarn state ...`; standard error where it fails."""
    result = CliRunner().invoke(main, ["state", *map(str, args)])
    assert result.exit_code == exit_code, result.output
    return result.stdout if exit_code == 0 else result.stderr


def inspected(folder):
    return json.loads(run("inspect", "--state-dir", folder, "--json"))


@pytest.fixture(params=DURABILITIES)
def mode(request):
    return request.param


@pytest.fixture
def folder(tmp_path):
    """Not yet a state directory."""
    made = tmp_path / "state"
    made.mkdir()
    return made


def stopped_after(folder, mode, messages=WORN):
    process = Life(folder, mode=mode)
    process.take(messages)
    process.stop()


def killed_after(folder, mode):
    """A snapshot after 30 rows, 60 in all; returns what was running."""
    process = Life(folder, mode=mode)
    process.take(WORN[:30])
    process.durability.after_turn(10.0, 10.0)
    process.take(WORN[30:])
    return process


def test_inspect_says_what_is_there_beside_a_running_agent(folder, mode):
    running = killed_after(folder, mode)
    seen = inspected(folder)
    (snapshot,) = seen["snapshots"][:1]
    entry = {"snapshot": 32, "journal": 30}[mode]  # two are of the start: a state that may be behind, and the table
    assert (snapshot["entry"], snapshot["n_messages"], snapshot["devices"]) == (entry, 30, {"press": 1})
    assert snapshot["models"] == {"main": "d" * 64}
    assert snapshot["numerics"] == {"main": "exact"}
    assert seen["alert_table"]["standing"] == 1
    assert seen["alert_table"]["due"] == {"mqtt": len(running.cursor.sendable(99))}
    if mode == "journal":
        assert [(one["entry"], one["next_entry"]) for one in seen["journal"]] == [(0, 30), (30, 60)]
        assert seen["alert_table"]["applied"] > 30
    else:
        assert seen["journal"] == []
    said = run("inspect", "--state-dir", folder)
    assert re.search(rf"entry {entry}, 30 messages, log time 1970", said)
    assert "1 standing, 0 ended" in said


def test_verify_finds_nothing_wrong_beside_a_running_agent_or_after_a_stop(folder, mode):
    killed_after(folder, mode).outbox.close()
    assert run("verify", "--state-dir", folder) == "all good\n"
    stopped_after(folder, mode, life("p2", 9))
    assert run("verify", "--state-dir", folder) == "all good\n"


def test_nothing_is_changed_by_looking(folder, mode):
    stopped_after(folder, mode)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run("inspect", "--state-dir", folder)
    run("verify", "--state-dir", folder)
    run("export", "--state-dir", folder, folder.parent / "x.fws")
    now = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    assert now == before


@pytest.mark.parametrize("name", ["snapshot-000000000001", "journal-000000000030", "alerts.db", "stopped"])
def test_verify_names_the_file_in_which_a_bit_has_flipped(folder, name):
    running = killed_after(folder, "journal")
    running.stop()
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if name != "alerts.db" else 20] ^= 0x10
    path.write_bytes(data)
    said = run("verify", "--state-dir", folder, exit_code=1)
    assert said.startswith(f"{name}: ")
    (fault,) = json.loads(CliRunner().invoke(main, ["state", "verify", "--state-dir", str(folder), "--json"]).stdout)
    assert fault["file"] == name


def older(db):
    db.executescript("DROP TABLE hide; PRAGMA user_version = 6")


def of_nobody(db):
    db.executescript("DROP TABLE hide; PRAGMA user_version = 1000")


def broken_and_older(db):
    db.execute("UPDATE alert SET event = x'00'")
    db.commit()
    older(db)


def torn_and_older(db):
    older(db)
    db.executescript("PRAGMA writable_schema = 1; UPDATE sqlite_master SET rootpage = 3 WHERE name = 'alert'")


def emptied(db):
    (path,) = (row[2] for row in db.execute("PRAGMA database_list"))
    db.close()
    os.truncate(path, 0)


BROKEN_TABLES = [
    (of_nobody, "its schema is version 1000"),
    (broken_and_older, "the alert of 'press', 'p1', 'risk' is broken"),
    (torn_and_older, ""),
    (emptied, "it holds no tables"),
]


@pytest.mark.parametrize(("spoil", "why"), BROKEN_TABLES, ids=[spoil.__name__ for spoil, _ in BROKEN_TABLES])
def test_a_table_that_a_start_could_not_use_is_named_and_neither_exported_nor_imported(folder, tmp_path, spoil, why):
    """Also one of an older version, that a start would bring to today's."""
    stopped_after(folder, "snapshot")
    good, to = tmp_path / "good.fws", tmp_path / "moved.fws"
    run("export", "--state-dir", folder, good)
    with closing(sqlite3.connect(folder / "alerts.db")) as db:
        spoil(db)
    assert re.match(f"alerts.db: .*{why}", run("verify", "--state-dir", folder, exit_code=1))
    assert why in run("export", "--state-dir", folder, to, exit_code=1)
    assert not to.exists()
    table = (folder / "alerts.db").read_bytes()
    members = unpack(good.read_bytes(), members_max=9)
    manifest = json.loads(members["manifest.json"])
    manifest["digests"]["alerts.db"] = sha256(table).hexdigest()
    members |= {"manifest.json": json.dumps(manifest).encode(), "alerts.db": table}
    to.write_bytes(pack(members))
    assert why in run("import", "--state-dir", tmp_path / "there", to, exit_code=1)
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["lock"]


def test_a_table_of_an_older_version_is_good_and_moves(folder, tmp_path):
    stopped_after(folder, "snapshot")
    with closing(sqlite3.connect(folder / "alerts.db")) as db:
        older(db)
    assert run("verify", "--state-dir", folder) == "all good\n"
    run("export", "--state-dir", folder, tmp_path / "moved.fws")
    run("import", "--state-dir", tmp_path / "there", tmp_path / "moved.fws")
    there = Life(tmp_path / "there", mode="snapshot")
    assert (there.outbox.aside, len(there.outbox.standing())) == (None, 1)


def test_a_torn_end_of_the_newest_journal_file_is_said_and_no_fault(folder):
    killed_after(folder, "journal").outbox.close()
    newest = folder / journal.name_of(30)
    newest.write_bytes(newest.read_bytes() + b"FWJ1\0\0")
    assert inspected(folder)["journal"][-1]["torn_bytes"] == 6
    assert run("verify", "--state-dir", folder) == "all good\n"


def test_a_file_that_is_missing_in_the_middle_of_the_journal_is_found(folder):
    made = journal.Journal(StateFolder(folder), 10**6)
    for entry in (0, 1, 2):
        made.begin(entry, records.encode(records.Begun(records.VERSION, entry, "", {})))
        made.append(records.encode(records.Beat(10**9 * entry)))
    made.close()
    assert run("verify", "--state-dir", folder) == "all good\n"
    (folder / journal.name_of(1)).unlink()
    said = run("verify", "--state-dir", folder, exit_code=1)
    assert "begins at entry 2, the file before it ends at 1" in said


def test_a_directory_that_is_not_there_is_named(folder):
    assert "nowhere: is not there" in run("inspect", "--state-dir", folder / "nowhere", exit_code=1)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_directory_in_which_no_agent_has_run_is_no_good_state(folder, command):
    (folder / "lock").touch()
    (folder / "other.txt").write_text("not ours")
    assert "state: holds no state of forewarn" in run(command, "--state-dir", folder, exit_code=1)


def test_inspect_says_in_words_that_there_is_no_snapshot_and_no_entry_yet(folder):
    made = journal.Journal(StateFolder(folder), 10**6)
    made.begin(616, records.encode(records.Begun(records.VERSION, 616, "", {})))
    made.close()
    said = run("inspect", "--state-dir", folder)
    assert "no snapshot yet" in said
    assert "bytes: no entry yet from 616 on" in said


def test_an_export_replaces_a_file_only_when_it_is_told_to(folder, tmp_path):
    stopped_after(folder, "snapshot")
    to = tmp_path / "moved.fws"
    to.write_bytes(b"of yesterday")
    assert "--replace" in run("export", "--state-dir", folder, to, exit_code=1)
    assert to.read_bytes() == b"of yesterday"
    run("export", "--replace", "--state-dir", folder, to)
    run("import", "--state-dir", tmp_path / "there", to)


def test_a_journal_that_is_broken_is_said_by_export_and_taken_as_far_as_it_is_good(folder, tmp_path):
    killed_after(folder, "journal").outbox.close()
    path = folder / journal.name_of(30)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    to, there = tmp_path / "moved.fws", tmp_path / "there"
    for args in (("export", "--state-dir", folder, to), ("import", "--state-dir", there, to)):
        result = CliRunner().invoke(main, ["state", *map(str, args)])
        assert result.exit_code == 0, result.output
        assert f"warning: {path.name}: it is broken at byte" in result.stderr
    Life(there).take(life("p2", 3))


def test_an_export_that_fails_leaves_no_file(folder, tmp_path, monkeypatch):
    def is_full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    stopped_after(folder, "snapshot")
    monkeypatch.setattr("agent.store.disk._StateFile.write", is_full)
    said = run("export", "--state-dir", folder, tmp_path / "moved.fws", exit_code=1)
    assert "moved.fws: cannot be written (No space left on device)" in said
    assert [*tmp_path.glob("moved.fws*")] == []


def test_what_was_exported_goes_on_elsewhere_as_it_would_have_gone_on_here(folder, tmp_path, mode):
    stopped_after(folder, mode)
    run("export", "--state-dir", folder, tmp_path / "moved.fws")
    run("import", "--state-dir", tmp_path / "there", tmp_path / "moved.fws")
    here, there = Life(folder, mode=mode), Life(tmp_path / "there", mode=mode)
    assert there.core.snapshot() == here.core.snapshot()
    assert there.outbox.standing() == here.outbox.standing()
    assert there.events() == here.events()
    assert there.qualities(REST) == here.qualities(REST)


def test_before_the_first_snapshot_the_whole_journal_goes_along(folder, tmp_path):
    process = Life(folder)
    process.take(WORN)
    process.die()
    run("export", "--state-dir", folder, tmp_path / "moved.fws")
    run("import", "--state-dir", tmp_path / "there", tmp_path / "moved.fws")
    there = Life(tmp_path / "there")
    assert there.core.n_messages == process.core.n_messages
    assert there.core.view().alerts == process.core.view().alerts


def test_after_a_stop_nothing_is_missing_elsewhere(folder, tmp_path, mode):
    stopped_after(folder, mode)
    run("export", "--state-dir", folder, tmp_path / "moved.fws")
    run("import", "--state-dir", tmp_path / "there", tmp_path / "moved.fws")
    there = Life(tmp_path / "there", mode=mode)
    (line,) = [one for one in there.log.entries if one["event"] == "state_restored"]
    assert line["stopped_in_order"]


def test_an_export_is_for_its_user_alone_and_says_of_what_it_is(folder, tmp_path):
    stopped_after(folder, "snapshot")
    to = tmp_path / "moved.fws"
    said = run("export", "--state-dir", folder, to)
    assert "3 files" in said
    assert f"models: main {'d' * 12}" in said
    assert to.stat().st_mode & 0o777 == 0o600
    manifest = json.loads(unpack(to.read_bytes(), members_max=9)["manifest.json"])
    assert manifest["numerics"] == {"main": "exact"}
    assert manifest["machine"] == os.uname().machine


def test_import_does_not_touch_what_an_agent_holds(folder, tmp_path):
    stopped_after(folder, "snapshot")
    run("export", "--state-dir", folder, tmp_path / "moved.fws")
    held = lock(tmp_path / "there")
    said = run("import", "--replace", "--state-dir", tmp_path / "there", tmp_path / "moved.fws", exit_code=1)
    assert f"another agent uses it (pid {os.getpid()})\n  Stop the agent first." in said
    held.close()


def test_import_replaces_a_state_only_when_it_is_told_to_and_keeps_it(folder, tmp_path):
    stopped_after(folder, "snapshot")
    run("export", "--state-dir", folder, tmp_path / "moved.fws")
    stopped_after(folder, "snapshot", life("p7", 3))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}
    assert "--replace" in run("import", "--state-dir", folder, tmp_path / "moved.fws", exit_code=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"} == before
    run("import", "--replace", "--state-dir", folder, tmp_path / "moved.fws")
    (kept,) = folder.glob("replaced-*")
    assert re.fullmatch(r"replaced-\d{8}T\d{6}\.\d{6}Z", kept.name)
    assert f"{kept.name}/: the state that an import has replaced" in run("inspect", "--state-dir", folder)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert inspected(folder)["snapshots"][0]["devices"] == {"press": 1}


def test_a_backup_of_yesterday_says_gap_and_gives_what_stood_no_second_id(folder, tmp_path, mode):
    """B22. Since the backup the alert has ended and rows have passed of which the restored state knows nothing."""
    running = killed_after(folder, mode)
    (yesterday,) = running.outbox.standing()
    run("export", "--state-dir", folder, tmp_path / "backup.fws")
    running.take(life("p1", 70, start=61, wear_from=1000))
    assert running.outbox.standing() == []
    running.stop()
    run("import", "--replace", "--state-dir", folder, tmp_path / "backup.fws")
    again = Life(folder, mode=mode)
    assert again.outbox.standing() == [yesterday]
    n_due = len(again.events())
    qualities = again.qualities(life("p1", 60, start=131, wear_from=1000))
    assert qualities[0] == "GAP"
    since = again.events()[n_due:]
    assert "raised" not in [event.kind for event in since]
    assert (since[-1].kind, since[-1].alert) == ("cleared", yesterday.alert)


@pytest.mark.slow
@pytest.mark.parametrize("is_stopped", [False, True])
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_the_very_next_row_says_gap_unless_nothing_can_be_missing(folder, tmp_path, mode, is_stopped, is_elsewhere):
    """B22. One row passes after the export, so near to the next that no time between rows tells; once it has been said,
    a later start does not say it again.
    """
    running = killed_after(folder, mode)
    if is_stopped:
        running.stop()
    run("export", "--state-dir", folder, tmp_path / "backup.fws")
    if not is_stopped:
        running.take(REST)
        running.stop()
    to = tmp_path / "there" if is_elsewhere else folder
    run("import", "--replace", "--state-dir", to, tmp_path / "backup.fws")
    again = Life(to, mode=mode)
    is_whole = is_stopped and is_elsewhere
    (restored,) = [line for line in again.log.entries if line["event"] == "state_restored"]
    assert restored["stopped_in_order"] == is_whole
    rows = life("p1", 3, start=62, wear_from=1000)
    assert again.qualities(rows[:1]) == ["OK" if is_whole and mode == "journal" else "GAP"]
    assert again.qualities(rows[1:2])[0] != "GAP"
    again.die()
    if mode == "journal":
        assert "history_lost" not in Life(to, mode=mode).said()


def forged(data, **members):
    """The archive with other members; None takes one away."""
    whole = unpack(data, members_max=99) | members
    return pack({name: content for name, content in whole.items() if content is not None})


def test_an_archive_that_was_changed_is_refused_and_nothing_is_written(folder, tmp_path):
    stopped_after(folder, "snapshot")
    good = tmp_path / "moved.fws"
    run("export", "--state-dir", folder, good)
    data, there = good.read_bytes(), tmp_path / "there"
    manifest = unpack(data, members_max=9)["manifest.json"]
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    bad = {
        "flipped": bytes(flipped),
        "cut": data[:-1],
        "no zip": b"junk",
        "empty": b"",
        "added": forged(data, **{"snapshot-000000000099": b"x"}),
        "path": forged(data, **{"sub/snapshot-000000000001": b"x"}),
        "lost": forged(data, **{"alerts.db": None}),
        "newer": forged(data, **{"manifest.json": manifest.replace(b'"schema_version":1', b'"schema_version":2')}),
        "no manifest": forged(data, **{"manifest.json": None}),
    }
    for name, content in bad.items():
        (tmp_path / "bad.fws").write_bytes(content)
        run("import", "--state-dir", there, tmp_path / "bad.fws", exit_code=1)
        assert not there.exists(), name
    shutil.rmtree(folder)
    run("import", "--state-dir", there, good)


def test_what_cannot_be_an_archive_is_named_before_it_is_read(tmp_path, monkeypatch):
    """A file without an end, or one that no memory holds."""
    there, sparse = tmp_path / "there", tmp_path / "sparse.fws"
    sparse.touch()
    os.truncate(sparse, 2**40)
    os.mkfifo(tmp_path / "pipe")
    assert "has 1,099,511,627,776 bytes" in run("import", "--state-dir", there, sparse, exit_code=1)
    for endless in (tmp_path / "pipe", "/dev/zero"):
        assert "is no regular file" in run("import", "--state-dir", there, endless, exit_code=1)

    def is_full(*_):
        raise MemoryError

    os.truncate(sparse, 2**30)
    monkeypatch.setattr("pathlib.Path.read_bytes", is_full)
    assert "is held in memory" in run("import", "--state-dir", there, sparse, exit_code=1)
    assert not there.exists()


def test_a_state_that_no_archive_holds_is_said(folder, tmp_path, monkeypatch):
    stopped_after(folder, "snapshot")
    monkeypatch.setattr("agent.state.archive.BYTES_MAX", 2**22 + 100)
    assert "bytes of state, and an export at most" in run("export", "--state-dir", folder, tmp_path / "x", exit_code=1)


@pytest.mark.parametrize("key", ["made", "machine", "models", "unknown"])
def test_what_an_archive_says_reaches_no_terminal_raw(folder, tmp_path, key):
    stopped_after(folder, "snapshot")
    to = tmp_path / "moved.fws"
    run("export", "--state-dir", folder, to)
    manifest = json.loads(unpack(to.read_bytes(), members_max=9)["manifest.json"])
    evil = "\x1b]0;title\x07\n"
    manifest |= {"models": {evil: "d" * 64}} if key == "models" else {evil if key == "unknown" else key: evil}
    to.write_bytes(forged(to.read_bytes(), **{"manifest.json": json.dumps(manifest).encode()}))
    said = run("import", "--state-dir", tmp_path / "there", to, exit_code=int(key == "unknown"))
    assert r"\x1b]0;title\x07\n" in said
    assert "\x1b" not in said
