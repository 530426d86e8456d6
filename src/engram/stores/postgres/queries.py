"""The SQL statements, by name, from the `.sql` files beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from engram.stores.shared import named_statements

__all__ = ["FOLDER", "queries"]

FOLDER = Path(__file__).parent / "sql"


@cache
def queries(file: str) -> dict[str, Any]:
    """The statements of `sql/<file>.sql`: what follows each line `-- name: x`.

    Psycopg asks for literals, which what a file holds is not for a type checker: hence `Any`.
    """
    return named_statements(FOLDER / f"{file}.sql")
