"""What one commit of the SQLite store does to records and their versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import compress
from typing import NamedTuple

from engram.kernel.clock import micros
from engram.kernel.protocols import Close, Mark, Put, Require, Supersede
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.stores.shared import (
    gone,
    id_taken,
    issue_id,
    moved,
    origin_taken,
    pack,
    same_version,
    successor,
    taken,
    version_moved,
    versions_missing,
)
from engram.stores.sqlite.queries import queries
from engram.stores.sqlite.rows import COLUMNS, Head, Row, record_of, record_row, scope_fields, scope_key

__all__ = ["RecordOps", "ScopeIds"]

_BULK = 8
_SQL = queries("write")


class ScopeIds:
    """Which number stands for which scope, remembered between commits until an erasure."""

    def __init__(self) -> None:
        self._ids: dict[Scope, int] = {}
        self._erasures = -1

    def at(self, erasures: int) -> dict[Scope, int]:
        """The numbers that hold after so many erasures."""
        if erasures != self._erasures:
            self._ids, self._erasures = {}, erasures
        return self._ids

    def clear(self) -> None:
        """Forget all, since a commit that brought new ones failed."""
        self._erasures = -1


class _Latest(NamedTuple):
    """What is needed of a record's latest version to follow it."""

    sequence: int
    version: int
    closed: int | None
    known_end: int | None
    arrival: int
    scope: int
    origin: str | None

    @property
    def current(self) -> bool:
        return self.closed is None and self.known_end is None


