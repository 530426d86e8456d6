"""Connections to one SQLite file: one that writes, and readers that are lent out."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engram.kernel.errors import StoreError
from engram.stores.sqlite.errors import translated, translation

__all__ = ["Database", "connect"]

SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
_FORK_WAIT = 5.0
_IDLE = 4
_CLOSED = "the store is closed; open it again"
T = TypeVar("T")


def connect(path: Path, durability: str, timeout: float) -> sqlite3.Connection:
    """A connection with engram's settings; transactions are the caller's.

    The write-ahead log is the file's own setting, made by `migrate`. `secure_delete` overwrites what is
    deleted; temporary tables stay in memory, as files of their own would escape an erasure.
    """
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA secure_delete = ON").fetchone()
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

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives, done in one transaction: committed at its end, or rolled back on any error."""
        with self._write_lock:
            try:
                connection = self._open_writer()
                connection.execute("BEGIN IMMEDIATE")
                whole = False
                try:
                    done = work(connection)
                    connection.execute("COMMIT")
                    whole = True
                finally:
                    if not whole:
                        self._roll_back(connection)
            except (sqlite3.Error, OSError) as error:
                raise translation(error, self.path) from error
            return done

    def bare(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives with the writing connection, outside any transaction."""
        with self._write_lock, translated(self.path):
            return work(self._open_writer())

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives with a connection of this thread's own; it leaves no cursor unread."""
        try:
            connection = self._borrow()
            try:
                return work(connection)
            finally:
                self._give_back(connection)
        except (sqlite3.Error, OSError) as error:
            raise translation(error, self.path) from error

    def close(self) -> None:
        """Close all connections; the last process to do so folds the log into the file."""
        with self._write_lock, self._gate, translated(self.path):
            self._closed = True
            self._drop()

    def _open_writer(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(_CLOSED)
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
            if self._closed:
                raise StoreError(_CLOSED)
            self._lent += 1
            if self._idle:
                return self._idle.pop()
        try:
            return connect(self.path, self._durability, self._timeout)
        except sqlite3.Error:
            self._lent_back()
            raise

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction or self._closed or len(self._idle) >= _IDLE:
            connection.close()
            self._lent_back()
            return
        with self._gate:
            self._idle.append(connection)
            self._lent -= 1

    def _lent_back(self) -> None:
        with self._gate:
            self._lent -= 1

    def _drop(self) -> None:
        for connection in (*self._idle, self._writer):
            if connection is not None:
                connection.close()
        self._idle, self._writer = [], None

    def _locks(self) -> None:
        self._write_lock = threading.RLock()
        self._gate = threading.Lock()

    def before_fork(self) -> None:
        """Close what is open: SQLite forbids to carry a connection, even an unused one, across a fork."""
        self._write_lock.acquire()
        deadline = time.monotonic() + _FORK_WAIT
        self._gate.acquire()
        while self._lent and time.monotonic() < deadline:
            self._gate.release()
            time.sleep(0.001)
            self._gate.acquire()
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
