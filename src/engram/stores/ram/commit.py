"""One commit of the plain store: its operations, in order."""

from __future__ import annotations

from dataclasses import replace

from engram.kernel.protocols import (
    Close,
    CloseEdge,
    Committed,
    EndJob,
    Expunge,
    Job,
    Lease,
    Mark,
    Op,
    Put,
    PutEdge,
    PutInfo,
    PutJob,
    PutState,
    Rebuild,
    Reindex,
    Require,
    RequireInfo,
    Reserve,
    Stage,
    Supersede,
    Switch,
    Unstage,
)
from engram.kernel.record import Interval, Record
from engram.stores.ram.edges import close_edge, drop_edges, put_edge
from engram.stores.ram.entries import apply_entry, put_info
from engram.stores.ram.tables import Row, Tables
from engram.stores.shared import (
    fresh_ids,
    gone,
    id_taken,
    issue_id,
    job_lost,
    lane_kinds,
    moved,
    origin_taken,
    plain,
    raised,
    same_version,
    state_moved,
    successor,
    taken,
    version_moved,
    versions_missing,
)

__all__ = ["Commit"]

_SPARE = 1000


class Commit:
    """A commit under way."""

    def __init__(self, tables: Tables, tag: int, above: tuple[int, int] = (0, 0)) -> None:
        self._tables = tables
        self._tag = tag
        self._above = above
        self._erasures = tables.erasures
        self._change_set = max(tables.last, above[0]) + 1
        self._next = self._change_set
        self._ids: list[str] = []
        self._duplicates: list[bool] = []
        self._jobs: list[str] = []
        self._reserved = False

    def apply(self, op: Op) -> None:
        """Apply one operation; raises `Conflict`."""
        match op:
            case Put():
                self._put(op)
            case Supersede():
                self._supersede(op)
            case Close():
                self._close(op)
            case Mark():
                self._mark(op)
            case Expunge():
                self._expunge(op)
            case Require():
                self._require(op)
            case PutEdge():
                edge = put_edge(self._tables, op, self._change_set, self._take())
                self._raise_counter(edge.opened, edge.closed or 0)
            case CloseEdge():
                close_edge(self._tables, op, self._change_set, self._take())
            case PutState():
                self._put_state(op)
            case PutJob():
                self._put_job(op)
            case Lease():
                self._lease(op)
            case EndJob():
                self._end_job(op)
            case PutInfo():
                put_info(self._tables, op)
            case Reserve():
                self._next = max(self._next, self._change_set + op.count)
                self._reserved = True
            case RequireInfo() | Reindex() | Stage() | Unstage() | Switch() | Rebuild():
                self._next = apply_entry(self._tables, op, self._next)

    def done(self) -> Committed:
        """The result; a commit that changed anything takes at least one sequence number."""
        tables = self._tables
        if not (tables.changed or self._reserved):
            return Committed(0, tuple(self._ids), tuple(self._duplicates), tuple(self._jobs))
        tables.last = max(self._next - 1, self._change_set)
        tables.erasures = raised(self._erasures, tables.erasures, self._above[1])
        if len(tables.log) > 2 * sum(map(len, tables.rows.values())) + _SPARE:
            tables.log = sorted((row.sequence, id) for id, rows in tables.rows.items() for row in rows)
        if len(tables.edge_log) > 2 * len(tables.edges) + _SPARE:
            tables.edge_log = sorted((edge.sequence, key) for key, edge in tables.edges.items())
        return Committed(self._change_set, tuple(self._ids), tuple(self._duplicates), tuple(self._jobs))

    def _take(self) -> int:
        sequence, self._next = self._next, self._next + 1
        return sequence

    def _put(self, op: Put) -> None:
        present = self._present(op)
        self._duplicates.append(present is not None)
        if present is not None:
            self._ids.append(present)
            return
        record = op.record
        if record.id in self._tables.rows or (op.keep and record.version > 1):
            self._keep_version(op)
        else:
            self._insert(op)

    def _present(self, op: Put) -> str | None:
        """The id under which the put's content is there already; raises `Conflict` for other content."""
        record = op.record
        rows = self._tables.rows.get(record.id)
        if rows is not None:
            if op.keep and record.version > len(rows):
                return None
            known = rows[record.version - 1 if op.keep else 0].record
            same = same_version(known, record) if op.keep else taken(known, record)
            if not same:
                raise id_taken(record.id)
            return record.id
        owner = None if record.origin is None else self._tables.origins.get((record.scope, record.origin))
        if owner is None or (op.keep and record.version > 1):
            return None
        if not self._tables.rows[owner][0].record.same_content(record):
            raise origin_taken(record.origin, owner)
        return owner

    def _insert(self, op: Put) -> None:
        sequence = self._take()
        record = replace(
            op.record,
            id=op.record.id or issue_id(op.record.known.start or op.record.time, sequence, self._tag),
            arrival=sequence,
        )
        if op.keep:
            self._raise_counter(record.opened, record.closed or 0, op.record.arrival)
            if op.record.arrival > 0 and op.record.arrival not in self._tables.arrivals:
                record = replace(record, arrival=op.record.arrival)
        else:
            closed = None if record.known.end is None else self._change_set
            record = replace(record, version=1, opened=self._change_set, closed=closed)
        self._tables.set(self._tables.arrivals, record.arrival, record.id)
        if record.origin is not None:
            self._tables.set(self._tables.origins, (record.scope, record.origin), record.id)
        self._ids.append(record.id)
        self._store((), Row(_frozen(record), op.words, op.vector, sequence))

    def _keep_version(self, op: Put) -> None:
        rows = self._tables.rows.get(op.record.id, ())
        if op.record.version != len(rows) + 1:
            raise versions_missing(op.record.id, op.record.version, len(rows))
        self._raise_counter(op.record.opened, op.record.closed or 0, 0)
        self._ids.append(op.record.id)
        self._succeed(rows, op.record, op.words, op.vector)

    def _raise_counter(self, *numbers: int) -> None:
        """See that numbers kept from another store are never given out again."""
        self._next = max(self._next, 1 + max(numbers))

    def _supersede(self, op: Supersede) -> None:
        rows = self._latest(op.record.id, op.expected)
        record = successor(op.record, len(rows), self._change_set)
        self._succeed(rows, record, op.words, op.vector)

    def _succeed(self, rows: tuple[Row, ...], record: Record, words: bytes, vector: bytes | None) -> None:
        old = rows[-1]
        if (record.scope, record.origin) != (old.record.scope, old.record.origin):
            raise moved(record.id)
        ended = old.record
        if ended.known.end is None:
            ended = replace(ended, known=Interval(ended.known.start, record.known.start))
        if ended.closed is None:
            ended = replace(ended, closed=self._change_set)
        before = (*rows[:-1], replace(old, record=ended, sequence=self._take()))
        self._tables.log.append((before[-1].sequence, record.id))
        record = replace(record, arrival=old.record.arrival)
        self._store(before, Row(_frozen(record), words, vector, self._take()))

    def _close(self, op: Close) -> None:
        rows = self._latest(op.id, op.expected)
        record = rows[-1].record
        if not record.current:
            raise version_moved(op.id, op.expected, record.version, is_open=False)
        ended = replace(record, known=Interval(record.known.start, op.at), closed=self._change_set)
        self._store(rows[:-1], replace(rows[-1], record=ended, sequence=self._take()))

    def _mark(self, op: Mark) -> None:
        rows = self._tables.rows.get(op.id)
        if rows is None or op.version not in (None, len(rows)):
            return
        old = rows[-1]
        record = replace(
            old.record,
            strength=old.record.strength if op.strength is None else op.strength,
            trust=old.record.trust if op.trust is None else op.trust,
        )
        words = old.words if op.words is None else op.words
        vector = old.vector if op.vector is None else op.vector
        self._store(rows[:-1], Row(record, words, vector, self._take()))

    def _expunge(self, op: Expunge) -> None:
        tables, ids = self._tables, frozenset(op.ids)
        before = tables.size
        for id in ids & tables.rows.keys():
            record = tables.rows[id][-1].record
            tables.drop(tables.rows, id)
            tables.drop(tables.arrivals, record.arrival)
            for version in range(1, record.version + 1):
                tables.drop(tables.staged, (id, version))
            if record.origin is not None:
                tables.drop(tables.origins, (record.scope, record.origin))
        drop_edges(tables, ids)
        for job in list(tables.jobs.values()):
            if not ids.isdisjoint(job.reads):
                tables.drop(tables.jobs, job.id)
        for key, row in list(tables.states.items()):
            if not ids.isdisjoint(row.reads):
                tables.drop(tables.states, key)
        if tables.size < before:
            tables.erasures += 1

    def _require(self, op: Require) -> None:
        for id, version in op.ids:
            rows = self._tables.rows.get(id)
            if rows is None:
                raise gone(id)
            latest = rows[-1].record
            if version is not None and (latest.version != version or not latest.current):
                raise version_moved(id, version, latest.version, is_open=latest.current)

    def _put_state(self, op: PutState) -> None:
        row = op.row
        key = (row.policy, row.scope, row.name)
        old = self._tables.states.get(key)
        present = 0 if old is None else old.version
        if present != row.version - 1:
            raise state_moved(row, present)
        self._tables.set(self._tables.states, key, replace(row, value=plain(row.value)))

    def _put_job(self, op: PutJob) -> None:
        job = op.job
        if op.if_exists and job.id not in self._tables.jobs:
            return
        if op.fresh and not job.records:
            fresh = fresh_ids(op, self._ids, self._duplicates)
            if not fresh:
                return
            job = replace(job, records=fresh)
        job = replace(
            job,
            id=job.id or issue_id(job.created, self._take(), self._tag),
            journal=plain(dict(job.journal)),
        )
        self._tables.set(self._tables.jobs, job.id, job)
        self._jobs.append(job.id)

    def _lease(self, op: Lease) -> None:
        job = self._tables.jobs.get(op.id)
        if job is None or job.status != "pending":
            raise job_lost(op.id, "is gone or parked")
        rivals = [job]
        if lane_kinds(job):
            rivals += [
                other
                for other in self._tables.jobs.values()
                if lane_kinds(other) and other.scope.lane == job.scope.lane
            ]
        for rival in rivals:
            if rival.owner not in (None, op.owner) and rival.until is not None and rival.until > op.now:
                raise job_lost(op.id, f"must wait: {rival.id} of its lane is running")
        self._tables.set(self._tables.jobs, op.id, replace(job, owner=op.owner, until=op.until))

    def _end_job(self, op: EndJob) -> None:
        job: Job | None = self._tables.jobs.get(op.id)
        if op.owner is not None and (job is None or job.owner != op.owner):
            raise job_lost(op.id, "is no longer leased to this process")
        self._tables.drop(self._tables.jobs, op.id)

    def _latest(self, id: str, expected: int) -> tuple[Row, ...]:
        rows = self._tables.rows.get(id)
        if rows is None:
            raise gone(id)
        if len(rows) != expected:
            raise version_moved(id, expected, len(rows), is_open=rows[-1].record.current)
        return rows

    def _store(self, before: tuple[Row, ...], row: Row) -> None:
        self._tables.log.append((row.sequence, row.record.id))
        self._tables.set(self._tables.rows, row.record.id, (*before, row))


def _frozen(record: Record) -> Record:
    """The record with copies of what its maker could still change."""
    return replace(record, metadata=plain(dict(record.metadata)), payload=plain(record.payload))
