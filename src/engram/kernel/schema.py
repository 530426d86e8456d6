"""What a memory's owner wants taken from what is said: instructions, and types of entities and facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from engram.kernel.errors import ConfigError

__all__ = ["Relation", "Schema", "plain_name"]

_OF_FACTS = frozenset(
    {"turn", "relation", "lasting", "date", "ended", "confidence", "importance", "when", "said"}
    | {"placed", "subject_type", "object_type"}
)
_OF_ENTITIES = frozenset({"type", "aliases"})
_ENDS = ("subject", "object")
_LONGEST = 8000


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of fact as its model declares it.

    `subjects` and `objects` are the names of the entity types that may stand there, empty for anything.
    `single` says whether one value holds at a time, `None` that the relation's name decides. `attributes`
    are the names of the model's other fields.
    """

    name: str
    model: type[Any]
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    single: bool | None
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Schema:
    """What is wanted of what is said; `Memory(schema=Schema(…))`. Types are pydantic models.

    `instructions` go to the model with every extraction, of whatever policy. An entity's model is named as
    its type, and its fields are the attributes (`name` is the entity's own). A fact's model is named as the
    relation (`WorksAt` is `works_at`); its fields `subject` and `object`, where it has them, are entity
    models or what the value must be, `single: ClassVar[bool]` says whether one value holds at a time, and
    all other fields are attributes. Docstrings and field descriptions are shown to the model. With `only`,
    nothing of other types is taken. Entity models that facts name need not be listed.

    Raises `ConfigError` for what is no pydantic model, and for names that clash.
    """

    instructions: str = ""
    entities: Sequence[type[Any]] = ()
    facts: Sequence[type[Any]] = ()
    only: bool = False

    def __post_init__(self) -> None:
        if len(self.instructions) > _LONGEST:
            raise ConfigError(f"schema: instructions of over {_LONGEST:,} characters; say it shorter")
        for model in (*self.entities, *self.facts):
            if not isinstance(getattr(model, "model_fields", None), Mapping):
                raise ConfigError(
                    f"schema: {model!r:.80} is no pydantic model; derive a class from BaseModel"
                )
        named = [type for model in self.facts for end in _ENDS for type in _models(model, end)]
        object.__setattr__(self, "entities", tuple(dict.fromkeys([*self.entities, *named])))
        object.__setattr__(self, "facts", tuple(self.facts))
        _check_names("entities", [model.__name__ for model in self.entities])
        _check_names("facts", [_relation_name(model) for model in self.facts])
        for models, taken in ((self.entities, _OF_ENTITIES), (self.facts, _OF_FACTS)):
            for model in models:
                if clash := sorted(taken & model.model_fields.keys()):
                    raise ConfigError(
                        f"schema: {model.__name__}.{clash[0]} is a name of engram's own; rename it"
                    )

    @property
    def typed(self) -> bool:
        """Whether it names any type."""
        return bool(self.entities or self.facts)

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The kinds of fact, in the order given."""
        return tuple(_relation(model) for model in self.facts)

    def relation(self, name: str) -> Relation | None:
        """The kind of fact that is called so, whatever its case, spaces and underscores."""
        return next((found for found in self.relations if found.name == plain_name(name)), None)


def plain_name(text: str) -> str:
    """A relation's name as it is compared: "Works at" is `works_at`."""
    return re.sub(r"[\s_-]+", "_", text.strip().casefold())


def _relation(model: type[Any]) -> Relation:
    fields: Mapping[str, Any] = model.model_fields
    single = None if "single" in fields else getattr(model, "single", None)
    subjects, objects = ([held.__name__ for held in _models(model, end)] for end in _ENDS)
    attributes = tuple(name for name in fields if name not in _ENDS)
    return Relation(_relation_name(model), model, tuple(subjects), tuple(objects), single, attributes)


def _relation_name(model: type[Any]) -> str:
    """`works_at` for `WorksAt`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.__name__).lower()


def _models(model: type[Any], end: str) -> Iterator[type[Any]]:
    """The entity models that stand in a field, alone or in a union."""
    fields: Mapping[str, Any] = model.model_fields
    wanted = fields[end].annotation if end in fields else None
    for held in get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,):
        if isinstance(held, type) and hasattr(held, "model_fields"):
            yield held


def _check_names(place: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"schema: {place} name {twice[0]!r} twice; give each its own name")
