"""What can be wrong in a database, looked for."""

from __future__ import annotations

import sqlite3

from engram.stores.sqlite.queries import queries

__all__ = ["problems"]

_SQL = queries("check")


def problems(connection: sqlite3.Connection) -> list[str]:
    """One sentence for each thing that is wrong, none for a whole database."""
    found: list[str] = []
    try:
        for row in connection.execute("PRAGMA integrity_check(20)"):
            found += [] if row[0] == "ok" else [f"the database's own check: {row[0]}"]
        for row in connection.execute("PRAGMA foreign_key_check"):
            found.append(f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there")
        for sql in _SQL.values():
            found += [row[0] for row in connection.execute(sql)]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        found.append(f"the file cannot be read to its end: {error}; restore it from a copy")
    return found
