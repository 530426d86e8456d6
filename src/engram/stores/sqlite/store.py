"""The default store: one SQLite file, shared by any number of threads and processes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import ConfigError
from engram.kernel.protocols import Batch, Committed, Entry, Job, Position, Select, StateRow
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.stores.shared import store_tag
from engram.stores.sqlite import read
from engram.stores.sqlite.check import problems
from engram.stores.sqlite.connection import Database
from engram.stores.sqlite.errors import translated
from engram.stores.sqlite.migrate import Migration, backups, built_in, migrate
from engram.stores.sqlite.queries import queries
from engram.stores.sqlite.records import ScopeIds
from engram.stores.sqlite.write import Transaction

__all__ = ["SqliteStore", "open_sqlite"]

_PREFIX = "sqlite:///"
_READ = queries("read")
_PURGE_WAIT = 300  # milliseconds


def open_sqlite(
    url: str, *, durability: str = "process", clock: Clock = utc_now, seed: int = 0
) -> SqliteStore:
    """The store of `sqlite:///relative/path` or `sqlite:////absolute/path`; the file is made if need be."""
    path = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or not path:
        raise ConfigError(
            f"url: {url!r} names no file; write sqlite:///relative/path or sqlite:////absolute/path"
        )
    return SqliteStore(Path(path), durability=durability, clock=clock, seed=seed)


class SqliteStore:
    """A store in one SQLite file. Thread-safe; any number of processes may have the file open.

    `timeout` is how many seconds a commit waits for another process's. `migrations` are the steps to the
    current format.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: str = "process",
        clock: Clock = utc_now,
        seed: int = 0,
        timeout: float = 30.0,
        migrations: Sequence[Migration] | None = None,
    ) -> None:
        self._path = path.absolute()
        with translated(self._path):
            _make_file(self._path)
        self._database = Database(self._path, durability=durability, timeout=timeout)
        self._known = ScopeIds()
        created = clock()

        def first(connection: sqlite3.Connection) -> None:
            facts = {"created": created.isoformat(), "tag": str(store_tag(created, seed))}
            connection.execute("INSERT INTO counter VALUES (1, 0, 0, 0)")
            connection.executemany("INSERT INTO info VALUES (?, ?)", facts.items())

        with self._database.bare() as connection:
            migrate(connection, self._path, migrations or built_in(), first)
            self._tag = int(connection.execute("SELECT value FROM info WHERE key = 'tag'").fetchone()[0])

    def commit(self, batch: Batch) -> Committed:
        """Apply the operations in one transaction, or none of them."""
        whole = False
        with self._database.writing() as connection:
            try:
                done = Transaction(connection, self._known, self._tag).run(batch.ops)
                whole = True
            finally:
                if not whole:
                    self._known.clear()
        return done

    def select(self, what: Select) -> list[Record]:
        """Records or versions."""
        with self._database.reading() as connection:
            return read.select(connection, what)

    def entries(self, scope: Scope, after: int = 0, limit: int = 5000, history: bool = False) -> list[Entry]:
        """Index entries with a sequence above `after`, by sequence."""
        with self._database.reading() as connection:
            return read.entries(connection, scope, after, limit, history=history)

    def sequence(self) -> Position:
        """Where the history stands now, other processes' commits included."""
        with self._database.reading() as connection:
            return read.position(connection)

    def edges(self, scope: Scope, ids: Sequence[str] | None = None, history: bool = False) -> list[Edge]:
        """Edges in scope, by (opened, id)."""
        with self._database.reading() as connection:
            return read.edges(connection, scope, ids, history=history)

    def states(self, scope: Scope, policy: str | None = None, name: str | None = None) -> list[StateRow]:
        """States by (policy, scope, name)."""
        with self._database.reading() as connection:
            return read.states(connection, scope, policy, name)

    def jobs(
        self, scope: Scope | None = None, kind: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Jobs, oldest first."""
        with self._database.reading() as connection:
            return read.jobs(connection, scope, kind, ids)

    def scopes(self, pattern: Scope | None = None) -> list[tuple[Scope, int]]:
        """Scopes with records, and how many latest versions are open in each."""
        with self._database.reading() as connection:
            return read.scopes(connection, pattern)

    def info(self) -> Mapping[str, str]:
        """Facts about the store; `purge` is `pending` while bytes of expunged content may be in the files."""
        with self._database.reading() as connection:
            facts = dict(connection.execute(_READ["info"]).fetchall())
            facts["format"] = str(connection.execute("PRAGMA user_version").fetchone()[0])
            if connection.execute(_READ["unpurged"]).fetchone()[0]:
                facts["purge"] = "pending"
        log = Path(f"{self._path}-wal")
        with translated(self._path):
            facts["bytes"] = str(sum(file.stat().st_size for file in (self._path, log) if file.exists()))
        return facts

    def check(self) -> list[str]:
        """What is structurally wrong, one sentence each."""
        with self._database.reading() as connection:
            return problems(connection)

    def purge(self) -> bool:
        """Fold the log into the file and empty it, and remove copies; False where a reader prevents it.

        Waits at most a third of a second for readers and writers of other processes.
        """
        with self._database.bare() as connection:
            for copy in backups(self._path):
                copy.unlink(missing_ok=True)
            erasures, unpurged = connection.execute(_READ["purge_state"]).fetchone()
            if not unpurged:
                return True
            timeout = connection.execute("PRAGMA busy_timeout").fetchone()[0]
            connection.execute(f"PRAGMA busy_timeout = {_PURGE_WAIT}").fetchone()
            try:
                if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    return False
            finally:
                connection.execute(f"PRAGMA busy_timeout = {timeout}").fetchone()
            connection.execute(_READ["purged"], (erasures,))
            return True

    def close(self) -> None:
        """Release the file and its connections; further calls raise `StoreError`."""
        self._database.close()


def _make_file(path: Path) -> None:
    """Make the file if it is not there, for its owner's eyes only; SQLite gives its log the same rights."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist; make it, or give another path")
    if not path.exists():
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return  # another process was faster
