"""Mem0: facts are extracted, compared with what is known, and then added, updated, ended or left out.

Paper: Chhikara, Khant, Aryan, Singh and Yadav, "Mem0: Building Production-Ready AI Agents with Scalable
Long-Term Memory", arXiv:2504.19413; and the authors' code, whose later form only adds.

Taken: extraction of short facts from new messages, with the ten before them; the `k` memories nearest to
each; one decision of ADD, UPDATE, DELETE or NOOP a fact; memories are shown by small numbers. In the later
form: one question alone, which sees what is known, and links from facts to the entities that they name, which
lift facts when a query names them.

Differs: all facts of an `add` are decided on in one question, and in none where nothing is near. Facts have
subject, relation, object and valid time: DELETE ends a memory and UPDATE makes a version of it, which `undo`
takes back, and a relation of one value at a time is settled in valid time, not in order of arrival. No
running summary goes to extraction. Turns are found too, behind the facts that have replaced what they say.
Without a model, facts are taken by rules, and the receipt says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from engram.kernel.changes import Add, Changes, Connect, Revise
from engram.kernel.effects import Entities, Find, Model, Neighbours, Read, Wanted, each
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit, Record
from engram.kernel.schema import Schema
from engram.operators.consolidation.compare import Compare
from engram.operators.consolidation.reconcile import reconcile_by_rules, settle_given, stated
from engram.operators.extraction.model import Extract, FoundEntity
from engram.operators.extraction.turns import by_rules
from engram.operators.retrieval.replaced import before_replaced, inserted, stretches
from engram.operators.retrieval.stated import folded

__all__ = ["Mem0"]

_BY_RULES = "by rules: no model is configured"
_MENTIONS = "mentions"
_LIFT = 0.5
_COMMON = 0.001  # an entity that many facts name lifts each of them less


@dataclass(frozen=True)
class Mem0(Policy):
    """Short facts, compared with what is known: added, updated, ended, left out; by rules without a model.

    `form` is the paper's ("compare") or the later one ("add"). Each fact is compared with the `k` memories
    nearest to it, those as similar as `near` at least. `turns`: a search finds turns besides facts.
    Extraction is shown the `earlier` messages before the new ones, and `instructions`.
    """

    name: ClassVar[str] = "mem0"

    form: Literal["compare", "add"] = "compare"
    k: int = 10
    near: float = 0.35
    turns: bool = True
    earlier: int = 10
    instructions: str = ""

    def __post_init__(self) -> None:
        if self.form not in ("compare", "add") or self.k < 1 or not 0 <= self.near <= 1:
            raise ConfigError("mem0: form is 'compare' or 'add', k 1 or more, near from 0 to 1")

    def wants(self, record: Record) -> bool:
        """Whether it is an episode, or a fact with subject, relation and object."""
        return super().wants(record) or stated(record) is not None

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """What the episodes say, and what that changes in the facts known; facts added take their place."""
        schema = await Wanted()
        settled = await settle_given(episodes, schema)
        said = [episode for episode in episodes if episode.kind == "episode"]
        return settled + (await self._derived(said, schema) if said else Changes())

    async def _derived(self, episodes: Sequence[Record], schema: Schema) -> Changes:
        """What is made of the episodes."""
        if await Model() is None:
            single = False if self.form == "add" else None
            return await reconcile_by_rules(by_rules(episodes, schema), _BY_RULES, single=single)
        extract = Extract(earlier=self.earlier, instructions=self.instructions)
        if self.form == "add":
            return await self._add(episodes, extract)
        said, entities = await extract.facts(episodes)
        changes = await Compare(self.k, self.near).changes(said)
        return changes + await self._links(changes, entities) if schema.entities else changes

    async def _add(self, episodes: Sequence[Record], extract: Extract) -> Changes:
        """The later form: what is known is shown, what is new is added and linked to what it names."""
        found = await each(Find(episode.text[:2000], self.k, ("fact",)) for episode in episodes)
        near = {hit.id: hit for hits in found for hit in hits}
        best = sorted(near.values(), key=lambda hit: (-hit.score, hit.id))[: self.k]
        said, entities = await extract.facts(episodes, [hit.record for hit in best])
        changes = await reconcile_by_rules(said, single=False)
        return changes + await self._links(changes, entities)

    async def _links(self, changes: Changes, entities: Sequence[FoundEntity]) -> Changes:
        """An entity for each name that is new, and an edge from each new fact to those that it names."""
        facts = [change for change in changes if isinstance(change, Add)]
        named = [item for item in entities if any(folded(item.name) in folded(fact.text) for fact in facts)]
        found = await each(Find(item.name, 5, ("entity",)) for item in named)
        links: list[Add | Revise | Connect] = []
        new = len(facts)
        for item, hits in zip(named, found, strict=True):
            own = (hit.record for hit in hits if hit.record.made_by)
            same = [record for record in own if folded(record.text) == folded(item.name)]
            naming = [number for number, fact in enumerate(facts) if folded(item.name) in folded(fact.text)]
            sources = tuple(dict.fromkeys(id for number in naming for id in facts[number].sources))
            more = {**(same[0].metadata if same else {}), **item.metadata}
            if not same:
                links.append(Add(item.name, "entity", sources, metadata=more))
            elif more != same[0].metadata:
                links.append(Revise(same[0].id, same[0].version, None, more, sources, "more is known of it"))
            place, new = (same[0].id, new) if same else (f"#{new}", new + 1)
            links += [Connect(f"#{number}", place, _MENTIONS, 1.0, sources) for number in naming]
        return Changes(tuple(links))

    async def read(self, query: Query) -> Recall:
        """Facts, and turns for what no fact tells, nearest first; a fact before what it has replaced."""
        found = await Find(query.text, query.depth, ("fact", "episode") if self.turns else ("fact",))
        facts = await Find(query.text, self.k, ("fact",))
        if self.turns:
            found = await before_replaced(found, facts)
        if self.form == "add":
            found = inserted(found, await self._lifted(query, [*found, *facts]))
        return Recall(tuple(found[: query.depth]))

    async def _lifted(self, query: Query, found: Sequence[Hit]) -> dict[str, Hit]:
        """The facts that name what the query names, their scores lifted."""
        named = await Entities(stretches(query.text))
        entities = {entity.id: entity for same in named for entity in same}
        lift: dict[str, float] = {}
        for edge in await Neighbours(tuple(entities), (_MENTIONS,)) if entities else ():
            if edge.target in entities:
                share = _LIFT / (1 + _COMMON * (len(entities[edge.target].sources) - 1) ** 2)
                lift[edge.source] = max(lift.get(edge.source, 0.0), share)
        score = {hit.id: hit.score for hit in found}
        return {
            fact.id: Hit(fact, min(1.0, score.get(fact.id, 0.0) + lift[fact.id]))
            for fact in await Read(tuple(lift))
        }
