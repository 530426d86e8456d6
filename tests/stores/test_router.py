"""A store over several databases: the contract, arbitrary histories, and what is between databases."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import Batch, Committed, Op, Rebuild, Reserve, Store, Switch
from engram.stores import open_store
from engram.stores.ram import RamStore
from engram.stores.router import open_router
from engram.testing.contract import StoreContract
from engram.testing.machine import SideBySide
from postgres import in_schema, own_folder, schemas, server_in
from routed import routed

_numbers = itertools.count()
FULL = bool(os.environ.get("ENGRAM_FULL"))
EXAMPLES = 40 if FULL else 3


def over_files(folder: Path) -> str:
    """A router over two SQLite files."""
    urls = [f"sqlite:///{folder}/{name}.db" for name in ("directory", "one", "two")]
    return routed(*urls)


class TestRouterOverFiles(StoreContract):
    """Two SQLite files."""

    durable = True

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[..., Store]:
        url = over_files(tmp_path)
        return lambda **options: open_store(url, **options)


@pytest.fixture(scope="module")
def databases(postgres_server: str) -> Iterator[tuple[str, str]]:
    """Two servers' urls under ENGRAM_FULL, else the shared server's twice."""
    if not FULL:
        yield postgres_server, postgres_server
        return
    second = server_in(own_folder(f"second-{os.getpid()}"))
    yield postgres_server, second.url
    second.stop()


class TestRouterOverServers(StoreContract):
    """Two PostgreSQL databases."""

    durable = True

    @pytest.fixture
    def opener(self, databases: tuple[str, str], tmp_path: Path) -> Iterator[Callable[..., Store]]:
        names = [next(schemas()) for _ in databases]
        places = [*zip(databases, names, strict=True)]
        members = [in_schema(place, name) for place, name in places]
        url = routed(f"sqlite:///{tmp_path}/directory.db", *members)
        yield lambda **options: open_store(url, **options)
        for place, name in places:
            drop_schema(place, name)


def drop_schema(url: str, name: str) -> None:
    """Remove a schema of a test's."""
    with import_module("psycopg").connect(url, autocommit=True) as link:
        link.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


class RouterBesideRam(SideBySide):
    """A router over two databases beside one plain store; what concerns both databases is left out."""

    durable = True
    runs: ClassVar[int] = 0

    def urls(self) -> list[str]:
        """Of a directory and two databases, not there yet."""
        raise NotImplementedError

    def make(self) -> tuple[Store, Store]:
        type(self).runs += 1
        urls = self.urls()
        for url in urls:  # of the plain store's seed, so that ids are the same
            open_store(url, clock=self.clock).close()
        self.url = routed(*urls)
        router = open_router(self.url, clock=self.clock)
        for tenant, database in (("default", "db0"), ("other", "db1")):
            router.members.admit(router.members.placed(tenant, database), (0, 0))
        plain = RamStore(clock=self.clock)
        plain.commit(Batch((Reserve(1),)))  # letting a tenant in takes a number
        return router, plain

    def again(self) -> Store:
        return open_router(self.url, clock=self.clock)

    def commit(self, *ops: Op) -> Committed | None:
        both = len({scope.tenant for scope, _ in self.plain.scopes()}) > 1
        if both and any(isinstance(op, Switch | Rebuild) for op in ops):
            return None  # each database numbers what it renews by itself
        try:
            return super().commit(*ops)
        except InvalidInput:
            return None


def beside_ram(found: Callable[[], list[str]]) -> int:
    """How many histories both stores were led through."""

    class Machine(RouterBesideRam):
        def urls(self) -> list[str]:
            return found()

    machine = Machine
    run_state_machine_as_test(machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=30))
    return machine.runs


@pytest.mark.timeout(600)
def test_a_router_over_files_beside_ram(tmp_path: Path) -> None:
    runs = beside_ram(lambda: [f"sqlite:///{tmp_path}/{next(_numbers)}.db" for _ in range(3)])
    assert runs >= EXAMPLES


@pytest.mark.timeout(600)
def test_a_router_over_servers_beside_ram(databases: tuple[str, str]) -> None:
    runs = beside_ram(lambda: [in_schema(url, next(schemas())) for url in (databases[0], *databases)])
    assert runs >= EXAMPLES
