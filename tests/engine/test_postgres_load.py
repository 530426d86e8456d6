"""Many writers and tenants on one PostgreSQL, workers killed under them, the server killed under all."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine.helpers import Facts
from engram import Memory
from engram.kernel.protocols import Select
from postgres import Server, own_folder, server_in

FULL = bool(os.environ.get("ENGRAM_FULL"))
WRITERS, TENANTS, ADDS = (8, 8, 1000) if FULL else (4, 4, 24)
TESTS = str(Path(__file__).parents[1])
WORKER = """
import sys
sys.path.insert(0, sys.argv[2])
from engine.helpers import Facts
from engram.config import open_core
from engram.engine.worker import Worker
worker = Worker(open_core(sys.argv[1], policy=Facts()))
print("ready", flush=True)
for _ in worker.work():
    pass
"""


def tenant(number: int) -> str:
    return f"tenant-{number % TENANTS}"


class Crew:
    """Worker processes on a store, one killed every second and another started."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.killed = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.is_set():
            with subprocess.Popen(
                [sys.executable, "-c", WORKER, self.url, TESTS], stdout=subprocess.PIPE
            ) as worker:
                assert worker.stdout is not None
                worker.stdout.readline()
                self._done.wait(1.0)
                worker.send_signal(signal.SIGKILL)
                self.killed += 1

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def read_on(url: str, ended: threading.Event, crossed: list[str]) -> None:
    """Search all tenants in turn, and note what belongs to another."""
    with closing(Memory(url, policy=Facts())) as memory:
        for number in itertools.count():
            if ended.is_set():
                return
            asked = tenant(number)
            hits = memory.search("what is what", tenant=asked, everyone=True, k=20)
            crossed += [hit.text for hit in hits if hit.record.scope.tenant != asked]
            crossed += [hit.text for hit in hits if f"of {asked} is" not in hit.text]


def deadlocks(url: str) -> int:
    import psycopg

    with psycopg.connect(url.rpartition("&schema=")[0]) as link:
        row = link.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0


def write_all(url: str, name: int) -> list[str]:
    """Add to all tenants in turn; the ids that were acknowledged."""
    acknowledged: list[str] = []
    with closing(Memory(url, policy=Facts())) as memory:
        for number in range(ADDS):
            whose = tenant(number)
            text = f"thing{name}x{number} of {whose} is {number}"
            receipt = memory.add(text, tenant=whose, user_id=f"user-{name}", wait=False)
            acknowledged.append(receipt.items[0].id or "")
    return acknowledged


def check_all(url: str, acknowledged: list[str]) -> None:
    """Every add is there once, with its one fact, in its tenant, and nothing is owed."""
    with closing(Memory(url, policy=Facts())) as memory:
        assert memory.wait(timeout=2400)
        store = memory._bound.core.store
        records = store.select(Select())
        episodes = {record.id: record for record in records if record.kind == "episode"}
        facts = [record for record in records if record.kind == "fact"]
        assert set(acknowledged) == set(episodes)
        assert len(acknowledged) == len(set(acknowledged)) == WRITERS * ADDS
        assert set(Counter(record.text for record in episodes.values()).values()) == {1}
        assert Counter(fact.sources for fact in facts) == Counter((id,) for id in episodes)
        assert all(fact.scope.tenant == episodes[fact.sources[0]].scope.tenant for fact in facts)
        assert all(f"of {record.scope.tenant} is" in record.text for record in records)
        assert store.jobs() == []
        assert memory.verify().ok


@pytest.mark.timeout(7200)
def test_writers_of_many_tenants_with_workers_killed_under_them(postgres_url: str) -> None:
    Memory(postgres_url, policy=Facts()).close()
    before = deadlocks(postgres_url)
    crossed: list[str] = []
    ended = threading.Event()
    crew = Crew(postgres_url)
    with ThreadPoolExecutor(WRITERS + 2) as hands:
        readers = [hands.submit(read_on, postgres_url, ended, crossed) for _ in range(2)]
        writers = [hands.submit(write_all, postgres_url, name) for name in range(WRITERS)]
        try:
            acknowledged = [id for writer in writers for id in writer.result()]
        finally:
            ended.set()
            crew.stop()
        for reader in readers:
            reader.result()
    check_all(postgres_url, acknowledged)
    assert crossed == []
    assert crew.killed >= 1
    assert deadlocks(postgres_url) == before


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that may be killed."""
    made = server_in(own_folder(f"killed-{os.getpid()}"))
    yield made
    made.stop()


def write_on(url: str, name: int, ended: threading.Event, acknowledged: list[str]) -> None:
    """Add until told to end."""
    with closing(Memory(url, policy=Facts())) as memory:
        for number in itertools.count():
            if ended.is_set():
                return
            text = f"thing{name}x{number} is here"
            receipt = memory.add(text, user_id=f"user-{name}", wait=False)
            assert receipt.items[0].event in ("stored", "pending")
            acknowledged.append(text)


@pytest.mark.timeout(600)
def test_a_server_that_is_killed_and_started_again_has_lost_nothing(server: Server) -> None:
    url, ended = f"{server.url}&schema=killed", threading.Event()
    acknowledged: list[list[str]] = [[] for _ in range(3)]
    with ThreadPoolExecutor(3) as hands:
        writers = [hands.submit(write_on, url, name, ended, said) for name, said in enumerate(acknowledged)]
        try:
            for _ in range(3 if FULL else 2):
                go_on(writers, acknowledged, 5)
                server.kill()
                time.sleep(0.2)
                server.start()
            go_on(writers, acknowledged, 1)
        finally:
            ended.set()
        for writer in writers:
            writer.result()
    with closing(Memory(url, policy=Facts())) as memory:
        texts = Counter(record.text for record in memory._bound.core.store.select(Select(kinds=("episode",))))
        assert texts == Counter(text for said in acknowledged for text in said)
        assert memory.wait()
        assert memory.verify().ok


def go_on(writers: list[Future[None]], acknowledged: list[list[str]], more: int) -> None:
    """Wait until so many more adds of every writer are acknowledged; a writer's error is raised."""
    wanted = [len(said) + more for said in acknowledged]
    while any(len(said) < count for said, count in zip(acknowledged, wanted, strict=True)):
        for writer in writers:
            if writer.done():
                writer.result()
        time.sleep(0.02)


def test_a_server_that_is_away_is_told_with_what_to_do(server: Server) -> None:
    from engram.kernel.errors import StoreError
    from engram.stores import open_store

    url = f"{server.url}&schema=away&wait=1"
    store = open_store(url)
    server.kill()
    with pytest.raises(StoreError, match="cannot be reached; see that it runs"):
        store.sequence()
    with pytest.raises(StoreError, match="cannot be reached"):
        open_store(url)
    server.start()
    assert store.sequence().last == 0
    with suppress(StoreError):
        store.close()
