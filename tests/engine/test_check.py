"""Each derived structure damaged: verify names it, repair mends it or says what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.helpers import START as FIRST
from engine.helpers import Facts, Ticking
from engram import Memory, ModelUnavailable
from engram.engine.results import Report
from engram.kernel.protocols import Batch, Job, PutEdge, PutJob, PutState, Stage, StateRow
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.operators.retrieval.index import ScopeIndex
from engram.testing.builders import START
from engram.testing.doubles import HashEmbedder

LATER = FIRST + timedelta(days=1)
ANA = Scope(user_id="ana")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with everything in it: versions, facts, edges, states, jobs, two tenants."""
    path = tmp_path / "m.db"
    with opened(path, clock=Ticking()) as memory:
        said = memory.add(["the cat is grey", "the kettle is red", "a heron"], user_id="ana")
        memory.add("the cat is black", user_id="ana")
        memory.add("the cat is white", user_id="ben", tenant="other")
        memory.edit(said.ids[2], text="a stork", user_id="ana")
        memory.edit(said.ids[2], text="a crane", user_id="ana")
        one, two = said.ids[:2]
        forever = Interval(START)
        memory._bound.core.store.commit(
            Batch((
                PutEdge(Edge("e", one, two, "near", ANA, forever, forever, sources=(one,))),
                PutState(StateRow("p", ANA, "x", 1, 1, (one,))),
                PutJob(Job("j", "write", ANA, START, policy="gone", records=(two,), reads=(one, two))),
            ))
        )  # fmt: skip
        assert memory.verify().ok
    return path


def opened(path: Path, **settings: Any) -> Memory:
    return Memory(f"sqlite:///{path}", **{"policy": Facts(), "clock": Ticking(LATER), **settings})


def damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as link:
        for statement in statements:
            assert link.execute(statement).rowcount, statement
        link.commit()


def said(report: Report) -> str:
    return "\n".join(problem.what for problem in report.problems)


MENDED = {
    "UPDATE records SET text = 'another' WHERE text = 'a crane'": "of version 3 does not agree with the text",
    "UPDATE versions SET text = 'another' WHERE text = 'a stork'": "of version 2 does not agree",
    "UPDATE records SET words = x'00' WHERE kind = 'fact'": "does not agree",
    "UPDATE versions SET vector = NULL": "has no vector yet",
    "UPDATE records SET vector = zeroblob(9)": "does not agree",
    "DELETE FROM lineage": "without a lineage row",
    "INSERT INTO lineage SELECT derived, version, 'stray' FROM lineage": "none of its sources",
    "INSERT OR IGNORE INTO lineage SELECT derived, 9, source FROM lineage": "version 9, which is not there",
    "DELETE FROM edge_reads": "edge e has a source without a row",
    "INSERT INTO edge_reads VALUES ('e', 1, 'stray')": "which is none of its sources",
    "DELETE FROM state_reads": "has read a record without a row",
    "INSERT INTO state_reads SELECT 'stray', id FROM states": "which it has not read",
    "DELETE FROM job_reads": "job j has read a record without a row",
    "INSERT INTO job_reads VALUES ('stray', 'j')": "which it has not read",
    "UPDATE counter SET last = 1": "the counter stands at 1",
    "UPDATE versions SET known_end = NULL": "was never closed",
    "UPDATE versions SET closed = NULL": "was never closed",
    "UPDATE versions SET known_end = known_end + 90000000": "beyond the start of the next",
    "UPDATE versions SET arrival = 999": "another scope, arrival or origin",
    "UPDATE records SET arrival = 1 WHERE arrival < 5": "share the arrival 1",
    "UPDATE versions SET sequence = (SELECT max(sequence) FROM records) WHERE version = 2": (
        "share the sequence"
    ),
    "UPDATE scopes SET key = 'wrong' WHERE user_id = 'ben'": "another key than its own",
    "INSERT INTO scopes (key, tenant) VALUES ('[\"t\",null,null,null]', 't')": "is there without a record",
    "INSERT INTO staged VALUES ('gone', 1, x'', x'')": "an entry is staged for version 1 of gone",
}


@pytest.mark.parametrize("wound", MENDED)
def test_what_can_be_derived_is_mended(path: Path, wound: str) -> None:
    with opened(path) as memory:
        before = {hit.text: hit.score for hit in memory.search("the cat is grey", user_id="ana")}
        count = len(memory.get_all(user_id="ana").items)
    damage(path, wound)
    with opened(path) as memory:
        found = memory.verify()
        assert MENDED[wound] in said(found)
        report = memory.repair()
        assert report.ok
        assert report.mended > 0
        assert memory.verify().problems == ()
        assert memory.repair().mended == 0
        assert len(memory.get_all(user_id="ana").items) == count
        after = {hit.text: hit.score for hit in memory.search("the cat is grey", user_id="ana")}
    assert after.keys() == before.keys() or "SET text" in wound


