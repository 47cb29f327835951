"""The file of alert table and outbox: opened, checked, brought to today's version, or set aside when it is not ours.

WAL with `synchronous=FULL`: a commit is on the disk when it returns. One thread writes.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.store.file import set_aside
from agent.store.migration import OLDER, migrate
from agent.store.schema import SCHEMA_VERSION, Unusable, check_rows, create

BUSY_TIMEOUT_S = 30.0  # a person's shell may hold the database for a while


class Database:
    """The open database. Every method raises sqlite3.Error when the disk fails: nothing is then half done.

    is_first        no alert table was here before
    aside           where a database is kept that could not be used, None when it could; `why_aside` says why
    n_transactions  counts those begun: what was read before the last one may be old
    """

    def __init__(self, path: Path) -> None:
        self.n_transactions = 0
        self.is_first = not path.exists()
        self.aside: Path | None = None
        self.why_aside = ""
        try:
            self._db = _open(path)
        except Unusable as error:
            self.aside, self.why_aside = set_aside(path, along=("-wal", "-shm")), str(error)
            self._db = _open(path)

    def close(self) -> None:
        self._db.close()

    def read(self, query: str, *values: object) -> sqlite3.Cursor:
        return self._db.execute(query, values)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done within lasts, all of it, when it is left; an error undoes it."""
        self.n_transactions += 1
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    """Raises Unusable when the content is at fault, sqlite3.OperationalError when the disk is."""
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _check(db)
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
        raise Unusable(f"its schema is version {version}, this forewarn reads version {SCHEMA_VERSION}")
    found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise Unusable(found)
    if version != SCHEMA_VERSION:
        migrate(db, version)
    check_rows(db)
