"""What a store must do with index entries that are made ahead, and with what it derives itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import (
    Batch,
    Close,
    Expunge,
    Mark,
    PutInfo,
    Rebuild,
    Reindex,
    RequireInfo,
    Select,
    Stage,
    Store,
    Supersede,
    Switch,
    Unstage,
)
from engram.kernel.record import Interval, Record
from engram.testing.builders import ANA, a_record, day
from engram.testing.contract_records import put_one, refused

__all__ = ["StagingContract"]


def entries(store: Store) -> list[tuple[str, int, bytes, bytes | None]]:
    """Id, version and entry of every version, by id and version."""
    page = store.entries(ANA, history=True)
    return sorted((entry.id, entry.version, entry.words, entry.vector) for entry in page)


def two_versions(store: Store) -> Record:
    """The latest of two versions of a record."""
    record = put_one(store, a_record("one"))
    store.commit(Batch((Supersede(replace(record, text="two", known=Interval(day(1))), 1, b"w2", b"v2"),)))
    return store.select(Select(ids=(record.id,)))[0]


class StagingContract:
    """Entries beside those in use, the switch to them, and rebuilding."""

    def test_staged_entries_change_nothing_until_the_switch(self, store: Store) -> None:
        """Then every version has its new entry at once, with the facts, and it counts as an erasure."""
        record = two_versions(store)
        closed = put_one(store, a_record("closed"))
        store.commit(Batch((Close(closed.id, 1, day(2)),)))
        before, position = entries(store), store.sequence()
        store.commit(
            Batch((
                Stage(record.id, 1, b"w1*", b"v1*"),
                Stage(record.id, 2, b"w2*", b"v2*"),
                Stage(closed.id, 1, b"wc*", b"vc*"),
                Stage(closed.id, 2, b"never", b"there"),
                Stage("nowhere", 1, b"never", b"there"),
            ))
        )  # fmt: skip
        assert entries(store) == before
        assert store.sequence().erasures == position.erasures
        assert (store.info()["staged"], store.info()["versions"]) == ("3", "3")
        store.commit(Batch((PutInfo("next", "x"),)))
        store.commit(Batch((Switch((("embedder", "new"), ("next", None))),)))
        assert entries(store) == sorted([
            (record.id, 1, b"w1*", b"v1*"),
            (record.id, 2, b"w2*", b"v2*"),
            (closed.id, 1, b"wc*", b"vc*"),
        ])  # fmt: skip
        assert store.sequence().erasures == position.erasures + 1
        assert store.sequence().last > position.last
        assert store.info()["embedder"] == "new"
        assert not {"next", "staged"} & store.info().keys()
        assert store.check() == []

    def test_a_switch_waits_for_every_version(self, store: Store) -> None:
        """What was put or superseded meanwhile lacks its entry, and is found."""
        record = two_versions(store)
        store.commit(Batch((Stage(record.id, 2, b"w*", b"v*"),)))
        assert record.id in refused(store, Switch((("embedder", "new"),)))
        lacking = store.select(Select(history=True, unstaged=True))
        assert [(found.id, found.version, found.text) for found in lacking] == [(record.id, 1, "one")]
        assert store.select(Select(ids=(record.id,), unstaged=True)) == []
        store.commit(Batch((Stage(record.id, 1, b"w*", b"v*"),)))
        late = put_one(store, a_record("late"))
        assert late.id in refused(store, Switch())
        assert store.select(Select(scope=ANA, history=True, unstaged=True)) == [late]
        with pytest.raises(InvalidInput):
            store.commit(Batch((Stage(late.id, 1, b"w", b"v"), Switch((("tag", "1"),)))))
        store.commit(Batch((Stage(late.id, 1, b"w", b"v"), Switch())))
        assert "staged" not in store.info()

    def test_staging_again_replaces_and_unstaging_forgets(self, store: Store) -> None:
        """The last one staged counts."""
        record = put_one(store, a_record())
        store.commit(Batch((Stage(record.id, 1, b"a", b"a"), Stage(record.id, 1, b"b", b"b"))))
        assert store.info()["staged"] == "1"
        store.commit(Batch((Unstage(),)))
        assert "staged" not in store.info()
        refused(store, Switch())
        store.commit(Batch((Stage(record.id, 1, b"c", b"c"), Switch())))
        assert entries(store) == [(record.id, 1, b"c", b"c")]

    def test_an_erasure_reaches_staged_entries(self, store: Store) -> None:
        """Another record under the same id has none."""
        record = two_versions(store)
        stays = put_one(store, a_record("stays"))
        ops = [Stage(record.id, version, b"secret", b"secret") for version in (1, 2)]
        store.commit(Batch((*ops, Stage(stays.id, 1, b"w", b"v"))))
        store.commit(Batch((Expunge((record.id,)),)))
        assert store.info()["staged"] == "1"
        put_one(store, a_record("again", id=record.id))
        assert record.id in refused(store, Switch())

    def test_facts_can_be_required(self, store: Store) -> None:
        """A commit that stands on another fact is refused as a whole."""
        store.commit(Batch((PutInfo("embedder", "a"),)))
        store.commit(Batch((RequireInfo((("embedder", "a"), ("next", None))),)))
        assert "embedder" in refused(store, RequireInfo((("embedder", "b"),)))
        assert "next" in refused(store, PutInfo("x", "y"), RequireInfo((("next", "c"),)))
        assert "x" not in store.info()

    def test_the_entry_of_any_version_can_be_replaced(self, store: Store) -> None:
        """Followers see the new one; what is not there is passed over."""
        record = two_versions(store)
        seen = store.sequence().last
        store.commit(Batch((Reindex(record.id, 1, b"w1*", None), Reindex(record.id, 2, b"w2*", b"v2*"))))
        assert entries(store) == [(record.id, 1, b"w1*", None), (record.id, 2, b"w2*", b"v2*")]
        assert [entry.words for entry in store.entries(ANA, seen)] == [b"w2*"]
        assert store.commit(Batch((Reindex(record.id, 3, b"", b""), Reindex("no", 1, b"", b"")))).ids == ()
        assert store.select(Select(history=True))[-1] == record

    def test_rebuilding_changes_no_record(self, store: Store) -> None:
        """It counts as an erasure; an older version ends where the next begins."""
        record = two_versions(store)
        fact = put_one(store, a_record("fact", kind="fact", sources=(record.id,)))
        store.commit(Batch((Close(record.id, 2, day(9)), Mark(fact.id, strength=0.5))))
        store.commit(Batch((Supersede(replace(record, text="three", known=Interval(day(5))), 2),)))
        before, position = store.select(Select(history=True)), store.sequence()
        store.commit(Batch((Rebuild(),)))
        after = store.select(Select(history=True))
        assert [item.known.end for item in after if item.id == record.id] == [day(1), day(5), None]
        assert [replace(item, known=Interval()) for item in after] == [
            replace(item, known=Interval()) for item in before
        ]
        assert store.sequence().erasures == position.erasures + 1
        assert store.select(Select(derived_from=(record.id,))) == [
            item for item in after if item.id == fact.id
        ]
        assert store.check() == []
