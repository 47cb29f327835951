"""A state directory as one file, that another machine can take over: a zip of stored members and a list of them.

All in it is little-endian, SQLite's file too is the same everywhere, and each member has its digest in `manifest.json`.
That also names the numerics of each model: an `exact` state goes on to the bit on the same kind of machine.

Beside a running agent it is what a kill at this moment would leave. Rows may have passed since, and the broker may have
them no more, so the start after an import says so, unless the agent was stopped in order and nothing is replaced.
Snapshot and journal are read before and after the
table, as the one may be older than it and the other must not.
"""

import os
import platform
import re
import sqlite3
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import msgspec

from agent.bundle.stored_zip import NotStored, pack, unpack
from agent.errors import StateRefused, Unreadable
from agent.log import escaped
from agent.state.contents import REPLACED, SnapshotFile, read_contents
from agent.store import file, journal, snapshot
from agent.store.disk import Disk, StateFolder
from agent.store.forget import TO_FORGET, asked
from agent.store.lock import lock
from agent.store.outbox import ALERT_TABLE
from agent.store.reconcile import RECONCILE
from agent.store.unfinished_import import IMPORTING, check_import

SCHEMA_VERSION = 1
TRIES = 5
MEMBERS_MAX = 10_000
BYTES_MAX = 2**32 - 1  # of an archive: a stored zip has no larger numbers
HEADERS_BYTES = 2**22  # at most so much of it is about the members
_MANIFEST = "manifest.json"
_MEMBER = re.compile(rf"snapshot-\d+|journal-\d+|{re.escape(ALERT_TABLE)}|{snapshot.STOPPED}|{TO_FORGET}")
_NOT_MOVED = re.compile(rf"lock|instance|lost\+found|{RECONCILE}|{IMPORTING}|{REPLACED}.*|import-.*")
_VERIFY = "`forewarn state verify` says more."


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in the archive, by whom and of what machine; `digests` are SHA-256 of the members, by name."""

    schema_version: int
    forewarn: str
    made: str
    machine: str
    numerics: dict[str, str]
    models: dict[str, str]
    digests: dict[str, str]


def export(folder: Path, to: Path, *, replace: bool) -> Manifest:
    """Write the state directory into the file `to`, which must not be there unless `replace`. Raises StateRefused."""
    if to.exists() and not replace:
        raise StateRefused(to, "is there already", next_step="Name another file, or give --replace.")
    check_import(folder)
    disk = StateFolder(folder)
    for _ in range(TRIES):
        try:
            newest, members = _members(disk)
            break
        except FileNotFoundError:  # a running agent has replaced it by a newer one
            continue
    else:
        raise StateRefused(folder, "changes too fast to be read", next_step="Try again, or stop the agent first.")
    if not members:
        raise StateRefused(folder, "holds no state", next_step="Has the agent run with this agent.state_dir?")
    n_bytes = sum(map(len, members.values()))
    if n_bytes > BYTES_MAX - HEADERS_BYTES:
        what = f"has {n_bytes:,} bytes of state, and an export at most {BYTES_MAX:,}"
        raise StateRefused(folder, what, next_step="Stop the agent first: the snapshot then needs no journal.")
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        forewarn=version("forewarn"),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=platform.machine(),
        numerics={} if newest is None else newest.numerics,
        models={} if newest is None else newest.models,
        digests={name: sha256(data).hexdigest() for name, data in members.items()},
    )
    disk, beside = StateFolder(to.parent), f"{to.name}{file.NEW}"
    try:
        _write(disk, beside, pack({_MANIFEST: msgspec.json.encode(manifest), **members}))
        disk.rename(beside, to.name)
        disk.sync()
    except OSError as error:
        with suppress(OSError):  # it may not have been made
            disk.remove(beside)
        what = f"cannot be written ({error.strerror})"
        raise StateRefused(to, what, next_step="Is there room, and may you write there?") from None
    return manifest


def take_over(archive: Path, folder: Path, *, replace: bool) -> Manifest:
    """Make the state directory what the archive holds; what was there is kept in a folder beside it, for `replace`.

    Raises StateRefused, and leaves all as it was: when an agent holds the directory, when there is a state already,
    when the archive is not whole, or when something cannot be moved. Where the process dies in the middle, or nothing
    can be moved back either, the next start is refused (unfinished_import.py).
    """
    manifest, members = _read(archive)
    held = lock(folder, next_step="Stop the agent first.")
    try:
        present = [name for name in os.listdir(folder) if not _NOT_MOVED.fullmatch(name)]
        if present and not replace:
            what = f"holds a state already ({', '.join(sorted(present)[:3])}, ...)"
            raise StateRefused(folder, what, next_step="Give --replace to take the archive in its place.")
        with tempfile.TemporaryDirectory(prefix="import-", dir=folder) as name:
            beside = Path(name)
            for member, data in members.items():
                _write(StateFolder(beside), member, data)
            faults = [escaped(f"{member}: {fault}") for member, fault in _unusable(StateFolder(beside))]
            if faults:
                raise StateRefused(archive, faults[0], next_step="Export it again.")
            _swap(folder, present, beside, [*members])
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise StateRefused(folder, what, next_step="Is there room, and may you write there?") from None
    finally:
        held.close()
    return manifest


def _unusable(disk: Disk) -> Iterator[tuple[str, str]]:
    """What a start could not use. It takes of a broken journal what is good, and says gap: better than no state."""
    for name, fault in read_contents(disk).faults():
        if not name.startswith("journal-"):
            yield name, fault


def _members(disk: Disk) -> tuple[SnapshotFile | None, dict[str, bytes]]:
    """The newest good snapshot; and by name it, the table, and the journal from it on. Raises FileNotFoundError."""
    contents = read_contents(disk)
    good = next((one for one in contents.snapshots if not one.fault), None)
    members: dict[str, bytes] = {}
    if good is not None:
        members[good.name] = disk.read(good.name)
    elif contents.snapshots:
        what = f"has no good snapshot: {contents.snapshots[0].fault}"
        raise StateRefused(disk.folder, what, next_step=_VERIFY)
    with suppress(FileNotFoundError, file.Corrupt):
        if good is not None and file.read(disk, snapshot.STOPPED) == good.name.encode():
            members[snapshot.STOPPED] = disk.read(snapshot.STOPPED)
    if contents.alert_table is not None:
        if contents.alert_table.fault:
            raise StateRefused(disk.folder / ALERT_TABLE, contents.alert_table.fault, next_step=_VERIFY)
        members[ALERT_TABLE] = _copy(disk.folder / ALERT_TABLE)
    if asked(disk):
        members[TO_FORGET] = disk.read(TO_FORGET)
    entries = journal.entries_of(disk)
    first = max((one for one in entries if good is not None and one <= good.entry), default=0)
    members |= {(name := journal.name_of(one)): disk.read(name) for one in entries if one >= first}
    if good is not None and good.name not in snapshot.newest_first(disk):
        raise FileNotFoundError(good.name)
    return good, members


def _copy(path: Path) -> bytes:
    """The whole database, as of one moment. Raises StateRefused."""
    try:
        with tempfile.TemporaryDirectory() as name:
            to = Path(name) / path.name
            uri = f"{path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(to)) as copy:
                source.backup(copy)
            return to.read_bytes()
    except sqlite3.Error as error:
        raise StateRefused(path, f"cannot be read ({error})", next_step=_VERIFY) from None


def _read(archive: Path) -> tuple[Manifest, Mapping[str, bytes]]:
    """Raises StateRefused unless the archive is whole and of this version."""
    try:
        status = archive.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may have no end
            raise StateRefused(archive, "is no regular file", next_step="Copy it into one first.")
        if status.st_size > BYTES_MAX:
            what = f"has {status.st_size:,} bytes, and an export has at most {BYTES_MAX:,}"
            raise StateRefused(archive, what, next_step="`forewarn state export` writes one.")
        members = unpack(archive.read_bytes(), members_max=MEMBERS_MAX)
        manifest = msgspec.json.decode(members.pop(_MANIFEST, b""), type=Manifest)
    except FileNotFoundError:
        raise StateRefused(archive, "is not there", next_step="`forewarn state export` writes one.") from None
    except OSError as error:
        raise StateRefused(archive, f"cannot be read ({error.strerror})", next_step="May you read it?") from None
    except MemoryError:
        what = f"has {status.st_size:,} bytes, and is held in memory three times over, which there is no room for"
        raise StateRefused(archive, what, next_step="Is it an export? Give the command more memory.") from None
    except (NotStored, *Unreadable) as error:
        what = f"is no export of a state directory ({escaped(str(error))})"
        raise StateRefused(archive, what, next_step="`forewarn state export` writes one.") from None
    if manifest.schema_version != SCHEMA_VERSION:
        what = f"its schema is version {manifest.schema_version}, this forewarn reads version {SCHEMA_VERSION}"
        raise StateRefused(archive, what, next_step="Import it with the forewarn that wrote it, or a newer one.")
    digests = {name: sha256(data).hexdigest() for name, data in members.items()}
    if digests != manifest.digests or not all(map(_MEMBER.fullmatch, members)):
        what = "its members are not those of its manifest"
        raise StateRefused(archive, what, next_step="Was it changed on its way? Export it again.")
    return manifest, members


def _swap(folder: Path, present: list[str], beside: Path, members: list[str]) -> None:
    """Move what is there out of the way, and what is beside it in, or leave it all as it was. What may be behind is
    said to be. Raises StateRefused or OSError.
    """
    disk, aside = StateFolder(folder), folder / f"{REPLACED}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    names = disk.names()
    marks = [IMPORTING]
    if present or IMPORTING in names or snapshot.STOPPED not in members:
        marks.append(RECONCILE)
        members = [name for name in members if name != snapshot.STOPPED]
    moves = [*((folder / name, aside / name) for name in present), *((beside / one, folder / one) for one in members)]
    done: list[tuple[Path, Path]] = []
    try:
        for mark in marks:
            file.write(disk, mark, b"")
        if present:
            aside.mkdir(mode=0o700)
        for move in moves:
            _move(*move)
            done.append(move)
        if present:
            StateFolder(aside).sync()
        disk.sync()
    except BaseException:
        _undo(disk, done, aside, [mark for mark in marks if mark not in names])
        raise
    disk.remove(IMPORTING)
    disk.sync()


def _undo(disk: Disk, done: list[tuple[Path, Path]], aside: Path, marks: list[str]) -> None:
    """Move back what was moved; then the folder and the marks go, IMPORTING last. Raises StateRefused or OSError."""
    for path, to in reversed(done):
        _move(to, path)
    with suppress(FileNotFoundError):  # it was not made
        aside.rmdir()
    disk.sync()
    for mark in reversed(marks):
        with suppress(FileNotFoundError):
            disk.remove(mark)
    disk.sync()


def _move(path: Path, to: Path) -> None:
    """Raises StateRefused."""
    try:
        os.replace(path, to)
    except OSError as error:
        what = f"cannot be moved to {to.parent} ({error.strerror})"
        raise StateRefused(path, what, next_step="Who owns it, and the folder it is in?") from None


def _write(disk: Disk, name: str, data: bytes) -> None:
    """A new file that lasts, and that nobody else may read. Raises OSError."""
    new = disk.create(name)
    try:
        new.write(data)
        new.sync()
    finally:
        new.close()
