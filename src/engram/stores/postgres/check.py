"""What can be wrong in a store's tables, looked for."""

from __future__ import annotations

from engram.stores.postgres.connection import Session
from engram.stores.postgres.queries import queries

__all__ = ["problems"]

_SQL = queries("check")


def problems(session: Session) -> list[str]:
    """One sentence for each thing that is wrong, none for a whole store."""
    found = session.ask(*((statement, ()) for statement in _SQL.values()))
    return [row[0] for rows in found for row in rows]
