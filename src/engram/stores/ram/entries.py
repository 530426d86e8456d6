"""What one commit of the plain store does to index entries, and to all that is derived from records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import starmap, zip_longest
from typing import TypeVar

from engram.kernel.protocols import PutInfo, Rebuild, Reindex, RequireInfo, Stage, Switch, Unstage
from engram.kernel.record import Interval
from engram.kernel.scope import Scope
from engram.stores.ram.tables import Row, Tables
from engram.stores.shared import check_info, fact_moved, not_staged

__all__ = ["EntryOp", "apply_entry", "derived_wrong", "put_info"]

K = TypeVar("K")
EntryOp = RequireInfo | Reindex | Stage | Unstage | Switch | Rebuild
"""The operations of `apply_entry`."""


def apply_entry(tables: Tables, op: EntryOp, following: int) -> int:
    """Apply one operation, taking sequence numbers from `following` on; gives the next. Raises `Conflict`."""
    match op:
        case RequireInfo():
            for key, value in op.facts:
                if tables.info.get(key) != value:
                    raise fact_moved(key, value, tables.info.get(key))
        case Reindex():
            if _there(tables, op.id, op.version):
                _set_entry(tables, op.id, op.version, (op.words, op.vector), following)
                tables.log.append((following, op.id))
                return following + 1
        case Stage():
            if _there(tables, op.id, op.version):
                tables.set(tables.staged, (op.id, op.version), (op.words, op.vector))
        case Unstage():
            _drop(tables, list(tables.staged))
        case Switch():
            _switch(tables, op)
        case Rebuild():
            return _rebuild(tables, following)
    return following


def put_info(tables: Tables, op: PutInfo) -> None:
    """Set or remove a fact."""
    check_info(op)
    if op.value is None:
        tables.drop(tables.info, op.key)
    else:
        tables.set(tables.info, op.key, op.value)


def derived_wrong(tables: Tables) -> Iterator[str]:
    """What the store derives from its records and does not agree with them."""
    origins, arrivals, log = _derived(tables)
    for key in origins.items() ^ tables.origins.items():
        yield f"the id of origin {key[0][1]!r} is filed wrongly"
    for arrival in {number for number, _ in arrivals.items() ^ tables.arrivals.items()}:
        yield f"the arrival {arrival} is filed wrongly"
    for sequence, id in set(log) - set(tables.log):
        yield f"the log lacks the change {sequence} of {id}"
    if tables.log != sorted(tables.log):
        yield "the log is out of order"
    if log and log[-1][0] > tables.last:
        yield f"the counter stands at {tables.last} but a row has the number {log[-1][0]}"
    for id, version in tables.staged:
        if not _there(tables, id, version):
            yield f"an entry is staged for version {version} of {id}, which is not there"


def _there(tables: Tables, id: str, version: int) -> bool:
    return 0 < version <= len(tables.rows.get(id, ()))


def _set_entry(
    tables: Tables, id: str, version: int, entry: tuple[bytes, bytes | None], sequence: int | None = None
) -> None:
    rows = list(tables.rows[id])
    row = rows[version - 1]
    rows[version - 1] = replace(
        row, words=entry[0], vector=entry[1], sequence=row.sequence if sequence is None else sequence
    )
    tables.set(tables.rows, id, tuple(rows))


def _switch(tables: Tables, op: Switch) -> None:
    versions = [(id, version) for id, rows in tables.rows.items() for version in range(1, len(rows) + 1)]
    lacking = [id for id, version in versions if (id, version) not in tables.staged]
    if lacking:
        raise not_staged(min(lacking))
    for id, version in versions:
        _set_entry(tables, id, version, tables.staged[id, version])
    _drop(tables, list(tables.staged))
    for key, value in op.facts:
        put_info(tables, PutInfo(key, value))
    tables.erasures += 1


def _rebuild(tables: Tables, following: int) -> int:
    origins, arrivals, log = _derived(tables)
    _agree(tables, tables.origins, origins)
    _agree(tables, tables.arrivals, arrivals)
    _drop(tables, [key for key in tables.staged if not _there(tables, *key)])
    for id, rows in list(tables.rows.items()):
        ended = tuple(starmap(_ended, zip_longest(rows, rows[1:])))
        if ended != rows:
            tables.set(tables.rows, id, ended)
    tables.log = log
    tables.erasures += 1
    return max(following, log[-1][0] + 1 if log else 0)


def _ended(row: Row, following: Row | None) -> Row:
    """The version, ended where the following one begins at the latest."""
    if following is None:
        return row
    known, start = row.record.known, following.record.known.start
    end = start if known.end is None or (start is not None and start < known.end) else known.end
    closed = following.record.opened if row.record.closed is None else row.record.closed
    return replace(row, record=replace(row.record, known=Interval(known.start, end), closed=closed))


def _drop(tables: Tables, staged: Iterable[tuple[str, int]]) -> None:
    for key in staged:
        tables.drop(tables.staged, key)


def _agree(tables: Tables, table: dict[K, str], wanted: Mapping[K, str]) -> None:
    for key in table.keys() - wanted.keys():
        tables.drop(table, key)
    for key, id in wanted.items():
        tables.set(table, key, id)


def _derived(
    tables: Tables,
) -> tuple[dict[tuple[Scope, str], str], dict[int, str], list[tuple[int, str]]]:
    """Origins, arrivals and log as the rows have them."""
    latest = [rows[-1].record for rows in tables.rows.values()]
    origins = {(record.scope, record.origin): record.id for record in latest if record.origin is not None}
    arrivals = {record.arrival: record.id for record in latest}
    log = sorted((row.sequence, id) for id, rows in tables.rows.items() for row in rows)
    return origins, arrivals, log
