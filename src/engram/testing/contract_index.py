"""What a store must tell an index that follows it, and what an erasure must reach."""

from __future__ import annotations

from dataclasses import replace

from engram.kernel.clock import micros
from engram.kernel.protocols import (
    Batch,
    Close,
    Entry,
    Expunge,
    Job,
    Mark,
    Put,
    PutEdge,
    PutJob,
    PutState,
    Select,
    SelectEdges,
    StateRow,
    Store,
    Supersede,
)
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.testing.builders import ANA, START, a_record, day
from engram.testing.contract_records import BEN, put_one

__all__ = ["EntryContract", "ErasureContract"]


class EntryContract:
    """Index entries and the sequence."""

    def test_an_entry_says_what_the_record_says(self, store: Store) -> None:
        """Times are microseconds since 1970."""
        record = put_one(
            store,
            a_record(scope=Scope("t", "u", "a", "r"), role="user", name="Ana", expires=day(3), trust=0.5),
        )
        start = micros(START)
        expected = Entry(
            store.sequence().last, record.arrival, record.id, 1, "episode", "u", "a", "r", "user", "Ana",
            start, start, None, start, None, micros(day(3)), 1.0, 0.5, None, 0, b"w", b"v",
        )  # fmt: skip
        assert store.entries(Scope("t")) == [expected]

    def test_following_the_sequence(self, store: Store) -> None:
        """Whoever reads entries behind the last one seen knows the latest of every record."""
        first, second = (put_one(store, a_record(text)) for text in ("one", "two"))
        seen = store.sequence().last
        assert store.entries(ANA, seen) == []
        store.commit(Batch((Supersede(replace(first, known=Interval(day(1))), 1, b"new", b"vec"),)))
        store.commit(Batch((Mark(second.id, strength=0.5),)))
        store.commit(Batch((Close(second.id, 1, day(2)),)))
        page = store.entries(ANA, seen)
        assert [(entry.id, entry.version, entry.closed) for entry in page] == [
            (first.id, 2, 0),
            (second.id, 1, 1),
        ]
        assert [(entry.words, entry.vector) for entry in page] == [(b"new", b"vec"), (b"", b"")]
        assert page[-1].sequence <= store.sequence().last

    def test_history_gives_every_version_with_its_words(self, store: Store) -> None:
        """The old version comes again, closed, when a new one opens."""
        record = put_one(store, a_record())
        seen = store.sequence().last
        store.commit(Batch((Supersede(replace(record, known=Interval(day(1))), 1, b"new", b"vec"),)))
        page = store.entries(ANA, seen, history=True)
        assert [(entry.version, entry.closed, entry.words) for entry in page] == [
            (1, 1, b"w"),
            (2, 0, b"new"),
        ]
        assert page[0].known_end == micros(day(1))

    def test_pages_by_scope(self, store: Store) -> None:
        """Pages are full until the last, and hold only what the pattern covers, whatever lies between."""
        scopes = [replace(ANA, run_id=str(number % 3)) for number in range(30)]
        store.commit(
            Batch(tuple(Put(a_record(str(place), scope=scope)) for place, scope in enumerate(scopes)))
        )
        store.commit(Batch(tuple(Put(a_record(scope=BEN)) for _ in range(300))))
        store.commit(Batch(tuple(Put(a_record(scope=scope)) for scope in scopes[:9])))
        for pattern, count in ((ANA, 39), (replace(ANA, run_id="1"), 13), (Scope(), 339), (Scope("none"), 0)):
            after, found = 0, []
            while page := store.entries(pattern, after, 7):
                assert len(page) == 7 or not store.entries(pattern, page[-1].sequence, 7)
                found += page
                after = page[-1].sequence
            assert len({entry.id for entry in found}) == len(found) == count
            assert [entry.sequence for entry in found] == sorted(entry.sequence for entry in found)

    def test_the_sequence_grows_with_every_change(self, store: Store) -> None:
        """Also with those that touch no record."""
        seen = [store.sequence().last]
        record = put_one(store, a_record())
        seen.append(store.sequence().last)
        for op in (
            Mark(record.id, strength=0.5),
            PutState(StateRow("p", ANA, "x", 1, 1)),
            PutJob(Job("", "embed", ANA, START)),
            Close(record.id, 1, day(1)),
        ):
            done = store.commit(Batch((op,)))
            assert done.change_set == seen[-1] + 1
            seen.append(store.sequence().last)
        assert seen == sorted(set(seen))


