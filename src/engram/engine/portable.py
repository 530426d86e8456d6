"""Export to JSON Lines and back: ids kept, twice adds nothing, a round trip gives the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engram.engine.core import Core, with_entries
from engram.engine.results import Item, Receipt
from engram.kernel.errors import Forbidden, InvalidInput
from engram.kernel.protocols import Batch, Close, Op, Put, PutEdge, PutState, Select, StateRow, Supersede
from engram.kernel.record import Edge, Interval, Record
from engram.kernel.scope import Scope

__all__ = ["FORMAT", "export", "import_"]

FORMAT = "engram-export/1"
_PAGE = 500
_LOCAL = ("arrival", "opened", "closed", "version")


def export(core: Core, path: str | Path, scope: Scope | None) -> int:
    """Write records with their versions, edges and states of `scope` or of all; returns how many.

    The file is complete or not there: it is written beside and renamed. Raises `InvalidInput` where the
    path cannot be written.
    """
    target = Path(path)
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
    for pattern in tenants:
        after = 0
        while True:
            page = core.store.select(Select(scope=pattern, closed=True, after=after, limit=_PAGE))
            yield from _records(core, page)
            if len(page) < _PAGE:
                break
            after = page[-1].arrival
    for pattern in tenants:
        for edge in core.store.edges(pattern, history=True):
            yield {"type": "edge", **_portable(edge.to_dict())}
        for row in core.store.states(pattern):
            yield _state_line(row)


def _records(core: Core, page: Sequence[Record]) -> Iterator[dict[str, Any]]:
    versions: dict[str, list[Record]] = {record.id: [] for record in page}
    for version in core.store.select(Select(ids=tuple(versions), history=True)):
        versions[version.id].append(version)
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
    """Read an export; what is there already is reported as duplicate. Raises `InvalidInput` with the line.

    Each page of lines is committed by itself, so a broken file leaves what stood before the break; the
    same import goes on from there. Records outside the bound `ids` are refused with `Forbidden`.
    """
    within = Scope.of(**ids) if ids else None
    items: list[Item] = []
    change_set: int | None = None
    waiting: list[Mapping[str, Any]] = []
    for line in _read(Path(path)):
        if within is not None and not within.covers(Scope.of(**line.get("scope", {}))):
            raise Forbidden(
                f"{line['line']}: this memory is bound to {dict(ids)}; the line belongs elsewhere"
            )
        waiting.append(line)
        if len(waiting) >= _PAGE:
            change_set = _take(core, waiting, items) or change_set
            waiting = []
    if waiting:
        change_set = _take(core, waiting, items) or change_set
    return Receipt(tuple(items), None if change_set is None else str(change_set))


def _read(path: Path) -> Iterator[Mapping[str, Any]]:
    """The lines behind the header, parsed and numbered."""
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                line = json.loads(text)
                if not isinstance(line, dict) or "type" not in line:
                    raise InvalidInput(f"{path}:{number}: not a line of an engram export")
                if number == 1:
                    if line["type"] != "header" or line.get("format") != FORMAT:
                        raise InvalidInput(f"{path}: the first line is not an {FORMAT} header")
                    continue
                yield {**line, "line": f"{path}:{number}"}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from error
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from error


def _take(core: Core, lines: Sequence[Mapping[str, Any]], items: list[Item]) -> int | None:
    ops: list[Op] = []
    puts: list[Record] = []
    present = _present(core, lines)
    for line in lines:
        plain = {key: value for key, value in line.items() if key not in ("type", "line")}
        try:
            if line["type"] == "record":
                if plain["id"] in present:
                    items.append(Item("duplicate", plain["id"], plain.get("origin"), "already stored"))
                else:
                    puts.append(_record_ops(plain, ops))
            elif line["type"] == "edge":
                ops.append(PutEdge(Edge.from_dict(plain)))
            elif line["type"] == "state":
                ops.extend(_state_ops(core, plain))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"{line['line']}: a broken {line['type']} line: {error}") from error
    if not ops:
        return None
    committed = core.store.commit(Batch(tuple(with_entries(core, ops))))
    items.extend(Item("stored", record.id, record.origin) for record in puts)
    return committed.change_set


def _present(core: Core, lines: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    ids = tuple(str(line.get("id")) for line in lines if line["type"] == "record")
    return frozenset(record.id for record in core.store.select(Select(ids=ids, closed=True)))


def _record_ops(plain: dict[str, Any], ops: list[Op]) -> Record:
    """Put the first version, then one supersession a later version, gaps in known time kept."""
    older = plain.pop("versions", [])
    versions = [Record.from_dict(fields) for fields in [*older, plain]]
    opened = [replace(version, known=Interval(version.known.start), closed=None) for version in versions]
    ops.append(Put(opened[0], keep=True))
    for number, version in enumerate(versions, 1):
        if number > 1:
            ops.append(Supersede(opened[number - 1], number - 1))
        following = versions[number].known.start if number < len(versions) else None
        if version.known.end is not None and version.known.end != following:
            ops.append(Close(version.id, number, version.known.end))
    return versions[-1]


def _state_ops(core: Core, plain: dict[str, Any]) -> list[Op]:
    scope = Scope.of(**plain["scope"])
    if core.store.states(scope, plain["policy"], plain["name"]):
        return []
    row = StateRow(plain["policy"], scope, plain["name"], plain["value"], 1, tuple(plain["reads"]))
    return [PutState(row)]
