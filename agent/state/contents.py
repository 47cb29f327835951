"""What a state directory holds, file by file, and what is wrong with each; beside a running agent or without one.

Everything that has a checksum is held against it. Nothing is written, and nothing is locked, so that a file may vanish
while it is looked at: a running agent removes what newer ones have replaced. Such a one is left out.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec

from agent.core import snapshot as snapshot_content
from agent.devices.slots import GONE, NO_SOURCE
from agent.errors import SnapshotRefused, StateRefused
from agent.store import file, journal, records, snapshot
from agent.store.database import read_beside
from agent.store.disk import Disk
from agent.store.forget import TO_FORGET
from agent.store.instance import INSTANCE
from agent.store.migration import OLDER, check_migration
from agent.store.outbox import ALERT_TABLE
from agent.store.schema import SCHEMA_VERSION, other_version, read_rows
from agent.store.segment import Segment
from agent.store.unfinished_import import IMPORTING, UNFINISHED

T = TypeVar("T")
REPLACED = "replaced-"  # begins the names of folders
_HAS_RUN = "Has the agent run with this agent.state_dir?"
_CHECKED = (snapshot.STOPPED, INSTANCE, TO_FORGET, IMPORTING)  # small files with a checksum


class StateFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has a checksum. `fault` says what is wrong with it, "" where it is good."""

    name: str
    size_bytes: int
    fault: str = ""


class SnapshotFile(StateFile, frozen=True, kw_only=True):
    """A snapshot. `entry` and what follows are empty where `fault` says why it cannot be read.

    devices  by source, "" for a source that the configuration had no more
    models   digest of the bundle of each, by name; `numerics` likewise
    """

    entry: int = 0
    n_messages: int = 0
    log_time: str = ""
    devices: dict[str, int] = {}
    models: dict[str, str] = {}
    numerics: dict[str, str] = {}
    groups: tuple[str, ...] = ()


class JournalFile(StateFile, frozen=True, kw_only=True):
    """A file of the journal: the entries from `entry` to before `next_entry`.

    torn_bytes  at the end of the newest file, which was not synced: a start cuts them off
    """

    entry: int = 0
    next_entry: int = 0
    n_records: int = 0
    torn_bytes: int = 0


class TableFile(StateFile, frozen=True, kw_only=True):
    """The alert table and what is to be published.

    due      events by sink
    applied  the entry of the journal up to which all is in it, 0 for none
    """

    schema_version: int = 0
    standing: int = 0
    ended: int = 0
    history: int = 0
    due: dict[str, int] = {}
    applied: int = 0


class Contents(msgspec.Struct, frozen=True):
    """A state directory. Snapshots are newest first, files of the journal oldest first.

    set_aside  names of files that an agent could not use, and of what it kept with them
    replaced   names of folders, each with the state that `forewarn state import --replace` found
    """

    folder: str
    snapshots: list[SnapshotFile]
    journal: list[JournalFile]
    alert_table: TableFile | None
    others: list[StateFile]
    set_aside: list[str]
    replaced: list[str] = []

    def faults(self) -> Iterator[tuple[str, str]]:
        """Name and fault of each file that is not good."""
        table = [] if self.alert_table is None else [self.alert_table]
        files: list[StateFile] = [*self.snapshots, *self.journal, *table, *self.others]
        for each in files:
            if each.fault:
                yield each.name, each.fault


def read_contents(disk: Disk) -> Contents:
    """Read all of a state directory. Raises StateRefused where there is none, or the disk does not let it be read."""
    try:
        names = sorted(disk.names())
        contents = Contents(
            folder=str(disk.folder),
            snapshots=_there(disk, snapshot.newest_first(disk), _snapshot),
            journal=_journal(disk),
            alert_table=next(iter(_there(disk, [ALERT_TABLE], _table)), None),
            others=_there(disk, _CHECKED, _other),
            set_aside=[name for name in names if ".corrupt-" in name or ".foreign-" in name],
            replaced=[name for name in names if name.startswith(REPLACED)],
        )
    except FileNotFoundError:
        raise StateRefused(disk.folder, "is not there", next_step=_HAS_RUN) from None
    except NotADirectoryError:
        raise StateRefused(disk.folder, "is no directory", next_step=_HAS_RUN) from None
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise StateRefused(disk.folder, what, next_step="May you read the folder? Is the disk failing?") from None
    if not (contents.snapshots or contents.journal or contents.alert_table or contents.others or contents.set_aside):
        raise StateRefused(disk.folder, "holds no state of forewarn", next_step=_HAS_RUN)
    return contents


def sources_of(disk: Disk, device: str) -> list[str]:
    """Sources that have a device of this id in the newest good snapshot. Raises StateRefused where nothing is."""
    if not disk.folder.is_dir():
        raise StateRefused(disk.folder, "is not there", next_step=_HAS_RUN)
    for name in snapshot.newest_first(disk):
        with suppress(file.Corrupt, SnapshotRefused):
            header, groups, _ = snapshot_content.read_content(file.read(disk, name))
            owners = zip(groups["owner"]["source"].tolist(), header.devices, strict=True)
            return [header.sources[source] for source, known in owners if known == device and source != GONE]
    return []


