"""Bringing a store's tables to the current format: numbered steps, forward only."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg

from engram.kernel.errors import ConfigError, NeedsMigration
from engram.stores.postgres.connection import Link
from engram.stores.postgres.queries import FOLDER, queries
from engram.stores.postgres.target import Target
from engram.stores.shared import script_statements

__all__ = ["OLDEST", "Migration", "built_in", "format_of", "migrate"]

OLDEST = 150000
"""The oldest PostgreSQL that will do: 15, whose views can be read with the rights of who asks."""
_SQL = queries("migrate")
_READABLE = re.compile(r"^-- Readable by format (\d+)\.$", re.MULTILINE)
_ONLINE = "-- Online."
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Migration:
    """One step to format `number`: a script of statements.

    Its first line says what it is for. A line `-- Readable by format N.` names the oldest engram that can
    still work with the store after the step (without it: none but its own). With a line `-- Online.` each
    statement is carried out by itself, as `CREATE INDEX CONCURRENTLY` must be, and may be found done.
    """

    number: int
    script: str

    @property
    def title(self) -> str:
        """What the step is for: the sentence behind the number in its first line."""
        first = self.script.lstrip().partition("\n")[0]
        return first.partition(": ")[2].rstrip(".") if first.startswith("--") else ""

    @property
    def readable_by(self) -> int:
        """The oldest format whose engram can work with the store afterwards."""
        found = _READABLE.search(self.script)
        return int(found[1]) if found else self.number

    @property
    def online(self) -> bool:
        """Whether it is done statement by statement while others work."""
        return _ONLINE in self.script.splitlines()


@cache
def built_in() -> tuple[Migration, ...]:
    """The steps that ship with the package, `sql/schema/<number>_<what>.sql`."""
    return tuple(
        Migration(int(path.name.partition("_")[0]), path.read_text(encoding="utf-8"))
        for path in sorted((FOLDER / "schema").glob("*.sql"))
    )


def format_of(link: Link, target: Target, latest: int) -> int:
    """The store's format, 0 where there is none yet.

    Raises `NeedsMigration` for one that this engram cannot work with, `ConfigError` for what is no store.
    """
    encoding, version = _row(link, _SQL["encoding"])
    if encoding != "UTF8" or version < OLDEST:
        raise ConfigError(
            f"{target.place}: engram needs PostgreSQL 15 or newer and a database in UTF8, "
            f"found {version // 10000} and {encoding}; name another, or createdb --encoding UTF8 -T template0"
        )
    ours, others = _row(link, _SQL["found"], (f"{target.schema}.formats", target.schema))
    if not ours:
        if others:
            raise ConfigError(
                f"{target.place}: the schema {target.schema} holds tables of something else; "
                "name another: ?schema=…"
            )
        return 0
    row = link.execute(_SQL["latest"]).fetchone()
    if row is None:
        return 0
    number, readable_by = row
    if number > latest and readable_by > latest:
        raise NeedsMigration(
            f"{target.place} was written by a newer engram (format {number}, this one knows {latest}); "
            "upgrade with: pip install --upgrade engram"
        )
    return int(number)


def migrate(link: Link, target: Target, steps: Sequence[Migration], first: Callable[[Link], None]) -> None:
    """Apply the steps that the store still lacks; `first` fills a new one.

    A step is one transaction with its number in it, so that a crash leaves the state before it; an online
    one is done statement by statement and can be done again. One process migrates at a time; the others look
    again and again, in no transaction: `CREATE INDEX CONCURRENTLY` waits for every transaction there is.
    """
    latest = steps[-1].number
    number = format_of(link, target, latest)
    if number < latest and target.pooled:
        raise ConfigError(
            f"{target.place}: its tables are of format {number}, and cannot be brought to {latest} through a "
            "pooler; run engram migrate with the url of the database itself, without pgbouncer=true"
        )
    if 0 < number < latest and not _row(link, _SQL["owned"], (f"{target.schema}.formats",))[0]:
        raise NeedsMigration(
            f"{target.place} is of format {number}, this engram works with {latest}; run engram migrate as "
            "the owner of its tables: older engrams go on meanwhile"
        )
    for step in steps:
        if step.number > number:
            _apply(link, target, step, latest, first)


def _apply(link: Link, target: Target, step: Migration, latest: int, first: Callable[[Link], None]) -> None:
    if step.online:
        _hold(link, target)
        try:
            if format_of(link, target, latest) < step.number:
                for statement in script_statements(step.script):
                    link.execute(statement.encode())
                link.execute(_SQL["reached"], (step.number, step.readable_by))
        finally:
            link.execute(_SQL["let_go"], (target.schema,))
        return
    deadline = time.monotonic() + target.wait
    while True:
        try:
            with link.transaction():
                if _row(link, _SQL["hold"], (target.schema,))[0]:
                    _change(link, target, step, latest, first)
                    return
            deadline = time.monotonic() + target.wait
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def _change(link: Link, target: Target, step: Migration, latest: int, first: Callable[[Link], None]) -> None:
    """Take a step in the present transaction, as the only one who migrates.

    It waits for locks a short time only, and is tried again: behind whoever waits for a reader, all wait.
    """
    link.execute(_SQL["hurry"])
    before = format_of(link, target, latest)
    if before >= step.number:
        return
    if not before:
        link.execute(_SQL["make_schema"].format(schema=target.schema))
        link.execute(_SQL["make_formats"])
    link.execute(step.script.encode())
    link.execute(_SQL["reached"], (step.number, step.readable_by))
    if not before:
        link.execute(_SQL["begin_counter"])
        first(link)


def _hold(link: Link, target: Target) -> None:
    """Be the only one who migrates."""
    while not _row(link, _SQL["hold_session"], (target.schema,))[0]:
        time.sleep(_PAUSE)


def _row(link: Link, statement: Any, values: Sequence[object] | None = None) -> tuple[Any, ...]:
    row = link.execute(statement, values).fetchone()
    return row or ()
