"""Connections to one PostgreSQL store: a pool, transactions, and what happens when the server goes away."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from engram.kernel.errors import StoreError
from engram.stores.postgres.errors import again, lost, translation
from engram.stores.postgres.queries import queries
from engram.stores.postgres.target import Target

__all__ = ["Database", "Session", "connect"]

_CLOSED = "the store is closed; open it again"
_FIRST_WAIT = 10  # seconds for the first connection: a wrong address should be told soon
_PAUSE = 0.2
_BEGIN = sql.SQL("BEGIN")
_SNAPSHOT = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
_COMMIT = sql.SQL("COMMIT")
_SQL = queries("session")
Link = psycopg.Connection[tuple[Any, ...]]
Question = tuple[Any, Sequence[Any] | dict[str, Any]]
T = TypeVar("T")


def connect(target: Target) -> Link:
    """A connection of its own, in autocommit; raises psycopg's errors.

    Behind a pooler it is in a transaction, since its settings would stay with whoever is lent it next.
    """
    patience = {"connect_timeout": _FIRST_WAIT}
    link = psycopg.connect(target.conninfo, autocommit=not target.pooled, **_options(target, **patience))
    link.execute(_SQL["settings"], _settings(target, None, local=target.pooled))
    return link


def _options(target: Target, **more: int) -> dict[str, Any]:
    """What libpq is told unless the url says so itself, and what is always so."""
    settings = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, **more}
    return {
        "fallback_application_name": "engram",
        "prepare_threshold": None if target.pooled else 5,
        **{key: value for key, value in settings.items() if key not in target.said},
        "client_encoding": "utf-8",
    }


def _settings(target: Target, tenant: str | None, *, local: bool, durable: bool = False) -> dict[str, Any]:
    """What a transaction is told about itself: where it works, for whom, how long it may wait."""
    seen = target.tenant or tenant
    return {
        "path": f"{target.schema}, pg_temp",
        "tenant": seen or "",
        "everyone": "off" if seen else "on",
        "wait": f"{int(target.wait * 1000)}ms",
        "synchronous": durable,
        "local": local,
    }


@dataclass(slots=True)
class Signature:
    """What a commit is signed with: who commits, one transaction at a time, and the number of the attempt."""

    client: str = field(default_factory=lambda: uuid4().hex)
    number: int = 0


class Session:
    """A transaction on a connection. What is to be done is kept back and goes out with the next question.

    With a `prelude` every exchange is a transaction of its own that begins with it, which saves the wait
    for a commit.
    """

    def __init__(self, link: Link, prelude: Question | None = None) -> None:
        self._link = link
        self._prelude = prelude
        self._queue: list[tuple[Any, Sequence[Sequence[Any] | dict[str, Any] | None]]] = []
        self.ending = False

    def do(self, statement: Any, *values: Any) -> None:
        """A statement to be carried out, in its turn."""
        self._queue.append((statement, (values or None,)))

    def many(self, statement: Any, rows: Sequence[Sequence[Any]]) -> None:
        """A statement to be carried out once for each row, in its turn."""
        if rows:
            self._queue.append((statement, rows))

    def named(self, statement: Any, values: dict[str, Any]) -> None:
        """A statement with named values to be carried out, in its turn."""
        self._queue.append((statement, (values,)))

    def ask(self, *questions: Question) -> list[list[tuple[Any, ...]]]:
        """The rows of each question, after everything that was kept back; all of it in one exchange."""
        with self._link.pipeline():
            if self._prelude is not None:
                self._link.cursor().execute(*self._prelude)
            self._send()
            asked = []
            for statement, values in questions:
                cursor = self._link.cursor(binary=True)
                cursor.execute(statement, values or None)
                asked.append(cursor)
        return [cursor.fetchall() for cursor in asked]

    def rows(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one question."""
        return self.ask((statement, values))[0]

    def first(self, statement: Any, *values: Any) -> tuple[Any, ...] | None:
        """The first row of one question, if there is any."""
        return next(iter(self.rows(statement, *values)), None)

    def end(self) -> None:
        """Carry out what was kept back, and commit."""
        with self._link.pipeline():
            self._send()
            self.ending = True
            self._link.cursor().execute(_COMMIT)

    def _send(self) -> None:
        queue, self._queue = self._queue, []
        cursor = self._link.cursor()
        for statement, rows in queue:
            if len(rows) == 1:
                cursor.execute(statement, rows[0])
            else:
                cursor.executemany(statement, [row for row in rows if row is not None])


