"""After an erasure and a purge, no file of the store holds a byte of what was erased."""

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.kernel.protocols import (
    Batch,
    Close,
    EndJob,
    Expunge,
    Job,
    Mark,
    Op,
    Put,
    PutEdge,
    PutJob,
    PutState,
    Select,
    StateRow,
    Supersede,
)
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.stores.sqlite import SqliteStore
from engram.testing.builders import ANA, START, a_record, day
from engram.testing.contract_records import put_one

CANARY = "xylocarpwren"
WORDS = b"\x00\x01" + CANARY.encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def sightings(store: SqliteStore, word: str = CANARY) -> dict[str, int]:
    """In which files beside the store's the word's bytes are, and how often; also as UTF-16."""
    found = {}
    for file in store.path.parent.iterdir():
        data = file.read_bytes()
        count = sum(data.count(word.encode(code)) for code in ("utf-8", "utf-16-le", "utf-16-be"))
        if count:
            found[file.name] = count
    return found


def test_the_canary_is_seen_before(store: SqliteStore) -> None:
    put_one(store, a_record(CANARY))
    assert sightings(store)


def test_nothing_is_left_of_a_record_and_all_that_hangs_on_it(store: SqliteStore) -> None:
    user = Scope(user_id=f"{CANARY}-user")
    record = put_one(
        store,
        a_record(
            f"says {CANARY}", scope=user, name=CANARY, origin=CANARY, metadata={"k": CANARY}, payload=[CANARY]
        ),
        WORDS,
        WORDS,
    )
    stays = put_one(store, a_record("stays"))
    new = replace(record, text=f"{CANARY} again", known=Interval(day(1)))
    edge = Edge(
        "e", stays.id, record.id, CANARY, user, Interval(START), Interval(START), metadata={"x": CANARY}
    )
    job = Job("j", "write", user, START, journal={"0": CANARY}, error=CANARY, reads=(record.id,))
    store.commit(
        Batch((
            Supersede(new, 1, WORDS, WORDS),
            PutEdge(edge),
            PutState(StateRow("p", user, "x", {CANARY: CANARY}, 1, (record.id,))),
            PutJob(job),
            PutJob(replace(job, attempts=1, journal={"0": CANARY * 500})),
        ))
    )  # fmt: skip
    store.commit(Batch((Expunge((record.id,)),)))
    assert store.info()["purge"] == "pending"
    assert store.purge()
    assert "purge" not in store.info()
    assert sightings(store) == {}
    assert store.select(Select()) == [stays]


