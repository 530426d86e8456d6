"""What one commit of the PostgreSQL store does to records and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engram.kernel.clock import micros
from engram.kernel.protocols import Close, Mark, Op, Put, Require, Supersede
from engram.kernel.record import Record
from engram.stores.postgres.connection import Session
from engram.stores.postgres.known import Known, Latest
from engram.stores.postgres.queries import queries
from engram.stores.postgres.rows import COLUMNS, Head, Row, origin_key, record_row
from engram.stores.shared import (
    gone,
    id_taken,
    issue_id,
    moved,
    origin_taken,
    plain,
    same_version,
    successor,
    taken,
    version_moved,
    versions_missing,
)

__all__ = ["RecordOps"]

_SQL = queries("write")
_PUT = _SQL["put_record"].format(columns=", ".join(COLUMNS), places=", ".join(["%s"] * len(COLUMNS)))
_ARCHIVE = _SQL["archive"].format(all=", ".join(COLUMNS))


class RecordOps:
    """A commit under way, as far as records go.

    What it must know is read at its beginning; writes are kept back until something else is read, or until
    the end.
    """

    def __init__(self, session: Session, ops: Sequence[Op], tag: int, above: int = 0) -> None:
        self._session = session
        self._tag = tag
        self._known = Known.of(session, ops)
        self._erasures = self._known.erasures
        self._change_set = self._next = max(self._known.last, above) + 1
        self._changed = False
        self._ids: list[str] = []
        self._duplicates: list[bool] = []
        self._rows: list[Row] = []

    def _take(self) -> int:
        sequence, self._next = self._next, self._next + 1
        self._changed = True
        return sequence

    def _raise_counter(self, *numbers: int) -> None:
        """See that numbers kept from another store are never given out again."""
        self._next = max(self._next, 1 + max(numbers))

    def _do(self, statement: Any, *values: object) -> None:
        """A statement to be carried out after the rows that were put before it."""
        self._put_rows()
        self._session.do(statement, *values)

    def _put_rows(self) -> None:
        self._session.many(_PUT, self._rows)
        self._rows = []

    def _put(self, op: Put) -> None:
        if op.keep:
            self._keep(op)
            return
        present = self._present(op.record)
        if present is None:
            sequence = self._take()
            closed = None if op.record.known.end is None else self._change_set
            id = self._id(op.record, sequence)
            self._insert(op, Head(id, sequence, sequence, 1, self._change_set, closed))
        self._said(present)

    def _said(self, duplicate: str | None) -> None:
        self._duplicates.append(duplicate is not None)
        if duplicate is not None:
            self._ids.append(duplicate)

    def _id(self, record: Record, sequence: int) -> str:
        return record.id or issue_id(record.known.start or record.time, sequence, self._tag)

    def _insert(self, op: Put, head: Head) -> None:
        """A record's first version."""
        record = op.record
        self._rows.append(record_row(head, record, op.words, op.vector))
        self._ids.append(head.id)
        self._lineage(record, head)
        known = self._known
        end = None if record.known.end is None else micros(record.known.end)
        known.heads[head.id] = Latest(
            head.id, record.scope, head.version, head.closed, end, head.arrival, record.origin
        )
        key = origin_key(record.scope, record.origin)
        if key is not None:
            known.origins[record.scope.tenant, key] = head.id
        known.arrivals.add(head.arrival)
        known.contents[head.id, head.version] = replace(record, id=head.id, version=head.version)

    def _lineage(self, record: Record, head: Head) -> None:
        if record.sources:
            sources = list(record.sources)
            self._do(_SQL["put_lineage"], record.scope.tenant, "record", head.id, head.version, sources)

    def _present(self, record: Record) -> str | None:
        """The id under which the same content is there already; raises `Conflict` for other content."""
        if record.id and record.id in self._known.heads:
            if not taken(self._content(record.id, 1), record):
                raise id_taken(record.id)
            return record.id
        key = origin_key(record.scope, record.origin)
        owner = None if key is None else self._known.origins.get((record.scope.tenant, key))
        if owner is not None and not self._content(owner, 1).same_content(record):
            raise origin_taken(record.origin, owner)
        return owner

    def _content(self, id: str, version: int) -> Record:
        self._put_rows()
        found = self._known.content(self._session, id, version)
        return replace(found, metadata=plain(dict(found.metadata)), payload=plain(found.payload))

    def _keep(self, op: Put) -> None:
        """Put a version from another store, under its own numbers as far as they are free."""
        record = op.record
        latest = self._known.heads.get(record.id)
        present = 0 if latest is None else latest.version
        if latest is not None and record.version <= present:
            if not same_version(self._content(record.id, record.version), record):
                raise id_taken(record.id)
            self._said(record.id)
        elif record.version != present + 1:
            raise versions_missing(record.id, record.version, present)
        elif latest is not None:
            self._raise_counter(record.opened, record.closed or 0)
            self._succeed(latest, record, op.words, op.vector)
            self._ids.append(record.id)
            self._said(None)
        else:
            self._keep_first(op)

    def _keep_first(self, op: Put) -> None:
        record = op.record
        present = None if record.origin is None else self._present(record)
        if present is None:
            sequence = self._take()
            free = record.arrival > 0 and record.arrival not in self._known.arrivals
            arrival = record.arrival if free else sequence
            self._raise_counter(record.opened, record.closed or 0, record.arrival)
            id = self._id(record, sequence)
            self._insert(op, Head(id, sequence, arrival, record.version, record.opened, record.closed))
        self._said(present)

    def _supersede(self, op: Supersede) -> None:
        latest = self._at(op.record.id, op.expected)
        record = successor(op.record, latest.version, self._change_set)
        self._succeed(latest, record, op.words, op.vector)

    def _succeed(self, latest: Latest, record: Record, words: bytes, vector: bytes | None) -> None:
        if (record.scope, record.origin) != (latest.scope, latest.origin):
            raise moved(record.id)
        start = None if record.known.start is None else micros(record.known.start)
        tenant = record.scope.tenant
        self._do(_ARCHIVE, self._take(), self._change_set, start, tenant, record.id)
        self._do(_SQL["drop_row"], tenant, record.id)
        head = Head(record.id, self._take(), latest.arrival, record.version, record.opened, record.closed)
        self._rows.append(record_row(head, record, words, vector))
        self._lineage(record, head)
        self._known.contents[record.id, record.version] = record
        latest.version, latest.closed = record.version, record.closed
        latest.known_end = None if record.known.end is None else micros(record.known.end)

    def _close(self, op: Close) -> None:
        latest = self._at(op.id, op.expected)
        if not latest.current:
            raise version_moved(op.id, op.expected, latest.version, is_open=False)
        latest.closed, latest.known_end = self._change_set, micros(op.at)
        at = (latest.scope.tenant, op.id)
        self._do(_SQL["close"], self._take(), self._change_set, latest.known_end, *at)

    def _mark(self, op: Mark) -> None:
        latest = self._known.heads.get(op.id)
        if latest is not None and op.version in (None, latest.version):
            at = (latest.scope.tenant, op.id)
            self._do(_SQL["mark"], self._take(), op.strength, op.trust, op.words, op.vector, *at)

    def _require(self, op: Require) -> None:
        for id, version in op.ids:
            latest = self._known.heads.get(id)
            if latest is None:
                raise gone(id)
            if version is not None and (latest.version != version or not latest.current):
                raise version_moved(id, version, latest.version, is_open=latest.current)

    def _at(self, id: str, expected: int) -> Latest:
        latest = self._known.heads.get(id)
        if latest is None:
            raise gone(id)
        if latest.version != expected:
            raise version_moved(id, expected, latest.version, is_open=latest.current)
        return latest
