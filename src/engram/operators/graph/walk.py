"""The edges of a scope in arrays: they follow a store, and say where walks from some nodes lead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engram.kernel.clock import micros
from engram.kernel.record import Edge
from engram.operators.graph.pagerank import Flow, pagerank
from engram.operators.retrieval.growing import Table
from engram.operators.retrieval.rows import NEVER, Codes

__all__ = ["Walks"]

_EACH = 120  # bytes that a node takes besides the arrays, measured
_LOOSE = 1024
_KEPT = 4
KEY, END = range(2)
SOURCE, TARGET, TYPE, MAKER, ALIVE = range(5)
Key = tuple[frozenset[str], str | None, bool]


class Walks:
    """Every open edge of a scope, ready for personalised PageRank. Not thread-safe: hold a lock.

    An erasure cannot be followed: drop it and build another. Edges with a weight that is not a positive
    number count as none.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._node: dict[str, int] = {}
        self._types: Codes[str] = Codes()
        self._makers: Codes[str | None] = Codes(None)
        self._times = Table(2, np.int64)
        self._ends = Table(5, np.int32)
        self._weight = Table(1, np.float64)
        self._went = 0
        self._flows: dict[Key, _Followed] = {}

    def __len__(self) -> int:
        """Open edges."""
        return int(self._ends[ALIVE].sum())

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, estimated."""
        tables = self._times.nbytes + self._ends.nbytes + self._weight.nbytes
        return tables + _EACH * len(self._ids) + sum(held.flow.nbytes for held in self._flows.values())

    def apply(self, edges: Iterable[Edge], *, closed: bool = True) -> None:
        """Take over versions of edges, by sequence: new ones, and those that closed.

        With `closed` false all of them are taken as open: they are those of a past moment.
        """
        latest = {(edge.id, edge.version): edge for edge in edges}.values()
        self._close([_key(edge) for edge in latest if closed and not edge.current])
        self._append([edge for edge in latest if not (closed and not edge.current) and _counts(edge.weight)])

    def rank(
        self,
        seeds: Sequence[tuple[str, float]],
        *,
        now: int,
        made_by: str | None = None,
        damping: float = 0.5,
        types: Sequence[str] = (),
        directed: bool = False,
        among: Sequence[str] | None = None,
    ) -> list[tuple[str, float]]:
        """Personalised PageRank of the nodes it reaches: (record id, share), the highest first, then by id.

        Over edges of `types` (empty: all) that are said or `made_by` made and have not ended at `now`, in
        microseconds; `among` names the records that are wanted. A seed without edges keeps its own share;
        nothing where none has any. Raises `InvalidInput` (`pagerank`).
        """
        flow = self._flow((frozenset(types), made_by, directed), now)
        if not any(self._moves(id, flow) for id, _ in seeds):
            return []
        alone = dict.fromkeys(id for id, _ in seeds if self._place(id, flow.nodes) is None)
        place = {id: flow.nodes + number for number, id in enumerate(alone)}
        start = np.zeros(flow.nodes + len(alone))
        for id, weight in seeds:
            start[place[id] if id in place else self._node[id]] += weight
        found = pagerank(flow, start, damping)
        shares = [*found.tolist(), 0.0]
        names = [*self._ids[: flow.nodes], *alone] if among is None else dict.fromkeys(among)
        nowhere = len(found)
        at = self._node
        places = (place[id] if id in place else at.get(id, nowhere) for id in names)
        reached = ((shares[min(node, nowhere)], id) for node, id in zip(places, names, strict=True))
        ranked = sorted((-share, id) for share, id in reached if share > 0)
        return [(id, -share) for share, id in ranked]

    def _moves(self, id: str, flow: Flow) -> bool:
        node = self._place(id, flow.nodes)
        return node is not None and flow.out[node] > 0

    def _place(self, id: str, nodes: int) -> int | None:
        node = self._node.get(id)
        return node if node is not None and node < nodes else None

    def _close(self, keys: Sequence[int]) -> None:
        if not keys or not self._times.size:
            return
        gone = np.isin(self._times[KEY], np.array(keys, np.int64)) & (self._ends[ALIVE] > 0)
        self._ends[ALIVE][gone] = 0
        self._went += int(gone.sum())

    def _append(self, edges: Sequence[Edge]) -> None:
        first = self._times.size
        for table in (self._times, self._ends, self._weight):
            table.open(first, len(edges))
        self._times[KEY][first:] = [_key(edge) for edge in edges]
        ends = [NEVER if edge.valid.end is None else micros(edge.valid.end) for edge in edges]
        self._times[END][first:] = ends
        self._ends[SOURCE][first:] = [self._numbered(edge.source) for edge in edges]
        self._ends[TARGET][first:] = [self._numbered(edge.target) for edge in edges]
        self._ends[TYPE][first:] = self._types.of(edge.type for edge in edges)
        self._ends[MAKER][first:] = self._makers.of(edge.made_by for edge in edges)
        self._ends[ALIVE][first:] = 1
        self._weight[0][first:] = [edge.weight for edge in edges]

    def _numbered(self, id: str) -> int:
        node = self._node.setdefault(id, len(self._ids))
        if node == len(self._ids):
            self._ids.append(id)
        return node

    def _flow(self, key: Key, now: int) -> Flow:
        """The flow over edges of a kind: kept, grown where edges came, made anew where some went."""
        size, held = self._times.size, self._flows.pop(key, None)
        if held is None or held.went != self._went or not held.since <= now < held.until:
            held = self._built(key, now)
        elif held.edges < size:
            flow = held.flow
            rows = self._rows(key, now, held.edges)
            loose = len(flow.loose[0]) + 2 * len(rows)
            if loose > _LOOSE + len(flow.source) // 8:
                held = self._built(key, now)
            else:
                flow = flow.grown(len(self._ids), *self._edges(rows), directed=key[2])
                until = min(held.until, self._next(now, held.edges))
                held = _Followed(flow, size, self._went, held.since, until)
        self._flows[key] = held
        while len(self._flows) > _KEPT:
            self._flows.pop(next(iter(self._flows)))
        return held.flow

    def _built(self, key: Key, now: int) -> _Followed:
        flow = Flow.of(len(self._ids), *self._edges(self._rows(key, now, 0)), directed=key[2])
        ended = self._times[END][self._times[END] <= now]
        since = int(ended.max()) if len(ended) else np.iinfo(np.int64).min
        return _Followed(flow, self._times.size, self._went, since, self._next(now, 0))

    def _next(self, now: int, first: int) -> int:
        """When the next of the edges from row `first` on ends."""
        ends = self._times[END][first:]
        return int(ends[ends > now].min(initial=NEVER))

    def _rows(self, key: Key, now: int, first: int) -> NDArray[np.int64]:
        types, made_by, _ = key
        ends = self._ends
        maker = ends[MAKER][first:]
        keep = (ends[ALIVE][first:] > 0) & (self._times[END][first:] > now)
        keep &= (maker == 0) | (maker == self._makers.get(made_by))
        if types:
            keep &= np.isin(ends[TYPE][first:], [self._types.get(type) for type in types])
        return np.flatnonzero(keep) + first

    def _edges(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        return self._ends[SOURCE][rows], self._ends[TARGET][rows], self._weight[0][rows]


@dataclass(frozen=True)
class _Followed:
    """A flow, how many edges it has seen come and go, and from when to when it is right."""

    flow: Flow
    edges: int
    went: int
    since: int
    until: int


def _key(edge: Edge) -> int:
    return hash((edge.id, edge.version))


def _counts(weight: float) -> bool:
    return math.isfinite(weight) and weight > 0
