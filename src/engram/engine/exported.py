"""Writing a store, a scope or a stretch of time as JSON Lines: the same memory gives the same bytes."""

from __future__ import annotations

import gzip
import io
import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from engram.engine.core import Core
from engram.engine.imported import FORMAT
from engram.engine.progress import Progress
from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.protocols import Select, SelectEdges, StateRow
from engram.kernel.record import Edge, Interval, Record
from engram.kernel.scope import Scope

__all__ = ["ExportRequest", "Span", "opened_lines", "pages", "target_of", "tenants", "write_lines"]

_PAGE = 500
_TRIES = 3
_LOCAL = ("arrival", "opened", "closed", "version")
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
Change = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time by when records were said, [since, until); `None` is open."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, record: Record) -> bool:
        late = self.since is None or self.since <= record.time
        return late and (self.until is None or record.time < self.until)

    @property
    def everything(self) -> bool:
        """Whether it bounds nothing."""
        return self.since is None and self.until is None


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The arguments of one export; without a scope, of the whole store."""

    path: Path
    scope: Scope | None
    span: Span = Span()
    topics: tuple[str, ...] = ()
    overwrite: bool = False
    progress: Progress | None = None


def write_lines(core: Core, request: ExportRequest) -> int:
    """Write records with versions, edges, states and change sets; returns how many records.

    It shows the store as it stood when it began. The file is complete or not there: it is written beside
    and renamed. A path that ends in `.gz` is compressed. Raises `InvalidInput` where the path cannot be
    written, `Conflict` where others erase all the time meanwhile.
    """
    path, target = request.path, target_of(request.path)
    beside = target.with_name(target.name + ".part")
    try:
        tenant = None if request.scope is None else request.scope.tenant
        for _ in range(_TRIES):
            before = core.store.sequence(tenant)
            with TemporaryFile("w+", encoding="utf-8", newline="\n", dir=target.parent) as spool:
                count, numbers = _spool(core, request, spool, before.last)
                spool.seek(0)
                with opened_lines(beside) as file:
                    _finish(core, spool, numbers, file)
            if core.store.sequence(tenant).erasures == before.erasures:
                beside.replace(target)
                return count
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written ({error.strerror}); choose another path") from error
    finally:
        beside.unlink(missing_ok=True)
    raise Conflict(f"{path}: records were erased while they were exported; export again")


def target_of(path: Path) -> Path:
    """The file that is written: a link stays one, and what it leads to is written. Raises `InvalidInput`."""
    target = Path(os.path.realpath(path))
    if target.with_name(target.name + "-wal").exists():
        raise InvalidInput(f"{path}: is an open database; choose another path")
    if target.is_dir():
        raise InvalidInput(f"{path}: is a folder; give the path of a file")
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path}: is a device or a pipe; give the path of a file")
    return target


def tenants(core: Core, scope: Scope | None) -> list[Scope]:
    """The patterns that cover what is asked for: the scope, or every tenant."""
    if scope is not None:
        return [scope]
    return [Scope(name) for name in sorted({found.tenant for found, _ in core.store.scopes()})]


def pages(core: Core, pattern: Scope, kinds: tuple[str, ...] = ()) -> Iterator[list[Record]]:
    """The latest versions in a scope, by arrival; of some kinds only those that are open."""
    after = 0
    while True:
        what = Select(scope=pattern, kinds=kinds, closed=not kinds, after=after, limit=_PAGE)
        page = core.store.select(what)
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = page[-1].arrival


@contextmanager
def opened_lines(path: Path) -> Iterator[TextIO]:
    """The file to write; compressed without name and time, so that the same lines give the same bytes."""
    with path.open("wb") as raw:
        if not path.name.removesuffix(".part").endswith(".gz"):
            with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as text:
                yield text
            return
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
        ):
            yield text


def _spool(core: Core, request: ExportRequest, file: TextIO, last: int) -> tuple[int, array[int]]:
    """Write every line with the store's numbers of change sets in front; how many records, which numbers."""
    numbers = array("q")
    count, room = 0, 1 << 20

    def put(line: dict[str, Any], changes: Sequence[Change] | None) -> None:
        nonlocal room
        file.write(f"{_encode(changes)} {_encode(line)}\n")
        for change in changes or ():
            numbers.extend(number for number in change if number)
        if len(numbers) > room:
            numbers[:] = array("q", sorted(set(numbers)))
            room = 2 * len(numbers) + (1 << 20)

    scopes = tenants(core, request.scope)
    total = sum(held for pattern in scopes for _, held in core.store.scopes(pattern))
    wanted = _wanted(core, scopes, request.span)
    for pattern in scopes:
        for page in pages(core, pattern):
            for versions in _versions(core, [record for record in page if wanted(record)], last):
                older = [_portable(version.to_dict()) for version in versions[:-1]]
                line = {"type": "record", **_portable(versions[-1].to_dict()), "versions": older}
                put(line, [(version.opened, version.closed) for version in versions])
                count += 1
            if request.progress is not None:
                request.progress(min(count, total), total)
    for pattern in scopes:
        for edge in _edges(core, pattern, wanted, last, everything=request.span.everything):
            line = {"type": "edge", **_portable(edge.to_dict()), "version": edge.version}
            put(line, [(edge.opened, edge.closed)])
        for row in core.store.states(pattern) if request.span.everything else ():
            put(_state_line(row), None)
    if request.progress is not None:
        request.progress(count, count)
    return count, array("q", sorted(set(numbers)))


