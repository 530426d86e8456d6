"""SQLite and the plain store, side by side through arbitrary histories."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import settings

from engram.kernel.protocols import Store
from engram.stores.ram import RamStore
from engram.stores.sqlite import SqliteStore
from engram.testing.machine import SideBySide

_folder = tempfile.TemporaryDirectory()
_numbers = itertools.count()


class SqliteBesideRam(SideBySide):
    """The store under test is a SQLite file, at times reopened, at times under two handles."""

    durable = True

    def make(self) -> tuple[Store, Store]:
        self.path = Path(_folder.name) / f"{next(_numbers)}.db"
        return self.again(), RamStore(clock=self.clock)

    def again(self) -> Store:
        return SqliteStore(self.path, clock=self.clock)


TestSqliteBesideRam = SqliteBesideRam.TestCase
TestSqliteBesideRam.settings = settings(max_examples=50, stateful_step_count=40)
