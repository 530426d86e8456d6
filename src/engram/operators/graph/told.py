"""What records tell for a graph: facts, and the things that these are about with what is told of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from engram.kernel.record import Interval, Record
from engram.kernel.schema import Schema
from engram.kernel.triple import Triple, given, given_entities
from engram.operators.consolidation.reconcile import stated
from engram.operators.extraction.fact import Fact
from engram.operators.extraction.schema import FoundEntity
from engram.operators.extraction.turns import Said, speaker_of
from engram.operators.graph.known import inverse
from engram.operators.graph.likeness import Known, Mention
from engram.operators.graph.resolve import Named, Resolved
from engram.operators.retrieval.stated import folded

__all__ = ["about", "came_with", "named_in_facts", "under_their_names"]

_WORDS, _LETTERS = 5, 60  # of an object that is a thing by itself, where nobody says which are
# What stands at the ends of relations that the rules extractor and models name alike.
_ENDS = {
    **dict.fromkeys(("lives_in", "born_in", "visited", "from", "moved_to"), ("person", "place")),
    **dict.fromkeys(("works_at", "studies_at"), ("person", "organisation")),
    **dict.fromkeys(("wife", "husband", "spouse", "partner", "mother", "father"), ("person", "person")),
    **dict.fromkeys(("sister", "brother", "son", "daughter", "friend"), ("person", "person")),
}
_VALUES = frozenset({"age", "birthday", "email", "phone", "weight", "height", "name"})


def came_with(record: Record) -> tuple[list[Said], list[Named]]:
    """The facts and things that came with a message: its triples and entities; of an added fact none."""
    triples = given(record).triples if record.kind == "episode" else ()
    said = [Said(_fact(triple, record), record) for triple in triples]
    named = [
        Named(Mention(entity.name, entity.type or "", entity.aliases), (record.id,))
        for entity in given_entities(record)
    ]
    things = {name for triple in triples for name in (triple.subject, triple.object)}
    return said, [*named, *named_in_facts(said, [FoundEntity(name) for name in sorted(things)])]


def about(records: Iterable[Record], schema: Schema | None = None) -> list[Named]:
    """The things that facts added directly are about."""
    said = [Said(fact, record) for record in records if (fact := stated(record, schema)) is not None]
    return named_in_facts(said, ())


def named_in_facts(said: Sequence[Said], entities: Sequence[FoundEntity]) -> list[Named]:
    """The things that facts are about, and `entities` besides, with what the facts tell of each.

    Every subject is one; an object is where it is among the entities, or short and no value where there are
    none.
    """
    listed = {folded(entity.name): entity for entity in entities}
    found: list[Named] = []
    for item in said:
        fact = item.fact
        types = _types(item, listed)
        year = (fact.when[0] if fact.when else item.turn.time).year
        if folded(fact.subject) == folded(fact.object):  # tells it from no other thing of its name
            found.append(Named(Mention(fact.subject, types[0]), item.sources))
            continue
        known = Known(fact.relation, fact.object, year)
        found.append(Named(Mention(fact.subject, types[0], facts=(known,)), item.sources))
        if folded(fact.object) in listed or (not listed and _is_thing(fact)):
            known = Known(inverse(fact.relation), fact.subject, year)
            found.append(Named(Mention(fact.object, types[1], facts=(known,)), item.sources))
    return [*found, *_beside(said, listed.values())]


def under_their_names(said: Iterable[Said], resolved: Resolved) -> list[Said]:
    """The facts, about things by the names that these have as entities.

    A fact that has its words from an entity stands on that too: it goes when the name does.
    """
    return [_named(item, resolved) for item in said]


def _named(item: Said, resolved: Resolved) -> Said:
    ends = {"subject": item.fact.subject, "object": item.fact.object}
    named = {end: resolved.name(name) for end, name in ends.items() if resolved.name(name) != name}
    lent = [place for end in named if (place := resolved.place(ends[end])) is not None]
    if not named:
        return item
    fact = replace(
        item.fact,
        subject=named.get("subject", item.fact.subject),
        object=named.get("object", item.fact.object),
    )
    return replace(item, fact=fact, others=tuple(dict.fromkeys((*item.others, *lent))))


def _fact(triple: Triple, record: Record) -> Fact:
    start, end = triple.valid_start, triple.valid_end
    if start is None and (end is None or end > record.time):
        start = record.time
    return Fact(
        triple.subject,
        triple.relation,
        triple.object,
        confidence=min(1.0, triple.weight),
        span=Interval(start, end),
    )


def _types(item: Said, listed: dict[str, FoundEntity]) -> tuple[str, str]:
    """The types of subject and object, where somebody says them or the relation does."""
    fact = item.fact
    ends = _ENDS.get(fact.relation, ("", ""))
    types = []
    for name, label, end in (
        (fact.subject, "subject_type", ends[0]),
        (fact.object, "object_type", ends[1]),
    ):
        entity = listed.get(folded(name))
        types.append(str((entity and entity.type) or fact.labels.get(label) or end))
    if not types[0] and folded(fact.subject) == folded(speaker_of(item.turn)):
        types[0] = "person"
    return types[0], types[1]


def _is_thing(fact: Fact) -> bool:
    if fact.relation in _VALUES or len(fact.object) > _LETTERS:
        return False
    return len(fact.object.split()) <= _WORDS and not fact.object[:1].isdigit()


def _beside(said: Sequence[Said], entities: Iterable[FoundEntity]) -> Iterator[Named]:
    """Entities that are named without a fact, by the turns that have their words."""
    turns = {item.turn.id: item.turn for item in said}
    for entity in entities:
        sources = tuple(id for id, turn in turns.items() if folded(entity.name) in folded(turn.text))
        if sources:
            yield Named(Mention(entity.name, entity.type or ""), sources)
