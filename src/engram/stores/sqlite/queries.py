"""The SQL statements, by name, from the `.sql` files beside this module."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["FOLDER", "queries", "statements"]

FOLDER = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)


@cache
def queries(file: str) -> dict[str, str]:
    """The statements of `sql/<file>.sql`: what follows each line `-- name: x`."""
    parts = _NAME.split((FOLDER / f"{file}.sql").read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


def statements(script: str) -> list[str]:
    """The single statements of a script that has no semicolon inside text or triggers."""
    return [part.strip() for part in _COMMENT.sub("", script).split(";") if part.strip()]
