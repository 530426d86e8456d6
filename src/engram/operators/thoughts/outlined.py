"""Search over aspects and topics: a topic lifts what is filed under it, an aspect its turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from engram.kernel.effects import Find, Neighbours, Read, Score
from engram.kernel.policy import Query, Recall
from engram.operators.retrieval.nearest import SIGNALS, mixed
from engram.operators.retrieval.top import top
from engram.operators.thoughts.hierarchy import ABOUT, SUBTOPIC, path_of
from engram.operators.thoughts.outline import ASPECT
from engram.operators.thoughts.search import Chosen, nearest_chosen

__all__ = ["Outlined"]

_LEAST = 20
_TOPICS = 3
_DEEP = 4


@dataclass(frozen=True)
class Outlined:
    """Turns and aspects by cosine and words; words count `words` beside the cosine's 1.

    The three topics nearest to the query, as similar as `near` at least, lift the aspects filed under them or
    their subtopics by `lift` times their cosine; the best aspects lift the turns that they stand on to
    `share` of their own value. Scores are values over the highest that cosine and words can have.
    """

    words: float = 0.3
    lift: float = 0.1
    share: float = 0.5
    near: float = 0.3

    async def search(self, query: Query) -> Recall:
        """The hits of a query."""
        columns = await Score(query.text, SIGNALS, at=query.at, level=query.level, kinds=query.kinds)
        if not len(columns):
            return Recall()
        ranking = mixed(columns, self.words) / (1 + self.words)
        if not query.level:
            places = {id: place for place, id in enumerate(columns.rows(range(len(columns))))}
            for id, value in (await self._under(query)).items():
                if id in places:
                    ranking[places[id]] += self.lift * value / (1 + self.words)
            best = top(ranking, max(query.depth, _LEAST), columns.rows)
            await self._turns(columns.rows(best), places, ranking)
        return await nearest_chosen(query, columns, ranking, Chosen())

    async def _under(self, query: Query) -> dict[str, float]:
        """What is filed under the topics nearest to the query, with the topics' cosines."""
        if self.lift == 0:
            return {}
        found = await Find(query.text, _TOPICS, ("entity",))
        value = {hit.id: hit.score for hit in found if hit.score >= self.near and path_of(hit.record)}
        level = tuple(value)
        for _ in range(_DEEP):
            edges = await Neighbours(level, (SUBTOPIC,), "in") if level else []
            below = {edge.source: value[edge.target] for edge in edges if edge.source not in value}
            value |= below
            level = tuple(below)
        edges = await Neighbours(tuple(value), (ABOUT,), "in") if value else []
        filed: dict[str, float] = {}
        for edge in edges:
            filed[edge.source] = max(filed.get(edge.source, 0.0), value.get(edge.target, 0.0))
        return filed

    async def _turns(self, ids: Sequence[str], places: dict[str, int], ranking: NDArray[Any]) -> None:
        """Let the aspects among the records lift the turns that they stand on."""
        for record in await Read(tuple(ids)):
            if record.made_by is not None and ASPECT in record.metadata:
                least = self.share * float(ranking[places[record.id]])
                for source in record.sources:
                    if source in places:
                        ranking[places[source]] = max(float(ranking[places[source]]), least)
