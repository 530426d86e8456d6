"""What is known of entities: their names and types, and what facts tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engram.kernel.effects import Entities, Neighbours, Read
from engram.kernel.record import Record
from engram.operators.graph.likeness import Known, Mention
from engram.operators.retrieval.stated import folded

__all__ = [
    "OBJECT",
    "SUBJECT",
    "called",
    "different",
    "inverse",
    "mention_of",
    "names_of_all",
    "told_of",
]

SUBJECT, OBJECT = "subject", "object"
"""The types of the edges from a fact to what it is about."""


async def told_of(entities: Sequence[Record]) -> dict[str, list[Known]]:
    """What facts tell of entities, by id: those that edges lead to them from, as subject or object."""
    ids = tuple(record.id for record in entities)
    edges = await Neighbours(ids, (SUBJECT, OBJECT), "in", limit=20 * len(ids)) if ids else []
    facts = (
        {fact.id: fact for fact in await Read(tuple(dict.fromkeys(edge.source for edge in edges)))}
        if edges
        else {}
    )
    told: dict[str, list[Known]] = {}
    for edge in edges:
        fact = facts.get(edge.source)
        if fact is not None and len({folded(fact.metadata.get(end, "")) for end in (SUBJECT, OBJECT)}) == 2:
            told.setdefault(edge.target, []).append(_known(fact, edge.type))
    return told


def mention_of(entity: Record, told: Iterable[Known] = ()) -> Mention:
    """An entity as a mention, with what is told of it."""
    aliases = entity.metadata.get("aliases")
    names = tuple(str(name) for name in aliases) if isinstance(aliases, list | tuple) else ()
    return Mention(entity.text, str(entity.metadata.get("type") or ""), names, tuple(told))


def inverse(relation: str) -> str:
    """A relation as it is told from its other end: "mother" and "mother of"."""
    plain = relation.replace("_", " ")
    return plain.removesuffix(" of") if plain.endswith(" of") else f"{plain} of"


def _known(fact: Record, end: str) -> Known:
    relation = str(fact.metadata.get("relation", "")).replace("_", " ")
    if end == OBJECT:
        return Known(inverse(relation), str(fact.metadata.get("subject", "")), fact.time.year)
    return Known(relation, str(fact.metadata.get("object", "")), fact.time.year)


async def called(names: Sequence[Sequence[str]]) -> list[list[Record]]:
    """For each of several things the entities that have one of its names, or one like it."""
    flat = tuple(dict.fromkeys(name for each in names for name in each))
    of = dict(zip(flat, await Entities(flat, alike=True), strict=True))
    return [list({record.id: record for name in each for record in of[name]}.values()) for each in names]


def names_of_all(records: Iterable[Record]) -> Iterator[str]:
    """The names of several entities."""
    for record in records:
        yield record.text
        yield from mention_of(record).aliases


def different(names: Iterable[str], own: str) -> list[str]:
    """Each name once, without an entity's own."""
    found = {folded(name): name for name in names}
    found.pop(folded(own), None)
    return list(found.values())
