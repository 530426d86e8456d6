"""What is known of entities: their names and types, and what facts tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engram.kernel.effects import Neighbours, Read
from engram.kernel.record import Record
from engram.operators.graph.likeness import Known, Mention

__all__ = ["OBJECT", "SUBJECT", "inverse", "mention_of", "told_of"]

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
        if (fact := facts.get(edge.source)) is not None:
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
