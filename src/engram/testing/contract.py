"""The contract that every store keeps, as tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from engram.kernel.errors import Conflict, StoreError
from engram.kernel.protocols import Batch, Expunge, Put, PutInfo, Require, Select, Store
from engram.testing.builders import ANA, Timeline, a_record
from engram.testing.contract_edges import EdgeContract
from engram.testing.contract_entries import StagingContract
from engram.testing.contract_index import EntryContract, ErasureContract
from engram.testing.contract_records import RecordContract, VersionContract, put_one
from engram.testing.contract_work import WorkContract

__all__ = ["StoreContract"]

THREADS, ROUNDS = 4, 25


class StoreContract(
    RecordContract,
    VersionContract,
    EdgeContract,
    EntryContract,
    StagingContract,
    ErasureContract,
    WorkContract,
):
    """Subclass it as `TestX` and give a fixture `opener`: a callable that opens the store under test.

    The callable takes `clock` and `seed` and, where `durable` is set, opens the same data again every time
    it is called within one test. What is open at the end is closed by the contract.
    """

    durable: ClassVar[bool] = False

    @pytest.fixture
    def clock(self) -> Timeline:
        """A clock that stands still."""
        return Timeline()

    @pytest.fixture
    def store(self, opener: Callable[..., Store], clock: Timeline) -> Iterator[Store]:
        """The store under test, empty."""
        store = opener(clock=clock, seed=7)
        yield store
        store.close()

    def test_a_batch_is_all_or_nothing(self, store: Store) -> None:
        """A refusal at the end undoes what came before it, also in what the store remembers."""
        record = put_one(store, a_record("stays", origin="m-1"))
        fresh = a_record("never", origin="m-2", scope=ANA.__class__(user_id="never"))
        ops = (Put(fresh), Expunge((record.id,)), PutInfo("embedder", "x"), Require((("nowhere", None),)))
        for _ in range(2):
            with pytest.raises(Conflict):
                store.commit(Batch(ops))
        assert store.select(Select()) == [record]
        assert store.scopes() == [(ANA, 1)]
        assert "embedder" not in store.info()
        put_one(store, fresh)
        assert len(store.scopes()) == 2

    def test_threads_share_a_store(self, store: Store) -> None:
        """Every commit of every thread is there once, and readers never see half of one."""
        torn: list[int] = []

        def work(name: int) -> None:
            for round_ in range(ROUNDS):
                pair = [Put(a_record(f"{name}/{round_}/{half}")) for half in range(2)]
                store.commit(Batch(tuple(pair)))
                if len(store.select(Select(scope=ANA))) % 2:
                    torn.append(round_)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        records = store.select(Select(scope=ANA))
        assert torn == []
        assert len({record.text for record in records}) == len(records) == THREADS * ROUNDS * 2
        assert len({record.arrival for record in records}) == len(records)

    def test_a_closed_store_says_so(self, store: Store) -> None:
        """Closing twice is harmless."""
        store.close()
        store.close()
        for call in (store.sequence, store.scopes, store.purge, lambda: store.commit(Batch(()))):
            with pytest.raises(StoreError, match="closed"):
                call()

    def test_the_same_seed_and_clock_give_the_same_ids(self, store: Store) -> None:
        """Ids depend on nothing else; a store of another seed gives others."""
        assert put_one(store, a_record()).id.startswith("06DQDPN800000000")

    def test_another_handle_sees_every_commit(self, store: Store, opener: Callable[..., Store]) -> None:
        """At its next call, and after an erasure too."""
        if not self.durable:
            pytest.skip("this store's data does not outlive the handle")
        other = opener(clock=Timeline(), seed=9)
        first = put_one(store, a_record("one", origin="m-1"))
        assert other.select(Select()) == [first]
        assert other.sequence() == store.sequence()
        put_one(other, a_record("two", origin="m-2"))
        other.commit(Batch((Expunge((first.id,)),)))
        assert store.sequence().erasures == 1
        assert put_one(store, a_record("three", origin="m-1")).text == "three"
        assert store.check() == other.check() == []
        other.close()

    def test_data_outlives_the_handle(self, store: Store, opener: Callable[..., Store]) -> None:
        """Records, facts and ids go on where they were."""
        if not self.durable:
            pytest.skip("this store's data does not outlive the handle")
        record = put_one(store, a_record(metadata={"x": 1}))
        store.commit(Batch((PutInfo("embedder", "e"),)))
        before = store.sequence(), {**store.info(), "bytes": ""}
        store.close()
        again = opener(clock=Timeline(), seed=1)
        assert (again.sequence(), {**again.info(), "bytes": ""}) == before
        assert again.select(Select()) == [record]
        again.close()
