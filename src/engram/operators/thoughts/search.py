"""The nearest candidates that a method chooses, and among them the thoughts of the query's group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns, Read, Score
from engram.kernel.policy import Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.retrieval.recall import best
from engram.operators.retrieval.top import top
from engram.operators.thoughts.hashing import Groups

__all__ = ["Chosen", "nearest_chosen", "nearest_in_group"]

_LEAST = 20
_FARTHEST = 1000  # candidates that one search looks at


class Chosen:
    """What a method chooses of the records that it is shown: by default, all of them."""

    async def of(self, found: Sequence[Record]) -> list[Record]:
        """Those that are chosen, in order."""
        return list(found)


async def nearest_chosen(
    query: Query,
    columns: Columns,
    ranking: NDArray[Any],
    chosen: Chosen,
    why: Mapping[str, float] | None = None,
) -> Recall:
    """The `query.depth` candidates highest in `ranking` of those that are `chosen`, with it as score.

    `ranking` has shape [len(columns)]. At most 1,000 candidates are looked at, best first; where windows or
    sessions are asked for, there is nothing to choose. `why` is told of each hit.
    """
    if query.level or not len(columns):
        return await best(query, columns, ranking, lambda at: ranking[at])
    hits: list[Hit] = []
    size = looked = max(query.depth, _LEAST)
    done = 0
    while len(hits) < query.depth and looked == size and done < max(_FARTHEST, query.depth):
        order = top(ranking, size, columns.rows)
        places = dict(zip(columns.rows(order[done:]), order[done:], strict=True))
        for record in await chosen.of(await Read(tuple(places))):
            score = min(1.0, max(0.0, float(ranking[places[record.id]])))
            hits.append(Hit(record, score, {"dense_turn": score, **(why or {})} if query.explain else {}))
        looked, done, size = len(order), len(order), min(4 * size, max(_FARTHEST, query.depth))
    return Recall(tuple(hits[: query.depth]))


class _OfGroup(Chosen):
    def __init__(self, groups: Groups, own: int, *, turns: bool) -> None:
        self._groups, self._own, self._turns = groups, own, turns

    async def of(self, found: Sequence[Record]) -> list[Record]:
        held = await self._groups.held([record for record in found if record.made_by is not None])
        own, turns = self._own, self._turns
        return [record for record in found if (held[record.id] == own if record.id in held else turns)]


async def nearest_in_group(query: Query, groups: Groups, *, turns: bool) -> Recall:
    """Thoughts whose group is the query's by their cosine, and `turns`, where they are wanted, by theirs.

    Derived records of other groups are left out.
    """
    columns = await Score(query.text, ("dense_turn",), at=query.at, level=query.level, kinds=query.kinds)
    (own,) = await groups.of([query.text])
    chosen = _OfGroup(groups, own, turns=turns or "episode" in query.kinds)
    return await nearest_chosen(
        query, columns, np.asarray(columns.signals["dense_turn"]), chosen, {"group": float(own)}
    )
