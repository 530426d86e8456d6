"""Behind a pooler that lends connections for one transaction: no session is relied on, none is altered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.helpers import Facts
from engram import Memory
from engram.cli.app import app
from engram.kernel.errors import ConfigError
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, Expunge, PutJob, Select
from engram.kernel.record import Record
from engram.stores import keeper_of, open_store
from engram.testing.builders import ANA, START, a_record
from engram.testing.contract_records import put_one
from pooler import Pooler
from postgres import SERVER, in_schema, schemas

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
pytestmark = pytest.mark.skipif(SERVER is not None, reason="leads to a Unix socket of the tests' own server")


@pytest.fixture(scope="module")
def pooler(postgres_server: str) -> Iterator[Pooler]:
    with closing(Pooler(postgres_server.partition("host=")[2].partition("&")[0])) as made:
        yield made


@pytest.fixture
def places(postgres_server: str) -> list[str]:
    """Names of two schemas with a store each."""
    names = [next(schemas()) for _ in range(2)]
    for name in names:
        open_store(in_schema(postgres_server, name)).close()
    return names


def left(pooler: Pooler) -> set[tuple[Any, ...]]:
    """What is set in the connections that the pooler lends."""
    url = pooler.url("engram").partition("&pgbouncer")[0]
    asked = (
        "SELECT current_setting('search_path'), coalesce(current_setting('engram.tenant', true), ''), "
        "coalesce(current_setting('engram.everyone', true), ''), current_setting('lock_timeout'), "
        "current_setting('idle_in_transaction_session_timeout')"
    )
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as link:
        return {link.execute(asked).fetchone() for _ in range(9)}


def test_stores_that_share_connections_do_not_meet(pooler: Pooler, places: list[str]) -> None:
    """Two schemas over the same three connections: opened, written and read at once."""

    def use(place: str) -> list[str]:
        found: list[Record] = []
        for number in range(3):
            with closing(open_store(pooler.url(place))) as store:
                put_one(store, a_record(f"{place}/{number}"))
                found = store.select(Select())
                assert store.info()["format"]
                assert store.sequence().last >= number
        return [record.text for record in found]

    with ThreadPoolExecutor(4) as hands:
        rounds = [(place, hands.submit(use, place)) for place in places * 2]
        for place, work in rounds:
            assert {text.partition("/")[0] for text in work.result()} == {place}
    with closing(open_store(pooler.url(places[0]))) as store:
        assert len(store.select(Select())) == 6
        assert store.check() == []
    assert left(pooler) == {('"$user", public', "", "", "0", "0")}


def test_a_memory_and_its_commands(pooler: Pooler, places: list[str]) -> None:
    url = pooler.url(places[0])
    with closing(Memory(url, policy=Facts())) as memory:
        memory.add("My cat is called Plum.", user_id="ada")
        assert memory.add("Tea is warm", user_id="ada", wait=False).job
        assert memory.wait(timeout=60)
        assert memory.search("cat", user_id="ada")[0].text == "My cat is called Plum."
        assert memory.verify().ok
    for command in (["doctor"], ["migrate", "--status"]):
        result = CliRunner().invoke(app, ["--url", url, *command])
        assert result.exit_code == 0, result.output
    assert left(pooler) == {('"$user", public', "", "", "0", "0")}


def test_what_takes_a_session_is_left_to_who_has_one(
    pooler: Pooler, postgres_server: str, places: list[str], tmp_path: Path
) -> None:
    """New tables, indexes of tenants and rewriting want the database's own url, and say so."""
    with pytest.raises(ConfigError, match="without pgbouncer=true"):
        open_store(pooler.url(next(schemas())))
    keeper = keeper_of(pooler.url(places[0]))
    assert keeper is not None
    with pytest.raises(ConfigError, match="without pgbouncer=true"):
        keeper.fix("large")
    with closing(open_store(pooler.url(places[0]))) as store:
        record = put_one(store, a_record())
        store.commit(Batch((Expunge((record.id,)),)))
        assert not store.purge()
        with closing(open_store(in_schema(postgres_server, places[0]))) as direct:
            assert direct.purge()
        assert store.purge()
        told = threading.Event()
        quiet = store.watch(told)  # type: ignore[attr-defined]
        store.commit(Batch((PutJob(Job("j", "write", ANA, START)),)))
        quiet()
        assert not told.is_set()
