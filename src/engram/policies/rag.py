"""The baseline of plain retrieval-augmented generation: nearest chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from engram.kernel.effects import Read, Score
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit
from engram.operators.retrieval.recall import best

__all__ = ["RAG"]


@dataclass(frozen=True)
class RAG(Policy):
    """Chunks of neighbouring turns ranked by the cosine of chunk and query (Lewis et al., arXiv:2005.11401).

    Taken: text cut into chunks, one vector each, the nearest ones shown. A chunk is a window of up to seven
    turns of one session; of those that overlap the nearest stands, so no turn comes twice. Differs: the
    chunk's vector is the mean of its turns' unit vectors; its turns are the hits, in their order, with the
    chunk's cosine as the score.
    """

    name: ClassVar[str] = "rag"

    async def read(self, query: Query) -> Recall:
        """The turns of the nearest chunks, chunk by chunk."""
        columns = await Score(query.text, ("dense_w3",), at=query.at, level=1)
        cosine = np.asarray(columns.signals["dense_w3"])
        found = await best(replace(query, level=1), columns, cosine, lambda at: cosine[at])
        score: dict[str, float] = {}
        for chunk in found.hits:
            if len(score) < query.depth and score.keys().isdisjoint(chunk.record.sources):
                score.update(dict.fromkeys(chunk.record.sources, chunk.score))
        turns = await Read(tuple(score)[: query.depth])
        return Recall(tuple(Hit(turn, score[turn.id]) for turn in turns))
