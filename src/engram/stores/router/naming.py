"""Whom the operations of a batch concern: the tenants they name, and the ids whose tenants must be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engram.kernel.protocols import (
    Close,
    CloseEdge,
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

__all__ = ["EVERYWHERE", "SEVERABLE", "Named", "edge_key", "job_key", "named"]

EVERYWHERE = (PutInfo, Reserve, Unstage, Switch, Rebuild)
"""What concerns every database."""
SEVERABLE = (Stage, Reindex)
"""What may be done in one database now and in another later: each stands alone and may be done twice."""


@dataclass
class Named:
    """Tenants, and ids of records, edges and jobs."""

    tenants: set[str] = field(default_factory=set)
    records: set[str] = field(default_factory=set)
    edges: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)

    @property
    def keys(self) -> list[str]:
        """All ids, an edge's and a job's told apart from a record's."""
        return [*self.records, *map(edge_key, self.edges), *map(job_key, self.jobs)]


def edge_key(id: str) -> str:
    """The name of an edge among records and jobs."""
    return f"edge {id}"


def job_key(id: str) -> str:
    """The name of a job among records and edges."""
    return f"job {id}"


def named(ops: Sequence[Op]) -> Named:
    """Whom these operations concern."""
    found = Named()
    for op in ops:
        _name(op, found)
    found.records.discard("")
    found.jobs.discard("")
    return found


def _name(op: Op, found: Named) -> None:
    match op:
        case Put(record=record) | Supersede(record=record):
            found.tenants.add(record.scope.tenant)
            found.records.update((record.id, *record.sources))
        case PutEdge(edge=edge):
            found.tenants.add(edge.scope.tenant)
            found.edges.add(edge.id)
            found.records.update((edge.source, edge.target, *edge.sources))
        case PutState(row=row):
            found.tenants.add(row.scope.tenant)
            found.records.update(row.reads)
        case PutJob(job=job):
            found.tenants.add(job.scope.tenant)
            found.jobs.add(job.id)
            found.records.update((*job.records, *job.reads))
        case Close(id=id) | Mark(id=id) | Reindex(id=id) | Stage(id=id):
            found.records.add(id)
        case Expunge(ids=ids):
            found.records.update(ids)
        case Require(ids=pairs):
            found.records.update(id for id, _ in pairs)
        case CloseEdge(id=id):
            found.edges.add(id)
        case Lease(id=id) | EndJob(id=id):
            found.jobs.add(id)
        case PutInfo() | RequireInfo() | Reserve() | Unstage() | Switch() | Rebuild():
            pass
