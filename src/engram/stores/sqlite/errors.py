"""The one border where errors of SQLite and of the operating system become engram's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engram.kernel.errors import ConfigError, EngramError, StoreError

__all__ = ["translated", "translation"]

_ADVICE = (
    (
        "SQLITE_FULL",
        StoreError,
        "the disk is full and nothing of this call was stored; free space and call again",
    ),
    ("SQLITE_BUSY", StoreError, "another process holds the file locked; call again, or end that process"),
    ("SQLITE_LOCKED", StoreError, "another process holds the file locked; call again, or end that process"),
    ("SQLITE_NOTADB", ConfigError, "the file is not a database; give another path, or move the file away"),
    (
        "SQLITE_READONLY",
        ConfigError,
        "the file or its folder cannot be written; change the permissions or the path",
    ),
    (
        "SQLITE_CANTOPEN",
        ConfigError,
        "the file cannot be opened; see that its folder exists and can be written",
    ),
    ("SQLITE_PERM", ConfigError, "the file cannot be opened; change its permissions or give another path"),
    (
        "SQLITE_CORRUPT",
        StoreError,
        "the file is damaged; restore it from a copy, or save what can be read: `engram export`",
    ),
    ("SQLITE_TOOBIG", StoreError, "a text or metadata is too long for the database; split it"),
    (
        "SQLITE_IOERR",
        StoreError,
        "reading or writing the file failed; see that the disk is whole and not full",
    ),
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of the database at `path` as engram's, each with its cause and what to do next."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translation(error, path) from error


def translation(error: sqlite3.Error | OSError, path: Path) -> EngramError:
    """The error that says what to do about `error`."""
    if isinstance(error, OSError):
        return ConfigError(f"{path}: {error.strerror or error}; give a path that can be written")
    name = str(getattr(error, "sqlite_errorname", ""))
    for start, kind, advice in _ADVICE:
        if name.startswith(start):
            return kind(f"{path}: {advice}")
    if "decode to UTF-8" in str(error):
        return StoreError(f"{path}: the file is damaged ({error}); restore it from a copy")
    return StoreError(f"{path}: {error}; run `engram verify` to see whether the store is whole")
