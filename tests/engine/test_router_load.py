"""Behind a router: writers with workers killed under them, a database killed, a login of one tenant."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from engine.helpers import Facts
from engine.test_postgres_load import (
    FULL,
    TENANTS,
    WRITERS,
    Crew,
    check_all,
    deadlocks,
    go_on,
    read_on,
    tenant,
    write_all,
)
from engram import Memory
from engram.kernel.errors import EngramError
from engram.kernel.protocols import Select
from engram.kernel.scope import Scope
from engram.stores import open_store
from engram.stores.router import open_router
from postgres import SERVER, Server, in_schema, own_folder, schemas, server_in
from routed import routed

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
sql = pytest.importorskip("psycopg.sql", reason="the extra postgres is not installed")

TABLES = ("records", "versions", "lineage", "edges", "states", "jobs", "staged", "ann")


def placed(url: str, *tenants: str) -> str:
    """The router's url, with these tenants in its two databases by turns."""
    with closing(open_router(url)) as store:
        for number, name in enumerate(tenants):
            store.members.placed(name, f"db{number % 2}")
    return url


def drop(url: str) -> None:
    """Remove a store's schema."""
    with psycopg.connect(url.rpartition("&schema=")[0], autocommit=True) as link:
        link.execute(f"DROP SCHEMA IF EXISTS {url.rpartition('=')[2]} CASCADE")


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    """A server besides the one that all tests share; it may be killed."""
    made = server_in(own_folder(f"other-{os.getpid()}"))
    yield made
    made.stop()


@pytest.fixture
def members(postgres_server: str, other: Server) -> Iterator[tuple[str, str]]:
    """The urls of two stores, not there yet: one on the shared server, one on the other."""
    urls = in_schema(postgres_server, next(schemas())), in_schema(other.url, next(schemas()))
    yield urls
    drop(urls[0])


@pytest.mark.timeout(7200)
def test_writers_of_many_tenants_over_two_databases(members: tuple[str, str], tmp_path: Path) -> None:
    """A worker is killed every second; nothing is lost or doubled, no row crosses, nobody stands still."""
    url = routed(f"sqlite:///{tmp_path}/directory.db", *members)
    placed(url, *(tenant(number) for number in range(TENANTS)))
    Memory(url, policy=Facts()).close()
    before = [deadlocks(member) for member in members]
    crossed: list[str] = []
    ended = threading.Event()
    crew = Crew(url)
    with ThreadPoolExecutor(WRITERS + 1) as hands:
        reader = hands.submit(read_on, url, ended, crossed)
        writers = [hands.submit(write_all, url, name) for name in range(WRITERS)]
        try:
            acknowledged = [id for writer in writers for id in writer.result()]
        finally:
            ended.set()
            crew.stop()
        reader.result()
    check_all(url, acknowledged)
    assert crossed == []
    assert crew.killed >= 1
    assert [deadlocks(member) for member in members] == before
    for number, member in enumerate(members):
        with closing(open_store(member)) as store:
            found = {record.scope.tenant for record in store.select(Select())}
            assert found == {tenant(name) for name in range(TENANTS) if name % 2 == number}


def write_on(url: str, whose: str, ended: threading.Event, acknowledged: list[str]) -> None:
    """Add to one tenant until told to end."""
    with closing(Memory(url, policy=Facts())) as memory:
        while not ended.is_set():
            text = f"thing{len(acknowledged)} of {whose} is here"
            memory.add(text, tenant=whose, user_id="ana", wait=False)
            acknowledged.append(text)


@pytest.mark.timeout(900)
def test_one_of_two_databases_is_killed(members: tuple[str, str], other: Server, tmp_path: Path) -> None:
    """Tenants of the other one do not notice; those of this one wait, and have lost nothing."""
    url = placed(routed(f"sqlite:///{tmp_path}/directory.db", *members), "here", "there")
    ended, said = threading.Event(), {"here": list[str](), "there": list[str]()}
    lists = list(said.values())
    with ThreadPoolExecutor(2) as hands:
        writers = [hands.submit(write_on, url, whose, ended, told) for whose, told in said.items()]
        try:
            for _ in range(5 if FULL else 1):
                go_on(writers, lists, 4)
                other.kill()
                go_on(writers[:1], lists[:1], 4)  # while the other is away
                other.start()
            go_on(writers, lists, 2)
        finally:
            ended.set()
        for writer in writers:
            writer.result()
    with closing(Memory(url, policy=Facts())) as memory:
        store = memory._bound.core.store
        for whose, told in said.items():
            found = store.select(Select(scope=Scope(whose), kinds=("episode",)))
            assert Counter(record.text for record in found) == Counter(told)
        assert memory.wait(timeout=600)
        assert memory.verify().ok


@pytest.mark.skipif(SERVER is not None, reason="makes roles on the tests' own server")
def test_a_login_of_one_tenant_gets_no_further_behind_a_router(postgres_server: str, tmp_path: Path) -> None:
    """Neither through the router, nor past it in either database, whatever it says about itself."""
    members = [in_schema(postgres_server, next(schemas())) for _ in range(2)]
    url = placed(routed(f"sqlite:///{tmp_path}/directory.db", *members), "acme", "bolt", "acorn")
    with closing(Memory(url)) as memory:
        for whose in ("acme", "bolt", "acorn"):
            memory.add(f"Told by {whose}.", tenant=whose, user_id="ana")
    role = f"acme_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as link:
        link.execute(f"CREATE ROLE {role} LOGIN")
        for member in members:
            link.execute(f"SELECT {member.rpartition('=')[2]}.admit(%s, 'acme')", (role,))
    try:
        logins = [member.replace("postgres@", f"{role}@") for member in members]
        theirs = routed(f"sqlite:///{tmp_path}/theirs.db", *logins)
        with closing(open_router(f"router:sqlite:///{tmp_path}/theirs.db")) as store:
            store.members.placed("acme", "db0")
            assert [record.text for record in store.select(Select(scope=Scope("acme")))] == ["Told by acme."]
            assert store.select(Select(scope=Scope("acorn"))) == []
        with closing(Memory(theirs)) as memory, pytest.raises(EngramError):
            memory.add("Forged.", tenant="acorn", user_id="ana")
        for login in logins:
            schema = login.rpartition("=")[2]
            with psycopg.connect(login.rpartition("&schema=")[0], autocommit=True) as link:
                for said in ("acme", "bolt", "acorn", ""):
                    link.execute("SELECT set_config('engram.tenant', %s, false)", (said,))
                    link.execute("SET engram.everyone = 'on'")
                    for table in TABLES:
                        seen = sql.SQL("SELECT tenant FROM {}").format(sql.Identifier(schema, table))
                        assert {row[0] for row in link.execute(seen).fetchall()} <= {"acme"}
    finally:
        for member in members:
            drop(member)
        with psycopg.connect(postgres_server, autocommit=True) as link:
            link.execute(f"DROP ROLE {role}")
