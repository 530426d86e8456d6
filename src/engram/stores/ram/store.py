"""A store of dicts and lists, gone when the process ends: the plain reference for every other."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from engram.kernel.clock import Clock, micros, utc_now
from engram.kernel.errors import ConfigError, StoreError
from engram.kernel.protocols import Batch, Committed, Entry, Job, Position, Select, SelectEdges, StateRow
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.stores.ram.commit import Commit
from engram.stores.ram.edges import select_edges
from engram.stores.ram.entries import derived_wrong
from engram.stores.ram.tables import Tables
from engram.stores.shared import ids_alone, plain, sortable, store_tag

__all__ = ["RamStore", "open_ram"]


def open_ram(
    url: str,
    *,
    durability: str = "process",  # noqa: ARG001 - a store in memory survives nothing
    clock: Clock = utc_now,
    seed: int = 0,
) -> RamStore:
    """The store of `ram:`, empty at every opening."""
    if url.partition(":")[2].strip("/"):
        raise ConfigError(f"url: {url!r}: a ram store has no path; write 'ram:'")
    return RamStore(clock=clock, seed=seed)


class RamStore:
    """A store in memory. Thread-safe; nothing outlives the process."""

    def __init__(self, *, clock: Clock = utc_now, seed: int = 0) -> None:
        created = clock()
        self._tables = Tables()
        self._tag = store_tag(created, seed)
        self._facts = {"format": "1", "tag": str(self._tag), "created": created.isoformat()}
        self._lock = threading.RLock()
        self._open = True

    def commit(self, batch: Batch) -> Committed:
        """Apply the operations, or none of them."""
        with self._lock:
            tables = self._alive()
            tables.begin()
            commit = Commit(tables, self._tag, batch.above)
            whole = False
            try:
                for op in batch.ops:
                    commit.apply(op)
                whole = True
            finally:
                if not whole:
                    tables.rollback()
            return commit.done()

    def select(self, what: Select) -> list[Record]:
        """Records or versions."""
        with self._lock:
            tables = self._alive()
            if what.origins is not None:
                held = [tables.origins[key] for key in dict.fromkeys(what.origins) if key in tables.origins]
                kept = [tables.rows[id] for id in held if what.ids is None or id in what.ids]
            elif what.ids is not None:
                kept = [tables.rows[id] for id in dict.fromkeys(what.ids) if id in tables.rows]
            else:
                kept = list(tables.rows.values())
            first = 0 if what.history else -1
            versions = [row.record for rows in kept for row in rows[first:] if _wanted(row.record, what)]
            if what.unstaged:
                versions = [item for item in versions if (item.id, item.version) not in tables.staged]
            if not ids_alone(what):
                versions.sort(key=lambda record: (*_place(record, what), record.version))
            return [_thawed(record) for record in versions[: what.limit]]

    def entries(self, scope: Scope, after: int = 0, limit: int = 5000, history: bool = False) -> list[Entry]:
        """Index entries with a sequence above `after`, by sequence."""
        with self._lock:
            tables = self._alive()
            page: list[Entry] = []
            for sequence, id in tables.log[bisect_right(tables.log, after, key=lambda item: item[0]) :]:
                if len(page) >= limit:
                    break
                rows = tables.rows.get(id, ())
                page += [
                    row.entry(history=history)
                    for row in rows[0 if history else -1 :]
                    if row.sequence == sequence and scope.covers(row.record.scope)
                ]
            return page

    def sequence(self, tenant: str | None = None) -> Position:
        """Where the history stands."""
        with self._lock:
            tables = self._alive()
            return Position(tables.last, tables.erasures)

    def edges(self, what: SelectEdges) -> list[Edge]:
        """Edges."""
        with self._lock:
            return select_edges(self._alive(), what)

    def states(self, scope: Scope, policy: str | None = None, name: str | None = None) -> list[StateRow]:
        """States by (policy, scope, name)."""
        with self._lock:
            found = [
                row
                for row in self._alive().states.values()
                if (row.scope == scope if policy is not None else scope.covers(row.scope))
                and policy in (None, row.policy)
                and name in (None, row.name)
            ]
            found.sort(key=lambda row: (row.policy, sortable(row.scope), row.name))
            return [replace(row, value=plain(row.value)) for row in found]

    def jobs(
        self, scope: Scope | None = None, kind: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Jobs, oldest first."""
        with self._lock:
            wanted = None if ids is None else frozenset(ids)
            found = [
                job
                for job in self._alive().jobs.values()
                if (scope is None or scope.covers(job.scope))
                and kind in (None, job.kind)
                and (wanted is None or job.id in wanted)
            ]
            found.sort(key=lambda job: (job.created, job.id))
            return [replace(job, journal=plain(job.journal)) for job in found]

    def scopes(self, pattern: Scope | None = None) -> list[tuple[Scope, int]]:
        """Scopes with records, and how many latest versions are open in each."""
        with self._lock:
            counts: dict[Scope, int] = {}
            for rows in self._alive().rows.values():
                record = rows[-1].record
                if pattern is None or pattern.covers(record.scope):
                    counts[record.scope] = counts.get(record.scope, 0) + record.current
            return sorted(counts.items(), key=lambda item: sortable(item[0]))

    def info(self) -> Mapping[str, str]:
        """Facts about the store."""
        with self._lock:
            tables = self._alive()
            size = sum(
                len(row.record.text) + len(row.words) + len(row.vector or b"")
                for rows in tables.rows.values()
                for row in rows
            )
            facts = {**tables.info, **self._facts, "bytes": str(size)}
            facts["versions"] = str(sum(map(len, tables.rows.values())))
            return facts | ({"staged": str(len(tables.staged))} if tables.staged else {})

    def check(self) -> list[str]:
        """What is structurally wrong: sources and edge ends that are not there, places filed wrongly."""
        with self._lock:
            tables = self._alive()
            return sorted({*_dangling(tables), *derived_wrong(tables)})

    def purge(self) -> bool:
        """Nothing is left to do: expunged content is in no file."""
        with self._lock:
            self._alive()
            return True

    def close(self) -> None:
        """Drop everything."""
        with self._lock:
            self._open = False
            self._tables = Tables()

    def _alive(self) -> Tables:
        if not self._open:
            raise StoreError("the store is closed; open it again")
        return self._tables


