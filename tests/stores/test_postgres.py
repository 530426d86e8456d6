"""What PostgreSQL alone can get wrong: lost answers, forks, notices, half migrations, bytes left behind."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from engram import Memory
from engram.engine.worker import Worker
from engram.kernel.errors import Conflict
from engram.kernel.protocols import (
    Batch,
    EndJob,
    Entry,
    Expunge,
    Job,
    Mark,
    Put,
    PutEdge,
    PutJob,
    PutState,
    Require,
    Select,
    StateRow,
    Store,
    Supersede,
    Waking,
)
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.stores import open_store
from engram.testing.builders import ANA, START, a_record, day
from engram.testing.contract_records import put_one
from postgres import SERVER, own_folder, schemas, server_in

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")

CANARY = "xylocarpwren"
MARK = CANARY.encode()


class Line:
    """A line to the server that can be cut at a commit: before the server has it, or before its answer."""

    def __init__(self, url: str) -> None:
        self._host = parse_qs(urlsplit(url).query)["host"][0]
        self._door = socket.create_server(("127.0.0.1", 0))
        self.cut: str | None = None
        self.cuts = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self._ended: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._start(self._open)

    def url(self, schema: str) -> str:
        """The store's url through this line."""
        port = self._door.getsockname()[1]
        return f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable&gssencmode=disable&schema={schema}"

    def close(self) -> None:
        """Take no more calls."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join()
        for pair in self._ended:
            for end in pair:
                end.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _open(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(f"{self._host}/.s.PGSQL.5432")
            except OSError:
                self._ended.append((near, far))
                near.shutdown(socket.SHUT_RDWR)
                continue
            self._start(self._carry, near, far, True)
            self._start(self._carry, far, near, False)

    def _carry(self, giver: socket.socket, taker: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := giver.recv(1 << 16):
                cut = self.cut if asks and b"COMMIT\0" in data else None
                if cut is not None:
                    self.cut, self.cuts = None, self.cuts + 1
                    self.meanwhile()
                if cut == "before":
                    break
                if cut == "after":
                    giver.shutdown(socket.SHUT_RDWR)  # nobody is left to hear the answer
                taker.sendall(data)
        for end in (giver, taker):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ended.append((giver, taker))


@pytest.mark.skipif(SERVER is not None, reason="the line leads to a Unix socket of the tests' own server")
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_whose_answer_is_lost_is_done_once(postgres_server: str, cut: str) -> None:
    with closing(Line(postgres_server)) as line, closing(open_store(line.url(next(schemas())))) as store:
        for number in range(5):
            line.cut = cut
            done = store.commit(
                Batch((Put(a_record(f"text {number}")), PutJob(Job("", "write", ANA, START))))
            )
            assert line.cuts == number + 1
            assert [record.id for record in store.select(Select(ids=done.ids))] == list(done.ids)
        assert [record.text for record in store.select(Select())] == [f"text {number}" for number in range(5)]
        assert len(store.jobs()) == 5
        assert store.check() == []


@pytest.mark.skipif(SERVER is not None, reason="the server is killed")
def test_a_commit_that_a_crash_undid_is_done_anew_though_another_has_its_number(tmp_path: Path) -> None:
    """PostgreSQL gives the number of a transaction that it lost to the next."""
    server = server_in(own_folder(f"crash-{os.getpid()}"))

    def crash() -> None:
        server.kill()
        server.start()
        with psycopg.connect(server.url, autocommit=True) as link:
            for _ in range(50):
                link.execute("SELECT pg_current_xact_id()")

    try:
        with closing(Line(server.url)) as line, closing(open_store(line.url("crash"))) as store:
            put_one(store, a_record("before"))
            line.cut, line.meanwhile = "before", crash
            done = store.commit(Batch((Put(a_record("at the crash")),)))
            assert line.cuts == 1
            assert [record.text for record in store.select(Select(ids=done.ids))] == ["at the crash"]
            assert len(store.select(Select())) == 2
    finally:
        server.stop()


def test_a_client_gives_its_signature_back_and_old_ones_are_cleared(postgres_url: str) -> None:
    schema = postgres_url.rpartition("=")[2]
    with (
        closing(open_store(postgres_url)) as store,
        psycopg.connect(postgres_url.rpartition("&")[0], autocommit=True) as link,
    ):
        for number in range(5):
            put_one(store, a_record(str(number)))
        link.execute("SET search_path = " + schema)
        rows = link.execute("SELECT client, number FROM clients").fetchall()
        assert [number for _, number in rows] == [5]
        link.execute("UPDATE clients SET at = now() - interval '31 days'")
        with closing(open_store(postgres_url)) as other:
            put_one(other, a_record("of another"))
        left = link.execute("SELECT client FROM clients").fetchall()
        assert len(left) == 1
        assert left[0] != rows[0][0]


def test_a_connection_that_the_server_ends_is_replaced(postgres_url: str, postgres_server: str) -> None:
    with (
        closing(open_store(postgres_url)) as store,
        psycopg.connect(postgres_server, autocommit=True) as link,
    ):
        for number in range(5):
            put_one(store, a_record(str(number)))
            link.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'engram' AND query LIKE %s",
                (f"%{postgres_url.rpartition('=')[2]}%",),
            )
            link.execute(
                "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid "
                "WHERE a.application_name = 'engram' AND a.state = 'idle'"
            )
        assert len(store.select(Select())) == 5


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_store_goes_on_after_a_fork_on_both_sides(postgres_url: str) -> None:
    with closing(open_store(postgres_url)) as store:
        put_one(store, a_record("before"))
        child = os.fork()
        if child == 0:
            put_one(store, a_record("child"))
            os._exit(0 if len(store.select(Select())) >= 2 else 1)
        put_one(store, a_record("parent"))
        assert os.waitpid(child, 0)[1] == 0
        assert {record.text for record in store.select(Select())} == {"before", "child", "parent"}


def test_whoever_watches_is_told_of_jobs_of_others(postgres_url: str) -> None:
    told = threading.Event()
    with closing(open_store(postgres_url)) as store, closing(open_store(postgres_url)) as other:
        assert isinstance(store, Waking)
        quiet = store.watch(told)
        assert told.wait(10)  # that it listens now
        for op in (PutJob(Job("j", "write", ANA, START)), EndJob("j")):
            told.clear()
            began = time.monotonic()
            other.commit(Batch((op,)))
            assert told.wait(10)
            assert time.monotonic() - began < 5
        told.clear()
        put_one(other, a_record("no job"))
        quiet()
        other.commit(Batch((PutJob(Job("k", "write", ANA, START)),)))
        assert not told.wait(0.3)


@pytest.mark.parametrize("history", [False, True])
def test_readers_never_miss_a_number(postgres_url: str, history: bool) -> None:
    """Who follows by number knows everything in the end, while others put and supersede at once."""
    known: dict[tuple[str, int], Entry] = {}
    ended = threading.Event()

    def follow() -> None:
        with closing(open_store(postgres_url)) as store:
            after, last = 0, False
            while not last:
                last = ended.is_set()
                page = store.entries(Scope(), after, 10_000, history)
                known.update({(entry.id, entry.version): entry for entry in page})
                after = page[-1].sequence if page else after

    def write(store: Store, name: int) -> None:
        for number in range(40):
            puts = [Put(a_record(f"{name}/{number}/{part}")) for part in range(1 + number % 3)]
            id = store.commit(Batch(tuple(puts))).ids[-1]
            if number % 2:
                new = a_record("again", id=id, known=Interval(day(1)))
                store.commit(Batch((Supersede(new, 1), Put(a_record(f"{name}/{number}/beside")))))

    with closing(open_store(postgres_url)) as store:
        follower = threading.Thread(target=follow)
        writers = [threading.Thread(target=write, args=(store, name)) for name in range(4)]
        for thread in (follower, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        ended.set()
        follower.join()
        entries = store.entries(Scope(), 0, 10_000, history)
        wanted = {(entry.id, entry.version): entry for entry in entries}
        assert {key: known.get(key) for key in wanted} == wanted


class TestErasing:
    """No byte of what was erased is left in a file of a table, an index or the statistics."""

    def sightings(self, folder: Path) -> list[str]:
        """Files that hold the canary, but for the write-ahead log, which is out of reach."""
        return [
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and "pg_wal" not in path.parts and CANARY.encode() in path.read_bytes()
        ]

    def test_nothing_is_left(self) -> None:
        folder = own_folder(f"canary-{os.getpid()}")
        server = server_in(folder)
        try:
            with closing(open_store(f"{server.url}&schema=erased")) as store:
                stays = self.fill(store)
                with psycopg.connect(server.url, autocommit=True) as link:
                    link.execute("ANALYZE")
                    link.execute("CHECKPOINT")
                    assert self.sightings(folder)
                    records = store.select(Select(closed=True))
                    with psycopg.connect(server.url) as reader:
                        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                        reader.execute("SELECT 1")
                        store.commit(Batch((Expunge(tuple(r.id for r in records if r.id != stays)),)))
                        assert not store.purge()  # the reader may still look at it
                    assert store.info()["purge"] == "pending"
                    assert store.purge()
                    assert "purge" not in store.info()
                    link.execute("CHECKPOINT")
                assert self.sightings(folder) == []
                assert [record.id for record in store.select(Select())] == [stays]
        finally:
            server.stop()

    def fill(self, store: Store) -> str:
        """Canaries in every table; the id of the one record without."""
        user = Scope(user_id=f"{CANARY}-user")
        stays = put_one(store, a_record("stays")).id
        job = Job("", "write", user, START, error=CANARY)
        for number in range(60):
            text = f"{CANARY} {number} " * (1 + 40 * (number % 7))
            record = put_one(
                store,
                a_record(
                    text,
                    scope=user,
                    name=CANARY,
                    origin=f"{CANARY}{number}",
                    metadata={"k": text},
                    payload=[text],
                ),
                MARK,
                MARK,
            )
            edge = Edge(
                f"e{number}",
                stays,
                record.id,
                CANARY,
                user,
                Interval(START),
                Interval(START),
                metadata={"x": text},
            )
            store.commit(
                Batch((
                    Supersede(replace(record, text=f"{text} again", known=Interval(day(1))), 1, MARK),
                    PutEdge(edge),
                    PutState(StateRow("p", user, f"{CANARY}{number}", {CANARY: text}, 1, (record.id,))),
                    PutJob(replace(job, id=f"j{number}", journal={"0": text}, reads=(record.id,))),
                    Mark(record.id, vector=MARK * number),
                ))
            )  # fmt: skip
        return stays

    def test_a_reader_that_holds_a_table_leaves_it_owed(
        self, postgres_url: str, postgres_server: str
    ) -> None:
        with closing(open_store(postgres_url)) as store, psycopg.connect(postgres_server) as reader:
            record = put_one(store, a_record("gone"))
            store.commit(Batch((Expunge((record.id,)),)))
            reader.execute("SET search_path = " + postgres_url.rpartition("=")[2])
            reader.execute("SELECT * FROM records")
            assert not store.purge()
            assert store.info()["purge"] == "pending"
            reader.rollback()
            assert store.purge()


def test_a_conflict_leaves_the_connection_usable(postgres_url: str) -> None:
    with closing(open_store(postgres_url)) as store:
        for _ in range(20):
            with pytest.raises(Conflict):
                store.commit(Batch((Put(a_record()), Require((("nowhere", None),)))))
        assert store.select(Select()) == []


def test_a_worker_that_waits_is_woken(postgres_url: str) -> None:
    with closing(Memory(postgres_url, policy="mem0")) as memory, closing(Memory(postgres_url)) as waiting:
        memory.add("I live in Porto.", user_id="ana")
        worker = Worker(waiting._bound.core, poll=60.0)
        waiting._bound.core.policy = memory._bound.core.policy
        done: list[float] = []

        def work() -> None:
            done.extend(time.monotonic() for _ in worker.work())

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(1.0)
        began = time.monotonic()
        memory.add("I moved to Braga.", user_id="ana", wait=False)
        deadline = began + 20
        while not done and time.monotonic() < deadline:
            time.sleep(0.02)
        worker.stop()
        thread.join(10)
        assert not thread.is_alive()
        assert done
        assert done[0] - began < 10
