"""Zep: a graph of episodes, entities and facts, in which facts end instead of being overwritten.

Paper: Rasmussen, Paliychuk, Beauvais, Ryan and Chalef, "Zep: A Temporal Knowledge Graph Architecture for
Agent Memory", arXiv:2501.13956; and the authors' code, Graphiti.

Taken: episodes are kept; entities are taken from each with the messages before it, and resolved against
those known, by name and embedding first, and by the model where that leaves doubts; facts tie two entities,
with four times (true from and until, known from and until); a new fact is compared with those like it, and
ends those that it contradicts when it begins. Communities with summaries. Search by BM25, cosine and steps in
the graph, fused by reciprocal rank; and ranked again by diversity, mentions or distance.

Differs: entities and facts come in one reply, names in doubt go into one question, and all facts of an `add`
into another, where there each fact has questions of its own. A fact ends another by rule, where subject and
relation are the same and have one value at a time, or by a reply that names both and why; the receipt tells
it, and `undo` takes it back, as it does a wrong merge. What has ended is found by `as_of` only. Turns are
found beside facts. Entities have no summaries. Without a model, facts are taken and names resolved by rules,
and the receipt says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from engram.kernel.changes import Changes
from engram.kernel.effects import Model, Read, Wanted
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit, Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.compare import Compare
from engram.operators.consolidation.reconcile import reconcile_by_rules, settle_given, stated
from engram.operators.embedding import embedded
from engram.operators.extraction.model import Extract
from engram.operators.extraction.turns import Said, by_rules
from engram.operators.graph.communities import communities
from engram.operators.graph.reach import by_three
from engram.operators.graph.relate import related
from engram.operators.graph.resolve import Named, Resolve
from engram.operators.graph.told import about, came_with, named_in_facts, under_their_names
from engram.operators.retrieval.ranked import diverse, fused_ranks, shares

__all__ = ["Zep"]

_BY_RULES = "by rules: no model is configured"


@dataclass(frozen=True)
class Zep(Policy):
    """Entities and facts on two time axes; found by words, meaning and nearness in the graph.

    Extraction is shown the `earlier` messages before the new ones, and `instructions`. Each fact is compared
    with the `k` facts nearest to it, those as similar as `near` at least. A search looks `steps` far into the
    graph, fuses ranks with `constant`, and orders by `rerank`; `relevance` is the query's weight in "mmr".
    `turns`: turns are found as well as facts. `tend` makes `communities`.
    """

    name: ClassVar[str] = "zep"
    reading: ClassVar[tuple[str, ...]] = ("steps", "constant", "rerank", "relevance", "turns")

    k: int = 10
    near: float = 0.35
    earlier: int = 4
    instructions: str = ""
    communities: bool = True
    steps: int = 3
    constant: float = 1.0
    rerank: Literal["rrf", "mmr", "mentions", "distance"] = "rrf"
    relevance: float = 0.5
    turns: bool = True

    def __post_init__(self) -> None:
        if self.rerank not in ("rrf", "mmr", "mentions", "distance") or min(self.k, self.constant) <= 0:
            raise ConfigError("zep: rerank is 'rrf', 'mmr', 'mentions' or 'distance', k and constant above 0")
        if not 0 <= self.near <= 1 or not 0 <= self.relevance <= 1 or self.steps < 0:
            raise ConfigError("zep: near and relevance lie in [0, 1], steps is 0 or more")

    def wants(self, record: Record) -> bool:
        """Whether it is an episode, or a fact with subject, relation and object."""
        return super().wants(record) or stated(record) is not None

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Entities, facts and edges that the episodes make, and the facts that these end."""
        schema = await Wanted()
        settled = await settle_given(episodes, schema)
        came: list[Said] = []
        named, rest = about(episodes, schema), []
        for turn in (episode for episode in episodes if episode.kind == "episode"):
            said, things = came_with(turn)
            came, named = [*came, *said], [*named, *things]
            rest += [] if said or things else [turn]
        said, more, asks = await self._found(rest)
        named += more
        resolved = await Resolve().entities(named)
        every = under_their_names([*came, *said], resolved)
        if asks and said:
            facts = await Compare(self.k, self.near).changes(every)
        else:
            facts = await reconcile_by_rules(every, _BY_RULES if said else "")
        given = [episode for episode in episodes if stated(episode, schema) is not None]
        return await related(settled + facts, resolved, named, given)

    async def _found(self, turns: Sequence[Record]) -> tuple[list[Said], list[Named], bool]:
        """The facts of turns, what they name, and whether a model found them."""
        if await Model() is None:
            said = by_rules(turns, await Wanted())
            return said, named_in_facts(said, ()), False
        extract = Extract(earlier=self.earlier, instructions=self.instructions)
        said, entities = await extract.facts(turns) if turns else ([], [])
        return said, named_in_facts(said, entities), True

    async def read(self, query: Query) -> Recall:
        """Current facts, turns and communities, by fused ranks."""
        kinds = query.kinds or (() if self.turns else ("fact", "summary"))
        lists, steps = await by_three(query, kinds, self.steps, self.constant)
        ranked = dict(fused_ranks(lists, self.constant))
        found = await Read(tuple(ranked))
        records = [record for record in found if (record.kind in kinds if kinds else record.kind != "entity")]
        ordered = await self._ordered(query, records, steps)
        why = shares(lists, self.constant) if query.explain else {}
        hits, last = [], 1.0
        for record in ordered[: query.depth]:
            last = min(last, ranked[record.id])
            hits.append(Hit(record, last, why.get(record.id, {})))
        return Recall(tuple(hits))

    async def tend(self, scope: Scope) -> Changes:
        """Communities of entities, with summaries; needs networkx, the extra `graph`."""
        return await communities() if self.communities else Changes()

    async def _ordered(
        self, query: Query, records: Sequence[Record], steps: Mapping[str, int]
    ) -> list[Record]:
        """The records, best first, ordered again as `rerank` says."""
        if self.rerank == "mmr" and records:
            vectors = await embedded((query.text, *(record.text for record in records)))
            return [records[at] for at in diverse(vectors[0], vectors[1:], self.relevance)]
        if self.rerank == "mentions":
            return sorted(records, key=lambda record: -len(record.sources))
        if self.rerank == "distance":
            return sorted(records, key=lambda record: steps.get(record.id, self.steps + 1))
        return list(records)
