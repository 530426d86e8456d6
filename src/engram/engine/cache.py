"""The cache of in-memory indexes and graphs, one a scope asked: derivable, bounded, fresh at every call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from engram.engine.maker import Maker
from engram.kernel.protocols import Position, SelectEdges, Store
from engram.kernel.scope import Scope
from engram.operators.graph.walk import Walks
from engram.operators.retrieval.index import ScopeIndex

__all__ = ["IndexCache"]

_PAGE = 5000


class Slot:
    """An index and, where one was asked for, a graph: how far each has followed the store, and their lock."""

    def __init__(self, index: ScopeIndex) -> None:
        self.index = index
        self.graph = Walks()
        self.lock = threading.RLock()
        self.seen = 0
        self.walked = 0

    @property
    def nbytes(self) -> int:
        """Bytes that both hold."""
        return self.index.nbytes + self.graph.nbytes


class IndexCache:
    """Indexes and graphs by scope pattern, least recently used out first above `limit` bytes.

    `check` raises where the store's entries are of another embedder now than those that `build` is for.
    What `maker` keeps of a large scope in a file is taken from there.
    """

    def __init__(
        self,
        store: Store,
        build: Callable[[], ScopeIndex],
        limit: int,
        check: Callable[[], None],
        maker: Maker,
    ) -> None:
        self._store = store
        self._build = build
        self._limit = limit
        self._check = check
        self._maker = maker
        self._slots: OrderedDict[Scope, Slot] = OrderedDict()
        self._erasures: dict[str, int] = {}  # of each tenant that has been asked for
        self._lock = threading.Lock()

    def slot(self, scope: Scope) -> Slot:
        """The slot for `scope`, brought up to date with every commit, also of other processes.

        Hold its lock while scoring. An erasure anywhere in the store discards all indexes, so that no
        vector of erased text stays in memory.
        """
        while True:
            position = self._store.sequence(scope.tenant)
            slot = self._held(scope, position)
            if self._maker.made(scope):
                self._begin_anew(scope)
                continue
            if slot.seen >= position.last:
                return slot
            with slot.lock:
                if not slot.seen and (kept := self._maker.shelf.load(scope, position)) is not None:
                    slot.index, slot.seen = kept
                whole = self._follow(slot, scope, position)
            if whole:
                self._maker.look_after(scope, slot.index)
                self._shrink(scope)
                return slot

    def graph(self, scope: Scope) -> Slot:
        """The slot for `scope` with its graph, both brought up to date; hold its lock while walking."""
        while True:
            position = self._store.sequence(scope.tenant)
            slot = self.slot(scope)
            if slot.walked >= position.last:
                return slot
            with slot.lock:
                whole = self._walk(slot, scope, position)
            if whole:
                self._shrink(scope)
                return slot

    def scopes(self) -> list[Scope]:
        """The scopes whose indexes are held."""
        with self._lock:
            return list(self._slots)

    def clear(self) -> None:
        """Forget every index."""
        with self._lock:
            self._slots.clear()

    @property
    def nbytes(self) -> int:
        """Bytes that the indexes and graphs hold."""
        with self._lock:
            return sum(slot.nbytes for slot in self._slots.values())

    def _begin_anew(self, scope: Scope) -> None:
        """Have the index of a scope taken from its file, its graph of edges kept."""
        with self._lock:
            old = self._slots.pop(scope, None)
            if old is not None:
                fresh = self._slots[scope] = Slot(self._build())
                fresh.graph, fresh.walked = old.graph, old.walked

    def _held(self, scope: Scope, position: Position) -> Slot:
        with self._lock:
            if position.erasures != self._erasures.get(scope.tenant):
                self._check()
                if scope.tenant in self._erasures:
                    self._slots.clear()
                    self._erasures.clear()
                    self._maker.clear()
                self._erasures[scope.tenant] = position.erasures
            slot = self._slots.get(scope)
            if slot is None:
                slot = self._slots[scope] = Slot(self._build())
            self._slots.move_to_end(scope)
            return slot

    def _follow(self, slot: Slot, scope: Scope, position: Position) -> bool:
        """Apply what has changed; False where an erasure came between, after which all begins anew.

        What was read before a switch to another embedder's entries is never applied together with them.
        """
        after = slot.seen
        while True:
            page = self._store.entries(scope, after=after, limit=_PAGE)
            if page and self._store.sequence(scope.tenant).erasures != position.erasures:
                return False
            if page:
                slot.index.apply(page)
                after = page[-1].sequence
            if len(page) < _PAGE:
                break
        slot.seen = max(position.last, after)
        return True

    def _walk(self, slot: Slot, scope: Scope, position: Position) -> bool:
        """Let the graph follow; False where an erasure came between, after which all begins anew."""
        after = slot.walked
        while True:
            page = self._store.edges(SelectEdges(scope, history=True, after=after, limit=_PAGE))
            if self._store.sequence(scope.tenant).erasures != position.erasures:
                return False
            slot.graph.apply(page)
            after = page[-1].sequence if page else after
            if len(page) < _PAGE:
                break
        slot.walked = max(position.last, after)
        return True

    def _shrink(self, keep: Scope) -> None:
        with self._lock:
            total = sum(slot.nbytes for slot in self._slots.values())
            for scope in list(self._slots):
                if total <= self._limit:
                    break
                if scope != keep:
                    total -= self._slots.pop(scope).nbytes
