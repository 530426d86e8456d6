"""The SQL statements, by name, from the `.sql` files beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engram.stores.shared import named_statements
from engram.stores.shared import script_statements as statements

__all__ = ["FOLDER", "queries", "statements"]

FOLDER = Path(__file__).parent / "sql"


@cache
def queries(file: str) -> dict[str, str]:
    """The statements of `sql/<file>.sql`: what follows each line `-- name: x`."""
    return named_statements(FOLDER / f"{file}.sql")
