"""Edges in the PostgreSQL store: what a commit does to them, and how they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engram.kernel.clock import micros
from engram.kernel.protocols import CloseEdge, PutEdge, SelectEdges
from engram.kernel.record import Edge
from engram.stores.asked import edge_conditions
from engram.stores.postgres.conditions import Conditions
from engram.stores.postgres.connection import Session
from engram.stores.postgres.entries import EntryOps
from engram.stores.postgres.queries import queries
from engram.stores.postgres.rows import edge_of, edge_row
from engram.stores.shared import edge_lost, edge_moved

__all__ = ["EdgeOps", "edges"]

_SQL = queries("write")
_READ = queries("read")


class EdgeOps(EntryOps):
    """A commit under way, as far as edges go."""

    def _put_edge(self, op: PutEdge) -> None:
        edge = op.edge
        closed = self._change_set if edge.closed is None and edge.known.end is not None else edge.closed
        edge = replace(edge, opened=edge.opened or self._change_set, closed=closed, sequence=self._take())
        self._raise_counter(edge.opened, closed or 0)
        versions = self._known.edges.setdefault(edge.id, {})
        if edge.version in versions:
            tenant, _ = versions[edge.version]
            self._do(_SQL["drop_lineage"], tenant, "edge", edge.id, edge.version)
            self._do(_SQL["drop_edge"], tenant, edge.id, edge.version)
        self._do(_SQL["put_edge"], *edge_row(edge))
        tenant = edge.scope.tenant
        if edge.sources:
            self._do(_SQL["put_lineage"], tenant, "edge", edge.id, edge.version, list(edge.sources))
        versions[edge.version] = tenant, closed is None

    def _close_edge(self, op: CloseEdge) -> None:
        versions = self._known.edges.get(op.id, {})
        opened = [version for version, (_, is_open) in versions.items() if is_open]
        if not opened:
            raise edge_lost(op.id)
        version = max(opened)
        if op.expected not in (None, version):
            raise edge_moved(op.id, op.expected, version)
        tenant, _ = versions[version]
        at = (tenant, op.id, version)
        self._do(_SQL["close_edge"], self._take(), micros(op.at), self._change_set, *at)
        versions[version] = tenant, False


def edges(session: Session, what: SelectEdges) -> list[Edge]:
    """The edges that `what` asks for."""
    need = _conditions(what)
    if isinstance(what.after, int) or what.newest:
        order = "r.sequence" + " DESC" * what.newest
    else:
        order = "r.opened, r.id, r.version"
    sql = _READ["edges"].format(where=need.where, order=order)
    values: dict[str, Any] = {**need.values, "limit": what.limit}
    return [edge_of(row) for row in session.ask((sql, values))[0]]


def _conditions(what: SelectEdges) -> Conditions:
    need = Conditions(_READ)
    if what.scope is not None:
        need.edges_of(what.scope)
    for name, values in edge_conditions(what):
        need(name, **values)
    return need
