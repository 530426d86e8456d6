"""Copies between stores of any kind: whole, broken off, taken up again, while others write."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine.helpers import Counting, Facts, Ticking
from engram import Memory, copy
from engram.engine.copying import copy_store
from engram.kernel.errors import ConfigError, Conflict
from engram.kernel.protocols import Batch, Expunge, Mark, Put, PutInfo, Reindex, Select, Store, Supersede
from engram.kernel.record import Interval
from engram.kernel.scope import Scope
from engram.stores import open_store
from engram.testing.builders import ANA, a_record, day
from engram.testing.contract_records import put_one

Fresh = Callable[[str], str]


@pytest.fixture
def fresh(tmp_path: Path, request: pytest.FixtureRequest) -> Fresh:
    """Gives the url of a new store of a kind."""
    numbers = itertools.count()

    def made(kind: str) -> str:
        if kind == "postgres":
            return str(request.getfixturevalue("postgres_url"))
        return f"sqlite:///{tmp_path}/{next(numbers)}.db"

    return made


def filled(url: str) -> None:
    """Two tenants, facts, versions, states, an undone and an erased record, a job that is owed."""
    with closing(Memory(url, policy=Facts(), clock=Ticking())) as memory:
        memory.add(["the cat is grey", "the dog is old"], user_id="ana")
        memory.add(["the cat is white"], user_id="ana", run_id="later")
        mine = memory.add("the harbour, 茶 и наука", user_id="ben", metadata={"a": [1, {"b": None}]})
        memory.edit(mine.items[0].id or "", text="the harbour at night", user_id="ben")
        gone = memory.add("a secret", user_id="ben")
        memory.forget([gone.items[0].id or ""], user_id="ben")
        memory.add("other tenant is here", tenant="acme", user_id="eve")
        memory.add("nobody has looked yet", user_id="ana", wait=False)
    with closing(Memory(url, policy=Counting(), clock=Ticking())) as memory:
        memory.add("counted", user_id="ana")


def exported(url: str, folder: Path) -> bytes:
    with closing(Memory(url)) as memory:
        path = folder / "export.jsonl"
        memory.export(path)
        return path.read_bytes()


@pytest.mark.parametrize(
    ("source", "goal"), [("sqlite", "sqlite"), ("sqlite", "postgres"), ("postgres", "sqlite")]
)
def test_a_copy_holds_the_same_memory(fresh: Fresh, tmp_path: Path, source: str, goal: str) -> None:
    here, there = fresh(source), fresh(goal)
    filled(here)
    seen: list[tuple[int, int | None]] = []
    done = copy(here, there, progress=lambda count, total: seen.append((count, total)))
    assert exported(here, tmp_path) == exported(there, tmp_path)
    assert (done.behind, done.jobs) == (0, 1)
    assert seen[-1][0] == seen[-1][1] == 2 * done.versions
    with closing(open_store(here)) as one, closing(open_store(there)) as other:
        assert one.scopes() == other.scopes()
        assert [replace(job, owner=None) for job in one.jobs()] == other.jobs()
        words = [{(e.id, e.version): e.words for e in s.entries(Scope(), history=True)} for s in (one, other)]
        assert words[0] == words[1]
        assert other.check() == []
    with closing(Memory(there, policy=Facts())) as memory:
        assert memory.search("cat", user_id="ana")[0].text == "the cat is white"
        assert memory.wait()
        assert memory.verify().ok


def test_undo_means_the_same_in_a_copy(fresh: Fresh) -> None:
    here, there = fresh("sqlite"), fresh("sqlite")
    with closing(Memory(here, clock=Ticking())) as memory:
        record = memory.add("one", user_id="ana").items[0].id or ""
        change = memory.edit(record, text="two", user_id="ana").change_set or ""
    copy(here, there)
    with closing(Memory(there)) as memory:
        memory.undo(change)
        assert memory.get(record, user_id="ana").text == "one"


def test_one_tenant_moves_beside_others(fresh: Fresh, tmp_path: Path) -> None:
    here, there = fresh("sqlite"), fresh("sqlite")
    filled(here)
    with closing(Memory(there)) as memory:
        memory.add("was here before", tenant="bolt", user_id="zoe")
    done = copy(here, there, tenant="acme")
    with closing(open_store(there)) as store:
        assert sorted({scope.tenant for scope, _ in store.scopes()}) == ["acme", "bolt"]
        assert {record.text for record in store.select(Select(scope=Scope("acme")))} >= {
            "other tenant is here"
        }
        assert store.check() == []
    assert done.records == 2


class Broken(Exception):
    """What ends a copy in a test."""


def many(url: str, count: int = 700) -> None:
    with closing(open_store(url)) as store:
        for first in range(0, count, 100):
            store.commit(Batch(tuple(Put(a_record(f"text {first + n}"), b"w", b"v") for n in range(100))))


def test_a_copy_that_was_broken_off_goes_on(fresh: Fresh) -> None:
    here, there = fresh("sqlite"), fresh("sqlite")
    many(here)

    def broken(done: int, _total: int | None) -> None:
        if done >= 500:
            raise Broken

    with pytest.raises(Broken):
        copy(here, there, progress=broken)
    with closing(open_store(there)) as store:
        half = len(store.select(Select()))
    assert 0 < half < 700
    counts: list[int] = []
    done = copy(here, there, progress=lambda count, _total: counts.append(count))
    assert done.records == 700
    assert counts[0] + half <= 700
    assert copy(here, there).checksum == done.checksum


@pytest.mark.parametrize("goal", ["sqlite", "postgres"])
def test_a_copy_catches_up(fresh: Fresh, tmp_path: Path, goal: str) -> None:
    here, there = fresh("sqlite"), fresh(goal)
    filled(here)
    copy(here, there)
    with closing(Memory(here, policy=Facts(), clock=Ticking(day(90)))) as memory:
        memory.add("the cat is black", user_id="ana")
        held = memory.get_all(user_id="ben").items[0]
        memory.edit(held.id, text="the harbour by day", user_id="ben")
        memory.forget(user_id="eve", tenant="acme")
    copy(here, there)
    assert exported(here, tmp_path) == exported(there, tmp_path)
    with closing(open_store(there)) as store:
        assert [scope.tenant for scope, _ in store.scopes()] == ["default"] * len(store.scopes())
        assert "purge" not in store.info()
        assert store.check() == []


def test_what_moves_without_a_version_is_copied_too(fresh: Fresh) -> None:
    with closing(open_store(fresh("sqlite"))) as here, closing(open_store(fresh("sqlite"))) as there:
        record = put_one(here, a_record("one"))
        other = put_one(here, a_record("other"))
        here.commit(Batch((Supersede(replace(record, text="two", known=Interval(day(1))), 1, b"W", b"V"),)))
        copy_store(here, there)
        here.commit(Batch((Mark(record.id, strength=0.25), Reindex(record.id, 1, b"new", b"old"))))
        here.commit(Batch((Mark(other.id, vector=b"late"),)))
        first = copy_store(here, there)
        assert there.select(Select(ids=(record.id,)))[0].strength == 0.25
        entries = {(entry.id, entry.version): entry for entry in there.entries(ANA, history=True)}
        assert entries[record.id, 1][-2:] == (b"new", b"old")
        assert entries[record.id, 2][-2:] == (b"W", b"V")
        assert entries[other.id, 1].vector == b"late"
        assert first.behind == 0


def test_a_copy_while_others_write(fresh: Fresh) -> None:
    here, there = fresh("sqlite"), fresh("sqlite")
    many(here, 300)
    ended = threading.Event()

    def write() -> None:
        with closing(open_store(here)) as store:
            kept: list[str] = []
            for number in itertools.count():
                if ended.is_set():
                    return
                time.sleep(0.01)
                record = put_one(store, a_record(f"meanwhile {number}", origin=f"m-{number}"))
                if number % 3 == 1:
                    new = replace(record, text=f"again {number}", known=Interval(day(1)))
                    store.commit(Batch((Supersede(new, 1, b"w2", b"v2"),)))
                kept.append(record.id)
                if number % 7 == 6:
                    store.commit(Batch((Expunge((kept.pop(0),)),)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            copy(here, there)
    finally:
        ended.set()
        writer.join()
    done = copy(here, there)
    assert done.behind == 0
    with closing(open_store(here)) as one, closing(open_store(there)) as other:
        texts = [
            sorted(record.text for record in store.select(Select(history=True))) for store in (one, other)
        ]
        assert texts[0] == texts[1]
        assert other.check() == []


class TestWhatIsRefused:
    """A copy never joins or overwrites."""

    @pytest.fixture
    def stores(self, fresh: Fresh) -> Iterator[tuple[Store, Store]]:
        with closing(open_store(fresh("sqlite"))) as here, closing(open_store(fresh("sqlite"))) as there:
            put_one(here, a_record("here"))
            yield here, there

    def test_a_goal_that_holds_the_tenant(self, stores: tuple[Store, Store]) -> None:
        here, there = stores
        put_one(there, a_record("there"))
        with pytest.raises(Conflict, match="already"):
            copy_store(here, there)
        assert [record.text for record in there.select(Select())] == ["there"]

    def test_a_goal_of_another_embedder(self, stores: tuple[Store, Store]) -> None:
        here, there = stores
        here.commit(Batch((PutInfo("embedder", "a"),)))
        there.commit(Batch((PutInfo("embedder", "b"),)))
        with pytest.raises(Conflict, match="embedder"):
            copy_store(here, there)

    def test_a_goal_that_was_written_to_since(self, stores: tuple[Store, Store]) -> None:
        here, there = stores
        copy_store(here, there)
        put_one(there, a_record("mine"))
        with pytest.raises(Conflict, match="written to since"):
            copy_store(here, there)
        assert len(there.select(Select())) == 2

    def test_a_source_that_is_not_there(self, fresh: Fresh) -> None:
        nowhere, goal = fresh("sqlite"), fresh("sqlite")
        with pytest.raises(ConfigError, match="no store to copy"):
            copy(nowhere, goal)
        assert not Path(nowhere.removeprefix("sqlite:///")).exists()
        with pytest.raises(ConfigError, match="both source and goal"):
            copy(nowhere, nowhere)


def test_the_note_of_a_copy_holds_no_content(fresh: Fresh) -> None:
    here, there = fresh("sqlite"), fresh("sqlite")
    many(here, 100)
    copy(here, there)
    with closing(open_store(there)) as store:
        (note,) = (value for key, value in store.info().items() if key.startswith("copy:"))
        assert set(json.loads(note)) == {"after", "erasures", "finished", "shifts", "upto"}
