"""The nearest candidates of a query by cosine, with words as a lesser part, as hits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns, Find, Score
from engram.kernel.policy import Query, Recall
from engram.kernel.record import Hit
from engram.operators.retrieval.recall import best
from engram.operators.retrieval.replaced import before_replaced

__all__ = ["SIGNALS", "current", "mixed", "nearest"]

SIGNALS = ("dense_turn", "bm25_turn")
"""The signals that `mixed` takes."""


def mixed(columns: Columns, words: float) -> NDArray[np.float64]:
    """Each row's cosine and, `words` times as much, BM25, which is 1 at its best: up to 1 + `words`."""
    cosine, bm25 = (np.asarray(columns.signals[name]) for name in SIGNALS)
    return np.asarray(cosine + words * bm25 / max(float(bm25.max()), 1e-9))


async def nearest(query: Query, words: float = 0.3) -> Recall:
    """What is nearest to a query by cosine and, `words` times as much, BM25 (1 at its best).

    The score is the cosine, cut to [0, 1]. Levels and kinds are those that the query asks for.
    """
    columns = await Score(query.text, SIGNALS, at=query.at, level=query.level, kinds=query.kinds)
    if not len(columns):
        return Recall()
    cosine = np.asarray(columns.signals["dense_turn"])
    return await best(query, columns, mixed(columns, words), lambda at: np.asarray(np.clip(cosine[at], 0, 1)))


async def current(query: Query, k: int = 10) -> list[Hit]:
    """What is nearest to a query; the `k` nearest facts come before the turns of what they have replaced."""
    hits = list((await nearest(query)).hits)
    facts = [] if query.level else await Find(query.text, k, ("fact",))
    return await before_replaced(hits, [hit for hit in facts if hit.record.metadata.get("subject")])
