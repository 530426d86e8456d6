"""Triples and entities that come with messages, checked before anything is stored."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.record import Interval, Record
from engram.kernel.text import check_text

__all__ = [
    "LONGEST",
    "Entity",
    "Given",
    "Triple",
    "bears_graph",
    "entities_of",
    "fact_message",
    "given",
    "given_entities",
    "triples_of",
    "without_graph",
]

T = TypeVar("T")
LONGEST = 1000
"""Characters that a part of a triple may have."""
_MOST = 10_000
_PARTS = ("subject", "relation", "object")
_TRIPLE_KEYS = (*_PARTS, "valid_start", "valid_end", "weight")
_ENTITY_KEYS = ("name", "type", "aliases")
_SHAPE = "[subject, relation, object] or a mapping with these keys"


@dataclass(frozen=True, slots=True)
class Triple:
    """That a relation holds from `valid_start` until `valid_end` between two things, by name.

    Parts are 1 to 1,000 characters; without a start it holds from when it was said. `weight` is above 0.
    """

    subject: str
    relation: str
    object: str
    valid_start: datetime | None = None
    valid_end: datetime | None = None
    weight: float = 1.0

    @property
    def text(self) -> str:
        """The triple as words: `LIVES_IN` reads "lives in"."""
        relation = self.relation.replace("_", " ")
        return f"{self.subject} {relation.lower() if relation.isupper() else relation} {self.object}"

    def to_dict(self) -> dict[str, Any]:
        """The parts, and what else is said, as JSON values."""
        found: dict[str, Any] = {name: getattr(self, name) for name in _PARTS}
        for name in ("valid_start", "valid_end"):
            moment: datetime | None = getattr(self, name)
            if moment is not None:
                found[name] = moment.isoformat()
        return found if self.weight == 1.0 else {**found, "weight": self.weight}


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that a message names, what it is, and its other names."""

    name: str
    type: str | None = None
    aliases: tuple[str, ...] = ()


class Given(NamedTuple):
    """The names and triples that came with a message, each once."""

    entities: tuple[str, ...]
    triples: tuple[Triple, ...]


def given(record: Record) -> Given:
    """The names and triples that came with a message under the keys `entities` and `triples`.

    A fact's triple holds when the fact does, where it says nothing else. What is none is passed over.
    """
    names = [name for entity in given_entities(record) for name in (entity.name, *entity.aliases)]
    triples = _good(_came(record, "triples"), _triple)
    if record.kind == "fact":
        triples = [_timed(triple, record.valid) for triple in triples]
    return Given(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(triples)))


def given_entities(record: Record) -> tuple[Entity, ...]:
    """The entities that came with a message, with their types and other names."""
    return tuple(dict.fromkeys(_good(_came(record, "entities"), _entity)))


def bears_graph(record: Record) -> bool:
    """Whether entities or triples came with the message."""
    return bool(_came(record, "triples") or _came(record, "entities"))


def without_graph(payload: Any) -> Any:
    """A record's payload without the entities and triples that came with its text."""
    if isinstance(payload, list):
        return [without_graph(item) for item in payload]
    if not isinstance(payload, dict):
        return payload
    return {key: value for key, value in payload.items() if key not in ("entities", "triples")}


def fact_message(triple: Triple, beside: Mapping[str, Any]) -> dict[str, Any]:
    """The message under which a triple is stored as a fact: its words, its parts as metadata, itself.

    `beside` may have the caller's `id`, a `time` and `metadata`.
    """
    said = {"subject": triple.subject, "relation": triple.relation, "object": triple.object}
    more = beside.get("metadata")
    if more is not None and not isinstance(more, Mapping):
        raise InvalidInput(f"metadata: expected a mapping, got {type(more).__name__}")
    message: dict[str, Any] = {"role": "user", "content": triple.text, "metadata": {**(more or {}), **said}}
    message |= {key: beside[key] for key in ("id", "time") if beside.get(key) is not None}
    times = {"start": triple.valid_start, "end": triple.valid_end}
    if valid := {name: moment for name, moment in times.items() if moment is not None}:
        message["valid"] = valid
    return {**message, "triples": [triple.to_dict()]}


def _came(record: Record, key: str) -> Any:
    payload = record.payload[0] if isinstance(record.payload, list) else record.payload
    return payload.get(key) if isinstance(payload, dict) else None