class ErasureContract:
    """What `Expunge` destroys."""

    def test_everything_goes(self, store: Store) -> None:
        """Versions, entries, edges, and the jobs and states that had read it; an origin is free again."""
        record = put_one(store, a_record("secret", origin="m-1"))
        store.commit(Batch((Supersede(replace(record, text="secret 2", known=Interval(day(1))), 1),)))
        other = put_one(store, a_record("stays"))
        edge = Edge("e", other.id, record.id, "knows", ANA, Interval(START), Interval(START))
        store.commit(
            Batch((
                PutEdge(edge),
                PutEdge(replace(edge, id="f", source=other.id, target=other.id, sources=(record.id,))),
                PutEdge(replace(edge, id="stays", source=other.id, target=other.id)),
                PutState(StateRow("p", ANA, "x", "secret", 1, (other.id, record.id))),
                PutState(StateRow("p", ANA, "stays", "y", 1, (other.id,))),
                PutJob(Job("j", "write", ANA, START, journal={"0": "secret"}, reads=(record.id,))),
                PutJob(Job("stays", "write", ANA, START, reads=(other.id,))),
            ))
        )  # fmt: skip
        before = store.sequence()
        store.commit(Batch((Expunge((record.id, "nowhere")),)))
        assert store.select(Select(history=True)) == [other]
        assert [entry.id for entry in store.entries(ANA, history=True)] == [other.id]
        assert [edge.id for edge in store.edges(SelectEdges(ANA, history=True))] == ["stays"]
        assert [row.name for row in store.states(ANA)] == ["stays"]
        assert [job.id for job in store.jobs()] == ["stays"]
        assert store.sequence().erasures == before.erasures + 1
        assert store.sequence().last > before.last
        assert put_one(store, a_record("again", origin="m-1")).id != record.id
        assert store.check() == []

    def test_an_erasure_of_nothing_changes_nothing(self, store: Store) -> None:
        """Neither the sequence nor the count of erasures."""
        put_one(store, a_record())
        before = store.sequence()
        assert store.commit(Batch((Expunge(("nowhere",)),))).change_set == 0
        assert store.sequence() == before

    def test_a_scope_without_records_is_gone(self, store: Store) -> None:
        """Its address can be used anew."""
        record = put_one(store, a_record(scope=BEN))
        put_one(store, a_record())
        store.commit(Batch((Expunge((record.id,)),)))
        assert store.scopes() == [(ANA, 1)]
        again = put_one(store, a_record(scope=BEN))
        assert store.select(Select(scope=BEN)) == [again]

    def test_a_scope_can_be_refilled_in_the_same_batch(self, store: Store) -> None:
        """As a rebuild does: what is erased and what takes its place go in together."""
        record = put_one(store, a_record("old", origin="m-1"))
        store.commit(Batch((Expunge((record.id,)), Put(a_record("new", origin="m-1")))))
        assert [found.text for found in store.select(Select(scope=ANA))] == ["new"]
        assert len(store.entries(ANA)) == 1
        assert store.scopes() == [(ANA, 1)]
        assert store.check() == []

    def test_survivors_that_name_what_is_gone_are_reported(self, store: Store) -> None:
        """Whoever erases a source must deal with what was made from it; `check` says where that is owed."""
        source = put_one(store, a_record())
        fact = put_one(store, a_record("fact", kind="fact", sources=(source.id,)))
        assert store.check() == []
        store.commit(Batch((Expunge((source.id,)),)))
        assert any(fact.id in line and source.id in line for line in store.check())
        assert store.select(Select(derived_from=(source.id,))) == [fact]

    def test_purging(self, store: Store) -> None:
        """Nothing is owed afterwards."""
        record = put_one(store, a_record())
        store.commit(Batch((Expunge((record.id,)),)))
        assert store.purge()
        assert "purge" not in store.info()
