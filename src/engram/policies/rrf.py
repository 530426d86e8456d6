"""The plain hybrid baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engram.kernel.effects import Score
from engram.kernel.policy import Policy, Query, Recall
from engram.operators.retrieval.fuse import weights_of
from engram.operators.retrieval.recall import best, reciprocal_rank

__all__ = ["RRF"]


@dataclass(frozen=True)
class RRF(Policy):
    """BM25 and cosine of single turns, fused by reciprocal rank (Cormack et al., SIGIR 2009).

    `constant` is the paper's 60. The score is the share of the highest sum that there can be.
    """

    name: ClassVar[str] = "rrf"

    constant: float = 60.0

    async def read(self, query: Query) -> Recall:
        """All candidates, best fused rank first."""
        columns = await Score(
            query.text, ("bm25_turn", "dense_turn"), at=query.at, level=query.level, kinds=query.kinds
        )
        words, cosine = (np.asarray(columns.signals[name]) for name in ("bm25_turn", "dense_turn"))
        fused = reciprocal_rank(words, cosine, constant=self.constant, weights=weights_of(columns))
        highest = 2 / (self.constant + 1)
        return await best(query, columns, fused, lambda at: fused[at] / highest)
