"""How the store is seen: as it is now, or as it was at a moment on either time axis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from engram.engine import views
from engram.engine.cache import IndexCache
from engram.engine.large import Larges
from engram.kernel.clock import Clock, micros
from engram.kernel.protocols import Entry, Position, Select, SelectEdges, Store
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.kernel.show import moment
from engram.operators.graph.walk import Walks
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.searched import Searched

__all__ = ["AsOf", "Lens", "Present"]

_PAGE = 5000


class Lens(Protocol):
    """What the reading calls see."""

    @property
    def moment(self) -> datetime:
        """The moment at which valid time is judged."""
        ...

    def index(self, scope: Scope) -> AbstractContextManager[Searched]:
        """The index of `scope`, locked while in use."""
        ...

    def graph(self, scope: Scope) -> AbstractContextManager[Walks]:
        """The graph of `scope`, locked while in use."""
        ...

    def records(self, ids: Sequence[str]) -> list[Record]:
        """The versions seen of these ids, in their order; unseen ones are left out."""
        ...

    def page(self, scope: Scope, after: int, limit: int) -> tuple[list[Record], int | None]:
        """Versions seen in `scope` behind an arrival, by arrival, and where to go on (`None`: the end)."""
        ...

    def edges(self, what: SelectEdges, *, ended: bool = False) -> list[Edge]:
        """The versions of edges seen, as `what` asks; times and history in it are the lens's to set.

        With `ended` those that are believed and true no more as well.
        """
        ...

    def shows(self, record: Record) -> bool:
        """Whether a listing or a search may give this version."""
        ...


class Present:
    """The store as it is now."""

    def __init__(self, store: Store, cache: IndexCache, clock: Clock, larges: Larges) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._larges = larges

    @property
    def moment(self) -> datetime:
        """Now."""
        return self._clock()

    @contextmanager
    def index(self, scope: Scope) -> Iterator[Searched]:
        """The cached index of `scope`, brought up to date; of a large one what the store preselects."""
        large = self._larges.of(scope)
        if large is not None:
            yield large
            return
        slot = self._cache.slot(scope)
        with slot.lock:
            yield slot.index

    @contextmanager
    def graph(self, scope: Scope) -> Iterator[Walks]:
        """The cached graph of `scope`, brought up to date."""
        slot = self._cache.graph(scope)
        with slot.lock:
            yield slot.graph

    def records(self, ids: Sequence[str]) -> list[Record]:
        """Open latest versions that have not expired; windows and sessions are computed."""
        return _pick(self._store, ids, self._seen(self._store.select(Select(ids=tuple(ids)))), self._seen)

    def _seen(self, latest: Sequence[Record]) -> list[Record]:
        now = self._clock()
        return [record for record in latest if record.current and not expired(record, now)]

    def page(self, scope: Scope, after: int, limit: int) -> tuple[list[Record], int | None]:
        """Open latest versions by arrival."""
        found = self._store.select(Select(scope=scope, after=after, limit=limit))
        return found, found[-1].arrival if len(found) == limit else None

    def edges(self, what: SelectEdges, *, ended: bool = False) -> list[Edge]:
        """Open versions that have not ended in the world."""
        return self._store.edges(replace(what, lasting=None if ended else self._clock()))

    def shows(self, record: Record) -> bool:
        """Whether it is current: neither ended in the world nor expired."""
        now = self._clock()
        return not expired(record, now) and (record.valid.end is None or record.valid.end > now)


class AsOf:
    """The store as it was: what was known at `known` (default: now), of that what was true at `valid`.

    Without `valid`, what had ended by the known moment is left out, as a search of that time left it out.
    """

    def __init__(
        self,
        store: Store,
        build: Callable[[], ScopeIndex],
        clock: Clock,
        valid: datetime | None,
        known: datetime | None,
        check: Callable[[], None],
    ) -> None:
        self._store = store
        self._check = check
        self._build = build
        self._clock = clock
        self._valid = valid
        self._known = known or clock()
        self._lock = threading.RLock()
        self._indexes: dict[Scope, tuple[Position, ScopeIndex]] = {}
        self._graphs: dict[Scope, tuple[Position, Walks]] = {}

    @property
    def moment(self) -> datetime:
        """The valid moment, or else the known one."""
        return self._valid or self._known

    @property
    def known(self) -> datetime:
        """The moment on the axis of known time."""
        return self._known

    def __str__(self) -> str:
        asked = [f"valid {moment(self._valid)}"] if self._valid else []
        return ", ".join([*asked, f"known {moment(self._known)}"])

    @contextmanager
    def index(self, scope: Scope) -> Iterator[Searched]:
        """An index of the versions that were believed then; kept while the store stands still."""
        with self._lock:
            position = self._store.sequence(scope.tenant)
            kept = self._indexes.get(scope)
            while kept is None or kept[0] != position:
                self._check()
                kept = self._indexes[scope] = (position, self._build_index(scope))
                if (
                    self._store.sequence(scope.tenant).erasures != position.erasures
                ):  # perhaps of two embedders
                    position = self._store.sequence(scope.tenant)
            yield kept[1]

    @contextmanager
    def graph(self, scope: Scope) -> Iterator[Walks]:
        """The graph that was believed then, of what was true at the moment asked; kept as the index is."""
        with self._lock:
            position = self._store.sequence(scope.tenant)
            kept = self._graphs.get(scope)
            if kept is None or kept[0] != position:
                graph = Walks()
                graph.apply(self.edges(SelectEdges(scope)), closed=False)
                kept = self._graphs[scope] = (position, graph)
            yield kept[1]

    def records(self, ids: Sequence[str]) -> list[Record]:
        """The versions of that time, in the order asked."""
        return _pick(self._store, ids, self._versions(ids), self._seen)

    def _seen(self, latest: Sequence[Record]) -> list[Record]:
        found = {record.id: record for record in self._versions([record.id for record in latest])}
        return [found[record.id] for record in latest if record.id in found]

    def _versions(self, ids: Sequence[str]) -> list[Record]:
        now = self._clock()
        versions = self._store.select(Select(ids=tuple(ids), history=True))
        return [item for item in versions if self._known in item.known and not expired(item, now)]

    def page(self, scope: Scope, after: int, limit: int) -> tuple[list[Record], int | None]:
        """The versions of that time by arrival."""
        ids = self._store.select(Select(scope=scope, after=after, limit=limit, closed=True))
        return self.records([record.id for record in ids]), ids[-1].arrival if len(ids) == limit else None

    def edges(self, what: SelectEdges, *, ended: bool = False) -> list[Edge]:
        """The versions of that time that were true at the moment asked."""
        if ended:
            return self._store.edges(replace(what, known_at=self._known))
        lasting = self._known if self._valid is None else None
        return self._store.edges(replace(what, known_at=self._known, valid_at=self._valid, lasting=lasting))

    def shows(self, record: Record) -> bool:
        """Whether the version was true at the moment asked."""
        if expired(record, self._clock()):
            return False
        if self._valid is not None:
            return self._valid in record.valid
        return record.valid.end is None or record.valid.end > self._known

    def _build_index(self, scope: Scope) -> ScopeIndex:
        index, after = self._build(), 0
        while True:
            page = self._store.entries(scope, after=after, limit=_PAGE, history=True)
            known = [entry._replace(closed=0, known_end=None) for entry in page if self._believed(entry)]
            index.apply([entry for entry in known if self._true(entry)])
            index.follow_names(known)  # an entity has its name whenever its edges hold
            if len(page) < _PAGE:
                return index
            after = page[-1].sequence

    def _believed(self, entry: Entry) -> bool:
        known = micros(self._known)
        return entry.known_start <= known and (entry.known_end is None or entry.known_end > known)

    def _true(self, entry: Entry) -> bool:
        if self._valid is None:
            return True
        valid = micros(self._valid)
        return (entry.valid_start is None or entry.valid_start <= valid) and (
            entry.valid_end is None or entry.valid_end > valid
        )


def expired(record: Record, now: datetime) -> bool:
    """Whether the record's time to live is over."""
    return record.expires is not None and record.expires <= now


def ended(record: Record, moment: datetime) -> bool:
    """Whether the record's valid time was over at that moment."""
    return record.valid.end is not None and record.valid.end <= moment


def _pick(
    store: Store,
    ids: Sequence[str],
    records: Sequence[Record],
    seen: Callable[[Sequence[Record]], list[Record]],
) -> list[Record]:
    """Records in the order of `ids`, windows and sessions computed of the turns that are `seen`."""
    plain = {record.id: record for record in records}
    found = (
        plain.get(id) or (views.view_record(store, id, seen) if views.is_view(id) else None) for id in ids
    )
    return [record for record in found if record is not None]
