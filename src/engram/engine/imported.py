"""What stands in an export file: read, checked and resolved before anything of it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engram.engine.core import Core
from engram.engine.ingest import check_text, json_value
from engram.engine.views import is_view
from engram.kernel.errors import Conflict, Forbidden, InvalidInput
from engram.kernel.protocols import Select, StateRow
from engram.kernel.record import KINDS, ROLES, Edge, Interval, Record
from engram.kernel.scope import Scope

__all__ = ["FORMAT", "Line", "prove", "read_lines"]

FORMAT = "engram-export/1"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an export: a record's versions, oldest first, or an edge, or a state, and its place."""

    place: str
    versions: tuple[Record, ...] = ()
    edge: Edge | None = None
    state: StateRow | None = None

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        owner = self.edge or self.state or self.versions[-1]
        return owner.scope

    @property
    def named(self) -> tuple[str, ...]:
        """The ids of records that it stands on."""
        if self.edge is not None:
            return (self.edge.source, self.edge.target, *self.edge.sources)
        return tuple(id for version in self.versions for id in version.sources)

    def renamed(self, aliases: Mapping[str, str]) -> Line:
        """The line with other names for the records that it stands on."""

        def names(ids: Sequence[str]) -> tuple[str, ...]:
            return tuple(aliases.get(id, id) for id in ids)

        if self.edge is not None:
            source, target = names([self.edge.source, self.edge.target])
            edge = replace(self.edge, source=source, target=target, sources=names(self.edge.sources))
            return replace(self, edge=edge)
        versions = tuple(replace(version, sources=names(version.sources)) for version in self.versions)
        return replace(self, versions=versions)


@dataclass
class _Proof:
    ids: set[str] = field(default_factory=set)
    named: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


def read_lines(path: Path) -> Iterator[Line]:
    """The lines behind the header. Raises `InvalidInput` naming the first line that is broken."""
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                line = json.loads(text)
                if not isinstance(line, dict) or "type" not in line:
                    raise InvalidInput(f"{path}:{number}: not a line of an engram export")
                if number > 1 and line["type"] == "change_set":
                    continue  # which versions came together there; numbers are each store's own
                if number > 1:
                    yield _parsed(line, f"{path}:{number}")
                elif line["type"] != "header" or line.get("format") != FORMAT:
                    raise InvalidInput(f"{path}: the first line is not an {FORMAT} header")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from error
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise InvalidInput(f"{path}:{number}: nested too deep") from error


def prove(core: Core, path: Path, within: Scope | None) -> dict[str, str]:
    """Check the whole file, and what of it is there under another id: aliases by the file's ids.

    Raises `InvalidInput` for a broken line or a source that is nowhere, `Forbidden` for a line outside
    `within`, `Conflict` where a caller's id is taken by other content.
    """
    proof = _Proof()
    filled = bool(core.store.scopes())
    for line in read_lines(path):
        if within is not None and not within.covers(line.scope):
            raise Forbidden(f"{line.place}: this memory is bound to {within}; the line belongs elsewhere")
        proof.named.update((id, line.place) for id in line.named if id not in proof.named)
        if line.versions:
            proof.ids.add(line.versions[0].id)
            if filled:
                _resolve(core, line, proof.aliases)
    missing = sorted(proof.named.keys() - proof.ids)
    for page in (tuple(missing[first : first + _PAGE]) for first in range(0, len(missing), _PAGE)):
        there = {record.id for record in core.store.select(Select(ids=page, closed=True))}
        for id in page:
            if id not in there:
                raise InvalidInput(
                    f"{proof.named[id]}: stands on record {id}, which is neither in the file nor in "
                    "the store; export that record too, or import it first"
                )
    return proof.aliases


def _resolve(core: Core, line: Line, aliases: dict[str, str]) -> None:
    """Note where the record's own id (`origin`) is in the store already."""
    record = line.versions[0]
    if record.origin is None:
        return
    for there in core.store.select(Select(origins=((record.scope, record.origin),), history=True)):
        if there.scope == record.scope and there.version == 1 and there.id != record.id:
            if not there.same_content(record):
                raise Conflict(
                    f"{line.place}: id {record.origin!r} is taken in this scope: record {there.id} holds "
                    "other content under it; forget one of the two"
                )
            aliases[record.id] = there.id


def _parsed(line: dict[str, Any], place: str) -> Line:
    kind = line.pop("type")
    try:
        if kind == "record":
            older = line.pop("versions", [])
            return Line(place, versions=tuple(_record(fields) for fields in [*older, line]))
        if kind == "edge":
            return Line(place, edge=_edge(line))
        if kind == "state":
            return Line(place, state=_state(line))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{place}: a broken {kind} line: {error}") from error
    raise InvalidInput(f"{place}: unknown type {kind!r}; it may be record, edge, state or change_set")


def _record(fields: Mapping[str, Any]) -> Record:
    record = Record.from_dict({**fields, "sources": _ids(fields["sources"], "sources")})
    _id(record.id, "id")
    check_text(record.text, "text")
    for name in ("origin", "name", "made_by"):
        if getattr(record, name) is not None:
            check_text(getattr(record, name), name)
    _one_of(record.kind, KINDS, "kind")
    _one_of(record.role, (None, *ROLES), "role")
    _one_of(record.level, (0,) if record.kind == "episode" else (None,), "level")
    for name in ("strength", "trust"):
        value = getattr(record, name)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InvalidInput(f"{name}: expected 0 to 1, got {value!r}")
    _in_order(record.valid, "valid")
    _in_order(record.known, "known")
    return replace(
        record,
        metadata=_mapping(record.metadata, "metadata"),
        payload=json_value(record.payload, "payload"),
    )


def _edge(fields: Mapping[str, Any]) -> Edge:
    edge = Edge.from_dict({**fields, "sources": _ids(fields["sources"], "sources")})
    for name in ("id", "source", "target"):
        _id(getattr(edge, name), name)
    check_text(edge.type, "edge")
    _in_order(edge.known, "known")
    return replace(edge, weight=float(edge.weight), metadata=_mapping(edge.metadata, "metadata"))


def _state(fields: Mapping[str, Any]) -> StateRow:
    return StateRow(
        check_text(fields["policy"], "policy"),
        Scope.of(**fields["scope"]),
        check_text(fields["name"], "name"),
        json_value(fields["value"], "value"),
        1,
        _ids(fields["reads"], "reads"),
    )


def _id(value: object, place: str) -> str:
    text = check_text(value, place)
    if not text or len(text) > 512 or is_view(text):
        raise InvalidInput(f"{place}: {text!r:.40} is no id of a record")
    return text


def _ids(values: object, place: str) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise InvalidInput(f"{place}: expected a list of ids, got {type(values).__name__}")
    return tuple(_id(value, place) for value in values)


def _one_of(value: object, allowed: Sequence[object], place: str) -> None:
    if value not in allowed or isinstance(value, bool):
        raise InvalidInput(f"{place}: {value!r} is not one of {', '.join(map(str, allowed))}")


def _in_order(interval: Interval, place: str) -> None:
    start, end = interval.start, interval.end
    if start is not None and end is not None and end < start:
        raise InvalidInput(f"{place}: ends ({end}) before it starts ({start})")


def _mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{place}: expected a mapping, got {type(value).__name__}")
    return dict(json_value(value, place))
