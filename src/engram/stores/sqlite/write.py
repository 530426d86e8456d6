"""One commit of the SQLite store: its operations, in order, inside one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import cast

from engram.kernel.clock import micros
from engram.kernel.protocols import (
    Close,
    CloseEdge,
    Committed,
    EndJob,
    Expunge,
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
from engram.stores.shared import fresh_ids, issue_id, job_lost, pack, raised, state_moved
from engram.stores.sqlite.edges import EdgeOps
from engram.stores.sqlite.queries import queries
from engram.stores.sqlite.records import ScopeIds
from engram.stores.sqlite.rows import job_row, scope_fields

__all__ = ["Transaction"]

_SQL = queries("write")
_ERASE = queries("erase")
_LANE = ("write", "rebuild")


class Transaction(EdgeOps):
    """A commit under way on a connection whose transaction has begun."""

    def __init__(
        self, connection: sqlite3.Connection, known: ScopeIds, tag: int, above: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__(connection, known, tag, above[0])
        self._before, self._above = self._erasures, above[1]
        self._unpurged = 0
        self._jobs: list[str] = []

    def run(self, ops: Sequence[Op]) -> Committed:
        """Apply the operations and count them; raises `Conflict`."""
        for kind, group in groupby(ops, type):
            if kind is Put:
                self._puts(cast("list[Put]", list(group)))
            elif kind is PutEdge:
                self._put_edges(cast("list[PutEdge]", list(group)))
            else:
                for op in group:
                    self._apply(op)
        change_set = 0
        if self._changed:
            change_set = self._change_set
            erasures = raised(self._before, self._erasures, self._above)
            self._do(_SQL["counter"], (max(self._next - 1, change_set), erasures, self._unpurged))
        return Committed(change_set, tuple(self._ids), tuple(self._duplicates), tuple(self._jobs))

    def _apply(self, op: Op) -> None:
        match op:
            case Put():
                self._puts([op])
            case PutEdge():
                self._put_edges([op])
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
            case CloseEdge():
                self._close_edge(op)
            case PutState():
                self._put_state(op)
            case PutJob():
                self._put_job(op)
            case Lease():
                self._lease(op)
            case EndJob():
                self._end_job(op)
            case PutInfo():
                self._put_info(op)
            case Reserve():
                self._reserve(op)
            case RequireInfo() | Reindex() | Stage() | Unstage() | Switch() | Rebuild():
                self._entry(op)

    def _expunge(self, op: Expunge) -> None:
        ids = pack(op.ids)
        erased = self._drop_edges(ids)
        erased += self._drop_all(_ERASE["jobs_touched"], ids, _SQL["drop_job_reads"], _SQL["drop_job"])
        erased += self._drop_all(
            _ERASE["states_touched"], ids, _SQL["drop_state_reads"], _ERASE["drop_state"]
        )
        self._do(_ERASE["lineage"], (ids,))
        self._do(_ERASE["versions"], (ids,))
        self._do(_ERASE["staged"], (ids,))
        erased += self._do(_ERASE["records"], (ids,)).rowcount
        if erased:
            self._do(_ERASE["unused_scopes"])
            self._unpurged = 1
            self._start_over()

    def _drop_all(self, touched: str, ids: str, *drops: str) -> int:
        """Run each of `drops` for each row that `touched` finds by `ids`."""
        keys = self._do(touched, (ids,)).fetchall()
        for drop in drops:
            self._connection.executemany(drop, keys)
        return len(keys)

    def _put_state(self, op: PutState) -> None:
        row = op.row
        key = pack([row.policy, *scope_fields(row.scope), row.name])
        number, present = self._do(_SQL["state"], (key,)).fetchone() or (None, 0)
        if present != row.version - 1:
            raise state_moved(row, present)
        content = (row.version, pack(row.reads), pack(row.value))
        if number is None:
            place = (key, row.policy, *scope_fields(row.scope), row.name)
            number = self._do(_SQL["put_state"], (*place, *content)).lastrowid
        else:
            self._do(_SQL["set_state"], (*content, number))
        self._do(_SQL["drop_state_reads"], (number,))
        self._connection.executemany(_SQL["put_state_read"], [(read, number) for read in row.reads])
        self._changed = True

    def _put_job(self, op: PutJob) -> None:
        job = op.job
        if op.if_exists and self._do(_SQL["job_present"], (job.id,)).fetchone() is None:
            return
        if op.fresh and not job.records:
            fresh = fresh_ids(op, self._ids, self._duplicates)
            if not fresh:
                return
            job = replace(job, records=fresh)
        if job.id:
            self._do(_SQL["drop_job_reads"], (job.id,))
            self._do(_SQL["drop_job"], (job.id,))
        else:
            job = replace(job, id=issue_id(job.created, self._take(), self._tag))
        self._do(_SQL["put_job"], job_row(job))
        self._connection.executemany(_SQL["put_job_read"], [(read, job.id) for read in job.reads])
        self._jobs.append(job.id)
        self._changed = True

    def _lease(self, op: Lease) -> None:
        row = self._do(_SQL["leased_job"], (op.id,)).fetchone()
        if row is None or row[1] != "pending":
            raise job_lost(op.id, "is gone or parked")
        kind, _, owner, until, *lane = row
        now = micros(op.now)
        rival = op.id if owner not in (None, op.owner) and until is not None and until > now else None
        if rival is None and kind in _LANE:
            found = self._do(_SQL["rival"], (*lane, op.owner, now)).fetchone()
            rival = None if found is None else found[0]
        if rival is not None:
            raise job_lost(op.id, f"must wait: {rival} of its lane is running")
        self._do(_SQL["lease"], (op.owner, micros(op.until), op.id))
        self._changed = True

    def _end_job(self, op: EndJob) -> None:
        row = self._do(_SQL["job_owner"], (op.id,)).fetchone()
        if op.owner is not None and (row is None or row[0] != op.owner):
            raise job_lost(op.id, "is no longer leased to this process")
        if row is not None:
            self._do(_SQL["drop_job_reads"], (op.id,))
            self._do(_SQL["drop_job"], (op.id,))
            self._changed = True

    def _reserve(self, op: Reserve) -> None:
        self._next = max(self._next, self._change_set + op.count)
        self._changed = True
