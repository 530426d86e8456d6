"""From triples and names to a graph, as changes: entities, what mentions them, relations, synonyms.

Nodes are records: each entity once by its folded name, each passage as it was said. Edges are `mentions`
(passage to entity), relations (subject to object, typed by the relation, one for each passage that states
it) and `synonym` (entities whose names are near by embedding), after HippoRAG (arXiv:2405.14831, 2502.14802).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.changes import Add, Changes, Connect, Disconnect, Revise
from engram.kernel.effects import Entities, Neighbours, Similar
from engram.kernel.record import Edge, Record
from engram.operators.embedding import embedded
from engram.operators.graph.triple import Entity, Triple, given, given_entities
from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.near import Near, nearest
from engram.operators.retrieval.stated import folded

__all__ = ["MENTIONS", "SYNONYM", "Strand", "Weave", "strand_of"]

MENTIONS = "mentions"
SYNONYM = "synonym"
_MENTION = 0.5  # beside 1 for a relation: the authors' graph has each relation and synonym in both directions
_SHORT = 3
_MOST = 100
Edges = dict[tuple[str, str, str, tuple[str, ...]], Connect]


@dataclass(frozen=True)
class Strand:
    """What a passage says of a graph: the entities that it names, and triples."""

    passage: Record
    entities: tuple[Entity, ...] = ()
    triples: tuple[Triple, ...] = ()

    @property
    def names(self) -> list[str]:
        """Every name, those of the triples first."""
        ends = [name for triple in self.triples for name in (triple.subject, triple.object)]
        return [*ends, *(entity.name for entity in self.entities)]


def strand_of(passage: Record) -> Strand:
    """What was given with a passage."""
    return Strand(passage, given_entities(passage), given(passage).triples)


@dataclass(frozen=True)
class Weave:
    """Makes the changes that put strands into the graph that is there.

    Names are linked as synonyms from a cosine of `synonyms` on (above 1: none are), up to 100 of each, if
    both have three letters or digits. With `facts` each triple becomes a record of kind `fact` too, for
    queries to be compared with; one that was said as such is not made again.
    """

    synonyms: float = 0.8
    facts: bool = False

    async def changes(self, strands: Sequence[Strand]) -> Changes:
        """The changes; what stood on the passages before and is not among the strands any more ends."""
        web = _Web()
        await web.entities(strands)
        for strand in strands:
            web.mention(strand)
            if self.facts and strand.passage.kind != "fact":
                web.state(strand)
        if self.synonyms <= 1:
            await web.relate(self.synonyms)
        return await web.changes([strand.passage.id for strand in strands])


@dataclass
class _Web:
    """The changes as they come together.

    `node` has the id, or "#n", of each entity by its folded name; `same` that name by other names of it.
    """

    adds: list[Add] = field(default_factory=list)
    revisions: list[Revise] = field(default_factory=list)
    edges: Edges = field(default_factory=dict)
    node: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    same: dict[str, str] = field(default_factory=dict)

    async def entities(self, strands: Sequence[Strand]) -> None:
        """Find the entities that are known by a name, and add the others."""
        named: dict[str, dict[str, None]] = {}
        spelled: dict[str, str] = {}
        told = _told(strands)
        for alias, name in ((folded(alias), key) for key in told for alias in told[key].aliases):
            if alias and alias not in told:
                self.same.setdefault(alias, name)
        for strand in strands:
            for name in strand.names:
                if key := self._key(name):
                    named.setdefault(key, {})[strand.passage.id] = None
                    spelled.setdefault(key, " ".join(name.split()))
        asked = {key: (spelled[key], *(told[key].aliases if key in told else ())) for key in named}
        found = iter(await Entities(tuple(name for names in asked.values() for name in names)))
        for key, names in asked.items():
            known = [record for _ in names for record in next(found)]
            self._settle(key, names, told.get(key), known, tuple(named[key]))

    def _settle(
        self,
        key: str,
        names: Sequence[str],
        told: Entity | None,
        known: Sequence[Record],
        sources: tuple[str, ...],
    ) -> None:
        """Take an entity that has one of the names, the policy's own first, or add one."""
        own = next((record for record in known if record.made_by is not None), None)
        if own is not None:
            self.node[key] = own.id
            metadata = _described(own.metadata, own.text, names, told)
            more = tuple(id for id in sources if id not in own.sources)
            if more or metadata != dict(own.metadata):
                self.revisions.append(Revise(own.id, own.version, metadata=metadata, sources=more))
        elif known:
            self.node[key] = known[0].id
        else:
            self.node[key] = f"#{len(self.adds)}"
            self.adds.append(Add(names[0], "entity", sources, metadata=_described({}, names[0], names, told)))
            self.fresh.append(key)

    def _key(self, name: str) -> str:
        key = folded(name)
        return self.same.get(key, key)

    def mention(self, strand: Strand) -> None:
        """Connect the passage with what it names, and the ends of its triples with each other."""
        passage = strand.passage.id
        for name in strand.names:
            if key := self._key(name):
                self._connect(Connect(passage, self.node[key], MENTIONS, _MENTION, (passage,)))
        for triple in strand.triples:
            source, target = (self.node.get(self._key(name)) for name in (triple.subject, triple.object))
            if source is not None and target is not None and source != target:
                edge = Connect(
                    source,
                    target,
                    " ".join(triple.relation.split()),
                    triple.weight,
                    (passage,),
                    valid_start=triple.valid_start,
                    valid_end=triple.valid_end,
                )
                self._connect(edge)

    def state(self, strand: Strand) -> None:
        """Add the triples as facts."""
        for triple in dict.fromkeys(strand.triples):
            said = {"subject": triple.subject, "relation": triple.relation, "object": triple.object}
            fact = Add(
                triple.text,
                "fact",
                (strand.passage.id,),
                valid_start=triple.valid_start,
                valid_end=triple.valid_end,
                metadata=said,
            )
            self.adds.append(fact)

    async def relate(self, floor: float) -> None:
        """Connect entities that are new with those whose names are near, known ones and new ones."""
        fresh = [key for key in self.fresh if sum(map(str.isalnum, key)) >= _SHORT]
        names = tuple(self.adds[int(self.node[key][1:])].text for key in fresh)
        near = await Similar(names, _MOST, ("entity",), floor)
        if len(names) > 1:
            nodes = [self.node[key] for key in fresh]
            more = _alike(nodes, await embedded(names), floor)
            near = [[*known, *new] for known, new in zip(near, more, strict=True)]
        for key, pairs in zip(fresh, near, strict=True):
            for id, cosine in pairs:
                self._like(self.node[key], id, cosine)

    async def changes(self, passages: Sequence[str]) -> Changes:
        """Everything together; of what the passages had before, what is said again stays, the rest ends."""
        ended = [
            Disconnect(edge.id, reason="its passage does not say it any more")
            for edge in await _before(passages)
            if self.edges.pop((edge.source, edge.target, edge.type, edge.sources), None) is None
        ]
        return Changes((*self.adds, *self.revisions, *ended, *self.edges.values()))

    def _connect(self, edge: Connect) -> None:
        self.edges.setdefault((edge.source, edge.target, edge.type, edge.sources), edge)

    def _like(self, one: str, other: str, cosine: float) -> None:
        if one != other and (other, one, SYNONYM, (other, one)) not in self.edges:
            self._connect(Connect(one, other, SYNONYM, round(cosine, 6), (one, other)))