def _good(value: Any, read: Callable[[object, str], T]) -> list[T]:
    found: list[T] = []
    for item in value if isinstance(value, list) else ():
        with suppress(InvalidInput):
            found.append(read(item, ""))
    return found


def _timed(triple: Triple, valid: Interval) -> Triple:
    if triple.valid_start is not None or triple.valid_end is not None:
        return triple
    return replace(triple, valid_start=valid.start, valid_end=valid.end)


def triples_of(value: object, place: str = "triples") -> tuple[Triple, ...]:
    """Triples from a list of [subject, relation, object] or mappings; `None` is none.

    A mapping may have `valid_start`, `valid_end` (a time as in messages) and `weight` besides. Raises
    `InvalidInput` naming the place of what is no triple.
    """
    return tuple(_triple(item, f"{place}[{number}]") for number, item in enumerate(_listed(value, place)))


def _triple(item: object, place: str) -> Triple:
    if isinstance(item, Triple):
        item = item.to_dict()
    if isinstance(item, Mapping):
        _known(item, _TRIPLE_KEYS, place)
        lacking = [name for name in _PARTS if item.get(name) is None]
        if lacking:
            raise InvalidInput(f"{place}.{lacking[0]} is missing; give {_SHAPE}")
        parts = [item[name] for name in _PARTS]
    elif isinstance(item, Sequence) and not isinstance(item, str | bytes | bytearray):
        parts, item = list(item), {}
        if len(parts) != len(_PARTS):
            raise InvalidInput(f"{place}: has {len(parts)} parts; give {_SHAPE}")
    else:
        raise InvalidInput(f"{place}: expected {_SHAPE}, got {type(item).__name__}")
    subject, relation, thing = (
        _name(part, f"{place}.{name}") for name, part in zip(_PARTS, parts, strict=True)
    )
    start, end = (_moment(item.get(name), f"{place}.{name}") for name in ("valid_start", "valid_end"))
    if start is not None and end is not None and end <= start:
        raise InvalidInput(f"{place}.valid_end: {end} does not lie after valid_start ({start})")
    return Triple(subject, relation, thing, start, end, _weight(item.get("weight"), f"{place}.weight"))


def entities_of(value: object, place: str = "entities") -> tuple[Entity, ...]:
    """Entities from a list of names or of mappings with `name`, `type` and `aliases`; `None` is none.

    Raises `InvalidInput` naming the place of what is no entity.
    """
    return tuple(_entity(item, f"{place}[{number}]") for number, item in enumerate(_listed(value, place)))


def _entity(item: object, place: str) -> Entity:
    if isinstance(item, str):
        return Entity(_name(item, place))
    if not isinstance(item, Mapping):
        raise InvalidInput(
            f"{place}: expected a name or a mapping of name, type and aliases, got {type(item).__name__}"
        )
    _known(item, _ENTITY_KEYS, place)
    kind = item.get("type")
    aliases = _listed(item.get("aliases"), f"{place}.aliases")
    return Entity(
        _name(item.get("name"), f"{place}.name"),
        None if kind is None else _name(kind, f"{place}.type"),
        tuple(_name(alias, f"{place}.aliases[{number}]") for number, alias in enumerate(aliases)),
    )


def _listed(value: object, place: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
        raise InvalidInput(f"{place}: expected a list, got {type(value).__name__}")
    if len(value) > _MOST:
        raise InvalidInput(f"{place}: has {len(value):,} items, over {_MOST:,}; split the message")
    return value


def _known(item: Mapping[Any, Any], keys: Sequence[str], place: str) -> None:
    for key in item:
        if key not in keys:
            close = difflib.get_close_matches(str(key).lower(), keys, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]!r}?" if close else f"it may have {', '.join(keys)}"
            raise InvalidInput(f"{place}: unknown key {key!r:.80}; {hint}")


def _name(value: object, place: str) -> str:
    text = " ".join(check_text(value, place).split())
    if not 0 < len(text) <= LONGEST:
        raise InvalidInput(f"{place}: expected 1 to {LONGEST:,} characters, got {len(text):,}")
    return text


def _moment(value: object, place: str) -> datetime | None:
    return None if value is None else parse_time(value, place)[0]


def _weight(value: object, place: str) -> float:
    if value is None:
        return 1.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value) or value <= 0:
        raise InvalidInput(f"{place}: expected a number above 0, got {value!r:.40}")
    return float(value)
