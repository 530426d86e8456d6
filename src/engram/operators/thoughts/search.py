"""The nearest thoughts of the query's group, and turns beside them."""

from __future__ import annotations

import numpy as np

from engram.kernel.effects import Read, Score
from engram.kernel.policy import Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.retrieval.recall import best
from engram.operators.retrieval.top import top
from engram.operators.thoughts.hashing import Groups

__all__ = ["nearest_in_group"]

_LEAST = 20
_FARTHEST = 1000  # candidates that one search looks at


async def nearest_in_group(query: Query, groups: Groups, *, turns: bool) -> Recall:
    """Thoughts whose group is the query's by their cosine, and `turns`, where they are wanted, by theirs.

    Derived records of other groups are left out. At most 1,000 candidates are looked at, nearest first.
    """
    columns = await Score(query.text, ("dense_turn",), at=query.at, level=query.level, kinds=query.kinds)
    cosine = np.asarray(columns.signals["dense_turn"])
    if query.level or not len(columns):
        return await best(query, columns, cosine, lambda at: cosine[at])
    (own,) = await groups.of([query.text])
    asked = turns or "episode" in query.kinds
    hits: list[Hit] = []
    size = looked = max(query.depth, _LEAST)
    done = 0
    while len(hits) < query.depth and looked == size and done < max(_FARTHEST, query.depth):
        order = top(cosine, size, columns.rows)
        places = dict(zip(columns.rows(order[done:]), order[done:], strict=True))
        for record in await _chosen(await Read(tuple(places)), groups, own, turns=asked):
            score = min(1.0, max(0.0, float(cosine[places[record.id]])))
            hits.append(Hit(record, score, {"dense_turn": score, "group": own} if query.explain else {}))
        looked, done, size = len(order), len(order), min(4 * size, max(_FARTHEST, query.depth))
    return Recall(tuple(hits[: query.depth]))


async def _chosen(found: list[Record], groups: Groups, own: int, *, turns: bool) -> list[Record]:
    held = await groups.held([record for record in found if record.made_by is not None])
    return [record for record in found if (held[record.id] == own if record.id in held else turns)]
