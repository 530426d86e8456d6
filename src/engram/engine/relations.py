"""Edges in commits: what changes make, move and end, and how a change set's edges are taken back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engram.engine.core import Core
from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.protocols import CloseEdge, Op, PutEdge, SelectEdges
from engram.kernel.record import Edge, Interval, Record, derived_id
from engram.kernel.scope import Scope

__all__ = ["Relations", "edges_of", "reversal", "stood_on"]

_APART = 1_000_000  # where the ordinals of edges begin among those of a job's records


class Relations:
    """How each edge that a set of changes touches shall stand at its end, and the operations to it."""

    def __init__(self, core: Core, job: str, made_by: str, scope: Scope, now: datetime) -> None:
        self._core, self._job, self._made_by, self._scope, self._now = core, job, made_by, scope, now
        self._stored: dict[str, Edge] = {}
        self._then: dict[str, Edge | None] = {}
        self._made = 0

    def connect(
        self,
        source: Record,
        target: Record,
        type: str,
        valid: Interval,
        causes: Sequence[Record] = (),
        weight: float = 1.0,
        metadata: Mapping[str, Any] | None = None,
        *,
        single: bool = False,
    ) -> None:
        """A new edge; a `single` one has an id of its own, and takes the place of the one that has it."""
        place = f"{source.id}/{target.id}/{type}/{self._made_by}"
        edge = Edge(
            id=derived_id(place, 0) if single else derived_id(self._job, _APART + self._made),
            source=source.id,
            target=target.id,
            type=type,
            scope=Scope.shared([source.scope, target.scope]),
            valid=valid,
            known=Interval(self._now),
            weight=weight,
            sources=tuple(dict.fromkeys(record.id for record in causes)),
            made_by=self._made_by,
            metadata=metadata or {},
        )
        self._made += 1
        old = self._read(edge.id) if single else None
        self._stored.pop(edge.id, None)
        self._then[edge.id] = edge if old is None else replace(edge, version=old.version)

    def disconnect(self, id: str, version: int | None, end: datetime | None) -> None:
        """End an edge's valid time at `end`, or its known time now."""
        edge = self._read(id)
        if edge is None or not self._scope.covers(edge.scope):
            raise Conflict(f"edge {id} is not in this scope any more; read the edges again")
        if edge.made_by != self._made_by:
            raise InvalidInput(f"edge {id} was not made by {self._made_by}; a policy changes its own only")
        if version is not None and edge.version != version:
            raise Conflict(f"edge {id} is at version {edge.version}, not {version}")
        if end is not None and edge.valid.start is not None and end < edge.valid.start:
            raise InvalidInput(
                f"Disconnect: {end} lies before the edge's valid time starts ({edge.valid.start})"
            )
        self._then[id] = None if end is None else replace(edge, valid=Interval(edge.valid.start, end))

    def move(self, others: Collection[str], into: Record) -> None:
        """Let `into` stand where `others` stood, at edges' ends and beneath edges; those between them end."""
        ids = tuple(others)
        for pattern in (SelectEdges(touching=ids), SelectEdges(standing_on=ids)):
            for edge in self._core.store.edges(pattern):
                if edge.id not in self._then:
                    self._stored[edge.id] = self._then[edge.id] = edge
        for id, then in list(self._then.items()):
            if then is not None and not {then.source, then.target, *then.sources}.isdisjoint(ids):
                self._then[id] = _moved(then, ids, into)

    def operations(self) -> Iterator[Op]:
        """What brings every edge to where it shall stand."""
        for id, edge in self._then.items():
            old = self._stored.get(id)
            if old is not None:
                yield from _succession(old, edge, self._now)
            elif edge is not None:
                yield PutEdge(edge)

    def _read(self, id: str) -> Edge | None:
        if id not in self._then:
            found = self._core.store.edges(SelectEdges(ids=(id,)))
            if not found:
                return None
            self._stored[id] = self._then[id] = found[0]
        return self._then[id]


def _moved(edge: Edge, others: Collection[str], into: Record) -> Edge | None:
    source, target = (into.id if end in others else end for end in (edge.source, edge.target))
    causes = tuple(dict.fromkeys(into.id if id in others else id for id in edge.sources))
    if (source, target) == (edge.source, edge.target):
        return replace(edge, sources=causes)
    if source == target:
        return None
    scope = Scope.shared([edge.scope, into.scope])
    return replace(edge, source=source, target=target, scope=scope, sources=causes)


def _succession(old: Edge, new: Edge | None, now: datetime) -> Iterator[Op]:
    """Close an open version; what follows it, if anything, says something else."""
    if new is not None and _said(new) == _said(old):
        return
    at = max(now, old.known.start or now)
    if old.current:
        yield CloseEdge(old.id, at, old.version)
    if new is not None:
        known = Interval(at)
        yield PutEdge(replace(new, version=old.version + 1, known=known, opened=0, closed=None))


def _said(edge: Edge) -> Edge:
    return replace(edge, known=Interval(), opened=0, closed=None, version=1, sequence=0)


def edges_of(core: Core, number: int) -> dict[str, list[Edge]]:
    """All versions of every edge of which a change set opened or closed one, oldest first."""
    touched = core.store.edges(SelectEdges(change_set=number, history=True))
    ids = tuple(dict.fromkeys(edge.id for edge in touched))
    versions: dict[str, list[Edge]] = {id: [] for id in ids}
    for edge in core.store.edges(SelectEdges(ids=ids, history=True)) if ids else ():
        versions[edge.id].append(edge)
    return {id: sorted(found, key=lambda edge: edge.version) for id, found in versions.items()}


def stood_on(core: Core, edges: Mapping[str, Sequence[Edge]], fresh: Iterable[str], number: int) -> set[int]:
    """Later change sets that stand on edges of change set `number`, or on records that are to go: `fresh`."""
    later: set[int] = set()
    for versions in edges.values():
        last, left = versions[-1], _left(versions, number)
        followed = left.closed not in (None, number) or last is not left
        if followed and not (last.current and _said(last) == _said(left)):
            closed = left.closed if left.opened == number else None
            later.add(closed or last.opened)
    if ids := tuple(fresh):
        found = core.store.edges(SelectEdges(touching=ids))
        later |= {edge.opened for edge in found if edge.opened > number and edge.id not in edges}
    return later


def reversal(core: Core, edges: Mapping[str, Sequence[Edge]], number: int) -> Iterator[Op]:
    """What brings each edge back to how it stood before change set `number`."""
    for versions in edges.values():
        last = versions[-1]
        before = [edge for edge in versions if edge.closed == number and edge.opened != number]
        if before or last.current:
            yield from _return(last, before[-1] if before else None, core.now())


def _return(last: Edge, before: Edge | None, now: datetime) -> Iterator[Op]:
    if before is not None and last.current and _said(last) == _said(before):
        return
    at = max(now, last.known.end or last.known.start or now)
    if last.current:
        yield CloseEdge(last.id, at, last.version)
    if before is not None:
        known = Interval(at)
        yield PutEdge(replace(before, version=last.version + 1, known=known, opened=0, closed=None))


def _left(versions: Sequence[Edge], number: int) -> Edge:
    """How the change set left the edge: the last version that it opened, or else the one that it closed."""
    opened = [edge for edge in versions if edge.opened == number]
    return (opened or [edge for edge in versions if edge.closed == number])[-1]
