"""mem0's filters as engram's: ids that must hold become the scope, the rest conditions on records."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engram.kernel.errors import InvalidInput

__all__ = ["ENTITIES", "Wanted", "literal", "wanted"]

ENTITIES = ("user_id", "agent_id", "run_id", "app_id")
"""The ids by which mem0 tells whose a memory is; `app_id` is kept in the metadata here."""
_IDS = ENTITIES[:3]
_ANY = "*"
_FIELDS = {"created_at": "time", "timestamp": "time", "updated_at": "known_start", "memory_ids": "id"}
_OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains")
_JOINS = {"AND": "and", "OR": "or", "$and": "and", "$or": "or"}
_LONGEST = 4096
_DEEPEST = 20


@dataclass
class Wanted:
    """What a mem0 call asks for: a scope, filters for what is left, and whether it named anybody at all."""

    ids: dict[str, str | None] = field(default_factory=dict)
    filters: list[dict[str, Any]] = field(default_factory=list)
    named: bool = False

    @property
    def everyone(self) -> bool:
        """Whether it names somebody, but no scope: one of several users, or anybody."""
        return self.named and not any(self.ids.values())

    @property
    def options(self) -> dict[str, Any]:
        """Filters and `everyone` as the face has them."""
        joined = None if not self.filters else {"and": self.filters}
        return {"filters": joined, "everyone": self.everyone}


def wanted(filters: Mapping[str, Any] | None, ids: Mapping[str, str | None]) -> Wanted:
    """What filters and ids ask for together. Raises `InvalidInput`."""
    found = Wanted()
    for name, value in ids.items():
        if value is not None:
            _hold(found, name, value)
    _take(found, filters or {}, 0)
    return found


def literal(text: str) -> Mapping[str, Any]:
    """A mapping that stands in a query: as JSON, or as mem0's client writes it, which is Python's `repr`."""
    try:
        read = json.loads(text)
    except RecursionError as error:
        raise InvalidInput("filters: nested too deep; flatten them") from error
    except ValueError:
        read = _python(text)
    if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
        raise InvalidInput('filters: expected an object such as {"user_id": "ana"}')
    return read


def _python(text: str) -> Any:
    if len(text) > _LONGEST:
        raise InvalidInput(f"filters: over {_LONGEST} characters")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise InvalidInput('filters: expected an object such as {"user_id": "ana"}') from error


def _take(found: Wanted, filters: Mapping[str, Any], depth: int) -> None:
    """Conditions that must all hold."""
    for name, value in filters.items():
        if _JOINS.get(name) == "and":
            for item in _listed(name, value):
                _take(found, item, depth + 1)
        elif name in ENTITIES and isinstance(value, str):
            _hold(found, name, value)
        elif name in ENTITIES and not isinstance(value, list | dict):
            raise InvalidInput(f"{name}: expected text, got {value!r:.40}")
        else:
            found.named |= _names_somebody(name, value)
            found.filters.append(_condition(name, value, depth))


def _hold(found: Wanted, name: str, value: str) -> None:
    """One id that must hold."""
    found.named = True
    if value == _ANY:
        return
    if name == "app_id":
        found.filters.append({"metadata.app_id": value})
    elif found.ids.get(name, value) != value:
        raise InvalidInput(f"{name}: named twice, as {found.ids[name]!r:.80} and as {value!r:.80}")
    else:
        found.ids[name] = value


def _names_somebody(name: str, value: Any) -> bool:
    if name in ENTITIES:
        return True
    parts = value if isinstance(value, list) else [value]
    return name in (*_JOINS, "NOT", "$not") and any(
        _names_somebody(key, inner) for part in parts if isinstance(part, dict) for key, inner in part.items()
    )


def _condition(name: str, value: Any, depth: int) -> dict[str, Any]:
    """One condition as engram's filters have it. Raises `InvalidInput`."""
    if depth > _DEEPEST:
        raise InvalidInput(f"filters: nested over {_DEEPEST} deep")
    if name in _JOINS:
        return {_JOINS[name]: [_all(item, depth + 1) for item in _listed(name, value)]}
    if name in ("NOT", "$not"):
        parts = value if isinstance(value, list) else [value]
        return {"not": {"or": [_all(item, depth + 1) for item in _listed(name, parts)]}}
    if name == "metadata" and isinstance(value, dict):
        return {"and": [_field(f"metadata.{key}", item) for key, item in value.items()]} if value else _TRUE
    if name == "keywords":
        return _field("text", value if isinstance(value, dict) else {"contains": value})
    if name == "categories":
        raise InvalidInput("categories: engram files nothing by category; give metadata, and filter by that")
    return _field(_name(name), value)


_TRUE: dict[str, Any] = {"id": {"exists": True}}


def _all(item: Any, depth: int) -> dict[str, Any]:
    if not isinstance(item, dict) or not item:
        raise InvalidInput("filters: expected an object with at least one condition inside AND, OR and NOT")
    return {"and": [_condition(name, value, depth) for name, value in item.items()]}


def _listed(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise InvalidInput(f"filters: {name!r} takes a list of objects")
    return value


def _name(name: str) -> str:
    if name in _IDS:
        return name
    return _FIELDS.get(name, f"metadata.{name}")


def _field(name: str, value: Any) -> dict[str, Any]:
    if value == _ANY:
        return {name: {"exists": True}}
    if isinstance(value, list):
        return {name: {"in": value}}
    if not isinstance(value, dict):
        return {name: value}
    operators = {"icontains": "contains", **{operator: operator for operator in _OPERATORS}}
    unknown = [key for key in value if key not in operators]
    if unknown:
        raise InvalidInput(f"filters: {unknown[0]!r:.40} is none of {', '.join(sorted(operators))}")
    return {name: {operators[key]: item for key, item in value.items()}}
