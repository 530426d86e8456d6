"""Connections to one SQLite file: one that writes, and readers that are lent out."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engram.kernel.errors import StoreError
from engram.stores.sqlite.errors import translated

__all__ = ["Database", "connect"]

SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
_FORK_WAIT = 5.0


def connect(path: Path, durability: str, timeout: float) -> sqlite3.Connection:
    """A connection with engram's settings; transactions are the caller's.

    `secure_delete` overwrites what is deleted; temporary tables stay in memory, as files of their own
    would escape an erasure.
    """
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA secure_delete = ON").fetchone()
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.execute("PRAGMA cache_size = -4096")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA journal_size_limit = 8388608").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class Database:
    """A SQLite file, thread-safe and fork-safe. Idle connections hold no transaction open."""

    def __init__(self, path: Path, *, durability: str = "process", timeout: float = 30.0) -> None:
        self.path = path
        self._durability = durability
        self._timeout = timeout
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._locks()
        _watch_forks(self)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writing connection inside a transaction: committed at the end, or rolled back on any error."""
        with translated(self.path), self._write_lock:
            connection = self._open_writer()
            connection.execute("BEGIN IMMEDIATE")
            whole = False
            try:
                yield connection
                connection.execute("COMMIT")
                whole = True
            finally:
                if not whole:
                    self._roll_back(connection)

    @contextmanager
    def bare(self) -> Iterator[sqlite3.Connection]:
        """The writing connection outside any transaction, for what cannot run in one."""
        with translated(self.path), self._write_lock:
            yield self._open_writer()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading; leave no cursor unread."""
        with translated(self.path):
            connection = self._borrow()
            try:
                yield connection
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close all connections; the last process to do so folds the log into the file."""
        with translated(self.path), self._write_lock, self._gate:
            self._closed = True
            self._drop()

    def _open_writer(self) -> sqlite3.Connection:
        self._check_open()
        if self._writer is None:
            self._writer = connect(self.path, self._durability, self._timeout)
        return self._writer

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Roll back; a connection that cannot is given up, which rolls back as well."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._writer = None
            connection.close()

    def _borrow(self) -> sqlite3.Connection:
        with self._gate:
            self._check_open()
            self._lent += 1
            if self._idle:
                return self._idle.pop()
        try:
            return connect(self.path, self._durability, self._timeout)
        except sqlite3.Error:
            with self._gate:
                self._lent -= 1
                self._gate.notify_all()
            raise

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._gate:
            self._lent -= 1
            if connection.in_transaction or self._closed:
                connection.close()
            else:
                self._idle.append(connection)
            self._gate.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed; open it again")

    def _drop(self) -> None:
        for connection in (*self._idle, self._writer):
            if connection is not None:
                connection.close()
        self._idle, self._writer = [], None

    def _locks(self) -> None:
        self._write_lock = threading.RLock()
        self._gate = threading.Condition(threading.Lock())

    def before_fork(self) -> None:
        """Close what is open: SQLite forbids to carry a connection, even an unused one, across a fork."""
        self._write_lock.acquire()
        self._gate.acquire()
        self._gate.wait_for(lambda: self._lent == 0, _FORK_WAIT)
        self._drop()

    def after_fork_parent(self) -> None:
        """Go on; connections open again when they are needed."""
        self._gate.release()
        self._write_lock.release()

    def after_fork_child(self) -> None:
        """Start anew: the locks may be held by threads that are not in this process."""
        self._lent = 0
        self._locks()


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_hooked: list[bool] = []
_forking: list[Database] = []


def _watch_forks(database: Database) -> None:
    _databases.add(database)
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked.append(True)
        os.register_at_fork(before=_before, after_in_parent=_after_parent, after_in_child=_after_child)


def _before() -> None:
    _forking.extend(_databases)
    for database in _forking:
        database.before_fork()


def _after_parent() -> None:
    for database in _forking:
        database.after_fork_parent()
    _forking.clear()


def _after_child() -> None:
    for database in _forking:
        database.after_fork_child()
    _forking.clear()
