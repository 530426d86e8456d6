"""Export to JSON Lines and back: ids kept, twice adds nothing, a round trip gives the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engram.engine.core import Core, with_entries
from engram.engine.imported import FORMAT, Line, prove, read_lines
from engram.engine.results import Item, Receipt
from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import Batch, Close, Op, Put, PutEdge, PutState, Select, StateRow, Supersede
from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope

__all__ = ["FORMAT", "export", "import_"]

_PAGE = 500
_LOCAL = ("arrival", "opened", "closed", "version")


def export(core: Core, path: str | Path, scope: Scope | None) -> int:
    """Write records with versions, edges, states and change sets of `scope` or all; returns how many records.

    A change set's line names the versions that it opened. Its number belongs to the store it was made
    in: an import passes over it.

    The file is complete or not there: it is written beside and renamed. Raises `InvalidInput` where the
    path cannot be written.
    """
    target = Path(path)
    if target.with_name(target.name + "-wal").exists():
        raise InvalidInput(f"{target}: is an open database; choose another path")
    beside = target.with_name(target.name + ".part")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            count = 0
            for line in _lines(core, scope):
                file.write(json.dumps(line, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n")
                count += line["type"] == "record"
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InvalidInput(f"{target}: cannot be written ({error.strerror}); choose another path") from error
    return count


def _lines(core: Core, scope: Scope | None) -> Iterator[dict[str, Any]]:
    info = core.store.info()
    yield {
        "type": "header",
        "format": FORMAT,
        "analyser": info.get("analyser"),
        "embedder": info.get("embedder"),
    }
    tenants = (
        [scope]
        if scope
        else [Scope(name) for name in sorted({found.tenant for found, _ in core.store.scopes()})]
    )
    changed: dict[int, list[list[str | int]]] = {}
    for pattern in tenants:
        after = 0
        while True:
            page = core.store.select(Select(scope=pattern, closed=True, after=after, limit=_PAGE))
            yield from _records(core, page, changed)
            if len(page) < _PAGE:
                break
            after = page[-1].arrival
    for pattern in tenants:
        for edge in core.store.edges(pattern, history=True):
            yield {"type": "edge", **_portable(edge.to_dict())}
        for row in core.store.states(pattern):
            yield _state_line(row)
    for number, versions in sorted(changed.items()):
        yield {"type": "change_set", "id": str(number), "versions": versions}


def _records(
    core: Core, page: Sequence[Record], changed: dict[int, list[list[str | int]]]
) -> Iterator[dict[str, Any]]:
    """The lines of a page of records; `changed` collects which versions a change set opened."""
    versions: dict[str, list[Record]] = {record.id: [] for record in page}
    for version in core.store.select(Select(ids=tuple(versions), history=True)):
        versions[version.id].append(version)
        if version.opened:
            changed.setdefault(version.opened, []).append([version.id, version.version])
    for record in page:
        older = [_portable(version.to_dict()) for version in versions[record.id][:-1]]
        yield {"type": "record", **_portable(record.to_dict()), "versions": older}


def _portable(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without what belongs to one store only."""
    return {key: value for key, value in fields.items() if key not in _LOCAL}


def _state_line(row: StateRow) -> dict[str, Any]:
    return {
        "type": "state",
        "policy": row.policy,
        "scope": row.scope.to_dict(),
        "name": row.name,
        "value": row.value,
        "version": row.version,
        "reads": list(row.reads),
    }


def import_(core: Core, path: str | Path, ids: Mapping[str, str]) -> Receipt:
    """Read an export; what is there already is reported as duplicate, and stays as it is.

    The whole file is checked before anything is stored: raises `InvalidInput` with the line that is
    broken, `Forbidden` for records outside the bound `ids`, `Conflict` for a caller's id that is taken by
    other content. Each page of lines is committed by itself; an import that was broken off can be made
    again. An import is no change set: what it brought is taken back with `forget`.
    """
    aliases = prove(core, Path(path), Scope.of(**ids) if ids else None)
    items: list[Item] = []
    waiting: list[Line] = []
    for line in read_lines(Path(path)):
        waiting.append(line.renamed(aliases))
        if len(waiting) >= _PAGE:
            _take(core, waiting, aliases, items)
            waiting = []
    _take(core, waiting, aliases, items)
    return Receipt(tuple(items))


def _take(core: Core, lines: Sequence[Line], aliases: Mapping[str, str], items: list[Item]) -> None:
    ops: list[Op] = []
    present = _present(core, lines)
    for line in lines:
        if line.edge is not None and line.edge.id not in present:
            ops.append(PutEdge(line.edge))
        elif line.state is not None:
            ops.extend(_state_ops(core, line.state))
        elif line.versions:
            record = line.versions[-1]
            id = aliases.get(record.id, record.id)
            if id != record.id or id in present:
                items.append(Item("duplicate", id, record.origin, "already stored"))
            else:
                ops.extend(_record_ops(line.versions))
                items.append(Item("stored", id, record.origin))
    if ops:
        core.store.commit(Batch(tuple(with_entries(core, ops))))


def _present(core: Core, lines: Sequence[Line]) -> frozenset[str]:
    """The ids of records and edges of these lines that are in the store."""
    ids = tuple(line.versions[0].id for line in lines if line.versions)
    found = {record.id for record in core.store.select(Select(ids=ids, closed=True))} if ids else set()
    edges = [line.edge for line in lines if line.edge is not None]
    for tenant in {edge.scope.tenant for edge in edges}:
        sources = sorted({edge.source for edge in edges})
        found |= {edge.id for edge in core.store.edges(Scope(tenant), sources, history=True)}
    return frozenset(found)


def _record_ops(versions: Sequence[Record]) -> Iterator[Op]:
    """Put the first version, then one supersession a later version, gaps in known time kept."""
    opened = [replace(version, known=Interval(version.known.start), closed=None) for version in versions]
    yield Put(opened[0], keep=True)
    for number, version in enumerate(versions, 1):
        if number > 1:
            yield Supersede(opened[number - 1], number - 1)
        following = versions[number].known.start if number < len(versions) else None
        if version.known.end is not None and version.known.end != following:
            yield Close(version.id, number, version.known.end)


def _state_ops(core: Core, row: StateRow) -> list[Op]:
    return [] if core.store.states(row.scope, row.policy, row.name) else [PutState(row)]