class Database:
    """A PostgreSQL store's connections, thread-safe and fork-safe. Idle ones hold no transaction open."""

    def __init__(self, target: Target, *, durable: bool = False) -> None:
        self.target = target
        self._durable = durable
        self._closed = False
        self._pool: ConnectionPool[Link] | None = None
        self._signatures: list[Signature] = []
        self._process = os.getpid()
        self._lock = threading.Lock()

    def read(self, work: Callable[[Session], T], tenant: str | None = None, *, whole: bool = False) -> T:
        """What `work` reads, for `tenant` alone or (`None`) for all; `whole`: everything at one moment."""
        prelude = _SQL["settings"], _settings(self.target, tenant, local=True)

        def reading(link: Link) -> T:
            if not whole:
                return work(Session(link, prelude))
            session = Session(link)
            session.do(_SNAPSHOT)
            session.named(*prelude)
            done = work(session)
            session.end()
            return done

        return self._patiently(reading)

    def write(self, work: Callable[[Session], T]) -> T:
        """What `work` does in one transaction, which sees all tenants: committed at its end, or not at all.

        A lost connection is replaced and the work done anew, unless the database had committed it.
        """
        with self._signing() as signature:

            def writing(link: Link) -> T:
                signature.number += 1
                session = Session(link)
                session.do(_BEGIN)
                settings = _settings(self.target, None, local=True, durable=self._durable)
                session.named(_SQL["settings"], settings)
                done = work(session)
                session.do(_SQL["sign"], signature.client, signature.number)
                try:
                    session.end()
                except psycopg.Error as error:
                    if not (session.ending and lost(error) and self._committed(signature)):
                        raise
                return done

            return self._patiently(writing)

    def bare(self, work: Callable[[Link], T]) -> T:
        """What `work` gives with a connection of its own, outside any transaction."""
        if self._closed:
            raise StoreError(_CLOSED)
        with self.translated(), connect(self.target) as link:
            return work(link)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the driver as engram's."""
        try:
            yield
        except (psycopg.Error, OSError) as error:
            raise translation(error, self.target.place) from error

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.close()

    def _patiently(self, work: Callable[[Link], T]) -> T:
        """What `work` gives; done again while the server is away, and where another transaction was first."""
        deadline = time.monotonic() + self.target.wait
        with self.translated():
            while True:
                try:
                    return self._lent(work, max(0.1, deadline - time.monotonic()))
                except psycopg.Error as error:
                    if not (lost(error) or again(error)) or time.monotonic() > deadline:
                        raise
                time.sleep(_PAUSE / 4)

    def _lent(self, work: Callable[[Link], T], patience: float) -> T:
        pool = self._opened()
        link = pool.getconn(patience)
        whole = False
        try:
            done = work(link)
            whole = True
            return done
        finally:
            if not whole:
                _roll_back(link)
            pool.putconn(link)

    def _opened(self) -> ConnectionPool[Link]:
        """The pool of this process: one that was opened before a fork is the parent's."""
        with self._lock:
            if self._closed:
                raise StoreError(_CLOSED)
            self._at_home()
            if self._pool is None:
                self._pool = ConnectionPool(
                    self.target.conninfo,
                    kwargs={"autocommit": True, **_options(self.target)},
                    min_size=0,
                    max_size=self.target.pool,
                    num_workers=1,
                    reconnect_timeout=self.target.wait,
                    name="engram",
                    open=True,
                )
            return self._pool

    def _at_home(self) -> None:
        """After a fork: leave the pool and the signatures to the parent."""
        if self._process != os.getpid():
            self._process, self._pool, self._signatures = os.getpid(), None, []

    @contextmanager
    def _signing(self) -> Iterator[Signature]:
        """A signature that no other transaction uses meanwhile."""
        with self._lock:
            self._at_home()
            signature = self._signatures.pop() if self._signatures else Signature()
        process = os.getpid()
        try:
            yield signature
        finally:
            if process == os.getpid():
                self._signatures.append(signature)

    def _committed(self, signature: Signature) -> bool:
        """Whether the transaction that was signed so is committed, asked on another connection.

        It holds the counter until it ends, and it has ended when somebody else does. Raises `StoreError`
        where that cannot be found out.
        """
        deadline = time.monotonic() + self.target.wait
        while True:
            try:
                return self._lent(lambda link: _signed(link, self.target, signature), self.target.wait)
            except psycopg.Error as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{self.target.place}: the connection was lost at a commit, and it cannot be said "
                        "whether that was stored; look before you store it again"
                    ) from error
                if not (lost(error) or again(error)):
                    raise
            time.sleep(_PAUSE)


def _signed(link: Link, target: Target, signature: Signature) -> bool:
    """Whether the last commit of a client is the one of that number, once it holds the counter no more."""
    with link.transaction():
        link.execute(_SQL["settings"], _settings(target, None, local=True))
        link.execute(_SQL["settle"])
        row = link.execute(_SQL["signed"], (signature.client,)).fetchone()
        return row is not None and row[0] == signature.number


def _roll_back(link: Link) -> None:
    """Leave the connection idle; one that cannot be is closed, which rolls back as well."""
    try:
        if link.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            link.rollback()
    except psycopg.Error:
        link.close()
