"""The file of alert table and outbox: opened, checked, brought to today's version, or set aside when it is not ours.

WAL with `synchronous=FULL`: a commit is on the disk when it returns. One thread writes.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from agent.errors import StateRefused
from agent.store.disk import StateFolder
from agent.store.file import set_aside
from agent.store.migration import OLDER, migrate
from agent.store.schema import SCHEMA_VERSION, Unusable, check_rows, create, other_version

Row = TypeVar("Row")
BUSY_TIMEOUT_S = 30.0  # of a start, and of who reads beside an agent: a person's shell may hold it for a while
BUSY_TIMEOUT_MS = 100  # of an agent that runs, which tries again and does else what it can
_FOR_NOW = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}  # primary codes
)


class NotNow(sqlite3.OperationalError, OSError):
    """The same may succeed later: another process has locked the database, or the disk has no room.

    A write that was refused counts as that too, since SQLite calls all errors but ENOSPC the same. A sync that failed
    does not: nobody knows what of the file lasts.
    """


class Database:
    """The open database. Every method raises sqlite3.Error when the disk fails: nothing is then half done.

    A transaction raises NotNow, which is an OSError too, where that passes by itself.

    is_new          no start has come to its end with these tables: what stood before has no row here. It is said in the
                    database, from the transaction that makes the tables on, so that a start which dies changes nothing
    is_first        they are new, and none was set aside for them, at this start or an earlier one
    aside           where a database is kept that could not be used, None when it could; `why_aside` says why
    n_transactions  counts those begun: what was read before the last one may be old
    """

    def __init__(self, path: Path) -> None:
        self.n_transactions = 0
        self.aside: Path | None = None
        self.why_aside = ""
        try:
            self._db = _open(path)
        except Unusable as error:
            aside = set_aside(StateFolder(path.parent), path.name, along=("-wal", "-shm"))
            self.aside, self.why_aside = path.with_name(aside), str(error)
            self._db = _open(path)
        self.is_new: bool = self.read("PRAGMA application_id").fetchone()[0] != 0
        self.is_first = self.is_new and not any(path.parent.glob(f"{path.name}.corrupt-*"))

    def close(self) -> None:
        self._db.close()

    def read(self, query: str, *values: object) -> sqlite3.Cursor:
        return self._db.execute(query, values)

    def settle(self) -> None:
        """A start has come to its end with these tables: they are not new any more."""
        if self.is_new:
            with self.transaction() as db:
                db.execute("PRAGMA application_id = 0")
            self.is_new = self.is_first = False

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Within, a transaction waits for BUSY_TIMEOUT_S."""
        self._db.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_TIMEOUT_S)}")
        try:
            yield
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done within lasts, all of it, when it is left; an error undoes it."""
        self.n_transactions += 1
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:  # SQLite has undone it by itself where the disk is full or fails
                self._db.execute("ROLLBACK")
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
            if code & 0xFF in _FOR_NOW or code == sqlite3.SQLITE_IOERR_WRITE:
                raise NotNow(str(error)) from error
            raise


def read_beside(path: Path, since: int, read: Callable[[sqlite3.Connection], list[Row]]) -> list[Row]:
    """What `read` finds in the database, at one moment, beside a running agent or without one.

    since  the first version of the tables that has it; in an older one there is none of it yet

    Raises StateRefused when there is no database, or none that can be read.
    """
    if not path.exists():
        raise StateRefused(path, "is not there", next_step="Has the agent run with this agent.state_dir?")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
            db.execute("BEGIN")
            return read(db) if db.execute("PRAGMA user_version").fetchone()[0] >= since else []
    except (sqlite3.DatabaseError, UnicodeDecodeError, Unusable) as error:
        next_step = "May you read the folder? If the file is broken, the agent sets it aside when it starts."
        raise StateRefused(path, f"cannot be read ({error})", next_step=next_step) from None


def _open(path: Path) -> sqlite3.Connection:
    """Raises Unusable when the content is at fault, sqlite3.OperationalError when the disk is."""
    with suppress(OSError):  # it is there, or SQLite says why it cannot be made
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))  # SQLite makes it for all to read
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            what = f"its file system has no write-ahead log for SQLite, only the mode {mode!r}"
            raise StateRefused(path, what, next_step="Put agent.state_dir on a local disk.")
        db.execute("PRAGMA synchronous = FULL")
        _check(db)
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    except sqlite3.DatabaseError as error:
        db.close()
        # the primary code; text that is no UTF-8 has none; SQLITE_ERROR is a table or column that is not there
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise Unusable(str(error)) from None
        raise
    except UnicodeDecodeError as error:  # what SQLite says quotes the content
        db.close()
        raise Unusable(f"it holds text that is no UTF-8 ({error})") from None
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    """Make the tables of a new database, or read those of an old one."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        create(db)
        return
    if version not in (*OLDER, SCHEMA_VERSION):
        raise Unusable(other_version(version))
    found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise Unusable(found)
    if version != SCHEMA_VERSION:
        migrate(db, version)
    check_rows(db)
