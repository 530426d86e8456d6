"""What can be wrong in a database, looked for."""

from __future__ import annotations

import sqlite3

from engram.stores.sqlite.queries import queries

__all__ = ["problems"]

_SQL = queries("check")


def problems(connection: sqlite3.Connection) -> list[str]:
    """One sentence for each thing that is wrong, none for a whole database."""
    found = [
        f"the database's own check: {row[0]}"
        for row in connection.execute("PRAGMA integrity_check(20)").fetchall()
        if row[0] != "ok"
    ]
    found += [
        f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there"
        for row in connection.execute("PRAGMA foreign_key_check").fetchall()
    ]
    for sql in _SQL.values():
        found += [row[0] for row in connection.execute(sql).fetchall()]
    return found
