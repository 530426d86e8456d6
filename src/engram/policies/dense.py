"""The dense baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engram.kernel.effects import Score
from engram.kernel.policy import Policy, Query, Recall
from engram.operators.retrieval.recall import best

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(Policy):
    """Turns ranked by the cosine of their embedding and the query's alone; the score is the cosine."""

    name: ClassVar[str] = "dense"

    async def read(self, query: Query) -> Recall:
        """All candidates, nearest first."""
        columns = await Score(query.text, ("dense_turn",), at=query.at, level=query.level, kinds=query.kinds)
        cosine = np.asarray(columns.signals["dense_turn"])
        return await best(query, columns, cosine, lambda at: cosine[at])
