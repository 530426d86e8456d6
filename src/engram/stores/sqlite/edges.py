"""Edges in the SQLite store: what a commit does to them, and how they are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engram.kernel.clock import micros
from engram.kernel.protocols import CloseEdge, PutEdge, SelectEdges
from engram.kernel.record import Edge
from engram.stores.asked import edge_conditions
from engram.stores.shared import edge_lost, edge_moved, pack
from engram.stores.sqlite.entries import EntryOps
from engram.stores.sqlite.queries import queries
from engram.stores.sqlite.rows import Row, bound_scope, bound_values, edge_of, edge_row, scope_pattern

__all__ = ["EdgeOps", "edges"]

_SQL = queries("edges")
_SPAN = 4  # a span of so many pages is looked through before the scope's own index is asked
_SIDES = {"both": ("source", "target"), "out": ("source",), "in": ("target",)}
Bound = dict[str, Any]


class EdgeOps(EntryOps):
    """A commit under way, as far as edges go."""

    def _put_edges(self, ops: Sequence[PutEdge]) -> None:
        """Put versions of edges, in the place of those that have their id and number."""
        edges = {(op.edge.id, op.edge.version): op.edge for op in ops}
        ids = pack(list(dict.fromkeys(id for id, _ in edges)))
        there = [key for key in self._do(_SQL["versions"], (ids,)).fetchall() if key in edges]
        many = self._connection.executemany
        many(_SQL["drop_reads"], there)
        many(_SQL["drop"], there)
        many(_SQL["put"], [self._edge_row(edge) for edge in edges.values()])
        many(_SQL["put_read"], [(*key, source) for key, edge in edges.items() for source in edge.sources])

    def _edge_row(self, edge: Edge) -> Row:
        sequence, opened = self._take(), edge.opened or self._change_set
        closed = self._change_set if edge.closed is None and edge.known.end is not None else edge.closed
        self._raise_counter(opened, closed or 0)
        return edge_row(edge, self._scope(edge.scope), sequence, opened, closed)

    def _close_edge(self, op: CloseEdge) -> None:
        row = self._do(_SQL["open_version"], (op.id,)).fetchone()
        if row is None:
            raise edge_lost(op.id)
        sequence, version = row
        if op.expected not in (None, version):
            raise edge_moved(op.id, op.expected, version)
        self._do(_SQL["close"], (self._take(), micros(op.at), self._change_set, sequence))

    def _drop_edges(self, ids: str) -> int:
        """Remove every version that touches or stands on any of the records, a JSON list; how many."""
        keys = self._do(_SQL["touched"], (ids,)).fetchall()
        self._connection.executemany(_SQL["drop_reads"], keys)
        self._connection.executemany(_SQL["drop"], keys)
        return len(keys)


def edges(connection: sqlite3.Connection, what: SelectEdges) -> list[Edge]:
    """The edges that `what` asks for."""
    where, bound = _conditions(what)
    if what.newest and what.touching is not None:
        return _newest(connection, what, where, bound)
    following = isinstance(what.after, int)
    anywhere = what.ids is None and what.touching is None
    if isinstance(what.after, int) and anywhere and what.limit and not what.newest:
        return _page(connection, what.after, what.limit, where, bound)
    order = "e.opened, e.id, e.version"
    if following or what.newest:
        order = "e.sequence" + " DESC" * what.newest
    sql = _SQL["edges"].format(where=where, order=order)
    bound["limit"] = -1 if what.limit is None else what.limit
    return [edge_of(row) for row in connection.execute(sql, bound)]


def _newest(connection: sqlite3.Connection, what: SelectEdges, where: str, bound: Bound) -> list[Edge]:
    """The last changed edges of some records, for each record in order of its own index."""
    found: dict[int, Edge] = {}
    bound["limit"] = -1 if what.limit is None else what.limit
    connection.execute("BEGIN")
    try:
        for id in dict.fromkeys(what.touching or ()):
            for side in _SIDES[what.direction]:
                sql = _SQL["of_one"].format(side=side, where=where)
                for row in connection.execute(sql, {**bound, "id": id}):
                    found[row[0]] = edge_of(row)
    finally:
        connection.execute("COMMIT")
    return [found[sequence] for sequence in sorted(found, reverse=True)[: what.limit]]


def _page(connection: sqlite3.Connection, after: int, limit: int, where: str, bound: Bound) -> list[Edge]:
    """One page by sequence, looked for as a page of index entries is."""
    bound.update(limit=limit, upto=after + _SPAN * limit)
    connection.execute("BEGIN")
    try:
        last = connection.execute(_SQL["last"]).fetchone()[0]
        found = connection.execute(_SQL["span"].format(where=where), bound).fetchall()
        if len(found) < limit and last > bound["upto"]:
            found = connection.execute(_SQL["of_scope"].format(where=where), bound).fetchall()
        return [edge_of(row) for row in found]
    finally:
        connection.execute("COMMIT")


def _conditions(what: SelectEdges) -> tuple[str, Bound]:
    conditions: list[str] = []
    bound: Bound = {}
    if what.scope is not None:
        conditions.append(scope_pattern(what.scope))
        bound.update(bound_scope(what.scope))
    for name, values in edge_conditions(replace(what, touching=None) if what.newest else what):
        conditions.append(_SQL[name])
        bound.update(bound_values(values))
    return " AND ".join(conditions) or "1", bound
