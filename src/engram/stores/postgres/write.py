"""One commit of the PostgreSQL store: its operations, in order, inside one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engram.kernel.clock import micros
from engram.kernel.errors import Forbidden
from engram.kernel.protocols import (
    Batch,
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
from engram.stores.postgres.connection import Session
from engram.stores.postgres.edges import EdgeOps
from engram.stores.postgres.known import KnownJob
from engram.stores.postgres.queries import queries
from engram.stores.postgres.rows import fields, job_row, state_key
from engram.stores.postgres.target import Target
from engram.stores.shared import fresh_ids, issue_id, job_lost, pack, raised, state_moved

__all__ = ["Transaction"]

_SQL = queries("write")
_ERASE = queries("erase")
_LANE = ("write", "rebuild")


class Transaction(EdgeOps):
    """A commit under way in a session whose transaction has begun."""

    def __init__(self, session: Session, batch: Batch, tag: int, target: Target) -> None:
        super().__init__(session, batch.ops, tag, batch.above[0])
        self._before, self._above = self._erasures, batch.above[1]
        self._target = target
        self._unpurged = 0
        self._jobs: list[str] = []
        self._told = False

    def run(self, ops: Sequence[Op]) -> Committed:
        """Apply the operations and count them; raises `Conflict`."""
        for op in ops:
            self._apply(op)
        change_set = 0
        if self._changed:
            change_set = self._change_set
            erasures = raised(self._before, self._erasures, self._above)
            self._do(_SQL["counter"], max(self._next - 1, change_set), erasures, self._unpurged)
            if self._told:
                self._do(_SQL["notify"], self._target.channel)
        return Committed(change_set, tuple(self._ids), tuple(self._duplicates), tuple(self._jobs))

    def _apply(self, op: Op) -> None:
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
                self._put_edge(op)
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
                self._next = max(self._next, self._change_set + op.count)
                self._changed = True
            case Rebuild() | Switch() | Unstage():
                self._of_the_whole_store(op)
            case RequireInfo() | Reindex() | Stage():
                self._entry(op)

    def _of_the_whole_store(self, op: Rebuild | Switch | Unstage) -> None:
        if self._target.tenant is not None:
            raise Forbidden(
                f"this handle sees the tenant {self._target.tenant!r} only; open the store without ?tenant= "
                "to repair or reembed it"
            )
        self._entry(op)

    def _expunge(self, op: Expunge) -> None:
        self._put_rows()
        values = {"ids": list(dict.fromkeys(op.ids))}
        asked = [(_ERASE[name], values) for name in ("edges", "jobs", "states", "records")]
        edges, jobs, states, records = self._session.ask(*asked)
        for id, version in edges:
            self._known.edges.get(id, {}).pop(version, None)
        for (id,) in jobs:
            self._known.jobs.pop(id, None)
        for (id,) in states:
            self._known.states.pop(id, None)
        self._known.forget([id for (id,) in records])
        if edges or jobs or states or records:
            self._unpurged = 1
            self._start_over()

    def _put_state(self, op: PutState) -> None:
        row = op.row
        id = state_key(row.policy, row.scope, row.name)
        present = self._known.states.get(id, 0)
        if present != row.version - 1:
            raise state_moved(row, present)
        tenant, *rest = fields(row.scope)
        self._do(
            _SQL["put_state"],
            tenant,
            id,
            row.policy,
            *rest,
            row.name,
            row.version,
            list(row.reads),
            pack(row.value),
        )
        self._reads("state", tenant, id, row.reads, again=present > 0)
        self._known.states[id] = row.version
        self._changed = True

    def _reads(self, what: str, tenant: str, id: str, reads: Sequence[str], *, again: bool) -> None:
        """Note which records a state or job has read."""
        if again:
            self._do(_SQL["drop_lineage"], tenant, what, id, 0)
        if reads:
            self._do(_SQL["put_lineage"], tenant, what, id, 0, list(reads))

    def _put_job(self, op: PutJob) -> None:
        job = op.job
        known = self._known.jobs.get(job.id)
        if op.if_exists and known is None:
            return
        if op.fresh and not job.records:
            fresh = fresh_ids(op, self._ids, self._duplicates)
            if not fresh:
                return
            job = replace(job, records=fresh)
        if known is not None:
            self._do(_SQL["drop_lineage"], known.tenant, "job", job.id, 0)
            self._do(_SQL["drop_job"], known.tenant, job.id)
        elif not job.id:
            job = replace(job, id=issue_id(job.created, self._take(), self._tag))
        self._do(_SQL["put_job"], *job_row(job))
        self._reads("job", job.scope.tenant, job.id, job.reads, again=False)
        self._known.jobs[job.id] = _known_job(job)
        self._jobs.append(job.id)
        self._told = True
        self._changed = True

    def _lease(self, op: Lease) -> None:
        job = self._known.jobs.get(op.id)
        if job is None or job.status != "pending":
            raise job_lost(op.id, "is gone or parked")
        now = micros(op.now)
        held = job.owner not in (None, op.owner) and job.until is not None and job.until > now
        rival = op.id if held else None
        if rival is None and job.kind in _LANE:
            self._put_rows()
            lane = (job.tenant, job.user_id, job.agent_id)
            found = self._session.first(_SQL["rival"], *lane, op.owner, now)
            rival = None if found is None else found[0]
        if rival is not None:
            raise job_lost(op.id, f"must wait: {rival} of its lane is running")
        job.owner, job.until = op.owner, micros(op.until)
        self._do(_SQL["lease"], job.owner, job.until, job.tenant, op.id)
        self._changed = True

    def _end_job(self, op: EndJob) -> None:
        job = self._known.jobs.get(op.id)
        if op.owner is not None and (job is None or job.owner != op.owner):
            raise job_lost(op.id, "is no longer leased to this process")
        if job is not None:
            self._do(_SQL["drop_lineage"], job.tenant, "job", op.id, 0)
            self._do(_SQL["drop_job"], job.tenant, op.id)
            del self._known.jobs[op.id]
            self._told = True
            self._changed = True


def _known_job(job: Job) -> KnownJob:
    tenant, user_id, agent_id, _ = fields(job.scope)
    until = None if job.until is None else micros(job.until)
    return KnownJob(tenant, job.kind, job.status, job.owner, until, user_id, agent_id)
