"""A dump of a store by its owner, who is no superuser: everything is in it, and it can be restored."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

from engram import Memory
from engram.kernel.scope import Scope
from engram.stores import open_store
from postgres import SERVER, in_schema, schemas

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
pytestmark = pytest.mark.skipif(SERVER is not None, reason="takes the tools beside the tests' own server")
ALL = {"PGOPTIONS": "-c engram.everyone=on"}


@pytest.fixture(scope="module")
def tools(postgres_server: str) -> Path:
    """Where the server's own programs are."""
    with psycopg.connect(postgres_server) as link:
        return Path(import_module("psutil").Process(link.info.backend_pid).exe()).parent


@pytest.fixture
def owner(postgres_server: str) -> Iterator[tuple[str, str]]:
    """The url of the database for a plain role that may make schemas, and the name of one."""
    role = f"owner_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as link:
        link.execute(f"CREATE ROLE {role} LOGIN")
        link.execute(f"GRANT CREATE ON DATABASE postgres TO {role}")
        yield postgres_server.replace("postgres@", f"{role}@", 1), next(schemas())
        link.execute(f"DROP OWNED BY {role} CASCADE")
        link.execute(f"DROP ROLE {role}")


def ran(program: Path, url: str, *options: str, given: str = "", more: dict[str, str] | None = None) -> str:
    """What a program of PostgreSQL's writes."""
    done = subprocess.run(
        [program, *options, url],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(more or {})},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_owner_dumps_and_restores_all_tenants(tools: Path, owner: tuple[str, str]) -> None:
    url, schema = owner
    store = in_schema(url, schema)
    with closing(Memory(store)) as memory:
        for tenant in ("acme", "bolt"):
            memory.add(f"{tenant} sells plums.", tenant=tenant, user_id="ana")
    dump = ran(tools / "pg_dump", url, "--schema", schema, "--enable-row-security", more=ALL)
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(f"DROP SCHEMA {schema} CASCADE")
    ran(tools / "psql", url, "-q", "-v", "ON_ERROR_STOP=1", given=dump)
    with closing(Memory(store)) as memory:
        for tenant in ("acme", "bolt"):
            found = memory.search("plums", tenant=tenant, user_id="ana")
            assert [hit.text for hit in found] == [f"{tenant} sells plums."]
            memory.add("More.", tenant=tenant, user_id="ana")
        assert memory.verify().ok
    with closing(open_store(store + "&tenant=acme")) as bound:
        assert {scope.tenant for scope, _ in bound.scopes()} == {Scope("acme").tenant}