def _told(strands: Sequence[Strand]) -> dict[str, Entity]:
    """What the strands together tell of each entity that they name, by its folded name."""
    told: dict[str, Entity] = {}
    for entity in (entity for strand in strands for entity in strand.entities):
        key = folded(entity.name)
        held = told.get(key, entity)
        aliases = tuple(dict.fromkeys((*held.aliases, *entity.aliases)))
        told[key] = Entity(held.name, held.type or entity.type, aliases)
    return told


async def _before(passages: Sequence[str]) -> list[Edge]:
    """The edges that stand on these passages alone."""
    mentions = await Neighbours(tuple(passages), (MENTIONS,), "out")
    if not mentions:
        return []
    named = tuple(dict.fromkeys(edge.target for edge in mentions))
    again = {*passages}
    around = [edge for edge in await Neighbours(named) if edge.type != SYNONYM]
    every = {
        edge.id: edge for edge in (*mentions, *around) if edge.sources and again.issuperset(edge.sources)
    }
    return list(every.values())


def _described(
    metadata: Mapping[str, Any], text: str, names: Sequence[str], told: Entity | None
) -> dict[str, Any]:
    """An entity's metadata with what else is told of it: other names, and its type where it has none."""
    held = metadata.get("aliases")
    aliases = {folded(name): name for name in (held if isinstance(held, list) else [])}
    for name in names:
        if folded(name) != folded(text):
            aliases.setdefault(folded(name), name)
    kind = metadata.get("type") or (told.type if told is not None else None)
    more = {"aliases": list(aliases.values())} if aliases else {}
    return {**metadata, **more, **({"type": kind} if kind else {})}


def _alike(nodes: list[str], vectors: NDArray[np.float32], floor: float) -> list[Near]:
    """For each of the nodes the others that are near, as `Similar` would find them."""
    held = Vectors(vectors.shape[1])
    held.append(vectors)
    return nearest(held, nodes, np.arange(len(nodes)), vectors, _MOST + 1, floor)
