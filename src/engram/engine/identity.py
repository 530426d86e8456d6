"""Who made a store's index entries, so that no memory ever mixes the entries of two makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engram.engine.watching import Watch, counted
from engram.kernel.errors import Conflict, NeedsMigration
from engram.kernel.protocols import (
    Batch,
    Committed,
    Embedder,
    Entry,
    Job,
    Mark,
    Position,
    Put,
    PutInfo,
    Reindex,
    RequireInfo,
    Select,
    SelectEdges,
    StateRow,
    Store,
    Supersede,
)
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.operators.analysis import ANALYSER

__all__ = ["Guarded", "check_same", "identity", "opened_by", "settled"]


def identity(embedder: Embedder) -> dict[str, str]:
    """The facts that a store keeps of whoever makes its entries: analyser, embedder and dimensions."""
    return {"analyser": ANALYSER, "embedder": embedder.name, "dimensions": str(embedder.dimensions)}


def opened_by(store: Store, wanted: Mapping[str, str]) -> None:
    """Refuse another maker than the store's. Raises `NeedsMigration` with the command that mends it."""
    info = store.info()
    for key, value in wanted.items():
        if info.get(key, value) != value:
            raise NeedsMigration(
                f"this store was written with {key} {info[key]!r}, and is opened with {value!r}: "
                f"open it with {info[key]!r} again, or run 'engram reembed' to rewrite its entries"
            )


def settled(store: Store, wanted: Mapping[str, str]) -> None:
    """Write down the maker of the store's entries, where that is not done yet."""
    info = store.info()
    missing = [PutInfo(key, value) for key, value in wanted.items() if info.get(key) != value]
    if missing:
        store.commit(Batch(tuple(missing)))


def check_same(store: Store, wanted: Mapping[str, str]) -> None:
    """Raise `NeedsMigration` where another process has given the store to another maker meanwhile."""
    info = store.info()
    for key, value in wanted.items():
        if info.get(key) != value:
            raise NeedsMigration(
                f"this store was rewritten with {key} {info.get(key)!r} while it was open here with "
                f"{value!r}: close it, and open it again with embedder {info.get('embedder')!r}"
            )


class Guarded:
    """A store that takes entries only while it still belongs to the maker that it was opened with."""

    def __init__(self, store: Store, wanted: Mapping[str, str], watch: Watch | None = None) -> None:
        self._store = store
        self._watch = watch
        self._wanted = dict(wanted)
        self._required = RequireInfo(tuple(wanted.items()))

    @property
    def bare(self) -> Store:
        """The store itself, for facts that have nothing to do with entries."""
        return self._store

    def commit(self, batch: Batch) -> Committed:
        """As the store's. Raises `NeedsMigration` for entries once another maker has the store."""
        if self._watch is None or not self._watch.on:
            return self._committed(batch)
        with self._watch.event("commit", "commit", **counted(batch)):
            return self._committed(batch)

    def _committed(self, batch: Batch) -> Committed:
        if not any(map(_brings_entries, batch.ops)):
            return self._store.commit(batch)
        try:
            return self._store.commit(replace(batch, ops=(self._required, *batch.ops)))
        except Conflict:
            check_same(self._store, self._wanted)
            raise

    def select(self, what: Select) -> list[Record]:
        """As the store's."""
        return self._store.select(what)

    def entries(self, scope: Scope, after: int = 0, limit: int = 5000, history: bool = False) -> list[Entry]:
        """As the store's."""
        return self._store.entries(scope, after, limit, history)

    def sequence(self, tenant: str | None = None) -> Position:
        """As the store's."""
        return self._store.sequence(tenant)

    def edges(self, what: SelectEdges) -> list[Edge]:
        """As the store's."""
        return self._store.edges(what)

    def states(self, scope: Scope, policy: str | None = None, name: str | None = None) -> list[StateRow]:
        """As the store's."""
        return self._store.states(scope, policy, name)

    def jobs(
        self, scope: Scope | None = None, kind: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Job]:
        """As the store's."""
        return self._store.jobs(scope, kind, ids)

    def scopes(self, pattern: Scope | None = None) -> list[tuple[Scope, int]]:
        """As the store's."""
        return self._store.scopes(pattern)

    def info(self) -> Mapping[str, str]:
        """As the store's."""
        return self._store.info()

    def check(self) -> list[str]:
        """As the store's."""
        return self._store.check()

    def purge(self) -> bool:
        """As the store's."""
        return self._store.purge()

    def close(self) -> None:
        """As the store's."""
        self._store.close()


def _brings_entries(op: object) -> bool:
    if isinstance(op, Mark):
        return op.words is not None or op.vector is not None
    return isinstance(op, Put | Supersede | Reindex)
