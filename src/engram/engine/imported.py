"""What stands in an export file: read, checked and resolved before anything of it is stored."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from engram.engine.core import Core
from engram.engine.ingest import check_text, json_value
from engram.engine.progress import Progress
from engram.engine.views import is_view
from engram.kernel.errors import Conflict, Forbidden, InvalidInput
from engram.kernel.protocols import Select, SelectEdges, StateRow
from engram.kernel.record import KINDS, ROLES, Edge, Interval, Record
from engram.kernel.scope import Scope

if TYPE_CHECKING:
    from engram.formats.source import Source

__all__ = ["FORMAT", "Line", "Proof", "prove", "read_lines"]

FORMAT = "engram-export/2"
_OLDER = "engram-export/1"  # without numbers of change sets and without an end
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an export: a record's versions, oldest first, or an edge, or a state, and its place.

    `opened` and `closed` of versions and edges are ranks among the file's change sets, from 1; 0 where
    the file does not say.
    """

    place: str
    versions: tuple[Record, ...] = ()
    edge: Edge | None = None
    state: StateRow | None = None
    change_set: int | None = None

    @property
    def scope(self) -> Scope | None:
        """Whose it is; nobody's for the line of a change set."""
        owner = self.edge or self.state or (self.versions[-1] if self.versions else None)
        return None if owner is None else owner.scope

    @property
    def named(self) -> tuple[str, ...]:
        """The ids of records that it stands on."""
        if self.edge is not None:
            return (self.edge.source, self.edge.target, *self.edge.sources)
        return tuple(id for version in self.versions for id in version.sources)

    @property
    def last_change(self) -> int:
        """The highest rank of a change set that it names."""
        stamped = self.versions if self.edge is None else (self.edge,)
        return max((max(item.opened, item.closed or 0) for item in stamped), default=0)

    def renamed(self, aliases: Mapping[str, str]) -> Line:
        """The line with other names for the records that it stands on."""
        if not aliases:
            return self

        def names(ids: Sequence[str]) -> tuple[str, ...]:
            return tuple(aliases.get(id, id) for id in ids)

        if self.edge is not None:
            source, target = names([self.edge.source, self.edge.target])
            edge = replace(self.edge, source=source, target=target, sources=names(self.edge.sources))
            return replace(self, edge=edge)
        versions = tuple(replace(version, sources=names(version.sources)) for version in self.versions)
        return replace(self, versions=versions)


@dataclass
class Proof:
    """What is known of a whole file once it is read: 8 bytes for each id in it, not the ids."""

    aliases: dict[str, str] = field(default_factory=dict)
    change_sets: int = 0
    fingerprint: str = ""
    ids: array[int] = field(default_factory=lambda: array("Q"))
    named: array[int] = field(default_factory=lambda: array("Q"))
    origins: array[int] = field(default_factory=lambda: array("Q"))


def read_lines(source: Source, digest: hashlib.blake2b | None = None) -> Iterator[Line]:
    """The lines behind the header, all added to `digest`. Raises `InvalidInput` naming the broken line."""
    name = source.names[0]
    header, ended, number = "", False, 0
    for number, text in source.lines(name):
        if digest is not None:
            digest.update(text.encode("utf-8", "surrogatepass"))
        if not text.strip():
            continue
        place = f"{source.place(name)}:{number}"
        line = _json(text, place)
        if ended:
            raise InvalidInput(f"{place}: stands behind the end of the export; import the files one by one")
        if header and line["type"] == "end":
            ended = True
        elif header:
            yield _parsed(line, place, numbered=header == FORMAT)
        elif line["type"] != "header" or line.get("format") not in (FORMAT, _OLDER):
            raise InvalidInput(f"{source.place(name)}: the first line is not an {FORMAT} header")
        else:
            header = line["format"]
    if not header:
        raise InvalidInput(f"{source.place(name)}: the file is empty; export again")
    if header == FORMAT and not ended:
        raise InvalidInput(
            f"{source.place(name)}:{number}: the file is cut off, its last line is missing; "
            "copy it again, or export again"
        )


