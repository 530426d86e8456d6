"""Bringing a database to the current format: numbered steps, forward only, a copy kept until done."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from engram.kernel.errors import ConfigError, NeedsMigration
from engram.stores.sqlite.queries import FOLDER, statements

__all__ = ["Migration", "backups", "built_in", "migrate"]

APPLICATION = 0x656E6772  # "engr", in the file's header


@dataclass(frozen=True, slots=True)
class Migration:
    """One step to format `number`: a script of statements."""

    number: int
    script: str


def built_in() -> list[Migration]:
    """The steps that ship with the package, `sql/schema/<number>_<what>.sql`."""
    return [
        Migration(int(path.name.partition("_")[0]), path.read_text(encoding="utf-8"))
        for path in sorted((FOLDER / "schema").glob("*.sql"))
    ]


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    steps: Sequence[Migration],
    first: Callable[[sqlite3.Connection], None],
) -> None:
    """Apply the steps that the database still lacks; `first` fills a new one.

    Each step is one transaction with its number in it, so a crash leaves the state before the step.
    Before an existing database changes, a copy of it is written beside it, and removed when all is done.
    Raises `NeedsMigration` for a newer format and `ConfigError` for a database of something else.
    """
    latest = steps[-1].number
    number = _format(connection, path, latest)
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if number < latest:
        for step in steps:
            _apply(connection, path, step, latest, first)
    for copy in backups(path):
        copy.unlink(missing_ok=True)


def backups(path: Path) -> list[Path]:
    """Copies of the database that a migration has left beside it."""
    return sorted(path.parent.glob(_escaped(path.name) + ".before-*"))


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _format(connection: sqlite3.Connection, path: Path, latest: int) -> int:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION:
        if number > latest:
            raise NeedsMigration(
                f"{path} was written by a newer engram (format {number}, this one knows {latest}); "
                "upgrade with: pip install --upgrade engram"
            )
        return number
    if application or number or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise ConfigError(f"{path} is a database of something else; give another path")
    return 0


def _apply(
    connection: sqlite3.Connection,
    path: Path,
    step: Migration,
    latest: int,
    first: Callable[[sqlite3.Connection], None],
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        before = _format(connection, path, latest)
        if before < step.number:
            if before:
                _back_up(path, before)
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


def _back_up(path: Path, number: int) -> None:
    """Copy what is committed to `<name>.before-<number>`."""
    copy = path.with_name(f"{path.name}.before-{number}")
    part = path.with_name(f"{path.name}.before-{number}-part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
        source.backup(target)
    part.replace(copy)
