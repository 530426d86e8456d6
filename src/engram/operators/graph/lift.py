"""The `graph` signal: how much more often than by chance a walk from what a query names comes by a record."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns, PageRank
from engram.kernel.policy import Query
from engram.operators.graph.link import named_in

__all__ = ["graph_lift"]


async def graph_lift(query: Query, columns: Columns, damping: float = 0.5) -> NDArray[np.float32] | None:
    """log(1 + n * share) of each candidate, shape [n]; `None` where there is no graph, or nothing to seed it.

    `share` is the candidate's part of the personalised PageRank of all candidates, from the entities that
    the query names, each by its specificity. So what everything hangs on lifts nothing much, and a candidate
    that no walk comes by has 0.
    """
    if query.level or query.kinds or not columns.context.get("aside"):
        return None
    seeds = await named_in(query.text)
    if not seeds:
        return None
    ids = columns.rows(range(len(columns)))
    shares = dict(await PageRank(tuple(seeds.items()), damping, among=tuple(ids)))
    total = sum(shares.values())
    if not total:
        return None
    lift = np.array([shares.get(id, 0.0) for id in ids]) * (len(ids) / total)
    return np.log1p(lift).astype(np.float32)
