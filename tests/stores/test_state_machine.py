"""Each store and the plain one, side by side through arbitrary histories."""

import itertools
import os
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engram.kernel.protocols import Store
from engram.stores.postgres import open_postgres
from engram.stores.ram import RamStore
from engram.stores.sqlite import SqliteStore
from engram.testing.machine import SideBySide
from postgres import in_schema, schemas

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


EXAMPLES = 200 if os.environ.get("ENGRAM_FULL") else 6


class PostgresBesideRam(SideBySide):
    """The store under test is a schema, at times reopened, at times under two handles."""

    durable = True
    server: ClassVar[str]
    runs: ClassVar[int] = 0

    def make(self) -> tuple[Store, Store]:
        type(self).runs += 1
        self.url = in_schema(self.server, next(schemas()))
        return self.again(), RamStore(clock=self.clock)

    def again(self) -> Store:
        return open_postgres(self.url, clock=self.clock)


@pytest.mark.timeout(600)
def test_postgres_beside_ram(postgres_server: str) -> None:
    class Machine(PostgresBesideRam):
        server = postgres_server

    machine = Machine
    run_state_machine_as_test(machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=30))
    assert machine.runs >= EXAMPLES
