"""What the plain store does with edges: their versions, by record, and in order of their changes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from engram.kernel.protocols import CloseEdge, PutEdge, SelectEdges
from engram.kernel.record import Edge, Interval
from engram.stores.ram.tables import Tables
from engram.stores.shared import edge_lost, edge_moved, plain

__all__ = ["close_edge", "drop_edges", "put_edge", "select_edges"]

Key = tuple[str, int]


def put_edge(tables: Tables, op: PutEdge, change_set: int, sequence: int) -> Edge:
    """Insert a version, or replace it; gives it as it is stored."""
    edge = op.edge
    closed = change_set if edge.closed is None and edge.known.end is not None else edge.closed
    old = tables.edges.get((edge.id, edge.version))
    if old is not None:
        _forget(tables, old)
    edge = replace(
        edge,
        metadata=plain(dict(edge.metadata)),
        opened=edge.opened or change_set,
        closed=closed,
        sequence=sequence,
    )
    key = edge.id, edge.version
    tables.set(tables.edges, key, edge)
    versions = tables.edge_versions.get(edge.id, ())
    tables.set(tables.edge_versions, edge.id, tuple(sorted({*versions, edge.version})))
    for id in _records(edge):
        tables.set(tables.tied.setdefault(id, {}), key, None)
    tables.edge_log.append((sequence, key))
    return edge


def close_edge(tables: Tables, op: CloseEdge, change_set: int, sequence: int) -> None:
    """End the known time of the open version; raises `Conflict`."""
    versions = tables.edge_versions.get(op.id, ())
    found = [edge for version in versions if (edge := tables.edges[op.id, version]).closed is None]
    if not found:
        raise edge_lost(op.id)
    edge = found[-1]
    if op.expected not in (None, edge.version):
        raise edge_moved(op.id, op.expected, edge.version)
    key = edge.id, edge.version
    known = Interval(edge.known.start, op.at)
    tables.set(tables.edges, key, replace(edge, known=known, closed=change_set, sequence=sequence))
    tables.edge_log.append((sequence, key))


def drop_edges(tables: Tables, ids: frozenset[str]) -> None:
    """Remove every version that touches or stands on any of the records."""
    for edge in _tied(tables, ids):
        _forget(tables, edge)


def _forget(tables: Tables, edge: Edge) -> None:
    key = edge.id, edge.version
    tables.drop(tables.edges, key)
    left = tuple(version for version in tables.edge_versions[edge.id] if version != edge.version)
    if left:
        tables.set(tables.edge_versions, edge.id, left)
    else:
        tables.drop(tables.edge_versions, edge.id)
    for id in _records(edge):
        tables.drop(tables.tied[id], key)


def _records(edge: Edge) -> set[str]:
    """The records that an edge touches or stands on."""
    return {edge.source, edge.target, *edge.sources}


def _tied(tables: Tables, ids: Iterable[str]) -> list[Edge]:
    """Every version that touches or stands on any of the records."""
    keys = {key: None for id in ids for key in tables.tied.get(id, {})}
    return [tables.edges[key] for key in keys]


def select_edges(tables: Tables, what: SelectEdges) -> list[Edge]:
    """The edges that `what` asks for, each with its own copy of what a caller could change."""
    wanted = (edge for edge in _candidates(tables, what) if _wanted(edge, what))
    found = list(islice(wanted, what.limit if _in_order(what) else None))
    if isinstance(what.after, int) or what.newest:
        found.sort(key=lambda edge: edge.sequence, reverse=what.newest)
    else:
        found.sort(key=lambda edge: (edge.opened, edge.id, edge.version))
    return [replace(edge, metadata=plain(edge.metadata)) for edge in found[: what.limit]]


def _candidates(tables: Tables, what: SelectEdges) -> Iterable[Edge]:
    if what.ids is not None:
        return _named(tables, what.ids)
    if what.touching is not None:
        return _tied(tables, what.touching)
    if what.standing_on is not None:
        return _tied(tables, what.standing_on)
    if isinstance(what.after, int):
        return _behind(tables, what.after)
    return tables.edges.values()


def _in_order(what: SelectEdges) -> bool:
    """Whether candidates come by sequence, as they are wanted: then reading ends where a page is full."""
    narrow = what.ids is None and what.touching is None and what.standing_on is None
    return narrow and isinstance(what.after, int) and not what.newest


def _named(tables: Tables, ids: Iterable[str]) -> Iterator[Edge]:
    for id in dict.fromkeys(ids):
        for version in tables.edge_versions.get(id, ()):
            yield tables.edges[id, version]


def _behind(tables: Tables, after: int) -> Iterator[Edge]:
    first = bisect_right(tables.edge_log, after, key=lambda item: item[0])
    for place in range(first, len(tables.edge_log)):
        sequence, key = tables.edge_log[place]
        edge = tables.edges.get(key)
        if edge is not None and edge.sequence == sequence:
            yield edge


def _wanted(edge: Edge, what: SelectEdges) -> bool:
    """Whether all conditions of `what` but order and limit hold."""
    return (
        (what.scope is None or what.scope.covers(edge.scope))
        and (what.touching is None or _touches(edge, what))
        and (not what.types or edge.type in what.types)
        and (what.makers is None or edge.made_by in what.makers)
        and (what.standing_on is None or not set(edge.sources).isdisjoint(what.standing_on))
        and (what.change_set is None or what.change_set in (edge.opened, edge.closed))
        and (edge.current or what.history or what.known_at is not None)
        and (what.known_at is None or what.known_at in edge.known)
        and (what.valid_at is None or what.valid_at in edge.valid)
        and (what.lasting is None or edge.valid.end is None or edge.valid.end > what.lasting)
        and (what.after is None or _place(edge, what.after) > what.after)
    )


def _place(edge: Edge, after: int | tuple[int, str, int]) -> Any:
    return edge.sequence if isinstance(after, int) else (edge.opened, edge.id, edge.version)


def _touches(edge: Edge, what: SelectEdges) -> bool:
    ids = frozenset(what.touching or ())
    leads = what.direction != "in" and edge.source in ids
    return leads or (what.direction != "out" and edge.target in ids)
