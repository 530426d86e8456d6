"""Filters: what a caller may ask of a record's fields, compiled to a predicate."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.record import KINDS, Interval, Record
from engram.kernel.scope import Scope

__all__ = ["FIELDS", "OPERATORS", "Predicate", "compile_filters", "wanted_kinds", "wanted_level"]

Predicate = Callable[[Record], bool]

_TIMES: dict[str, Callable[[Record], Any]] = {
    "time": lambda record: record.time,
    "valid_start": lambda record: record.valid.start,
    "valid_end": lambda record: record.valid.end,
    "known_start": lambda record: record.known.start,
    "known_end": lambda record: record.known.end,
    "expires": lambda record: record.expires,
}
_PLAIN: dict[str, Callable[[Record], Any]] = {
    "id": lambda record: record.id,
    "kind": lambda record: record.kind,
    "level": lambda record: record.level,
    "text": lambda record: record.text,
    "origin": lambda record: record.origin,
    "role": lambda record: record.role,
    "name": lambda record: record.name,
    "made_by": lambda record: record.made_by,
    "strength": lambda record: record.strength,
    "trust": lambda record: record.trust,
    "version": lambda record: record.version,
    "sources": lambda record: record.sources,
    "tenant": lambda record: record.scope.tenant,
    "user_id": lambda record: record.scope.user_id,
    "agent_id": lambda record: record.scope.agent_id,
    "run_id": lambda record: record.scope.run_id,
}
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_AT_LEVEL = {
    level: Record("", "episode", "", Scope(), _NO_TIME, Interval(), Interval(), level=level)
    for level in (None, 0, 1, 2)
}
_OF_KIND = {kind: Record("", kind, "", Scope(), _NO_TIME, Interval(), Interval()) for kind in KINDS}
FIELDS = (*_PLAIN, *_TIMES, "metadata")


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(value: Any, wanted: Any) -> bool:
        try:
            return value is not None and compare(value, wanted)
        except TypeError:
            return False

    return test


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted.casefold() in value.casefold()
    return isinstance(value, Sequence | Mapping) and wanted in value


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: bool(value == wanted),
    "ne": lambda value, wanted: bool(value != wanted),
    "gt": _ordered(lambda value, wanted: value > wanted),
    "gte": _ordered(lambda value, wanted: value >= wanted),
    "lt": _ordered(lambda value, wanted: value < wanted),
    "lte": _ordered(lambda value, wanted: value <= wanted),
    "in": lambda value, wanted: value in wanted,
    "nin": lambda value, wanted: value not in wanted,
    "contains": _contains,
    "exists": lambda value, wanted: (value is not None) == bool(wanted),
}


def compile_filters(filters: Mapping[str, Any] | None) -> Predicate | None:
    """A predicate over records, or `None` for no filter.

    `{"role": "user", "time": {"gte": "2026-05-01"}, "metadata.topic": "work"}` joins its entries by
    "and"; `{"or": [{…}, {…}]}`, `{"and": […]}` and `{"not": {…}}` combine. Raises `InvalidInput` for an
    unknown field or operator, naming the nearest.
    """
    if not filters:
        return None
    if not isinstance(filters, Mapping):
        raise InvalidInput(f"filters: expected a mapping of field to value, got {type(filters).__name__}")
    parts = [_part(key, value) for key, value in filters.items()]
    return lambda record: all(part(record) for part in parts)


def wanted_level(filters: Mapping[str, Any] | None) -> int:
    """The granularity that the filters ask for: 0 turns, 1 windows, 2 sessions.

    Windows and sessions are ranked apart from all else: raises `InvalidInput` for filters that ask for
    both of them, or for one of them inside `or`.
    """
    accepted = frozenset(_AT_LEVEL)
    for condition, inside in _conditions("level", filters or {}):
        taken = frozenset(level for level, record in _AT_LEVEL.items() if condition(record))
        if inside and taken and taken <= {1, 2}:
            raise InvalidInput("filters: give 'level' outside of 'or'; it chooses what is ranked")
        accepted = accepted if inside else accepted & taken
    if not accepted or not accepted <= {1, 2}:
        return 0
    if len(accepted) > 1:
        raise InvalidInput("filters: ask for one level at a time: 1 (windows) or 2 (sessions)")
    return 1 if 1 in accepted else 2


def wanted_kinds(filters: Mapping[str, Any] | None) -> frozenset[str]:
    """The kinds that the filters allow, as far as conditions on `kind` outside of `or` and `not` say it."""
    allowed = frozenset(_OF_KIND)
    for condition, inside in _conditions("kind", filters or {}):
        taken = frozenset(kind for kind, record in _OF_KIND.items() if condition(record))
        allowed = allowed if inside else allowed & taken
    return allowed


def _conditions(
    field: str, filters: Mapping[str, Any], inside: bool = False
) -> Iterator[tuple[Predicate, bool]]:
    """The conditions on a field that are not negated, and whether each stands inside an `or`."""
    for key, value in filters.items():
        if key == field:
            yield _condition(key, value), inside
        elif key in ("and", "or"):
            for item in value:
                yield from _conditions(field, item, inside or key == "or")


def _part(key: Any, value: Any) -> Predicate:
    if key in ("and", "or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InvalidInput(f"filters: {key!r} takes a list of at least one filter")
        parts = [_required(item) for item in value]
        if key == "and":
            return lambda record: all(part(record) for part in parts)
        return lambda record: any(part(record) for part in parts)
    if key == "not":
        inner = _required(value)
        return lambda record: not inner(record)
    return _condition(key, value)


def _required(value: Any) -> Predicate:
    predicate = compile_filters(value)
    if predicate is None:
        raise InvalidInput("filters: an empty filter inside and/or/not")
    return predicate


def _condition(key: Any, value: Any) -> Predicate:
    if not isinstance(key, str):
        raise InvalidInput(f"filters: a field is text, got {key!r}; {_nearest(key, FIELDS)}")
    get, is_time = _getter(key)
    conditions = value if isinstance(value, Mapping) and not _is_metadata_value(key, value) else {"eq": value}
    tests = []
    for name, wanted in conditions.items():
        operator = OPERATORS.get(name)
        if operator is None:
            raise InvalidInput(f"filters: unknown operator {name!r} for {key!r}; {_nearest(name, OPERATORS)}")
        tests.append((operator, _operand(key, name, wanted, is_time)))
    return lambda record: all(operator(get(record), wanted) for operator, wanted in tests)


def _is_metadata_value(key: str, value: Mapping[str, Any]) -> bool:
    return key.startswith("metadata.") and not any(name in OPERATORS for name in value)


def _operand(key: str, name: str, wanted: Any, is_time: bool) -> Any:
    if name in ("in", "nin"):
        if isinstance(wanted, str) or not isinstance(wanted, Sequence | set | frozenset):
            raise InvalidInput(f"filters: {name!r} for {key!r} takes a list")
        return [parse_time(item, key)[0] for item in wanted] if is_time else list(wanted)
    if is_time and wanted is not None and name not in ("exists", "contains"):
        return parse_time(wanted, f"filters.{key}")[0]
    return wanted


def _getter(key: str) -> tuple[Callable[[Record], Any], bool]:
    if key in _TIMES:
        return _TIMES[key], True
    if key in _PLAIN:
        return _PLAIN[key], False
    if key == "metadata":
        return lambda record: record.metadata, False
    if key.startswith("metadata."):
        path = key.split(".")[1:]
        return lambda record: _dig(record.metadata, path), False
    raise InvalidInput(f"filters: unknown field {key!r}; {_nearest(key, FIELDS)}")


def _dig(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    meant = f"did you mean {close[0]!r}? It" if close else "it"
    return f"{meant} may be one of: {', '.join(known)}; metadata fields are written 'metadata.FIELD'"
