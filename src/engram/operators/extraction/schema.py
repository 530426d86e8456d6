"""A memory's schema at work: the reply that it asks of a model, what is told of it, and what fits it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from engram.kernel.schema import Relation, Schema, plain_name
from engram.operators.extraction.fact import Fact, Lasting
from engram.operators.retrieval.stated import folded

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "FoundEntity",
    "FoundFact",
    "FoundFacts",
    "entities_of",
    "fact_model",
    "fitted",
    "labelled",
    "misfit",
    "reply_type",
    "told",
    "value_text",
]

_OTHER = "other"


@dataclass(frozen=True)
class FoundFact:
    """A fact as the model gives it; `turn` is the number of the turn that says it."""

    turn: int
    subject: str
    relation: str
    object: str
    lasting: Lasting = "state"
    date: str | None = None
    ended: bool = False
    confidence: float = 1.0
    importance: float | None = None


@dataclass(frozen=True)
class FoundFacts:
    """What the model finds in some turns; `entities` are the people, places and things that it names."""

    facts: list[FoundFact]
    entities: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FoundEntity:
    """Something that turns name: its type and attributes where the schema has such."""

    name: str
    type: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def metadata(self) -> dict[str, Any]:
        """What a record of it keeps beside its name."""
        return {**({"type": self.type} if self.type else {}), **self.attributes}


def told(schema: Schema) -> str:
    """What a model is told of the schema: instructions, and what the types mean."""
    lines = [f"Besides: {schema.instructions}"] if schema.instructions else []
    if schema.facts:
        lines.append("Relations that are wanted:")
        lines += [_relation_told(relation) for relation in schema.relations]
    if schema.entities:
        lines.append("Types of entity:")
        lines += [f"- {model.__name__}{_described(model, _attributes(model))}" for model in schema.entities]
    if schema.typed:
        lines.append("Take nothing else." if schema.only else "What is of no such type is taken as well.")
    return "\n".join(lines)


@lru_cache(maxsize=64)
def reply_type(schema: Schema) -> type[Any]:
    """The type of reply that asks for facts and entities as the schema declares them.

    It has `facts` and `entities` as `FoundFacts` has. A declared relation needs its attributes, and an
    entity that a fact names is of the type that the relation wants there.
    """
    if not schema.typed:
        return FoundFacts
    from pydantic import Field, create_model, model_validator

    facts: list[tuple[str, Any]] = [(relation.name, fact_model(relation)) for relation in schema.relations]
    entities: list[tuple[str, Any]] = [(model.__name__, _entity_model(model)) for model in schema.entities]
    if not schema.only or not schema.facts:
        facts.append((_OTHER, FoundFact))
    if not schema.only or not schema.entities:
        entities.append((_OTHER, create_model("Entity", name=(str, ...), type=(str | None, None))))

    def agrees(reply: Any) -> Any:
        if problem := next(_disagreements(schema, reply), None):
            raise ValueError(problem)
        return reply

    fields: dict[str, Any] = {
        "facts": (list[_one_of(facts, "relation")], ...),  # type: ignore[misc]
        "entities": (list[_one_of(entities, "type")], Field(default_factory=list)),  # type: ignore[misc]
    }
    checks: dict[str, Any] = {"agrees": model_validator(mode="after")(agrees)}
    made: type[Any] = create_model("FoundFacts", __validators__=checks, **fields)
    return made


@lru_cache(maxsize=256)
def fact_model(relation: Relation) -> type[BaseModel]:
    """The relation's own model, as a reply gives facts of it."""
    from pydantic import create_model

    own = relation.model.model_fields
    plain = "object" in own and not relation.objects
    fields: dict[str, Any] = {
        "turn": (int, ...),
        "subject": (str, ...),
        "relation": (_just(relation.name, plain_name), ...),
        "object": (own["object"].annotation, own["object"]) if plain else (str, ...),
        "lasting": (Lasting, "state"),
        "date": (str | None, None),
        "ended": (bool, False),
        "confidence": (float, 1.0),
        "importance": (float | None, None),
    }
    return create_model(relation.model.__name__, __base__=relation.model, **fields)


def _entity_model(model: type[Any]) -> type[BaseModel]:
    from pydantic import create_model

    fields: dict[str, Any] = {"type": (_just(model.__name__, folded), ...)}
    if "name" not in model.model_fields:
        fields["name"] = (str, ...)
    return create_model(model.__name__, __base__=model, **fields)


def _just(name: str, plain: Callable[[str], str]) -> Any:
    """The type of that name alone, which takes whatever is the same when `plain`."""
    from pydantic import BeforeValidator

    def same(value: object) -> object:
        return name if isinstance(value, str) and plain(value) == plain(name) else value

    literal: Any = Literal
    return Annotated[literal[name], BeforeValidator(same)]


