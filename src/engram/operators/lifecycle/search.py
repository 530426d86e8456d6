"""Searching memories that have a life: by relevance and use, the archived behind the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engram.kernel.effects import Find, Now, Read, Score
from engram.kernel.policy import Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.analysis import terms
from engram.operators.lifecycle.schedule import Schedule, Use, importance, uses_of
from engram.operators.lifecycle.states import state_of
from engram.operators.retrieval.nearest import SIGNALS, mixed
from engram.operators.retrieval.replaced import before_replaced
from engram.operators.retrieval.top import top
from engram.operators.topics.shelf import topic_of

__all__ = ["Living"]

_TOPICS = 3
_HALF = 0.5


@dataclass(frozen=True)
class Living:
    """Ranks memories and turns by importance: relevance first, then words shared and uses.

    Relevance is cosine and, `words` times as much, BM25 (1 at its best), together from 0 to 1; a memory under
    one of the three topics nearest to the query gains `lift` times the topic's cosine. What is archived
    stands behind everything else, and a memory before the turns of what it has replaced. Of the hits that
    are wanted, the first `counted` memories that are half as relevant as the best hit count as used.
    """

    words: float
    lift: float
    counted: int
    schedule: Schedule

    async def recall(self, query: Query) -> Recall:
        """The hits, and that they were used."""
        columns = await Score(query.text, SIGNALS, at=query.at, level=query.level, kinds=query.kinds)
        if not len(columns):
            return Recall()
        near = mixed(columns, self.words) / (1 + self.words)
        places = top(near, 2 * max(query.depth, 10), columns.rows)
        ids = columns.rows(places)
        relevance = dict(zip(ids, np.clip(near[places], 0, 1).tolist(), strict=True))
        found = await Read(tuple(ids))
        uses = await uses_of([record.id for record in found if record.made_by is not None])
        topics = {} if query.level or query.kinds else await self._topics(query.text)
        hits = self._ranked(query, found, relevance, uses, topics)[: query.depth]
        if not (query.past or query.level):
            live = [hit for hit in hits if hit.record.made_by is not None and _live(hit.record)]
            hits = await before_replaced(hits, live[: query.k])
        least = _HALF * max(relevance.values())
        cubes = [hit for hit in hits[: query.k] if hit.record.made_by is not None]
        own = [Hit(hit.record, relevance[hit.id]) for hit in cubes if relevance[hit.id] >= least]
        return Recall(tuple(hits), self.schedule.used(query.text, own[: self.counted], uses, await Now()))

    async def _topics(self, text: str) -> dict[str, float]:
        """The cosine of the best topic that each memory stands under."""
        near: dict[str, float] = {}
        for hit in await Find(text, _TOPICS, ("summary",)):
            topic = topic_of(hit.record)
            for id in topic.members if topic is not None else ():
                near[id] = max(near.get(id, 0.0), hit.score)
        return near

    def _ranked(
        self,
        query: Query,
        found: list[Record],
        relevance: Mapping[str, float],
        uses: Mapping[str, Use],
        topics: Mapping[str, float],
    ) -> list[Hit]:
        asked = set(terms(query.text))
        ranked: list[tuple[bool, float, str, Record]] = []
        for record in found:
            count = uses[record.id].count if record.id in uses else 0
            cube = record.made_by is not None
            shared = len(asked.intersection(terms(record.text))) if cube else 0
            near = min(1.0, relevance[record.id] + self.lift * topics.get(record.id, 0.0))
            cold = cube and not _live(record) and not query.past
            ranked.append((cold, -importance(near, shared, count), record.id, record))
        ranked.sort(key=lambda item: item[:3])
        hits: list[Hit] = []
        least = 1.0
        for _, value, _, record in ranked:
            least = min(least, max(0.0, -value))
            hits.append(Hit(record, least))
        return hits


def _live(record: Record) -> bool:
    return state_of(record) != "archived"
