"""The default store: one SQLite file, shared by any number of threads and processes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import ConfigError
from engram.kernel.protocols import Batch, Committed, Entry, Job, Position, Select, SelectEdges, StateRow
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.stores.shared import store_tag
from engram.stores.sqlite import read
from engram.stores.sqlite.check import problems
from engram.stores.sqlite.connection import Database
from engram.stores.sqlite.edges import edges
from engram.stores.sqlite.erase import beside, purge
from engram.stores.sqlite.errors import translated
from engram.stores.sqlite.migrate import Migration, built_in, migrate, refuse_scrap
from engram.stores.sqlite.queries import queries
from engram.stores.sqlite.records import ScopeIds
from engram.stores.sqlite.write import Transaction

__all__ = ["SqliteStore", "open_sqlite", "path_of"]

_PREFIX = "sqlite:///"
_READ = queries("read")


def open_sqlite(
    url: str, *, durability: str = "process", clock: Clock = utc_now, seed: int = 0
) -> SqliteStore:
    """The store of `sqlite:///relative/path` or `sqlite:////absolute/path`; the file is made if need be."""
    return SqliteStore(path_of(url), durability=durability, clock=clock, seed=seed)


def path_of(url: str) -> Path:
    """The file that a url names. Raises `ConfigError` where it names none."""
    path = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or not path:
        raise ConfigError(
            f"url: {url!r} names no file; write sqlite:///relative/path or sqlite:////absolute/path"
        )
    return Path(path)


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
        self.path = path.absolute()
        with translated(self.path):
            _make_file(self.path)
        self._database = Database(self.path, durability=durability, timeout=timeout)
        self._known = ScopeIds()
        created = clock()

        def first(connection: sqlite3.Connection) -> None:
            facts = {"created": created.isoformat(), "tag": str(store_tag(created, seed))}
            connection.execute("INSERT INTO counter VALUES (1, 0, 0, 0)")
            connection.executemany("INSERT INTO info VALUES (?, ?)", facts.items())

        def prepare(connection: sqlite3.Connection) -> int:
            migrate(connection, self.path, migrations or built_in(), first)
            return int(connection.execute(_READ["tag"]).fetchone()[0])

        self._tag = self._database.bare(prepare)

    @property
    def beside(self) -> Path:
        """The folder for what can be made again of the file."""
        return beside(self.path)

    def commit(self, batch: Batch) -> Committed:
        """Apply the operations in one transaction, or none of them."""
        whole = False
        try:
            done = self._database.write(
                lambda link: Transaction(link, self._known, self._tag, batch.above).run(batch.ops)
            )
            whole = True
        finally:
            if not whole:
                self._known.clear()
        return done

    def select(self, what: Select) -> list[Record]:
        """Records or versions."""
        return self._database.read(lambda link: read.select(link, what))

    def entries(self, scope: Scope, after: int = 0, limit: int = 5000, history: bool = False) -> list[Entry]:
        """Index entries with a sequence above `after`, by sequence."""
        return self._database.read(lambda link: read.entries(link, scope, after, limit, history=history))

    def sequence(self, tenant: str | None = None) -> Position:
        """Where the history stands now, other processes' commits included."""
        return self._database.read(read.position)

    def edges(self, what: SelectEdges) -> list[Edge]:
        """Edges."""
        return self._database.read(lambda link: edges(link, what))

    def states(self, scope: Scope, policy: str | None = None, name: str | None = None) -> list[StateRow]:
        """States by (policy, scope, name)."""
        return self._database.read(lambda link: read.states(link, scope, policy, name))

    def jobs(
        self, scope: Scope | None = None, kind: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Jobs, oldest first."""
        return self._database.read(lambda link: read.jobs(link, scope, kind, ids))

    def scopes(self, pattern: Scope | None = None) -> list[tuple[Scope, int]]:
        """Scopes with records, and how many latest versions are open in each."""
        return self._database.read(lambda link: read.scopes(link, pattern))

    def info(self) -> Mapping[str, str]:
        """Facts about the store; `purge` is `pending` while bytes of expunged content may be in the files."""
        facts = self._database.read(read.info)
        log = Path(f"{self.path}-wal")
        with translated(self.path):
            facts["bytes"] = str(sum(file.stat().st_size for file in (self.path, log) if file.exists()))
        return facts

    def check(self) -> list[str]:
        """What is structurally wrong, one sentence each."""
        return self._database.read(problems)

    def purge(self) -> bool:
        """Rewrite the file and empty the log; False where other processes or a full disk prevent it now.

        Waits for others at most a third of a second at each of four steps.
        """
        return self._database.bare(lambda link: purge(link, self.path))

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
        with suppress(FileExistsError):  # another process was faster
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    else:
        refuse_scrap(path)
