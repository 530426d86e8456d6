"""The `facts` signal: how near a query is to a fact that was taken from a turn, of somebody whom it names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns, Find
from engram.kernel.policy import Query
from engram.operators.analysis import terms

__all__ = ["facts_lift"]

_NEAREST = 100


async def facts_lift(query: Query, columns: Columns, weight: float = 0.75) -> NDArray[np.float32] | None:
    """`weight` times the cosine of the query and the nearest fact of each candidate's, shape [n].

    Of the 100 facts nearest to the query those count of whose subject it has a word; they lift the turns that
    they were taken from. `None` where there are none. `scripts/measure_facts_signal.py` chose the weight.
    """
    if query.level or query.kinds or not columns.context.get("aside"):
        return None
    asked = set(terms(query.text))
    near: dict[str, float] = {}
    for hit in await Find(query.text, _NEAREST, ("fact",)):
        if asked.intersection(terms(str(hit.record.metadata.get("subject", "")))):
            for source in hit.record.sources:
                near[source] = max(near.get(source, 0.0), weight * hit.score)
    if not near:
        return None
    ids = columns.rows(range(len(columns)))
    return np.array([near.get(id, 0.0) for id in ids], np.float32)
