"""Making bytes of expunged content vanish from the tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg

from engram.stores.postgres.ann_build import drop_vectors
from engram.stores.postgres.connection import Link
from engram.stores.postgres.queries import queries

__all__ = ["purge"]

_SQL = queries("erase")
_TABLES = ("records", "versions", "lineage", "edges", "states", "jobs", "staged", "info", "ann")
_WAIT = "2s"
_PATIENCE, _PAUSE = 5.0, 0.05  # seconds
_LATER = frozenset({"55P03", "57014", "53100", "53200", "40P01"})


def purge(link: Link) -> bool:
    """Rewrite the tables; False where that cannot be done now, or not by this role.

    A deleted row stays in its page until it is vacuumed, and after that until its place is written over:
    only a rewrite (`VACUUM FULL`) is sure to leave none. It takes a table's owner, and waits for
    everybody who reads the table. It keeps what a transaction that is older than the erasure might still look
    at, anywhere in the database: then nothing is done. The write-ahead log, replicas and backups are out of
    its reach.
    """
    erasures, unpurged = _one(link, _SQL["purge_state"])
    if not unpurged:
        return True
    if not _one(link, _SQL["owned"])[0]:
        return False
    mark = str(_one(link, _SQL["mark"])[0])
    if not _unseen(link, mark):
        return False
    try:
        link.execute("SELECT set_config('lock_timeout', %s, false)", (_WAIT,))
        drop_vectors(link)
        for table in _TABLES:
            link.execute(_SQL["rewrite"].format(table=table))
        if not _one(link, _SQL["beyond"], (mark, list(_TABLES)))[0]:
            return False  # somebody whom this role cannot see, a standby or a slot for one, looks back
        link.execute(_SQL["purged"], (erasures,))
    except psycopg.Error as error:
        if error.sqlstate not in _LATER:
            raise
        return False
    return True


def _unseen(link: Link, mark: str) -> bool:
    """Whether no transaction that this role can see looks back behind `mark`; waits a little for it."""
    deadline = time.monotonic() + _PATIENCE
    while _one(link, _SQL["looked_back"], (mark,))[0]:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _one(link: Link, statement: Any, values: Sequence[object] | None = None) -> tuple[object, ...]:
    row = link.execute(statement, values).fetchone()
    return row or (0, 0)
