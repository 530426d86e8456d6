"""Several processes on one file, some killed at any moment: every acknowledged commit is there once."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from engram.kernel.protocols import Batch, Entry, Expunge, Put, Select
from engram.stores.sqlite import SqliteStore
from engram.testing.builders import ANA, a_record
from engram.testing.contract_records import put_one

ROUNDS = int(os.environ.get("STORE_KILLS", "8"))
WRITER = """if True:
    import sys
    from pathlib import Path
    from engram.kernel.protocols import Batch, Job, Put, PutJob
    from engram.stores.sqlite import SqliteStore
    from engram.testing.builders import ANA, START, a_record
    store, name = SqliteStore(Path(sys.argv[1])), sys.argv[2]
    number = 0
    while True:
        size = 1 if number % 5 else 12
        origins = [f"{name}/{number}/{part}" for part in range(size)]
        puts = [Put(a_record(f"text of {origin}", origin=origin)) for origin in origins]
        store.commit(Batch((*puts, PutJob(Job("", "write", ANA, START), fresh=True))))
        sys.stdout.write("".join(f"{origin}\\n" for origin in origins))
        sys.stdout.flush()
        number += 1
"""


def _write_until_killed(path: Path, round_: int, luck: random.Random) -> tuple[list[str], list[str]]:
    """Run two writers and kill them; what each had acknowledged."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"{round_}-{name}"], stdout=subprocess.PIPE, text=True
        )
        for name in "ab"
    ]
    said: list[list[str]] = [[], []]

    def listen(place: int) -> None:
        stream = writers[place].stdout
        assert stream is not None
        for line in stream:
            if line.endswith("\n"):
                said[place].append(line.strip())

    listeners = [threading.Thread(target=listen, args=(place,)) for place in range(2)]
    for listener in listeners:
        listener.start()
    for place in luck.sample(range(2), 2):
        _until(said[place], luck.randrange(60, 400))
        time.sleep(luck.uniform(0, 0.01))
        writers[place].send_signal(signal.SIGKILL)
    for writer, listener in zip(writers, listeners, strict=True):
        writer.wait()
        listener.join()
        assert writer.stdout is not None
        writer.stdout.close()
    return said[0], said[1]


def _until(said: list[str], count: int) -> None:
    """Wait until so much is acknowledged, however long that takes on a busy machine."""
    deadline = time.monotonic() + 60
    while len(said) < count and time.monotonic() < deadline:
        time.sleep(0.001)


def test_writers_that_are_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    """Two writers, killed at random moments, round after round on the same file."""
    path = tmp_path / "store.db"
    luck = random.Random(20260101)
    acknowledged: list[str] = []
    for round_ in range(ROUNDS):
        for said in _write_until_killed(path, round_, luck):
            acknowledged += said
    with closing(SqliteStore(path)) as store:
        records = store.select(Select(scope=ANA))
        origins = [record.origin for record in records]
        assert len(acknowledged) > 100 * ROUNDS
        assert len(set(origins)) == len(origins)
        assert set(acknowledged) <= set(origins)
        whole = {origin.rpartition("/")[0] for origin in origins if origin and origin.endswith("/1")}
        assert all(f"{name}/11" in origins for name in whole), "half a batch was stored"
        assert sorted(id for job in store.jobs() for id in job.records) == sorted(
            record.id for record in records
        )
        assert [entry.id for entry in _all_entries(store)] == [record.id for record in records]
        assert store.check() == []


def _all_entries(store: SqliteStore) -> list[Entry]:
    found: list[Entry] = []
    after = 0
    while page := store.entries(ANA, after):
        found += page
        after = page[-1].sequence
    return found


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_see_each_other_at_the_next_call(tmp_path: Path) -> None:
    """Interleaved puts and erasures of four processes; each sees all of them at once."""
    path = tmp_path / "store.db"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_put_apart, args=(path, name, 60)) for name in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    with closing(SqliteStore(path)) as store:
        texts = {record.text for record in store.select(Select())}
        expected = {f"{name}/{number}" for name in "abcd" for number in range(60) if number % 10 != 9}
        assert texts == expected
        assert store.sequence().erasures == 24
        assert store.check() == []


def _put_apart(path: Path, name: str, count: int) -> None:
    """Put records, and erase every tenth again."""
    with closing(SqliteStore(path)) as store:
        for number in range(count):
            record = put_one(store, a_record(f"{name}/{number}"))
            assert store.select(Select(ids=(record.id,))) == [record]
            if number % 10 == 9:
                store.commit(Batch((Expunge((record.id,)),)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_store_goes_on_after_a_fork_on_both_sides(tmp_path: Path) -> None:
    """No connection crosses the fork, though threads are at work and the parent ends first or last."""
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        put_one(store, a_record("before"))
        stop = threading.Event()

        def busy() -> None:
            while not stop.is_set():
                store.select(Select(scope=ANA))
                store.commit(Batch((Put(a_record("busy")),)))

        thread = threading.Thread(target=busy)
        thread.start()
        children = []
        for number in range(5):
            child = os.fork()
            if child == 0:
                put_one(store, a_record(f"child {number}"))
                known = len(store.select(Select(scope=ANA)))
                os._exit(0 if known > number else 1)
            children.append(child)
            put_one(store, a_record(f"parent {number}"))
        stop.set()
        thread.join()
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 5
        texts = [record.text for record in store.select(Select(scope=ANA))]
        for number in range(5):
            assert texts.count(f"child {number}") == texts.count(f"parent {number}") == 1
        assert store.check() == []


def test_idle_handles_hold_nothing_open(tmp_path: Path) -> None:
    """After any call, another process may truncate the log."""
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        for _ in range(3):
            put_one(store, a_record())
        store.entries(ANA)
        store.scopes()
        store.check()
        with closing(sqlite3.connect(path, timeout=0)) as link:
            assert link.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def test_the_log_stays_small(tmp_path: Path) -> None:
    """Thousands of commits do not let it grow without end."""
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        for number in range(3000):
            store.commit(Batch((Put(a_record(f"text {number}")),)))
            if number % 50 == 0:
                store.entries(ANA, number)
        assert Path(f"{path}-wal").stat().st_size < 10_000_000


@pytest.mark.parametrize("durability", ["process", "power"])
def test_durability_decides_when_the_disk_is_waited_for(tmp_path: Path, durability: str) -> None:
    """`synchronous` is NORMAL (1) for processes, FULL (2) for power cuts, on every connection."""
    with closing(SqliteStore(tmp_path / "store.db", durability=durability)) as store:
        wanted = {"process": 1, "power": 2}[durability]
        for how in (store._database.bare, store._database.read):
            assert how(lambda link: link.execute("PRAGMA synchronous").fetchone()[0]) == wanted
            assert how(lambda link: link.execute("PRAGMA secure_delete").fetchone()[0]) == 1
            assert how(lambda link: link.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"
