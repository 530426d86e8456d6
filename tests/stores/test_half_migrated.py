"""A fleet that is upgraded one by one: an engram of format 1 at work on stores of every format since.

`scripts/half_migrated.py` runs all of an earlier commit's own tests the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.kernel.clock import micros
from engram.kernel.preselect import Among
from engram.kernel.protocols import Batch, Close, Entry, Expunge, Mark, Put, Select, Supersede
from engram.kernel.record import Interval
from engram.kernel.scope import Scope
from engram.operators.retrieval.codec import encode
from engram.stores import open_store
from engram.stores.postgres import ann_build
from engram.stores.postgres.connection import connect
from engram.stores.postgres.migrate import built_in
from engram.stores.postgres.store import PostgresStore
from engram.stores.postgres.target import target_of
from engram.stores.shared import named_statements, script_statements
from engram.testing.builders import START, a_record, day

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
Link = Any
"""A connection of psycopg."""

SQL = named_statements(Path(__file__).with_name("format1.sql"))
ACME = Scope("acme")
FORMATS = range(1, len(built_in()) + 1)


class Old:
    """An engram of format 1, as far as it puts, replaces, closes, marks, erases and reads records."""

    def __init__(self, url: str) -> None:
        base, _, schema = url.rpartition("&schema=")
        self.link: Link = psycopg.connect(base, autocommit=True)
        self.path = f"{schema}, pg_temp"

    @contextmanager
    def commit(self, erased: int = 0) -> Iterator[int]:
        """A commit under way: the next number."""
        with self.link.transaction():
            self.do("settings", {"path": self.path})
            last, erasures, _ = self.do("lock").fetchone()
            yield last + 1
            self.do("counter", (last + 3, erasures + erased, erased))

    def do(self, name: str, values: Any = None) -> Any:
        """A statement of format 1."""
        return self.link.execute(SQL[name], values)

    def put(self, id: str, text: str, version: int = 1, arrival: int | None = None) -> None:
        """A record, or its next version."""
        words, vector = encoded(text)
        with self.commit() as number:
            if arrival is not None:
                self.do("archive", (number, number, micros(day(1)), "acme", id))
                self.do("drop_row", ("acme", id))
            place = number + 1
            values = {
                "tenant": "acme",
                "id": id,
                "sequence": place,
                "arrival": arrival or place,
                "text": text,
            }
            more = {"version": version, "time": micros(day(version - 1)), "words": words, "vector": vector}
            self.do("put_record", {**values, **more})

    def close_record(self, id: str) -> None:
        """The record ends."""
        with self.commit() as number:
            self.do("close", (number, number, micros(day(3)), "acme", id))

    def mark(self, id: str, text: str) -> None:
        """The record has another entry."""
        with self.commit() as number:
            self.do("mark", (number, 0.5, None, *encoded(text), "acme", id))

    def expunge(self, id: str) -> None:
        """The record is erased."""
        with self.commit(erased=1):
            self.do("expunge", {"ids": [id]})

    def texts(self) -> list[tuple[str, int, str]]:
        """(id, version, text) of every version, as it reads them."""
        with self.link.transaction():
            self.do("settings", {"path": self.path})
            return [tuple(row[1:]) for row in self.do("history", {"tenant": "acme"}).fetchall()]

    def entries(self) -> list[Entry]:
        """The entries, as it reads them."""
        with self.link.transaction():
            self.do("settings", {"path": self.path})
            return [Entry._make(row) for row in self.do("entries", {"tenant": "acme"}).fetchall()]


def vector_of(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A unit vector that stands for a text."""
    drawn = np.random.default_rng(sum(text.encode())).standard_normal((1, 32)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


def encoded(text: str) -> tuple[bytes, bytes | None]:
    """The entry of a text."""
    return encode([text], vector_of(text))[0]


def lives(old: Old) -> None:
    """What an old engram does in a store, and reads of it."""
    arrivals = {}
    for id in ("stays", "changes", "ends", "marked", "goes"):
        old.put(id, f"{id} one")
        arrivals[id] = next(entry.arrival for entry in old.entries() if entry.id == id)
    old.put("changes", "changes two", 2, arrivals["changes"])
    old.close_record("ends")
    old.mark("marked", "marked again")
    old.expunge("goes")
    assert sorted(text for _, _, text in old.texts()) == [
        *("changes one", "changes two", "ends one", "marked one", "stays one")
    ]
    assert {entry.id: entry.closed for entry in old.entries()} == {
        **dict.fromkeys(("stays", "changes", "marked"), 0),
        "ends": 1,
    }


def works(store: PostgresStore) -> None:
    """What a new engram does in it afterwards."""
    assert store.check() == []
    assert [r.text for r in store.select(Select(ids=("changes",), history=True))] == [
        "changes one",
        "changes two",
    ]
    words, vector = encoded("new one")
    (id,) = store.commit(Batch((Put(a_record("new one", scope=ACME), words, vector),))).ids
    again = a_record("new two", scope=ACME, id=id, known=Interval(day(5)))
    store.commit(Batch((Supersede(again, 1, *encoded("new two")), Mark("stays", strength=0.7))))
    store.commit(Batch((Close("marked", 1, day(6)),)))
    store.commit(Batch((Expunge(("changes",)),)))
    assert [record.text for record in store.select(Select(scope=ACME))] == ["stays one", "new two"]
    assert store.check() == []


@pytest.mark.parametrize("number", FORMATS)
def test_an_old_engram_works_on_tables_of_every_format(postgres_url: str, number: int) -> None:
    """And a new one then goes on with what it left, having taken the steps that lacked."""
    target = target_of(postgres_url)
    with connect(target) as link:
        for step in built_in()[:number]:
            assert step.readable_by <= 1
        made_until(link, postgres_url, number)
    old = Old(postgres_url)
    lives(old)
    with closing(PostgresStore(target)) as store:
        assert store.info()["format"] == str(len(built_in()))
        works(store)
        old.put("after", "after it")
        assert store.select(Select(ids=("after",)))[0].text == "after it"
        assert store.check() == []
    old.link.close()


def made_until(link: Link, url: str, number: int) -> None:
    """Make a store of an earlier format: the first steps alone, as they were taken then."""
    schema = url.rpartition("&schema=")[2]
    with link.transaction():
        link.execute(f"CREATE SCHEMA {schema}")
        link.execute(
            "CREATE TABLE formats (number INTEGER PRIMARY KEY, readable_by INTEGER NOT NULL, "
            "at TIMESTAMPTZ NOT NULL DEFAULT now())"
        )
        for step in built_in()[:number]:
            link.execute(step.script.encode())
            link.execute(
                "INSERT INTO formats (number, readable_by) VALUES (%s, %s)", (step.number, step.readable_by)
            )
        link.execute("INSERT INTO counter VALUES (1, 0, 0, 0)")
        link.execute("INSERT INTO info VALUES ('created', %s), ('tag', '1')", (START.isoformat(),))


@pytest.mark.parametrize("number", FORMATS[1:])
def test_a_step_that_is_killed_leaves_the_old_format_at_work(postgres_url: str, number: int) -> None:
    """At any statement: it is one transaction, or each of its statements may be found done."""
    with connect(target_of(postgres_url)) as link:
        made_until(link, postgres_url, number - 1)
    step = built_in()[number - 1]
    victim = connect(target_of(postgres_url))
    if step.online:
        victim.execute(script_statements(step.script)[0].encode())
    else:
        victim.execute("BEGIN")
        victim.execute(step.script.encode())
    with psycopg.connect(postgres_url.rpartition("&schema=")[0], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", (victim.info.backend_pid,))
    victim.close()
    old = Old(postgres_url)
    lives(old)
    old.link.close()
    with closing(open_store(postgres_url)) as store:
        assert isinstance(store, PostgresStore)
        works(store)


def test_an_old_engram_on_a_tenant_that_has_indexes(postgres_url: str) -> None:
    """It knows nothing of them; what it does is found by them all the same."""
    target = target_of(postgres_url)
    now = Among(micros(day(10)))
    with closing(PostgresStore(target)) as store:
        first = store.commit(Batch((Put(a_record("first", scope=ACME), *encoded("first")),))).ids
        with connect(target) as link:
            if ann_build.pgvector(link)[1] is None:
                pytest.skip("the server has no pgvector")
            ann_build.build(link, "acme")
        store.commit(Batch((Expunge(first),)))
        old = Old(postgres_url)
        lives(old)
        old.link.close()

        def nearest(text: str) -> str:
            return store.nearest(ACME, list(vector_of(text)), 1, now)[0][0][0]

        assert [
            nearest(f"{id} {what}")
            for id, what in (("stays", "one"), ("changes", "two"), ("marked", "again"))
        ] == ["stays", "changes", "marked"]
        found = {id for id, _ in store.nearest(ACME, list(vector_of("ends one")), 9, now)[0]}
        assert found.isdisjoint({"ends", "goes"})
        works(store)
