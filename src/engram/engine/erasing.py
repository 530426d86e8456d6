"""Planning an erasure: what goes, what survives by itself, what is derived again, what is valid again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engram.engine.core import Core
from engram.engine.reopening import RETIRED_BY, Freed, freed
from engram.engine.results import Item
from engram.engine.surviving import kept_metadata, supported
from engram.kernel.errors import Conflict
from engram.kernel.operations import REPAIRING
from engram.kernel.protocols import (
    Batch,
    EndJob,
    Expunge,
    Job,
    Op,
    Put,
    PutEdge,
    PutJob,
    Require,
    Select,
    SelectEdges,
    Supersede,
)
from engram.kernel.record import Edge, Interval, Record
from engram.kernel.scope import Scope

__all__ = ["RETIRED_BY", "Erasure", "erase", "erasure"]

_TRIES = 5


@dataclass
class Erasure:
    """The operations that erase, in order, and one item for each record that goes, changes or returns."""

    ops: list[Op] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


def erasure(core: Core, ids: Sequence[str]) -> Erasure:
    """What it takes to erase the records `ids` and everything that stands on them alone.

    A derived record goes when any of its sources goes; a fact or an entity stays where a surviving
    source supports its present text by itself. What went and has surviving sources is derived again by
    a job of its policy. Where the cause of a retirement goes, the retired record's interval opens again.
    """
    gone: dict[str, Record] = {}
    kept: dict[str, list[Record]] = {}
    frontier = [record.id for record in _versions(core, ids) if record.id not in gone]
    gone.update((record.id, record) for record in _versions(core, ids))
    while frontier:
        next_frontier: list[str] = []
        for record in core.store.select(Select(derived_from=tuple(frontier), closed=True)):
            if record.id in gone:
                continue
            versions = core.store.select(Select(ids=(record.id,), history=True))
            if supported(versions, gone):
                kept[record.id] = versions
            else:
                kept.pop(record.id, None)
                gone[record.id] = record
                next_frontier.append(record.id)
        frontier = next_frontier
    kept = {id: versions for id, versions in kept.items() if id not in gone and supported(versions, gone)}
    return _plan(core, gone, kept, frozenset(ids))


def erase(core: Core, ids: Sequence[str]) -> tuple[list[Item], tuple[str, ...]]:
    """Erase, with what others derive from it meanwhile; the items, and the ids of the jobs that follow.

    Raises `Conflict` where what survives it is changed again and again at the same time.
    """
    items: list[Item] = []
    jobs: list[str] = []
    wanted = list(ids)
    conflicts = 0
    while wanted:
        plan = erasure(core, wanted)
        try:
            committed = core.store.commit(Batch(tuple(plan.ops)))
        except Conflict:
            conflicts += 1
            if conflicts == _TRIES:
                raise
            continue
        items.extend(plan.items)
        jobs.extend(committed.jobs)
        gone = tuple(item.id for item in plan.items if item.event == "erased" and item.id is not None)
        wanted = [record.id for record in core.store.select(Select(derived_from=gone, closed=True))]
    core.forget_memos()
    return items, tuple(jobs)


def _versions(core: Core, ids: Iterable[str]) -> list[Record]:
    return core.store.select(Select(ids=tuple(ids), closed=True))


def _plan(
    core: Core, gone: dict[str, Record], kept: dict[str, list[Record]], asked: frozenset[str]
) -> Erasure:
    plan = Erasure()
    again = freed(core, gone)
    reopened = [
        replace(
            record,
            valid=again[record.id].valid,
            known=Interval(max(core.now(), record.known.start or core.now())),
        )
        for record in core.store.select(Select(ids=tuple(again)))
        if record.id not in kept
    ]
    touched = _touched_jobs(core, gone)
    jobs = [job for job in (_cut_down(job, gone) for job in touched) if job is not None]
    edges = _edges_kept(core, gone, kept)
    standing = ((id, versions[-1].version if versions[-1].current else None) for id, versions in kept.items())
    plan.ops.append(Require(tuple(standing)))
    plan.ops.extend(EndJob(job.id) for job in touched)
    plan.ops.append(Expunge((*gone, *kept)))
    for id, record in gone.items():
        reason = "" if id in asked else "derived from an erased record"
        plan.items.append(Item("erased", id, record.origin, reason))
    for versions in kept.values():
        record = _survivor(versions, gone, again)
        words, vector = core.encode([record], now=True)[0]
        plan.ops.append(Put(record, words, vector, keep=True))
        plan.items.append(Item("superseded", record.id, reason="kept: a surviving source supports it"))
    for record in reopened:
        words, vector = core.encode([record], now=True)[0]
        plan.ops.append(Supersede(record, record.version, words, vector))
        until = "" if record.valid.end is None else f" until {record.valid.end:%Y-%m-%d}"
        reason = f"valid again{until}: the cause of its end was erased"
        plan.items.append(Item("superseded", record.id, reason=reason))
    plan.ops.extend(PutEdge(edge) for edge in edges)
    plan.ops.extend(PutEdge(held.edge) for held in again.values() if held.edge is not None)
    plan.ops.extend(PutJob(job) for job in [*jobs, *_rebuilds(core, gone)])
    return plan


def _survivor(versions: Sequence[Record], gone: Collection[str], again: Mapping[str, Freed]) -> Record:
    """The record as it stands now, its erased sources and its older versions left out."""
    last = versions[-1]
    sources = tuple(source for source in last.sources if source not in gone)
    valid = again[last.id].valid if last.id in again else last.valid
    metadata = kept_metadata(versions, gone)
    return replace(last, sources=sources, metadata=metadata, version=1, valid=valid, opened=0)


def _tenants(records: Iterable[Record]) -> list[Scope]:
    return [Scope(name) for name in sorted({record.scope.tenant for record in records})]


def _edges_kept(core: Core, gone: dict[str, Record], kept: dict[str, list[Record]]) -> list[Edge]:
    """Edges of surviving records, which the rewriting of those records would take along."""
    edges: dict[tuple[str, int], Edge] = {}
    for pattern in _tenants(versions[-1] for versions in kept.values()):
        for edge in core.store.edges(SelectEdges(pattern, tuple(kept), history=True)):
            if not {edge.source, edge.target, *edge.sources} & gone.keys():
                edges[edge.id, edge.version] = edge
    return list(edges.values())


def _touched_jobs(core: Core, gone: dict[str, Record]) -> list[Job]:
    """Jobs over records that go, or that had read them."""
    return [
        job
        for pattern in _tenants(gone.values())
        for job in core.store.jobs(pattern)
        if (set(job.records) | set(job.reads)) & gone.keys()
    ]


def _cut_down(job: Job, gone: dict[str, Record]) -> Job | None:
    """The job over what stays, without what a model had replied; `None` where nothing stays."""
    records = tuple(id for id in job.records if id not in gone)
    if not records:
        return None
    return replace(job, records=records, reads=records, journal={}, owner=None, until=None)


def _rebuilds(core: Core, gone: dict[str, Record]) -> list[Job]:
    """One job a policy and lane that derives again from the surviving sources of what went."""
    wanted: dict[tuple[str, Scope], dict[str, None]] = {}
    for record in gone.values():
        survivors = [source for source in record.sources if source not in gone]
        if record.made_by is not None and survivors and record.current:
            wanted.setdefault((record.made_by, record.scope.lane), {}).update(dict.fromkeys(survivors))
    now = core.now()
    return [
        Job("", "rebuild", lane, now, policy, tuple(sources), reads=tuple(sources), priority=REPAIRING)
        for (policy, lane), sources in wanted.items()
    ]
