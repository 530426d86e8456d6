"""What the machine can do without engram: a bare SQLite table, and a dot product with top-k over a matrix."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BareTable", "Row", "nearest"]

Row = tuple[str, bytes, bytes | None]
_TABLE = "CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL, words BLOB NOT NULL, vector BLOB)"
_INSERT = "INSERT INTO rows (text, words, vector) VALUES (?, ?, ?)"


class BareTable:
    """One SQLite table in write-ahead mode with `synchronous=NORMAL`: text, packed words, packed vector."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(_TABLE)

    def insert(self, row: Row) -> None:
        """Insert and commit one row."""
        self._connection.execute(_INSERT, row)

    def insert_many(self, rows: Sequence[Row]) -> None:
        """Insert rows in one transaction."""
        self._connection.execute("BEGIN")
        self._connection.executemany(_INSERT, rows)
        self._connection.execute("COMMIT")

    def __len__(self) -> int:
        """How many rows there are."""
        count: int = self._connection.execute("SELECT count(*) FROM rows").fetchone()[0]
        return count

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def nearest(matrix: NDArray[np.float32], query: NDArray[np.float32], k: int) -> NDArray[Any]:
    """The `k` rows of a [n, d] matrix with the highest dot product with `query` of shape [d], best first."""
    scores = matrix @ query
    top = np.argpartition(scores, -k)[-k:]
    return top[np.argsort(-scores[top])]