def _wanted(record: Record, what: Select) -> bool:
    """Whether all conditions of `what` but ids, order and limit hold."""
    return (
        (what.history or what.closed or record.current)
        and (what.scope is None or what.scope.covers(record.scope))
        and (not what.kinds or record.kind in what.kinds)
        and what.made_by in (None, record.made_by)
        and (what.derived_from is None or not set(record.sources).isdisjoint(what.derived_from))
        and (what.change_set is None or what.change_set in (record.opened, record.closed))
        and (what.expired_by is None or (record.expires is not None and record.expires <= what.expired_by))
        and (what.after is None or _place(record, what) > _after(what))
    )


def _place(record: Record, what: Select) -> tuple[int, ...]:
    return (micros(record.time), record.arrival) if what.by_time else (record.arrival,)


def _after(what: Select) -> tuple[int, ...]:
    return what.after if isinstance(what.after, tuple) else (what.after or 0,)


def _thawed(record: Record) -> Record:
    """The record with its own copy of what a caller could change."""
    if not record.metadata and not isinstance(record.payload, dict | list):
        return record
    return replace(record, metadata=plain(record.metadata), payload=plain(record.payload))


def _dangling(tables: Tables) -> Iterator[str]:
    for id, rows in tables.rows.items():
        for row in rows:
            for source in row.record.sources:
                if source not in tables.rows:
                    yield f"record {id} names the source {source}, which is not there; forget the record"
    for edge in tables.edges.values():
        for end in (edge.source, edge.target):
            if end not in tables.rows:
                yield f"edge {edge.id} touches the record {end}, which is not there; forget its other end"