TOLD = {
    "DELETE FROM versions WHERE version = 1": ("older ones", "restore"),
    "DELETE FROM versions": ("older ones", "restore"),
    "DELETE FROM records WHERE text = 'a crane'": ("without a latest one", "restore"),
    "DELETE FROM records WHERE text = 'the cat is grey' AND kind = 'episode'": (
        "names the source",
        "restore",
    ),
    "UPDATE edges SET target = 'nobody'": ("edge e touches", "forget"),
}


@pytest.mark.parametrize("wound", TOLD)
def test_what_cannot_be_derived_is_said_with_what_to_do(path: Path, wound: str) -> None:
    damage(path, wound)
    what, mend = TOLD[wound]
    with opened(path) as memory:
        for report in (memory.verify(), memory.repair(), memory.verify()):
            assert what in said(report)
            assert mend in said(report)


def test_an_index_of_the_database_itself(path: Path) -> None:
    """SQLite's own check finds that rows are missing from it."""
    for old, new, again in (("IS NOT NULL", "IS 0", ""), ("IS 0", "IS NOT NULL", "REINDEX")):
        with closing(sqlite3.connect(path)) as link:
            link.execute(again)
            link.execute("PRAGMA writable_schema = ON")
            sql = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'records_made_by'"
            link.execute(sql, (old, new))
            link.commit()
    with opened(path) as memory:
        assert "missing from index records_made_by" in said(memory.verify())
        assert memory.repair().ok
        assert memory.verify().ok


def test_staged_entries_that_belong_to_nothing(path: Path) -> None:
    with opened(path) as memory:
        record = memory.get_all(user_id="ana").items[0]
        memory._bound.core.store.commit(Batch((Stage(record.id, 1, b"", b""),)))
        assert "belong to no reembed" in said(memory.verify())
        assert memory.repair().mended == 1
        assert memory.verify().ok


def test_an_index_in_memory_that_went_astray(path: Path) -> None:
    with opened(path) as memory:
        right = [hit.text for hit in memory.search("the cat is grey", user_id="ana")]
        assert memory.verify().ok
        with memory._bound.core.present.index(ANA) as index:
            assert isinstance(index, ScopeIndex)
            index._vectors[0] = -index._vectors.gather(np.array([0]))[0]
        assert "the in-memory index of" in said(memory.verify())
        memory.repair()
        assert memory.verify().ok
        assert [hit.text for hit in memory.search("the cat is grey", user_id="ana")] == right


def test_the_plain_store_too() -> None:
    with Memory("ram:", policy=Facts(), clock=Ticking()) as memory:
        memory.add(
            [{"content": "the cat is grey", "id": "m-1"}, {"content": "a heron", "id": "m-2"}], user_id="ana"
        )
        tables = memory._bound.core.present._store._tables  # type: ignore[attr-defined]
        tables.origins.clear()
        tables.arrivals[99] = "nobody"
        tables.log.pop(0)
        tables.last = 0
        wrong = said(memory.verify())
        for what in ("id of origin 'm-1'", "arrival 99", "the log lacks", "the counter stands at 0"):
            assert what in wrong
        assert memory.repair().ok
        assert memory.verify().ok
        assert memory.add({"content": "a heron", "id": "m-2"}, user_id="ana").items[0].event == "duplicate"


@pytest.mark.parametrize("call", ["verify", "repair"])
def test_progress_goes_up_to_all_versions(path: Path, call: str) -> None:
    seen: list[tuple[int, int | None]] = []
    with opened(path) as memory:
        getattr(memory, call)(progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (12, 12)


class Remote(HashEmbedder):
    """Behind a network, with a switch."""

    def __init__(self) -> None:
        super().__init__(16, local=False)
        self.up = True

    def embed(self, texts: Any) -> Any:
        """The vectors, or a refusal."""
        if not self.up:
            raise ModelUnavailable("the endpoint is down")
        return super().embed(texts)


def test_vectors_of_a_remote_embedder_are_fetched_or_it_is_said_that_they_are_not(tmp_path: Path) -> None:
    """Verify asks it for nothing: presence and size are all that it proves."""
    path, embedder = tmp_path / "r.db", Remote()
    with opened(path, embedder=embedder, policy="rrf") as memory:
        memory.add(["a heron", "a stork"], user_id="ana")
        assert memory.wait()
        embedder.up = False
        assert memory.verify().ok
        damage(path, "UPDATE records SET vector = zeroblob(3) WHERE text = 'a stork'")
        assert not memory.verify().ok
        with pytest.raises(ModelUnavailable, match="endpoint is down"):
            memory.repair()
        embedder.up = True
        assert memory.repair().mended == 1
        assert memory.verify().ok