def _there(disk: Disk, names: list[str] | tuple[str, ...], read: Callable[[Disk, str], T]) -> list[T]:
    """Of each file that is there, when it is read, what `read` makes of it."""
    files = []
    there = set(disk.names())
    for name in names:
        if name in there:
            with suppress(FileNotFoundError):
                files.append(read(disk, name))
    return files


def _snapshot(disk: Disk, name: str) -> SnapshotFile:
    size_bytes = disk.size(name)
    try:
        header, groups, _ = snapshot_content.read_content(file.read(disk, name))
    except file.Corrupt as error:
        return SnapshotFile(name=name, size_bytes=size_bytes, fault=str(error))
    except SnapshotRefused as error:
        return SnapshotFile(name=name, size_bytes=size_bytes, fault=error.what)
    counts = Counter(int(source) for source in groups["owner"]["source"] if source != NO_SOURCE)
    return SnapshotFile(
        name=name,
        size_bytes=size_bytes,
        entry=header.entry,
        n_messages=header.n_messages,
        log_time=_time(header.log_time_ns),
        devices={"" if source == GONE else header.sources[source]: n for source, n in sorted(counts.items())},
        models=snapshot_content.digests_of_models(header),
        numerics=header.numerics,
        groups=tuple(group.name for group in header.groups),
    )


def _time(log_time_ns: int) -> str:
    """As ISO 8601, "" for none."""
    try:
        at = datetime.fromtimestamp(log_time_ns / 1e9, UTC)
    except (ValueError, OverflowError, OSError):  # no clock says so
        return ""
    return at.isoformat(timespec="milliseconds") if log_time_ns >= 0 else ""


def _journal(disk: Disk) -> list[JournalFile]:
    names = [journal.name_of(entry) for entry in journal.entries_of(disk)]
    files = _there(disk, names, _journal_file)
    for index, part in enumerate(files):
        if part.fault:
            continue
        fault = ""
        if part.torn_bytes and index + 1 < len(files):
            fault = f"it is torn {part.torn_bytes} bytes before its end, and is not the newest"
        elif not part.n_records and index + 1 < len(files):
            fault = "it is empty, and is not the newest"
        elif index and not files[index - 1].fault and files[index - 1].next_entry != part.entry:
            fault = f"it begins at entry {part.entry}, the file before it ends at {files[index - 1].next_entry}"
        files[index] = msgspec.structs.replace(part, fault=fault)
    return files


def _journal_file(disk: Disk, name: str) -> JournalFile:
    segment = Segment(partial(disk.read, name), disk.size(name))
    entry = next_entry = int(name.rpartition("-")[2])
    n_records, fault = 0, ""
    try:
        for _, body in segment.records():
            record = records.decode(body)
            if n_records == 0 and not (isinstance(record, records.Begun) and record.entry == entry):
                fault = "it does not begin as a file of the journal does"
            n_records += 1
            next_entry += records.n_entries(record)
    except records.Unknown as error:
        fault = fault or f"it has a record that cannot be read ({error})"
    if segment.state == "broken":
        fault = f"it is broken at byte {segment.good_bytes}: a bit has flipped, or somebody wrote to it"
    return JournalFile(
        name=name,
        size_bytes=segment.size_bytes,
        fault=fault,
        entry=entry,
        next_entry=next_entry,
        n_records=n_records,
        torn_bytes=segment.size_bytes - segment.good_bytes if segment.state == "torn" and not fault else 0,
    )


def _table(disk: Disk, name: str) -> TableFile:
    size_bytes = disk.size(name)
    try:
        (table,) = read_beside(disk.folder / name, 0, lambda db: [_of_table(db, name, size_bytes)])
    except StateRefused as error:
        return TableFile(name=name, size_bytes=size_bytes, fault=error.what)
    return table


def _of_table(db: sqlite3.Connection, name: str, size_bytes: int) -> TableFile:
    """Raises what `read_beside` knows."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    fault = ""
    if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        fault = "it holds no tables: it was emptied, and what stood in it is lost"
    elif version not in (*OLDER, SCHEMA_VERSION):
        fault = other_version(version)
    if fault:
        return TableFile(name=name, size_bytes=size_bytes, fault=fault, schema_version=version)
    said = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if said != "ok":
        return TableFile(name=name, size_bytes=size_bytes, fault=said, schema_version=version)
    if version != SCHEMA_VERSION:  # the next start brings it to today's, if it can
        check_migration(db, version)
        return TableFile(name=name, size_bytes=size_bytes, schema_version=version)
    read_rows(db)
    standing, ended = (
        db.execute("SELECT count(*) FROM alert WHERE stands = ?", (one,)).fetchone()[0] for one in (1, 0)
    )
    applied = db.execute("SELECT entry FROM applied").fetchone()
    return TableFile(
        name=name,
        size_bytes=size_bytes,
        schema_version=version,
        standing=standing,
        ended=ended,
        history=db.execute("SELECT count(*) FROM history").fetchone()[0],
        due=dict(db.execute("SELECT sink, count(*) FROM due GROUP BY sink ORDER BY sink")),
        applied=applied[0] if applied else 0,
    )


def _other(disk: Disk, name: str) -> StateFile:
    try:
        file.read(disk, name)
    except file.Corrupt as error:
        return StateFile(name=name, size_bytes=disk.size(name), fault=str(error))
    return StateFile(name=name, size_bytes=disk.size(name), fault=UNFINISHED if name == IMPORTING else "")
