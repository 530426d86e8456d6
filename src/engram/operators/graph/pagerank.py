"""Personalised PageRank: where a walk is that goes on along edges, and starts again from the seeds.

Haveliwala, "Topic-Sensitive PageRank" (WWW 2002); as HippoRAG uses it (arXiv:2405.14831, 2502.14802), over
an undirected, weighted graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import InvalidInput

__all__ = ["Flow", "pagerank"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
TOLERANCE = 1e-10


@dataclass
class Flow:
    """Which share of a node's weight goes to which: rows of weights, compressed, and a few loose ones behind.

    `nodes` is their number, `out` the weight that leaves each, shape [nodes]. Of the compressed rows,
    `into[i]` is the i-th node that anything leads to, its entries are `source` and `weight` from `first[i]`
    on. `loose` edges are (source, target, weight), not yet compressed.
    """

    nodes: int
    out: Floats
    into: Ints
    first: NDArray[np.int64]
    source: Ints
    weight: Floats
    loose: tuple[Ints, Ints, Floats]

    @classmethod
    def of(cls, nodes: int, source: Ints, target: Ints, weight: Floats, *, directed: bool = False) -> Flow:
        """Of parallel arrays of edges; without `directed` each leads both ways. Parallel edges add up.

        A loop counts once. Weights are positive and finite.
        """
        source, target, weight = both_ways(source, target, weight, directed=directed)
        order = np.argsort(target, kind="stable")
        ends = target[order]
        first = np.flatnonzero(np.diff(ends, prepend=-1))
        empty = np.zeros(0, np.int32)
        return cls(
            nodes,
            np.bincount(source, weight, nodes).astype(np.float64),
            ends[first],
            first,
            source[order],
            weight[order],
            (empty, empty, np.zeros(0)),
        )

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        arrays = (self.out, self.into, self.first, self.source, self.weight, *self.loose)
        return sum(array.nbytes for array in arrays)

    def grown(
        self, nodes: int, source: Ints, target: Ints, weight: Floats, *, directed: bool = False
    ) -> Flow:
        """The same flow with further nodes and edges, which stay loose."""
        source, target, weight = both_ways(source, target, weight, directed=directed)
        out = np.concatenate((self.out, np.zeros(nodes - self.nodes)))
        np.add.at(out, source, weight)
        heads, tails, weights = self.loose
        loose = (
            np.concatenate((heads, source)),
            np.concatenate((tails, target)),
            np.concatenate((weights, weight)),
        )
        return Flow(nodes, out, self.into, self.first, self.source, self.weight, loose)

    def step(self, rank: Floats) -> Floats:
        """Where the walk is after one step from `rank`, shape [nodes or more]; what cannot go on is lost."""
        leaving = np.divide(rank[: self.nodes], self.out, out=np.zeros(self.nodes), where=self.out > 0)
        arrived = np.zeros(len(rank))
        if len(self.first):
            arrived[self.into] = np.add.reduceat(leaving[self.source] * self.weight, self.first)
        source, target, weight = self.loose
        if len(source):
            arrived[: self.nodes] += np.bincount(target, leaving[source] * weight, self.nodes)
        return arrived


def pagerank(flow: Flow, seeds: Floats, damping: float = 0.5, tolerance: float = TOLERANCE) -> Floats:
    """The share of time that the walk spends at each node: shape of `seeds`, adding up to 1.

    `seeds`, shape [flow.nodes or more], is where it starts, in any unit; nodes beyond those of the flow
    have no edges. At each step it goes on along an edge with probability `damping`, by weight, and else
    starts again; from a node without edges it always does. The sum of errors is at most `tolerance`.
    Raises `InvalidInput` where `damping` is not in [0, 1), or no seed is positive or one is negative.
    """
    if not 0 <= damping < 1:
        raise InvalidInput(f"damping: {damping} is not from 0 to below 1; the papers take 0.5")
    total = float(seeds.sum())
    if not (np.isfinite(total) and total > 0 and float(seeds.min()) >= 0):
        raise InvalidInput("seeds: give at least one node a positive weight, and none a negative one")
    start = seeds / total
    rank = start
    while True:
        moved = flow.step(rank)
        moved *= damping
        moved += (1 - moved.sum()) * start
        change = float(np.abs(moved - rank).sum())
        rank = moved
        if change * damping <= tolerance * (1 - damping):
            return rank


def both_ways(source: Ints, target: Ints, weight: Floats, *, directed: bool) -> tuple[Ints, Ints, Floats]:
    """The edges and, unless `directed`, their reverses; a loop has none."""
    if directed:
        return source, target, weight
    apart = source != target
    return (
        np.concatenate((source, target[apart])),
        np.concatenate((target, source[apart])),
        np.concatenate((weight, weight[apart])),
    )
