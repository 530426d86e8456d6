"""A PostgreSQL store, looked at without opening it as a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg

from engram.kernel.errors import ConfigError, EngramError, NeedsMigration, StoreError
from engram.kernel.keeping import Finding, MigrationPlan, MigrationStep
from engram.stores.postgres.ann import LARGE
from engram.stores.postgres.ann_build import build, lacking, pgvector
from engram.stores.postgres.connection import Link, connect
from engram.stores.postgres.errors import translation
from engram.stores.postgres.migrate import built_in, format_of, migrate
from engram.stores.postgres.queries import queries
from engram.stores.postgres.target import Target

__all__ = ["PostgresKeeper"]

_SQL = queries("keeper")
_INDEXED = 3  # the first format with indexes for tenants
_OLD = 3600.0  # seconds after which a transaction that does nothing keeps dead rows from being cleared


class PostgresKeeper:
    """The keeper of one schema of a database (`engram.kernel.keeping.Keeper`)."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    def exists(self) -> bool:
        """Whether the store is there."""
        return self.plan().format > 0

    def look(self) -> list[Finding]:
        """The server, the login and its rights, the store's format, how the server is set."""
        try:
            with closing(self._connect()) as link:
                return self._look(link)
        except psycopg.Error as error:
            return [_trouble(translation(error, self.target.place))]
        except EngramError as error:
            return [_trouble(error)]

    def plan(self) -> MigrationPlan:
        """The steps to the present format."""
        steps = built_in()
        try:
            with closing(self._connect()) as link:
                number = format_of(link, self.target, steps[-1].number)
        except psycopg.Error as error:
            raise translation(error, self.target.place) from error
        due = [step for step in steps if number and step.number > number]
        titles = tuple(MigrationStep(step.number, step.title) for step in due)
        return MigrationPlan(self.target.place, number, steps[-1].number, titles, 0, 0)

    def upgrade(self, progress: Callable[[int, int | None], None] | None = None) -> None:
        """Take the steps that lack; nothing where there is no store yet."""
        if not self.exists:
            return
        try:
            with closing(self._connect()) as link:
                migrate(link, self.target, built_in(), _never)
        except psycopg.Error as error:
            raise translation(error, self.target.place) from error

    def fix(self, name: str) -> None:
        """With `large`: make the indexes that tenants with many records lack.

        Raises `ConfigError` behind a pooler.
        """
        if name != "large":
            return
        if self.target.pooled:
            raise ConfigError(
                f"{self.target.place}: indexes cannot be made through a pooler; use the url of the database "
                "itself, without pgbouncer=true"
            )
        try:
            with closing(self._connect()) as link:
                for tenant, _ in lacking(link, LARGE):
                    build(link, tenant)
        except psycopg.Error as error:
            raise translation(error, self.target.place) from error

    def _connect(self) -> Link:
        return connect(self.target)

    def _look(self, link: Link) -> list[Finding]:
        number = format_of(link, self.target, built_in()[-1].number)
        findings = [*_server(link), *_login(link, self.target, made=number > 0)]
        if not number:
            what = f"there is no store at {self.target.place} yet; the first add makes it"
            return [*findings, Finding("format", "ok", what)]
        findings += [*_rights(link, self.target), self._format(number), *_connections(link)]
        return findings if number < _INDEXED else [*findings, _large(link)]

    def _format(self, number: int) -> Finding:
        latest = built_in()[-1].number
        if number < latest:
            what = f"format {number}, this engram writes {latest}; it is migrated when its owner opens it"
            return Finding("format", "warn", what, "engram migrate", "migrate")
        if number > latest:
            what = f"format {number} of a newer engram, which this one ({latest}) can work with"
            return Finding("format", "warn", what, "pip install --upgrade engram")
        return Finding("format", "ok", f"format {number}, the latest")


def _server(link: Link) -> Iterator[Finding]:
    version, fsync, waits, standby = _row(link, "server")
    if standby:
        yield Finding(
            "server", "wrong", f"PostgreSQL {version}, a standby that only reads", "name the primary"
        )
    elif fsync == "off" or waits == "off":
        what = f"PostgreSQL {version}, set so that a crash of the server may lose the last adds"
        name = "fsync" if fsync == "off" else "synchronous_commit"
        yield Finding("server", "warn", what, f"ALTER SYSTEM SET {name} = on")
    else:
        yield Finding("server", "ok", f"PostgreSQL {version}")


def _login(link: Link, target: Target, *, made: bool) -> Iterator[Finding]:
    name, bypasses, creates = _row(link, "login")
    if bypasses:
        what = f"{name} may bypass row-level security: the database does not keep tenants apart"
        yield Finding("login", "warn", what, "log in as a plain role; see docs/postgres.md")
    elif not made and not creates:
        what = f"{name} may not make the schema {target.schema}"
        yield Finding(
            "login", "wrong", what, f"GRANT CREATE ON DATABASE … TO {name}, or open it as its owner"
        )
    else:
        yield Finding("login", "ok", f"{name}, kept to what its tenants allow")


def _rights(link: Link, target: Target) -> Iterator[Finding]:
    works, owns = _row(link, "rights")
    everything, tenant = _row(link, "seen")
    if not works or not (everything or tenant):
        what = "the login role may not use this store" + (f" as {target.tenant!r}" if target.tenant else "")
        yield Finding("rights", "wrong", what, f"SELECT {target.schema}.admit(role, tenant), as its owner")
    elif not owns:
        what = "the tables are another role's: bytes of what is forgotten go when its owner purges"
        yield Finding("rights", "warn", what, "run engram worker as the owner")
    else:
        yield Finding("rights", "ok", "reads, writes and rewrites the tables")


def _connections(link: Link) -> Iterator[Finding]:
    most, there = _row(link, "connections")
    (idle,) = _row(link, "standing")
    if there > 0.9 * most:
        what = f"{there} of {most} connections are taken"
        yield Finding("connections", "warn", what, "raise max_connections, or lower ?pool= of the urls")
    elif idle > _OLD:
        what = f"a transaction has stood open for {idle / 3600:.0f} hours; deleted rows cannot be cleared"
        yield Finding("connections", "warn", what, "end it: see pg_stat_activity")
    else:
        yield Finding("connections", "ok", f"{there} of {most} taken")


def _large(link: Link) -> Finding:
    """Whether tenants with many records have indexes of their own."""
    schema, version = pgvector(link)
    due = lacking(link, LARGE)
    if not due:
        there = f"pgvector {version}" if schema else "no pgvector, which they would need"
        what = f"no tenant lacks indexes for many records; {there}"
        return Finding("large", "ok", what)
    what = f"{len(due)} tenants have over {LARGE:,} records and no indexes: searches read all into memory"
    if schema is None:
        mend = "install pgvector on the server" if version is None else "CREATE EXTENSION vector"
        return Finding("large", "warn", what, mend)
    return Finding("large", "warn", what, "engram doctor --fix, as the owner", "large")


def _row(link: Link, name: str) -> tuple[Any, ...]:
    return link.execute(_SQL[name]).fetchone() or ()


def _trouble(error: EngramError) -> Finding:
    """What is in the way of looking at all."""
    if isinstance(error, NeedsMigration):
        return Finding("format", "wrong", str(error), "pip install --upgrade engram")
    kind = (
        "give another --url" if isinstance(error, ConfigError) else "start the server, or give another --url"
    )
    return Finding("server", "wrong", str(error), kind)


def _never(_: Link) -> None:
    raise StoreError("the store vanished while it was migrated; call again")
