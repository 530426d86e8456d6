"""Making bytes of expunged content vanish from the files."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from engram.stores.sqlite.migrate import backups
from engram.stores.sqlite.queries import queries

__all__ = ["beside", "purge"]

_SQL = queries("erase")
_WAIT = 300  # milliseconds
_LARGE = 256 * 1024 * 1024  # bytes above which the rewrite goes through a file instead of memory
_LATER = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)


def beside(path: Path) -> Path:
    """The folder beside a store's file for what can be made again of it, such as indexes of large scopes."""
    return path.with_name(f"{path.name}.ann")


def purge(connection: sqlite3.Connection, path: Path) -> bool:
    """Rewrite the file, fold the log into it and empty the log; False where that cannot be done now.

    `secure_delete` clears what is deleted where it lies. But SQLite also moves rows between pages, and
    leaves copies of them in unused parts of a page (`rebuildPage` in its btree.c), so that only a rewrite
    of the file is sure to leave none. Copies made by migrations are removed as well, and so is the folder of
    indexes, whose files hold words and vectors of the texts. A reader or writer of
    another process, and a disk without room for the rewrite, leave the purge owed.
    """
    for copy in backups(path):
        copy.unlink(missing_ok=True)
    erasures, unpurged = connection.execute(_SQL["purge_state"]).fetchone()
    if not unpurged:
        return True
    if not _emptied(beside(path)):
        return False
    timeout = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    large = path.stat().st_size > _LARGE
    connection.execute(f"PRAGMA busy_timeout = {_WAIT}").fetchone()
    connection.execute(f"PRAGMA temp_store = {'FILE' if large else 'MEMORY'}")
    try:
        if not _empty_log(connection):
            return False
        connection.execute("VACUUM")
        if not _empty_log(connection):
            return False
        connection.execute(_SQL["purged"], (erasures,))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _LATER:
            raise
        return False
    finally:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA busy_timeout = {timeout}").fetchone()
    return True


def _emptied(folder: Path) -> bool:
    """Whether a folder is gone; where somebody just writes into it, or maps it, it may not be."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return not folder.exists()
    except OSError:
        return False
    return True


def _empty_log(connection: sqlite3.Connection) -> bool:
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