@pytest.mark.parametrize("size", [10, 3_000, 5_000_000])
def test_nothing_is_left_of_texts_of_any_size(store: SqliteStore, size: int) -> None:
    put_one(store, a_record("before"))
    record = put_one(store, a_record(CANARY * (1 + size // len(CANARY))))
    put_one(store, a_record("after"))
    store.commit(Batch((Expunge((record.id,)),)))
    assert store.purge()
    assert sightings(store) == {}


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_left_after_much_moving_about(store: SqliteStore, seed: int) -> None:
    """Pages split, merge and are rebuilt; cells move; no copy of a cell may stay behind."""
    luck = random.Random(seed)
    live: dict[str, bool] = {}
    for round_ in range(60):
        ops: list[Op] = []
        for _ in range(luck.randrange(1, 25)):
            marked = luck.random() < 0.4
            text = (CANARY if marked else "plain") * luck.choice((1, 3, 30, 300, 900))
            fields: dict[str, Any] = {"metadata": {"m": text}} if luck.random() < 0.3 else {}
            origin = f"{text[:12]}-{luck.randrange(10**9)}" if luck.random() < 0.5 else None
            scope = Scope(user_id="ana", run_id=f"{text[:12]}-{round_ % 7}")
            ops.append(Put(a_record(text, origin=origin, scope=scope, **fields), text.encode()[:400]))
        done = store.commit(Batch(tuple(ops)))
        live |= {
            id: CANARY in op.record.text for id, op in zip(done.ids, ops, strict=True) if isinstance(op, Put)
        }
        for id in luck.sample(sorted(live), min(len(live), 12)):
            _disturb(store, id, luck)
        if round_ % 3 == 0:
            some = luck.sample(sorted(live), len(live) // 4)
            store.commit(Batch((Expunge(tuple(some)),)))
            live = {id: marked for id, marked in live.items() if id not in some}
    store.commit(Batch((Expunge(tuple(id for id, marked in live.items() if marked)),)))
    assert store.purge()
    assert sightings(store) == {}
    assert store.check() == []
    assert len(store.select(Select(closed=True))) == sum(not marked for marked in live.values())


def _disturb(store: SqliteStore, id: str, luck: random.Random) -> None:
    record = store.select(Select(ids=(id,), closed=True))[0]
    text = record.text[: luck.choice((12, 600))] * luck.choice((1, 4))
    op = luck.choice((
        Mark(id, strength=luck.random(), words=text.encode()),
        Supersede(replace(record, text=text, known=Interval(day(luck.randrange(30)))), record.version),
        Close(id, record.version, day(31)) if record.current else Mark(id, trust=0.5),
    ))  # fmt: skip
    store.commit(Batch((op,)))


def test_a_reader_of_another_process_delays_the_purge(store: SqliteStore) -> None:
    """It is owed until the reader has moved on, then any process completes it."""
    record = put_one(store, a_record(CANARY))
    reader = """if True:
        import sqlite3, sys
        link = sqlite3.connect(sys.argv[1], isolation_level=None)
        link.execute("BEGIN")
        link.execute("SELECT count(*) FROM records").fetchone()
        print("reading", flush=True)
        sys.stdin.readline()
        link.execute("COMMIT")
        print("moved on", flush=True)
        sys.stdin.readline()
    """
    command = [sys.executable, "-c", reader, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        store.commit(Batch((Expunge((record.id,)),)))
        start = time.monotonic()
        assert store.purge() is False
        assert time.monotonic() - start < 15  # it does not wait for the reader as a write waits for a writer
        assert store.info()["purge"] == "pending"
        put_one(store, a_record("writing goes on"))
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "moved on\n"
        with closing(SqliteStore(store.path)) as other:
            assert other.info()["purge"] == "pending"
            assert other.purge() is True
        assert "purge" not in store.info()
        assert sightings(store) == {}
        process.stdin.write("\n")
        process.stdin.flush()


def test_a_copy_of_a_migration_goes_too(store: SqliteStore) -> None:
    record = put_one(store, a_record(CANARY))
    copy = store.path.with_name(f"{store.path.name}.before-1")
    with closing(sqlite3.connect(store.path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    store.commit(Batch((Expunge((record.id,)),)))
    assert store.purge()
    assert not copy.exists()
    assert sightings(store) == {}


def test_an_ended_job_leaves_nothing_once_its_record_is_purged(store: SqliteStore) -> None:
    record = put_one(store, a_record("stays"))
    store.commit(Batch((PutJob(Job("j", "write", ANA, START, journal={"0": CANARY}, reads=(record.id,))),)))
    store.commit(Batch((EndJob("j"),)))
    store.commit(Batch((Expunge((record.id,)),)))
    assert store.purge()
    assert sightings(store) == {}


def test_a_writer_of_another_process_delays_the_purge(store: SqliteStore) -> None:
    record = put_one(store, a_record(CANARY))
    put_one(store, a_record("stays " * 5000))
    store.commit(Batch((Expunge((record.id,)),)))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as link:
        link.execute("BEGIN IMMEDIATE")
        assert store.purge() is False
        link.execute("ROLLBACK")
    assert store.info()["purge"] == "pending"
    assert store.purge() is True
    assert sightings(store) == {}
