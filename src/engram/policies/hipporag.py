"""HippoRAG: triples make a graph of phrases and passages, and a walk from what a query names finds passages.

Papers: Gutiérrez, Shu, Gu, Yasunaga and Su, "HippoRAG: Neurobiologically Inspired Long-Term Memory for Large
Language Models", arXiv:2405.14831; Gutiérrez, Shu, Qi, Zhou and Su, "From RAG to Memory: Non-Parametric
Continual Learning for Large Language Models" (HippoRAG 2), arXiv:2502.14802; and the authors' code.

Taken: open information extraction (names, then triples); a node for each phrase and each passage; edges for
relations, for mentions and, from a cosine of 0.8 on, for synonyms, weighted 2 : 1 : 2 x cosine as in their
code; linking of the query to the five nearest triples, which the model may sift (recognition memory), and to
the entities that it names; node specificity; passages as seeds too, at 0.05 of their score; personalised
PageRank with damping 0.5; where nothing is linked, passages by their score alone.

Differs: both ways of linking are used at once, where the first paper has one and the second the other; the
query's names are found by rule and exact name, not by the model. A passage's own score is that of the default
method's fusion ("fused"); "dense" is the authors'. Triples that come with messages are taken before any
model's; without a model, rules read them. Turns in a talk are passages too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engram.kernel.changes import Changes
from engram.kernel.effects import Columns, PageRank, Score
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.operators.graph.link import Seeds, facts_like, named_in, seeds_of_facts
from engram.operators.graph.openie import sifted, strands_of
from engram.operators.graph.triple import bears_graph
from engram.operators.graph.weave import Weave
from engram.operators.retrieval.fuse import fuse, shipped
from engram.operators.retrieval.recall import best

__all__ = ["HippoRAG"]


@dataclass(frozen=True)
class HippoRAG(Policy):
    """A graph of phrases and passages; passages are found by personalised PageRank.

    `form` is "both", or one paper's linking alone: "entities" (1) or "triples" (2). `triples` is how many of
    them a query is linked to; with `sift` the model says which of those matter. `synonyms` is the cosine
    from which phrases are linked (above 1: never). `passages` says what a passage's own score is and
    `passage_weight` how much it counts as a seed. `damping` is the share of steps that go on.
    """

    name: ClassVar[str] = "hipporag"
    by_run: ClassVar[bool] = False
    reading: ClassVar[tuple[str, ...]] = (
        *("form", "triples", "sift", "passages", "passage_weight", "damping"),
    )
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "fact"})

    form: Literal["both", "entities", "triples"] = "both"
    triples: int = 5
    sift: bool = False
    synonyms: float = 0.8
    passages: Literal["fused", "dense"] = "fused"
    passage_weight: float = 0.05
    damping: float = 0.5
    instructions: str = ""

    def __post_init__(self) -> None:
        known = self.form in ("both", "entities", "triples") and self.passages in ("fused", "dense")
        if not known or self.triples < 1 or not 0 <= self.damping < 1 or not 0 <= self.passage_weight <= 1:
            raise ConfigError(
                "hipporag: form is 'both', 'entities' or 'triples', passages 'fused' or 'dense', triples 1 "
                "or more, damping from 0 to below 1, passage_weight from 0 to 1"
            )

    def wants(self, record: Record) -> bool:
        """What was said, and triples that were given as facts."""
        return record.kind == "episode" or bears_graph(record)

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """The graph of what the passages say."""
        strands = await strands_of(episodes, self.instructions)
        return await Weave(self.synonyms, facts=True).changes(strands)

    async def read(self, query: Query) -> Recall:
        """Passages, those first where a walk from what the query is about is most often."""
        names = shipped().signals if self.passages == "fused" else ("dense_turn",)
        columns = await Score(query.text, names, at=query.at, level=query.level, kinds=query.kinds)
        if not len(columns):
            return Recall()
        own = self._own(columns)
        seeds = {} if query.level or query.kinds else await self._seeds(query)
        ranking = await self._walked(columns, own, seeds) if seeds else own
        highest = max(float(ranking.max()), 1e-12)
        return await best(query, columns, ranking, lambda at: ranking[np.asarray(at)] / highest)

    def _own(self, columns: Columns) -> NDArray[np.float64]:
        """Each passage's own score, scaled from 0 to 1."""
        own = columns.matrix[0] if self.passages == "dense" else fuse(columns, shipped()).scores
        scores = np.asarray(own).astype(np.float64)
        low, high = float(scores.min()), float(scores.max())
        return np.asarray((scores - low) / (high - low) if high > low else np.ones(len(scores)))

    async def _seeds(self, query: Query) -> Seeds:
        """The entities that the query is linked to, and their weights."""
        seeds = await named_in(query.text, self.synonyms) if self.form != "triples" else {}
        if self.form != "entities":
            linked = await facts_like(query, self.triples)
            linked = await sifted(query.text, linked) if self.sift and linked else linked
            for id, weight in (await seeds_of_facts(linked, self.triples)).items():
                seeds[id] = seeds.get(id, 0.0) + weight
        return seeds

    async def _walked(self, columns: Columns, own: NDArray[np.float64], seeds: Seeds) -> NDArray[np.float64]:
        """How often a walk from the seeds is at each passage; none where the graph has none of them."""
        ids = columns.rows(range(len(columns)))
        weights = (own * self.passage_weight).tolist()
        start = [*seeds.items(), *((id, weight) for id, weight in zip(ids, weights, strict=True) if weight)]
        share = dict(await PageRank(tuple(start), self.damping, among=tuple(ids)))
        return np.array([share.get(id, 0.0) for id in ids]) if share else own