def _one_of(models: Sequence[tuple[str, Any]], key: str) -> Any:
    """Any of the models, told apart by the value of `key`, whatever its case and spacing."""
    if len(models) == 1:
        return models[0][1]
    from pydantic import Discriminator, Tag

    tags = {plain_name(tag): tag for tag, _ in models if tag != _OTHER}
    other = _OTHER if models[-1][0] == _OTHER else None

    def told_apart(value: Any) -> str | None:
        held = value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
        return tags.get(plain_name(held), other or held) if isinstance(held, str) else other

    tagged = [Annotated[model, Tag(tag)] for tag, model in models]
    return Annotated[reduce(or_, tagged), Discriminator(told_apart)]


def _disagreements(schema: Schema, reply: Any) -> Iterator[str]:
    """Where a fact and the list of entities say that something is of different types."""
    types = {folded(found.name): found.type for found in reply.entities if getattr(found, "type", None)}
    for place, item in enumerate(reply.facts):
        relation = schema.relation(item.relation)
        if relation is None:
            continue
        for end, wanted in (("subject", relation.subjects), ("object", relation.objects)):
            found = types.get(folded(getattr(item, end)))
            if wanted and found is not None and found not in wanted:
                told = f"is of type {found}, and {relation.name} wants {' or '.join(wanted)} there"
                yield f"facts.{place}.{end}: {getattr(item, end)!r} {told}"


def entities_of(reply: Any, most: int, longest: int) -> Iterator[FoundEntity]:
    """The entities that a reply names, at most `most`, names of at most `longest` characters."""
    for found in reply.entities[:most]:
        name = " ".join((found if isinstance(found, str) else found.name).split())
        if not 0 < len(name) <= longest:
            continue
        if isinstance(found, str):
            yield FoundEntity(name)
            continue
        held = found.model_dump(mode="json", exclude_none=True, exclude={"name", "type"})
        yield FoundEntity(name, found.type, held)


def value_text(item: Any) -> str:
    """A fact's object as text, of whatever type the schema wants it."""
    if isinstance(item.object, str):
        return item.object
    plain = item.model_dump(mode="json", include={"object"})["object"]
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def labelled(
    fact: Fact, schema: Schema, item: Any = None, types: Mapping[str, str | None] | None = None
) -> Fact:
    """The fact with what its relation declares: its name, its types, its attributes, whether it is single.

    `item` is the fact as a reply gave it, `types` maps folded names to the types that the reply names.
    """
    relation = schema.relation(fact.relation)
    if relation is None:
        return fact
    labels: dict[str, Any] = {}
    for key, name, wanted in (
        ("subject_type", fact.subject, relation.subjects),
        ("object_type", fact.object, relation.objects),
    ):
        found = (types or {}).get(folded(name)) or (wanted[0] if len(wanted) == 1 else None)
        labels |= {key: found} if found else {}
    if item is not None:
        labels |= item.model_dump(mode="json", include=set(relation.attributes), exclude_none=True)
    return replace(fact, relation=relation.name, single=relation.single, labels=labels)


def fitted(fact: Fact, schema: Schema) -> Fact | None:
    """A fact found by rule as the schema has it; `None` where it does not fit, or is not wanted."""
    relation = schema.relation(fact.relation)
    if relation is None:
        return None if schema.only and schema.facts else fact
    said = {"subject": fact.subject, "relation": fact.relation, "object": fact.object}
    return None if _misfit(relation, said) else labelled(fact, schema)


def misfit(schema: Schema, metadata: Mapping[str, Any]) -> str | None:
    """What is wrong with a fact given with that metadata; `None` where it fits, or is of no declared type."""
    relation = schema.relation(str(metadata.get("relation", "")))
    if relation is None:
        return None
    names = ("subject", "relation", "object", *relation.attributes)
    return _misfit(relation, {name: metadata[name] for name in names if name in metadata})


def _misfit(relation: Relation, said: Mapping[str, Any]) -> str | None:
    from pydantic import ValidationError

    try:
        fact_model(relation).model_validate_json(json.dumps({"turn": 1, **said}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


def _relation_told(relation: Relation) -> str:
    ends = f"{' or '.join(relation.subjects) or 'anything'} → {' or '.join(relation.objects) or 'a value'}"
    once = ", one at a time" if relation.single else ""
    fields = relation.model.model_fields
    about = _described(relation.model, {name: fields[name] for name in relation.attributes})
    return f"- {relation.name} ({ends}{once}){about}"


def _attributes(model: type[Any]) -> Mapping[str, Any]:
    return {name: held for name, held in model.model_fields.items() if name != "name"}


def _described(model: type[Any], fields: Mapping[str, Any]) -> str:
    """The model's docstring, and its fields with their descriptions."""
    about = " ".join((model.__doc__ or "").split())
    parts = [f"{name} ({held.description})" if held.description else name for name, held in fields.items()]
    return (f": {about}" if about else "") + (f" With {', '.join(parts)}." if parts else "")
