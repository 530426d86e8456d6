"""Rows of the tables as the kernel's values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from engram.kernel.clock import from_micros, micros
from engram.kernel.errors import StoreError
from engram.kernel.protocols import Job, StateRow
from engram.kernel.record import Edge, Interval, Record
from engram.kernel.scope import Scope
from engram.stores.shared import pack, unpack

__all__ = [
    "COLUMNS",
    "SCOPE_COLUMNS",
    "Head",
    "Row",
    "bound_scope",
    "bound_values",
    "edge_of",
    "edge_row",
    "job_of",
    "job_row",
    "record_of",
    "record_row",
    "scope_fields",
    "scope_key",
    "scope_key_of",
    "scope_pattern",
    "state_of",
]

Row = tuple[Any, ...]
SCOPE_COLUMNS = ("tenant", "user_id", "agent_id", "run_id")

COLUMNS = (
    *("sequence", "scope", "arrival", "version", "opened", "closed", "id", "kind", "level", "origin", "role"),
    *("name", "time", "valid_start", "valid_end", "known_start", "known_end", "expires", "strength", "trust"),
    *("made_by", "words", "vector", "sources", "metadata", "payload", "text"),
)


class Head(NamedTuple):
    """The first columns of table `records`."""

    sequence: int
    scope: int
    arrival: int
    version: int
    opened: int
    closed: int | None
    id: str


def record_row(head: Head, record: Record, words: bytes, vector: bytes | None) -> Row:
    """The columns of table `records`: `head` where the store decides, the rest from the record."""
    valid, known = record.valid, record.known
    time = micros(record.time)
    return (
        *head,
        record.kind,
        record.level,
        record.origin,
        record.role,
        record.name,
        time,
        time if valid.start is record.time else _micros(valid.start),
        _micros(valid.end),
        time if known.start is record.time else _micros(known.start),
        _micros(known.end),
        _micros(record.expires),
        record.strength,
        record.trust,
        record.made_by,
        words,
        vector,
        pack(record.sources) if record.sources else None,
        _packed(record.metadata),
        None if record.payload is None else pack(record.payload),
        record.text,
    )


def record_of(row: Row) -> Record:
    """The record of a row of `records` or `versions`, followed by its scope's four fields.

    Raises `StoreError` where a field holds what was never written there: the file is damaged.
    """
    try:
        time = from_micros(row[12])
        start = time if row[13] == row[12] else _moment(row[13])
        known = time if row[15] == row[12] else _moment(row[15])
        return Record(
            row[6],
            row[7],
            row[26],
            _scope(*row[27:]),
            time,
            Interval(start, _moment(row[14])),
            Interval(known, _moment(row[16])),
            level=row[8],
            origin=row[9],
            role=row[10],
            name=row[11],
            sources=() if row[23] is None else tuple(unpack(row[23])),
            made_by=row[20],
            strength=row[18],
            trust=row[19],
            metadata={} if row[24] is None else unpack(row[24]),
            payload=None if row[25] is None else unpack(row[25]),
            expires=_moment(row[17]),
            version=row[3],
            arrival=row[2],
            opened=row[4],
            closed=row[5],
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"record {row[6]}: version {row[3]} is damaged ({error}); restore the file from a copy"
        ) from error


@lru_cache(maxsize=1024)
def _scope(tenant: str, user_id: str | None, agent_id: str | None, run_id: str | None) -> Scope:
    return Scope(tenant, user_id, agent_id, run_id)


def scope_key(scope: Scope) -> str:
    """A scope as one text, the same for the same four fields."""
    return scope_key_of(*scope_fields(scope))


def scope_key_of(tenant: str, user_id: str | None, agent_id: str | None, run_id: str | None) -> str:
    """As `scope_key`, of the four fields."""
    return pack([tenant, user_id, agent_id, run_id])


def scope_fields(scope: Scope) -> tuple[str, str | None, str | None, str | None]:
    """The four fields in the order of the tables."""
    return scope.tenant, scope.user_id, scope.agent_id, scope.run_id


def scope_pattern(scope: Scope) -> str:
    """The conditions on the four fields of table or alias `s` that make a scope lie inside the pattern."""
    named = [
        field for field, value in zip(SCOPE_COLUMNS, scope_fields(scope), strict=True) if value is not None
    ]
    return " AND ".join(f"s.{field} = :{field}" for field in named)


def bound_scope(scope: Scope) -> dict[str, Any]:
    """The values of `scope_pattern`."""
    return dict(zip(SCOPE_COLUMNS, scope_fields(scope), strict=True))


def bound_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of conditions as SQLite takes them: lists as JSON."""
    return {name: pack(value) if isinstance(value, list) else value for name, value in values.items()}


def edge_row(edge: Edge, scope: int, sequence: int, opened: int, closed: int | None) -> Row:
    """The columns of an edge that is put, in the order of table `edges`."""
    return (
        sequence,
        scope,
        edge.version,
        opened,
        closed,
        edge.id,
        edge.source,
        edge.target,
        edge.type,
        _micros(edge.valid.start),
        _micros(edge.valid.end),
        _micros(edge.known.start),
        _micros(edge.known.end),
        edge.weight,
        edge.made_by,
        pack(edge.sources) if edge.sources else None,
        _packed(edge.metadata),
    )


def edge_of(row: Row) -> Edge:
    """The edge of a row of `edges`, followed by its scope's four fields.

    Raises `StoreError` where a field holds what was never written there: the file is damaged.
    """
    try:
        return Edge(
            id=row[5],
            source=row[6],
            target=row[7],
            type=row[8],
            scope=_scope(*row[17:]),
            valid=_interval(row[9], row[10]),
            known=_interval(row[11], row[12]),
            weight=row[13],
            made_by=row[14],
            opened=row[3],
            closed=row[4],
            sources=() if row[15] is None else tuple(unpack(row[15])),
            metadata={} if row[16] is None else unpack(row[16]),
            version=row[2],
            sequence=row[0],
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"edge {row[5]}: version {row[2]} is damaged ({error}); restore the file from a copy"
        ) from error


def state_of(row: Row) -> StateRow:
    """The state of (policy, four scope fields, name, version, reads, value)."""
    return StateRow(row[0], Scope(*row[1:5]), row[5], unpack(row[8]), row[6], tuple(unpack(row[7])))


def job_row(job: Job) -> Row:
    """The columns of a job, in the order of table `jobs`."""
    return (
        job.id,
        job.kind,
        *scope_fields(job.scope),
        micros(job.created),
        job.policy,
        job.status,
        job.attempts,
        job.owner,
        _micros(job.until),
        _micros(job.not_before),
        job.error,
        pack(job.records),
        pack(job.reads),
        pack(dict(job.journal)),
        job.priority,
    )


def job_of(row: Row) -> Job:
    """The job of a row of `jobs`."""
    return Job(
        id=row[0],
        kind=row[1],
        scope=Scope(*row[2:6]),
        created=from_micros(row[6]),
        policy=row[7],
        status=row[8],
        attempts=row[9],
        owner=row[10],
        until=_moment(row[11]),
        not_before=_moment(row[12]),
        error=row[13],
        records=tuple(unpack(row[14])),
        reads=tuple(unpack(row[15])),
        journal=unpack(row[16]),
        priority=row[17],
    )


@lru_cache(maxsize=1024)
def _interval(start: int | None, end: int | None) -> Interval:
    """Edges of one commit share their times: to make them anew costs as much as the rest of an edge."""
    return Interval(_moment(start), _moment(end))


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)


def _packed(value: Mapping[str, Any]) -> str | None:
    return pack(dict(value)) if value else None
