"""The lexical baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engram.kernel.effects import Score
from engram.kernel.policy import Policy, Query, Recall
from engram.operators.retrieval.recall import best, saturate

__all__ = ["BM25"]


@dataclass(frozen=True)
class BM25(Policy):
    """Turns ranked by BM25 alone (Robertson and Zaragoza, 2009), over engram's analyser.

    `half` is the BM25 score that counts as 0.5.
    """

    name: ClassVar[str] = "bm25"

    half: float = 8.0

    async def read(self, query: Query) -> Recall:
        """The candidates that share a word with the query, best first."""
        columns = await Score(query.text, ("bm25_turn",), at=query.at, level=query.level, kinds=query.kinds)
        words = np.asarray(columns.signals["bm25_turn"])
        ranking = np.where(words > 0, words, -np.inf)
        return await best(query, columns, ranking, lambda at: saturate(words[at], self.half))