def _json(text: str, place: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{place}: not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise InvalidInput(f"{place}: nested too deep") from error
    except ValueError as error:  # a number of thousands of digits
        raise InvalidInput(f"{place}: not JSON ({error})") from error
    if not isinstance(line, dict) or not isinstance(line.get("type"), str):
        raise InvalidInput(f"{place}: not a line of an engram export")
    return line


def prove(core: Core, source: Source, within: Scope | None, progress: Progress | None = None) -> Proof:
    """Check the whole file, and what of it is there under another id: aliases by the file's ids.

    Raises `InvalidInput` for a broken line, an id that comes twice, or a source that is nowhere,
    `Forbidden` for a line outside `within`, `Conflict` where a caller's id is taken by other content.
    """
    proof = Proof()
    filled = bool(core.store.scopes())
    waiting: list[Line] = []
    last = 0, ""
    digest = hashlib.blake2b(digest_size=16)
    for number, line in enumerate(read_lines(source, digest)):
        if progress is not None and number % _PAGE == 0:
            progress(source.bytes_read, source.total_bytes)
        if within is not None and line.scope is not None and not within.covers(line.scope):
            raise Forbidden(f"{line.place}: this memory is bound to {within}; the line belongs elsewhere")
        last = max(last, (line.last_change, line.place))
        proof.change_sets += line.change_set is not None
        proof.named.extend(map(_hash, line.named))
        if line.versions:
            first = line.versions[0]
            proof.ids.append(_hash(first.id))
            if first.origin is not None:
                proof.origins.append(_hash(repr((first.scope, first.origin))))
        if filled and (line.versions or line.edge is not None):
            waiting.append(line)
        if len(waiting) >= _PAGE:
            _held_against(core, waiting, proof.aliases, within)
            waiting.clear()
    _held_against(core, waiting, proof.aliases, within)
    if last[0] > proof.change_sets:
        raise InvalidInput(f"{last[1]}: change set {last[0]} has no line of its own; export again")
    proof.fingerprint = digest.hexdigest()
    _no_repeats(source, proof)
    _no_gaps(core, source, proof, within)
    return proof


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _held_against(core: Core, lines: Sequence[Line], aliases: dict[str, str], within: Scope | None) -> None:
    """Hold lines against what the store has already."""
    if within is not None:
        _no_others(core, lines, within)
    _resolve(core, [item for item in lines if item.versions and item.versions[0].origin is not None], aliases)


def _no_others(core: Core, lines: Sequence[Line], within: Scope) -> None:
    """Refuse an id that the store has outside: what stands on it here would stand on what is not theirs."""
    records = tuple(line.versions[0].id for line in lines if line.versions)
    edges = tuple(line.edge.id for line in lines if line.edge is not None)
    found: list[Record | Edge] = []
    found += core.store.select(Select(ids=records, closed=True)) if records else ()
    found += core.store.edges(SelectEdges(ids=edges, history=True)) if edges else ()
    taken = {item.id for item in found if not within.covers(item.scope)}
    for line in lines if taken else ():
        id = line.edge.id if line.edge is not None else line.versions[0].id
        if id in taken:
            raise Conflict(f"{line.place}: id {id} is taken in this store; leave the line out")


def _resolve(core: Core, lines: Sequence[Line], aliases: dict[str, str]) -> None:
    """Note where records' own ids (`origin`) are in the store already."""
    records = [line.versions[0] for line in lines]
    keys = tuple((record.scope, record.origin) for record in records if record.origin is not None)
    found = core.store.select(Select(origins=keys, history=True)) if keys else []
    held = {(record.scope, record.origin): record for record in found if record.version == 1}
    for line, record in zip(lines, records, strict=True):
        there = held.get((record.scope, record.origin))
        if there is None or there.id == record.id:
            continue
        if not there.same_content(record):
            raise Conflict(
                f"{line.place}: id {record.origin!r} is taken in this scope: record {there.id} holds "
                "other content under it; forget one of the two"
            )
        aliases[record.id] = there.id


def _no_repeats(source: Source, proof: Proof) -> None:
    """Refuse an id, or a caller's id in its scope, that two records of the file have."""
    import numpy as np

    for hashes, what in ((proof.ids, "id"), (proof.origins, "caller's id")):
        values, counts = np.unique(np.frombuffer(hashes, np.uint64), return_counts=True)
        twice = set(values[counts > 1].tolist())
        if not twice:
            continue
        seen: set[str] = set()
        for line in read_lines(source):
            if not line.versions:
                continue
            first = line.versions[0]
            key = first.id if hashes is proof.ids else repr((first.scope, first.origin))
            if _hash(key) in twice and key in seen:
                name = first.id if hashes is proof.ids else first.origin
                raise InvalidInput(f"{line.place}: {what} {name!r} is a record's before it; leave one out")
            if _hash(key) in twice:
                seen.add(key)


def _no_gaps(core: Core, source: Source, proof: Proof, within: Scope | None) -> None:
    """Refuse what stands on a record that is neither in the file nor, in what is reached, in the store."""
    import numpy as np

    ids, named = (np.frombuffer(hashes, np.uint64) for hashes in (proof.ids, proof.named))
    missing = set(np.setdiff1d(named, ids).tolist())
    if not missing:
        return
    waiting: dict[str, str] = {}
    for line in read_lines(source):
        waiting.update({id: line.place for id in line.named if _hash(id) in missing and id not in waiting})
        if len(waiting) >= _PAGE:
            _must_be_there(core, waiting, within)
            missing.difference_update(map(_hash, waiting))
            waiting.clear()
    _must_be_there(core, waiting, within)


def _must_be_there(core: Core, named: Mapping[str, str], within: Scope | None) -> None:
    found = core.store.select(Select(ids=tuple(named), closed=True))
    there = {record.id for record in found if within is None or within.covers(record.scope)}
    for id, place in named.items():
        if id not in there:
            raise InvalidInput(
                f"{place}: stands on record {id}, which is neither in the file nor in "
                "the store; export that record too, or import it first"
            )


def _parsed(line: dict[str, Any], place: str, *, numbered: bool) -> Line:
    kind = line.pop("type")
    try:
        if kind == "change_set":
            return Line(place, change_set=0)
        if kind == "state":
            return Line(place, state=_state(line))
        if kind not in ("record", "edge"):
            raise InvalidInput(f"unknown type {kind!r}; it may be record, edge, state or change_set")
        fields = [*line.pop("versions", []), line]
        changes = _changes(line.pop("changes"), len(fields)) if numbered else [(0, None)] * len(fields)
        if kind == "edge":
            return Line(place, edge=replace(_edge(line), opened=changes[0][0], closed=changes[0][1]))
        versions = tuple(
            replace(_record(version), version=number, opened=opened, closed=closed)
            for number, (version, (opened, closed)) in enumerate(zip(fields, changes, strict=True), 1)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{place}: a broken {kind} line: {error}") from error
    return Line(place, versions=_in_a_row(versions, place))


def _changes(value: object, count: int) -> list[tuple[int, int | None]]:
    """The ranks of the change sets that opened and closed each version."""
    if not isinstance(value, list) or len(value) != count:
        raise InvalidInput(f"changes: expected {count} pairs of numbers")
    pairs: list[tuple[int, int | None]] = []
    for pair in value:
        opened, closed = pair
        for number in (opened, 0 if closed is None else closed):
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 40:
                raise InvalidInput(f"changes: {number!r:.40} is no number of a change set")
        pairs.append((opened, closed))
    return pairs


def _in_a_row(versions: tuple[Record, ...], place: str) -> tuple[Record, ...]:
    """Versions of one record; raises `InvalidInput` where they cannot be."""
    first = versions[0]
    for version in versions:
        if (version.id, version.scope, version.origin) != (first.id, first.scope, first.origin):
            raise InvalidInput(f"{place}: a broken record line: versions of different records")
    return versions


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
        arrival=0,
    )


def _edge(fields: Mapping[str, Any]) -> Edge:
    edge = Edge.from_dict({**fields, "sources": _ids(fields["sources"], "sources")})
    for name in ("id", "source", "target"):
        _id(getattr(edge, name), name)
    check_text(edge.type, "edge")
    _in_order(edge.valid, "valid")
    _in_order(edge.known, "known")
    version: object = edge.version
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version < 1 << 40:
        raise InvalidInput(f"version: {version!r:.40} is no number of a version")
    if not isfinite(edge.weight):
        raise InvalidInput(f"weight: {edge.weight!r} is no finite number")
    metadata = _mapping(edge.metadata, "metadata")
    return replace(edge, weight=float(edge.weight), metadata=metadata, sequence=0)


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
