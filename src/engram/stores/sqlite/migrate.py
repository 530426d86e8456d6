"""Bringing a database to the current format: numbered steps, forward only, a copy kept until done."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engram.kernel.errors import ConfigError, NeedsMigration, StoreError
from engram.kernel.keeping import size
from engram.stores.sqlite.queries import FOLDER, statements

__all__ = ["Migration", "backups", "built_in", "format_of", "migrate", "refuse_scrap"]

_SMALLEST = 512  # bytes of the smallest database
_PAGES = 2048  # copied between two reports of progress
_PATIENCE = 30.0  # seconds
APPLICATION = 0x656E6772  # "engr", in the file's header


@dataclass(frozen=True, slots=True)
class Migration:
    """One step to format `number`: a script of statements."""

    number: int
    script: str

    @property
    def title(self) -> str:
        """What the step is for: the sentence behind the number in its first line."""
        first = self.script.lstrip().partition("\n")[0]
        return first.partition(": ")[2].rstrip(".") if first.startswith("--") else ""


@cache
def built_in() -> tuple[Migration, ...]:
    """The steps that ship with the package, `sql/schema/<number>_<what>.sql`."""
    return tuple(
        Migration(int(path.name.partition("_")[0]), path.read_text(encoding="utf-8"))
        for path in sorted((FOLDER / "schema").glob("*.sql"))
    )


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    steps: Sequence[Migration],
    first: Callable[[sqlite3.Connection], None],
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Apply the steps that the database still lacks; `first` fills a new one.

    Each step is one transaction with its number in it, so a crash leaves the state before the step.
    Before an existing database changes, a copy of it is written beside it, and removed when all is done;
    `progress` counts its bytes. Raises `NeedsMigration` for a newer format, `ConfigError` for a database
    of something else, and `StoreError` where the disk has no room for the copy.
    """
    latest = steps[-1].number
    number = format_of(connection, path, latest)
    _log_ahead(connection)
    if number < latest:
        for step in steps:
            _apply(connection, path, step, latest, first, progress)
    for copy in backups(path):
        copy.unlink(missing_ok=True)


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. SQLite does not wait by itself where another process is about it too."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def backups(path: Path) -> list[Path]:
    """Copies of the database that a migration has left beside it."""
    return sorted(path.parent.glob(_escaped(path.name) + ".before-*"))


def refuse_scrap(path: Path) -> None:
    """Raise `ConfigError` for a file too small for a database, which SQLite would take for an empty one."""
    if 0 < path.stat().st_size < _SMALLEST:
        raise ConfigError(f"{path}: the file is not a database; give another path, or move the file away")


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def format_of(connection: sqlite3.Connection, path: Path, latest: int) -> int:
    """The database's format, 0 for an empty one. Raises as `migrate` does."""
    application, number, empty = _header(connection)
    if application == APPLICATION:
        if number > latest:
            raise NeedsMigration(
                f"{path} was written by a newer engram (format {number}, this one knows {latest}); "
                "upgrade with: pip install --upgrade engram"
            )
        return number
    if application or number or not empty:
        raise ConfigError(f"{path} is a database of something else; give another path")
    return 0


def _header(connection: sqlite3.Connection) -> tuple[int, int, bool]:
    """Application, format, and whether it is empty, all at one moment: another process may just make it."""
    alone = not connection.in_transaction
    if alone:
        connection.execute("BEGIN")
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        number = connection.execute("PRAGMA user_version").fetchone()[0]
        found = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        return application, number, found is None
    finally:
        if alone:
            connection.execute("ROLLBACK")


def _apply(
    connection: sqlite3.Connection,
    path: Path,
    step: Migration,
    latest: int,
    first: Callable[[sqlite3.Connection], None],
    progress: Callable[[int, int | None], None] | None,
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        before = format_of(connection, path, latest)
        if before < step.number:
            if before:
                _back_up(path, before, progress)
            for statement in statements(step.script):
                connection.execute(statement)
            if not before:
                first(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {step.number}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _back_up(path: Path, number: int, progress: Callable[[int, int | None], None] | None) -> None:
    """Copy what is committed to `<name>.before-<number>`."""
    needed, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreError(
            f"{path}: the copy that is kept during a migration needs {size(needed)}, and the disk has "
            f"{size(free)}; free space and call again"
        )
    copy = path.with_name(f"{path.name}.before-{number}")
    part = path.with_name(f"{path.name}.before-{number}-part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
        page = source.execute("PRAGMA page_size").fetchone()[0]

        def tell(_status: int, left: int, total: int) -> None:
            if progress is not None:
                progress((total - left) * page, total * page)

        source.backup(target, pages=_PAGES, progress=tell)
    part.replace(copy)
