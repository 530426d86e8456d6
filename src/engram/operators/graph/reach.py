"""What lies near some entities in a graph: a walk outwards, edge by edge; and search that goes by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from engram.kernel.effects import Neighbours, Score
from engram.kernel.policy import Query
from engram.operators.graph.known import OBJECT, SUBJECT
from engram.operators.graph.link import named_in
from engram.operators.graph.weave import MENTIONS, SYNONYM
from engram.operators.retrieval.ranked import fused_ranks
from engram.operators.retrieval.top import top

__all__ = ["by_three", "reached"]

_LEAVES = frozenset({SUBJECT, OBJECT, MENTIONS})


async def reached(origins: Iterable[str], depth: int = 3, limit: int = 1000) -> dict[str, int]:
    """Facts, and records that name entities, by id, with the steps that they lie from the `origins`.

    A step leads from entity to entity along a relation; what is about an entity, or names it, lies one step
    from it. At most `limit` edges a step are looked at, those changed last.
    """
    distances: dict[str, int] = {}
    seen = set(origins)
    frontier = tuple(sorted(seen))
    for step in range(1, depth + 1):
        if not frontier:
            break
        beyond: dict[str, None] = {}
        for edge in await Neighbours(frontier, limit=limit):
            if edge.type in _LEAVES:
                distances.setdefault(edge.source, step)
                continue
            if edge.type != SYNONYM:
                beyond |= dict.fromkeys(id for id in (edge.source, edge.target) if id not in seen)
        seen.update(beyond)
        frontier = tuple(beyond)
    return distances


async def by_three(
    query: Query, kinds: Sequence[str], steps: int, constant: float = 1.0
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """The ids that words, meaning and the graph find, best first, 2 `query.depth` of each; and their steps.

    After Zep (arXiv:2501.13956, section 3.1). The graph is walked from the entities that the query names, or
    else from those that the best by the other two are about; of one distance, what those find better goes
    first (fused by reciprocal rank with `constant`).
    """
    signals = {"bm25": "bm25_turn", "cosine": "dense_turn"}
    columns = await Score(
        query.text, tuple(signals.values()), at=query.at, level=query.level, kinds=tuple(kinds)
    )
    lists: dict[str, list[str]] = {}
    for name, signal in signals.items():
        values = np.asarray(columns.signals[signal])
        best = [at for at in top(values, 2 * query.depth, columns.rows) if values[at] > 0]
        lists[name] = columns.rows(best)
    if query.level or not steps:
        return lists, {}
    base = dict(fused_ranks(lists, constant))
    distances = await reached(await _origins(query, lists), steps)
    near = sorted(distances, key=lambda place: (distances[place], -base.get(place, 0.0), place))
    return lists | {"graph": near[: 2 * query.depth]}, distances


async def _origins(query: Query, lists: Mapping[str, Sequence[str]]) -> set[str]:
    if named := await named_in(query.text):
        return set(named)
    best = tuple(dict.fromkeys(id for ids in lists.values() for id in ids[:3]))
    edges = await Neighbours(best, (SUBJECT, OBJECT), "out") if best else []
    return {edge.target for edge in edges}
