"""Making bytes of expunged content vanish from the files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engram.stores.sqlite.migrate import backups
from engram.stores.sqlite.queries import queries

__all__ = ["purge"]

_SQL = queries("erase")
_WAIT = 300  # milliseconds


def purge(connection: sqlite3.Connection, path: Path) -> bool:
    """Fold the log into the file and empty it, and remove copies; False where a reader prevents it.

    Pages of the file itself hold nothing any more: every connection deletes with `secure_delete`.
    """
    for copy in backups(path):
        copy.unlink(missing_ok=True)
    erasures, unpurged = connection.execute(_SQL["purge_state"]).fetchone()
    if not unpurged:
        return True
    timeout = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute(f"PRAGMA busy_timeout = {_WAIT}").fetchone()
    try:
        if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout}").fetchone()
    connection.execute(_SQL["purged"], (erasures,))
    return True