def _finish(core: Core, spool: TextIO, numbers: array[int], file: TextIO) -> None:
    """The file itself: change sets numbered by rank, from 1, so that no store's own numbers are in it."""
    info = core.store.info()
    head = {"type": "header", "format": FORMAT}
    file.write(_encode({**head, "analyser": info.get("analyser"), "embedder": info.get("embedder")}) + "\n")
    opened, closed = ([0] * (len(numbers) + 1) for _ in "oc")
    lines = 0
    for line in spool:
        lines += 1
        stamps, _, rest = line.partition(" ")
        if stamps == "null":
            file.write(rest)
            continue
        changes = [
            [None if number is None else number and 1 + bisect_left(numbers, number) for number in pair]
            for pair in json.loads(stamps)
        ]
        for first, last in changes:
            opened[first or 0] += 1
            closed[last or 0] += 1
        file.write(f'{{"changes":{_encode(changes)},{rest[1:]}')
    for rank in range(1, len(numbers) + 1):
        summary = {"type": "change_set", "id": rank, "opened": opened[rank], "closed": closed[rank]}
        print(_encode(summary), file=file)
    file.write(_encode({"type": "end", "lines": lines + len(numbers)}) + "\n")


def _wanted(core: Core, scopes: Sequence[Scope], span: Span) -> Callable[[Record], bool]:
    """Whether a record is exported: said in the span, or needed as a source of one that is."""
    if span.everything:
        return lambda _: True
    needed: set[str] = set()
    for pattern in scopes:
        for page in pages(core, pattern):
            frontier = _sources(core, [record.id for record in page if record in span and record.sources])
            while frontier:
                needed |= frontier
                frontier = _sources(core, sorted(frontier)) - needed
    return lambda record: record in span or record.id in needed


def _sources(core: Core, ids: Sequence[str]) -> set[str]:
    """What any version of these records was made from."""
    found = core.store.select(Select(ids=tuple(ids), history=True)) if ids else []
    return {source for version in found for source in version.sources}


def _versions(core: Core, page: Sequence[Record], last: int) -> Iterator[list[Record]]:
    """All versions of each record as they stood at sequence `last`, oldest first."""
    versions: dict[str, list[Record]] = {record.id: [] for record in page}
    for version in core.store.select(Select(ids=tuple(versions), history=True)) if page else ():
        if version.opened <= last:
            later = version.closed is not None and version.closed > last
            then = replace(version, known=Interval(version.known.start), closed=None) if later else version
            versions[version.id].append(then)
    return (found for found in versions.values() if found)


def _edges(
    core: Core, pattern: Scope, wanted: Callable[[Record], bool], last: int, *, everything: bool
) -> Iterator[Edge]:
    place = 0, "", 0
    while page := core.store.edges(SelectEdges(pattern, history=True, after=place, limit=_PAGE)):
        place = page[-1].opened, page[-1].id, page[-1].version
        part = [edge for edge in page if edge.opened <= last]
        if not everything:
            named = {id: None for edge in part for id in (edge.source, edge.target, *edge.sources)}
            found = core.store.select(Select(ids=tuple(named), closed=True))
            there = {record.id for record in found if wanted(record)}
            part = [edge for edge in part if there.issuperset((edge.source, edge.target, *edge.sources))]
        for edge in part:
            later = edge.closed is not None and edge.closed > last
            yield replace(edge, known=Interval(edge.known.start), closed=None) if later else edge


def _portable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without what belongs to one store only."""
    return {key: value for key, value in fields.items() if key not in _LOCAL}


def _state_line(row: StateRow) -> dict[str, Any]:
    return {
        "type": "state",
        "policy": row.policy,
        "scope": row.scope.to_dict(),
        "name": row.name,
        "value": row.value,
        "reads": list(row.reads),
    }