class RecordOps:
    """A commit under way, as far as records go; the connection's transaction has begun."""

    def __init__(self, connection: sqlite3.Connection, known: ScopeIds, tag: int, above: int = 0) -> None:
        self._connection = connection
        self._do = connection.execute
        last: int
        last, self._erasures = self._do(_SQL["position"]).fetchone()
        self._scopes = known.at(self._erasures)
        self._last_scope: tuple[Scope | None, int] = (None, 0)
        self._tag = tag
        self._change_set = self._next = max(last, above) + 1
        self._changed = False
        self._taken: set[int] = set()
        self._ids: list[str] = []
        self._duplicates: list[bool] = []

    def _take(self) -> int:
        sequence, self._next = self._next, self._next + 1
        self._changed = True
        return sequence

    def _raise_counter(self, *numbers: int) -> None:
        """See that numbers kept from another store are never given out again."""
        self._next = max(self._next, 1 + max(numbers))

    def _scope(self, scope: Scope) -> int:
        if scope is self._last_scope[0]:
            return self._last_scope[1]
        number = self._scopes.get(scope)
        if number is None:
            key = scope_key(scope)
            row = self._do(_SQL["scope_id"], (key,)).fetchone()
            if row is None:
                self._do(_SQL["put_scope"], (key, *scope_fields(scope)))
                row = self._do(_SQL["scope_id"], (key,)).fetchone()
            number = int(row[0])
            self._scopes[scope] = number
        self._last_scope = scope, number
        return number

    def _puts(self, puts: Sequence[Put]) -> None:
        """Put records, all with one statement where they are many and none is there already."""
        kept = [put.record.arrival for put in puts if put.keep]
        if kept:
            self._taken.update(row[0] for row in self._do(_SQL["arrivals_taken"], (pack(kept),)))
        if kept or len(puts) < _BULK:
            for put in puts:
                self._put(put)
            return
        before = self._next, self._changed
        self._do("SAVEPOINT bulk")
        rows = [self._new_row(put) for put in puts]
        try:
            self._insert(*rows)
        except sqlite3.IntegrityError:
            self._do("ROLLBACK TO bulk")
            self._next, self._changed = before
            self._scopes.clear()
            self._last_scope = None, 0
            for put in puts:
                self._put(put)
        else:
            for put, row in zip(puts, rows, strict=True):
                self._stored(row, put.record)
        self._do("RELEASE bulk")

    def _put(self, put: Put) -> None:
        if put.keep:
            self._keep(put)
            return
        before = self._next, self._changed
        row = self._new_row(put)
        try:
            self._insert(row)
        except sqlite3.IntegrityError:
            self._next, self._changed = before
            present = self._present(put, row[1])
            if present is None:
                raise
            self._duplicate(present)
        else:
            self._stored(row, put.record)

    def _new_row(self, put: Put) -> Row:
        record = put.record
        scope = self._scope(record.scope)
        sequence = self._take()
        id = record.id or issue_id(record.known.start or record.time, sequence, self._tag)
        closed = None if record.known.end is None else self._change_set
        head = Head(sequence, scope, sequence, 1, self._change_set, closed, id)
        return record_row(head, record, put.words, put.vector)

    def _insert(self, *rows: Row) -> None:
        """Insert rows, each without its empty columns: to bind a `None` costs as much as a text."""
        alike: dict[tuple[bool, ...], list[Row]] = {}
        for row in rows:
            given = tuple([value is not None for value in row])
            alike.setdefault(given, []).append(tuple([value for value in row if value is not None]))
        for given, full in alike.items():
            if len(full) == 1:
                self._do(_insert_sql(given), full[0])
            else:
                self._connection.executemany(_insert_sql(given), full)

    def _stored(self, row: Row, record: Record) -> None:
        self._ids.append(row[6])
        self._duplicates.append(False)
        self._taken.add(row[2])
        if record.sources:
            self._lineage(row[6], row[3], record.sources)

    def _duplicate(self, id: str) -> None:
        self._ids.append(id)
        self._duplicates.append(True)

    def _lineage(self, id: str, version: int, sources: Sequence[str]) -> None:
        self._connection.executemany(_SQL["put_lineage"], [(id, version, source) for source in sources])

    def _present(self, put: Put, scope: int) -> str | None:
        """The id under which the put's content is there already; raises `Conflict` for other content."""
        record = put.record
        if record.id and self._find(record.id):
            if not taken(self._version(record.id, 1), record):
                raise id_taken(record.id)
            return record.id
        owner = self._do(_SQL["owner"], (scope, record.origin)).fetchone()
        if owner is None:
            return None
        if not self._version(owner[0], 1).same_content(record):
            raise origin_taken(record.origin, owner[0])
        return str(owner[0])

    def _version(self, id: str, version: int) -> Record:
        return record_of(self._do(_SQL["one_version"], (id, version)).fetchone())

    def _keep(self, put: Put) -> None:
        """Put a version from another store, under its own numbers as far as they are free."""
        record = put.record
        latest = self._find(record.id)
        present = 0 if latest is None else latest.version
        if latest is not None and record.version <= present:
            if not same_version(self._version(record.id, record.version), record):
                raise id_taken(record.id)
            self._duplicate(record.id)
        elif record.version != present + 1:
            raise versions_missing(record.id, record.version, present)
        elif latest is not None:
            self._raise_counter(record.opened, record.closed or 0)
            self._succeed(latest, record, put.words, put.vector)
            self._ids.append(record.id)
            self._duplicates.append(False)
        else:
            self._keep_first(put)

    def _keep_first(self, put: Put) -> None:
        record = put.record
        scope = self._scope(record.scope)
        present = None if record.origin is None else self._present(put, scope)
        if present is not None:
            self._duplicate(present)
            return
        sequence = self._take()
        free = record.arrival > 0 and record.arrival not in self._taken
        arrival = record.arrival if free else sequence
        self._raise_counter(record.opened, record.closed or 0, record.arrival)
        id = record.id or issue_id(record.known.start or record.time, sequence, self._tag)
        head = Head(sequence, scope, arrival, record.version, record.opened, record.closed, id)
        row = record_row(head, record, put.words, put.vector)
        self._insert(row)
        self._stored(row, record)

    def _supersede(self, op: Supersede) -> None:
        latest = self._at(op.record.id, op.expected)
        record = successor(op.record, latest.version, self._change_set)
        self._succeed(latest, record, op.words, op.vector)

    def _succeed(self, latest: _Latest, record: Record, words: bytes, vector: bytes | None) -> None:
        if (self._scope(record.scope), record.origin) != (latest.scope, latest.origin):
            raise moved(record.id)
        start = None if record.known.start is None else micros(record.known.start)
        self._do(_SQL["archive"], (self._take(), self._change_set, start, latest.sequence))
        self._do(_SQL["drop_row"], (latest.sequence,))
        opened, closed = record.opened, record.closed
        head = Head(self._take(), latest.scope, latest.arrival, record.version, opened, closed, record.id)
        self._insert(record_row(head, record, words, vector))
        self._lineage(record.id, record.version, record.sources)

    def _close(self, op: Close) -> None:
        latest = self._at(op.id, op.expected)
        if not latest.current:
            raise version_moved(op.id, op.expected, latest.version, is_open=False)
        self._do(_SQL["close"], (self._take(), self._change_set, micros(op.at), latest.sequence))

    def _mark(self, op: Mark) -> None:
        latest = self._find(op.id)
        if latest is not None and op.version in (None, latest.version):
            self._do(
                _SQL["mark"],
                (self._take(), op.strength, op.trust, op.words, op.vector, latest.sequence),
            )

    def _require(self, op: Require) -> None:
        for id, version in op.ids:
            latest = self._find(id)
            if latest is None:
                raise gone(id)
            if version is not None and (latest.version != version or not latest.current):
                raise version_moved(id, version, latest.version, is_open=latest.current)

    def _find(self, id: str) -> _Latest | None:
        row = self._do(_SQL["latest"], (id,)).fetchone()
        return None if row is None else _Latest._make(row)

    def _at(self, id: str, expected: int) -> _Latest:
        latest = self._find(id)
        if latest is None:
            raise gone(id)
        if latest.version != expected:
            raise version_moved(id, expected, latest.version, is_open=latest.current)
        return latest


@cache
def _insert_sql(given: tuple[bool, ...]) -> str:
    columns = list(compress(COLUMNS, given))
    return _SQL["put_record"].format(columns=", ".join(columns), places=", ".join("?" * len(columns)))
