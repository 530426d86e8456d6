"""Edges that stand for facts: from each to what it is about, between those, for as long as it holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from engram.kernel.changes import Add, Change, Changes, Connect, Disconnect, Retire, Revise
from engram.kernel.effects import Entities, Neighbours, Read
from engram.kernel.record import Edge, Interval, Record
from engram.operators.graph.known import OBJECT, SUBJECT
from engram.operators.graph.resolve import Named, Resolved
from engram.operators.graph.weave import MENTIONS
from engram.operators.retrieval.stated import folded

__all__ = ["fact_of", "related"]

_MENTION = 0.5  # beside 1 for what a fact states


async def related(
    facts: Changes, resolved: Resolved, named: Sequence[Named], given: Sequence[Record] = ()
) -> Changes:
    """Entities, facts, and the edges between them and from the records that name them, as one set of changes.

    An edge from subject to object is typed by the relation, and stands on the fact: it holds when the fact
    does, and goes when it goes. Facts of entities that became part of another are about that one. `given` are
    facts that were added directly; where these have edges, as they said something else before, those end.
    """
    changes = list(_joined(facts, await _renamed(resolved)))
    first = sum(isinstance(change, Add) for change in resolved.changes)
    adds = [change for change in changes if isinstance(change, Add)]
    followed = [change for change in facts if isinstance(change, Retire | Revise)]
    known = (
        {fact.id: fact for fact in await Read(tuple(change.id for change in followed))} if followed else {}
    )
    resolved = await _with_others([*adds, *known.values()], resolved)
    ends = {change.id: change.end for change in facts if isinstance(change, Retire)}
    edges: list[Change] = []
    for number, fact in enumerate(adds, first):
        edges += _edges(f"#{number}", fact, resolved)
    before = await _held(given) if given else {}
    for record in given:
        edges += [Disconnect(edge.id, reason="said otherwise") for edge in before.get(record.id, ())]
        until = ends.get(record.id, record.valid.end)
        edges += _edges(record.id, record.at(valid=Interval(record.valid.start, until)), resolved)
    edges += await _followed(followed, known, resolved)
    facts_said = {record.id for record in given}
    return Changes((*resolved.changes, *changes, *edges, *_mentions(named, resolved, facts_said)))


def fact_of(edge: Edge) -> str:
    """The id of the fact that an edge between entities stands for."""
    return edge.sources[0] if edge.sources else ""


async def _with_others(facts: Sequence[Add | Record], resolved: Resolved) -> Resolved:
    """With the entities that facts name which were not named anew: a value that holds again."""
    names = [str(fact.metadata.get(end, "")) for fact in facts for end in (SUBJECT, OBJECT)]
    others = tuple(dict.fromkeys(name for name in names if name and resolved.place(name) is None))
    if not others:
        return resolved
    found = zip(others, await Entities(others), strict=True)
    known = {folded(name): records[0].id for name, records in found if records}
    return replace(resolved, places={**known, **resolved.places})


def _mentions(named: Sequence[Named], resolved: Resolved, facts: Collection[str]) -> Iterator[Connect]:
    """An edge from each record but `facts` to what it names; it stays one when the record is read again."""
    pairs = {
        (source, place): None
        for item in named
        if (place := resolved.place(item.mention.name)) is not None
        for source in item.sources
        if source not in facts
    }
    for source, place in pairs:
        yield Connect(source, place, MENTIONS, _MENTION, (source,), single=True)


def _edges(id: str, fact: Add | Record, resolved: Resolved) -> Iterator[Connect]:
    """From the fact to its subject and object, and from the one to the other."""
    span = (
        (fact.valid.start, fact.valid.end) if isinstance(fact, Record) else (fact.valid_start, fact.valid_end)
    )
    ends = [resolved.place(str(fact.metadata.get(end, ""))) for end in (SUBJECT, OBJECT)]
    for type, place in zip((SUBJECT, OBJECT), ends, strict=True):
        if place is not None:
            yield Connect(id, place, type, 1.0, (id,), valid_start=span[0], valid_end=span[1])
    subject, target = ends
    if subject is not None and target is not None and subject != target:
        relation = " ".join(str(fact.metadata.get("relation", "")).split())
        yield Connect(subject, target, relation, fact.trust, (id,), valid_start=span[0], valid_end=span[1])


async def _followed(
    changes: Sequence[Retire | Revise], known: Mapping[str, Record], resolved: Resolved
) -> list[Change]:
    """The edges of facts that end, end with them; those of facts that say something else are made anew."""
    held = await _held(list(known.values())) if known else {}
    out: list[Change] = []
    for change in changes:
        fact = known.get(change.id)
        if fact is None:
            continue
        edges = held.get(fact.id, ())
        if isinstance(change, Retire):
            out += [Disconnect(edge.id, change.end, change.reason) for edge in edges]
            continue
        now = fact if change.metadata is None else replace(fact, metadata=change.metadata)
        if _ends(now) != _ends(fact) or not any(edge.type == SUBJECT for edge in edges):
            out += [Disconnect(edge.id, reason=change.reason) for edge in edges]
            out += _edges(fact.id, now, resolved)
    return out


async def _held(facts: Sequence[Record]) -> dict[str, list[Edge]]:
    """Every edge that stands for a fact, by the fact's id."""
    ids = tuple(fact.id for fact in facts)
    about = await Neighbours(ids, (SUBJECT, OBJECT), "out", ended=True)
    subjects = tuple(dict.fromkeys(edge.target for edge in about if edge.type == SUBJECT))
    relations = tuple({" ".join(str(fact.metadata.get("relation", "")).split()) for fact in facts})
    between = await Neighbours(subjects, relations, "out", ended=True) if subjects else []
    found: dict[str, list[Edge]] = {}
    for edge in (*about, *between):
        if (id := fact_of(edge)) in ids:
            found.setdefault(id, []).append(edge)
    return found


def _ends(fact: Record) -> tuple[object, ...]:
    return tuple(fact.metadata.get(name) for name in (SUBJECT, "relation", OBJECT))


async def _renamed(resolved: Resolved) -> list[Revise]:
    """The facts of entities that became part of another, with the name of that one."""
    if not resolved.merged:
        return []
    about = await Neighbours(tuple(resolved.merged), (SUBJECT, OBJECT), "in", ended=True)
    facts = {fact.id: fact for fact in await Read(tuple(dict.fromkeys(edge.source for edge in about)))}
    ends: dict[str, dict[str, Record]] = {}
    for edge in about:
        ends.setdefault(edge.source, {})[edge.type] = resolved.merged[edge.target]
    return [
        Revise(
            id,
            fact.version,
            metadata={**fact.metadata, **{end: entity.text for end, entity in ends[id].items()}},
            sources=tuple(entity.id for entity in ends[id].values()),
            reason="its entity was merged",
        )
        for id, fact in facts.items()
        if fact.made_by is not None
    ]


def _joined(facts: Iterable[Change], renamed: Sequence[Revise]) -> Iterator[Change]:
    """Both, with one change a record: what was decided on a fact counts before its other name."""
    decided = {change.id: change for change in facts if isinstance(change, Retire | Revise)}
    more = {change.id: change for change in renamed}
    for change in facts:
        other = more.get(change.id) if isinstance(change, Revise) else None
        if isinstance(change, Revise) and other is not None:
            names = {end: (other.metadata or {}).get(end) for end in (SUBJECT, OBJECT)}
            held = {**(change.metadata or other.metadata or {}), **names}
            yield replace(change, metadata=held, sources=(*change.sources, *other.sources))
        else:
            yield change
    yield from (change for id, change in more.items() if id not in decided)
