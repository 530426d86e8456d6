"""What a store must do with records and their versions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engram.kernel.errors import Conflict
from engram.kernel.protocols import (
    Batch,
    Close,
    Committed,
    Expunge,
    Mark,
    Op,
    Put,
    Require,
    Reserve,
    Select,
    Store,
    Supersede,
)
from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope
from engram.testing.builders import ANA, START, a_record, day

__all__ = ["RecordContract", "VersionContract", "put_one", "refused"]

BEN = Scope(user_id="ben")


def put_one(store: Store, record: Record, words: bytes = b"w", vector: bytes | None = b"v") -> Record:
    """The record as it stands in the store after being put."""
    done = store.commit(Batch((Put(record, words, vector),)))
    return store.select(Select(ids=done.ids, closed=True))[0]


def refused(store: Store, *ops: Op) -> str:
    """The message of the `Conflict` that the operations meet; nothing of them may be left."""
    before = store.sequence()
    with pytest.raises(Conflict) as caught:
        store.commit(Batch(ops))
    assert store.sequence() == before
    return str(caught.value)


class RecordContract:
    """Putting, finding and refusing records."""

    def test_a_record_comes_back_whole(self, store: Store) -> None:
        """Every field survives, and the store sets arrival and change set."""
        given = a_record(
            "the harbour, 茶 и наука",
            scope=Scope("t", "ana", "cook", "run"),
            time=day(1.5),
            valid=Interval(day(1), day(9)),
            known=Interval(day(2)),
            origin="m-1",
            role="user",
            name="Ana",
            sources=("a", "b"),
            made_by="sum:1",
            strength=0.25,
            trust=0.5,
            metadata={"a": [1, {"b": None}], "é": 1.5},
            payload={"content": "x", "parts": [1]},
            expires=day(30),
        )
        got = put_one(store, given)
        assert got == replace(given, id=got.id, arrival=got.arrival, opened=got.opened)
        assert len(got.id) == 26
        assert got.arrival > 0
        assert got.current

    def test_new_ids_sort_by_known_time_then_by_order(self, store: Store) -> None:
        """An empty id is given out by the store."""
        late = put_one(store, a_record(known=Interval(day(3))))
        early = store.commit(Batch((Put(a_record()), Put(a_record())))).ids
        assert early[0] < early[1] < late.id

    def test_what_is_returned_is_the_callers_own(self, store: Store) -> None:
        """Changing a returned mapping changes nothing in the store."""
        record = put_one(store, a_record(metadata={"list": [1]}, payload={"x": [1]}))
        record.metadata["list"].append(2)
        record.payload["x"].append(2)
        again = store.select(Select(ids=(record.id,)))[0]
        assert again.metadata == {"list": [1]}
        assert again.payload == {"x": [1]}

    def test_the_same_origin_with_the_same_content_is_a_duplicate(self, store: Store) -> None:
        """Nothing is written, and the id of the present record is given."""
        first = put_one(store, a_record(origin="m-1"))
        before = store.sequence()
        done = store.commit(Batch((Put(a_record(origin="m-1", known=Interval(day(5)))),)))
        assert (done.ids, done.duplicates, done.change_set) == ((first.id,), (True,), 0)
        assert store.sequence() == before

    def test_the_first_version_decides_what_a_duplicate_is(self, store: Store) -> None:
        """An edited message that comes again as it was is still the same message."""
        first = put_one(store, a_record("tea", origin="m-1"))
        store.commit(Batch((Supersede(replace(first, text="coffee", known=Interval(day(1))), 1),)))
        done = store.commit(Batch((Put(a_record("tea", origin="m-1")),)))
        assert (done.ids, done.duplicates) == ((first.id,), (True,))
        assert "m-1" in refused(store, Put(a_record("coffee", origin="m-1")))

    def test_the_same_origin_with_other_content_is_refused(self, store: Store) -> None:
        """The whole batch is; the message names the origin and the record."""
        first = put_one(store, a_record("tea", origin="m-1"))
        message = refused(store, Put(a_record("new")), Put(a_record("coffee", origin="m-1")))
        assert "'m-1'" in message
        assert first.id in message
        assert len(store.select(Select())) == 1

    def test_an_origin_counts_in_its_exact_scope(self, store: Store) -> None:
        """Another user or run may have the same."""
        for scope in (ANA, BEN, replace(ANA, run_id="r"), replace(ANA, tenant="t")):
            put_one(store, a_record(f"by {scope.user_id}", scope=scope, origin="m-1"))
        assert len(store.select(Select(origins=((scope, "m-1"),)))) == 1

    def test_duplicates_inside_one_batch(self, store: Store) -> None:
        """A batch large enough for any bulk path treats its own repetitions as it treats earlier puts."""
        many = [Put(a_record(f"text {number % 10}", origin=f"m-{number % 10}")) for number in range(20)]
        done = store.commit(Batch(tuple(many)))
        assert done.duplicates == (False,) * 10 + (True,) * 10
        assert done.ids[:10] == done.ids[10:]
        assert "'m-3'" in refused(store, *many[:12], Put(a_record("other", origin="m-3")))

    def test_an_id_that_is_there(self, store: Store) -> None:
        """Put again it is a duplicate; with other content it is refused."""
        put_one(store, a_record("tea", id="given"))
        assert store.commit(Batch((Put(a_record("tea", id="given")),))).duplicates == (True,)
        assert "given" in refused(store, Put(a_record("coffee", id="given")))

    def test_selecting_by_each_condition(self, store: Store) -> None:
        """Kinds, maker, origin, sources, expiry and scope patterns, joined by "and"."""
        turn = put_one(store, a_record("turn", origin="m-1", expires=day(2)))
        fact = put_one(store, a_record("fact", kind="fact", sources=(turn.id,), made_by="f:1", level=None))
        ben = put_one(store, a_record("ben", scope=replace(BEN, run_id="r")))
        other = put_one(store, a_record("other tenant", scope=replace(ANA, tenant="t")))
        found = {
            Select(kinds=("fact",)): [fact],
            Select(kinds=("fact", "episode"), scope=ANA): [turn, fact],
            Select(made_by="f:1"): [fact],
            Select(origins=((ANA, "m-1"), (BEN, "m-1"), (ANA, "m-2"), (ANA, "m-1"))): [turn],
            Select(origins=((ANA, "m-1"),), scope=BEN): [],
            Select(origins=()): [],
            Select(derived_from=(turn.id, "x")): [fact],
            Select(expired_by=day(2)): [turn],
            Select(expired_by=day(1)): [],
            Select(scope=BEN): [ben],
            Select(scope=Scope(run_id="r")): [ben],
            Select(scope=Scope("t")): [other],
            Select(scope=Scope()): [turn, fact, ben],
            Select(ids=(ben.id, turn.id, "none", ben.id)): [ben, turn],
            Select(ids=(ben.id, turn.id), limit=1): [ben],
            Select(ids=(ben.id, turn.id), scope=Scope()): [turn, ben],
        }
        for what, records in found.items():
            assert store.select(what) == records, what

    def test_paging(self, store: Store) -> None:
        """By arrival, or by time and arrival; `after` goes on behind the last one seen."""
        times = [3, 1, 2, 1, 3]
        records = [put_one(store, a_record(str(place), time=day(time))) for place, time in enumerate(times)]
        assert store.select(Select(limit=2)) == records[:2]
        assert store.select(Select(after=records[1].arrival, limit=2)) == records[2:4]
        by_time = store.select(Select(by_time=True))
        assert [record.text for record in by_time] == ["1", "3", "2", "0", "4"]
        place = (int((day(1) - day(0)).total_seconds()), by_time[1].arrival)
        after = (int(START.timestamp() + place[0]) * 1_000_000, place[1])
        assert store.select(Select(by_time=True, after=after, limit=2)) == by_time[2:4]


class VersionContract:
    """Versions, closing and imports."""

    def test_superseding(self, store: Store) -> None:
        """The old version keeps its content and ends where the new one starts; id and arrival stay."""
        first = put_one(store, a_record("tea", origin="m-1"))
        done = store.commit(
            Batch(
                (Supersede(replace(first, text="coffee", known=Interval(day(1)), sources=("s",)), 1, b"W"),)
            )
        )
        old, new = store.select(Select(ids=(first.id,), history=True))
        assert old == replace(first, known=Interval(START, day(1)), closed=done.change_set)
        assert (new.text, new.version, new.arrival, new.opened) == (
            "coffee",
            2,
            first.arrival,
            done.change_set,
        )
        assert new.current
        assert store.select(Select()) == [new]
        assert store.select(Select(derived_from=("s",))) == [new]
        assert store.select(Select(change_set=done.change_set, history=True)) == [old, new]

    def test_a_version_that_moved_is_refused(self, store: Store) -> None:
        """Every operation that names the version it read."""
        record = put_one(store, a_record())
        store.commit(Batch((Supersede(replace(record, known=Interval(day(1))), 1),)))
        assert "expected version 1" in refused(store, Supersede(record, 1))
        assert "expected version 1" in refused(store, Close(record.id, 1, day(2)))
        assert "expected version 1" in refused(store, Require(((record.id, 1),)))
        assert "nowhere" in refused(store, Require((("nowhere", None),)))
        assert "nowhere" in refused(store, Supersede(replace(record, id="nowhere"), 1))

    def test_a_version_cannot_move_to_another_scope(self, store: Store) -> None:
        """Nor change its origin."""
        record = put_one(store, a_record(origin="m-1"))
        refused(store, Supersede(replace(record, scope=BEN), 1))
        refused(store, Supersede(replace(record, origin="m-2"), 1))

    def test_closing_and_opening_again(self, store: Store) -> None:
        """A closed record is found only when asked for; a new version opens it again."""
        record = put_one(store, a_record())
        done = store.commit(Batch((Close(record.id, 1, day(1)),)))
        closed = replace(record, known=Interval(START, day(1)), closed=done.change_set)
        assert store.select(Select()) == []
        assert store.select(Select(closed=True)) == [closed]
        assert store.scopes() == [(ANA, 0)]
        refused(store, Require(((record.id, 1),)))
        store.commit(Batch((Require(((record.id, None),)),)))
        assert "closed" in refused(store, Close(record.id, 1, day(2)))
        store.commit(Batch((Supersede(replace(record, known=Interval(day(2))), 1),)))
        assert store.select(Select(history=True))[0] == closed
        assert store.select(Select())[0].known == Interval(day(2))

    def test_marks_make_no_version(self, store: Store) -> None:
        """Strength, trust, words and a vector that came later; only while the version named is the latest."""
        record = put_one(store, a_record(), vector=None)
        store.commit(Batch((Mark(record.id, 1, strength=0.5, vector=b"later"),)))
        store.commit(Batch((Mark(record.id, 2, strength=0.1), Mark("nowhere", strength=0.1))))
        assert store.select(Select()) == [replace(record, strength=0.5)]
        assert [(entry.words, entry.vector) for entry in store.entries(ANA)] == [(b"w", b"later")]

    def test_imports_keep_what_they_say(self, store: Store) -> None:
        """Versions oldest first, closed ones included; a second import adds nothing."""
        old = a_record("tea", id="kept", arrival=40, opened=40, closed=50, known=Interval(START, day(1)))
        new = replace(old, text="coffee", version=2, opened=50, closed=None, known=Interval(day(1)))
        batch = Batch(tuple(Put(record, b"w", keep=True) for record in (old, new)))
        assert store.commit(batch).duplicates == (False, False)
        assert store.select(Select(history=True)) == [old, new]
        assert store.sequence().last >= 50
        before = store.sequence()
        assert store.commit(batch).duplicates == (True, True)
        assert store.sequence() == before
        assert "kept" in refused(store, Put(replace(new, text="water"), keep=True))
        assert "oldest first" in refused(store, Put(replace(new, id="other"), keep=True))
        fresh = put_one(store, a_record("next"))
        assert fresh.arrival > 50

    def test_reserved_numbers_are_never_given_out(self, store: Store) -> None:
        """They begin with the commit's own; nothing else changes."""
        put_one(store, a_record("one"))
        first = store.commit(Batch((Reserve(100),))).change_set
        assert store.sequence().last == first + 99
        assert put_one(store, a_record("two")).opened == first + 100
        assert refused(store, Reserve(100), Require((("nowhere", None),)))
        assert put_one(store, a_record("three")).opened == first + 101

    def test_a_commit_counts_on_from_a_position_seen_elsewhere(self, store: Store) -> None:
        """Where that is further; what is erased counts so too, and a commit that changes nothing does not."""
        record = put_one(store, a_record("one"))
        before = store.sequence()
        assert store.commit(Batch((Mark("nowhere", strength=0.5),), above=(100, 7))) == Committed(0)
        assert store.sequence() == before
        assert store.commit(Batch((Put(a_record("two")),), above=(100, 7))).change_set == 101
        assert store.sequence() == (101, before.erasures)
        assert put_one(store, a_record("three")).opened == 102
        store.commit(Batch((Expunge((record.id,)),), above=(50, 7)))
        assert store.sequence().erasures == 8
        assert store.sequence().last > 102
        assert store.sequence(record.scope.tenant) == store.sequence()
        assert store.check() == []

    def test_an_arrival_that_is_taken_is_not_kept(self, store: Store) -> None:
        """Arrivals stay unique in a store."""
        first = put_one(store, a_record())
        store.commit(Batch((Put(a_record("kept", id="kept", arrival=first.arrival), keep=True),)))
        following = store.sequence().last + 1
        late = a_record("late", id="late", arrival=following)
        store.commit(Batch((Put(a_record("new")), Put(late, keep=True))))
        arrivals = [record.arrival for record in store.select(Select())]
        assert len(set(arrivals)) == 4

    def test_each_version_has_its_own_sources(self, store: Store) -> None:
        """What only an older version was made from leads to that version alone."""
        first = put_one(store, a_record("tea", sources=("a",)))
        store.commit(Batch((Supersede(replace(first, sources=("b",), known=Interval(day(1))), 1),)))
        found = {source: store.select(Select(derived_from=(source,))) for source in "ab"}
        assert {source: [record.version for record in found[source]] for source in "ab"} == {
            "a": [],
            "b": [2],
        }
        assert [record.version for record in store.select(Select(derived_from=("a",), history=True))] == [1]
