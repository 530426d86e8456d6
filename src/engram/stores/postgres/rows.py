"""Rows of the tables as the kernel's values, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
    "READ",
    "Head",
    "Row",
    "digest",
    "edge_of",
    "edge_row",
    "fields",
    "job_of",
    "job_row",
    "origin_key",
    "record_of",
    "record_row",
    "state_key",
    "state_of",
]

Row = tuple[Any, ...]

COLUMNS = (
    *("tenant", "id", "user_id", "agent_id", "run_id", "user_key", "run_key", "origin_key", "sequence"),
    *("arrival", "version", "opened", "closed", "kind", "level", "origin", "role", "name", "time"),
    *("valid_start", "valid_end", "known_start", "known_end", "expires", "strength", "trust", "made_by"),
    *("sources", "words", "vector", "metadata", "payload", "text"),
)
"""The columns of tables `records` and `versions`."""
_NOT_READ = frozenset({"user_key", "run_key", "origin_key", "sequence", "words", "vector"})
READ = tuple(name for name in COLUMNS if name not in _NOT_READ)
"""Those that make a record."""


class Head(NamedTuple):
    """What the store decides about a version."""

    id: str
    sequence: int
    arrival: int
    version: int
    opened: int
    closed: int | None


def digest(text: str | None) -> bytes | None:
    """16 bytes that stand for an id which may be too long for an index."""
    return None if text is None else hashlib.blake2b(text.encode(), digest_size=16).digest()


def origin_key(scope: Scope, origin: str | None) -> bytes | None:
    """16 bytes that stand for a caller's id in its scope."""
    return None if origin is None else digest(pack([*fields(scope), origin]))


def state_key(policy: str, scope: Scope, name: str) -> str:
    """The id of a state's row: the same for the same policy, scope and name."""
    return hashlib.blake2b(pack([policy, *fields(scope), name]).encode(), digest_size=16).hexdigest()


def fields(scope: Scope) -> tuple[str, str | None, str | None, str | None]:
    """The four fields in the order of the tables."""
    return scope.tenant, scope.user_id, scope.agent_id, scope.run_id


def record_row(head: Head, record: Record, words: bytes, vector: bytes | None) -> Row:
    """The columns of table `records`: `head` where the store decides, the rest from the record."""
    scope = record.scope
    return (
        scope.tenant,
        head.id,
        scope.user_id,
        scope.agent_id,
        scope.run_id,
        digest(scope.user_id),
        digest(scope.run_id),
        origin_key(scope, record.origin),
        head.sequence,
        head.arrival,
        head.version,
        head.opened,
        head.closed,
        record.kind,
        record.level,
        record.origin,
        record.role,
        record.name,
        micros(record.time),
        _micros(record.valid.start),
        _micros(record.valid.end),
        _micros(record.known.start),
        _micros(record.known.end),
        _micros(record.expires),
        record.strength,
        record.trust,
        record.made_by,
        list(record.sources),
        words,
        vector,
        _packed(record.metadata),
        None if record.payload is None else pack(record.payload),
        record.text,
    )


def record_of(row: Sequence[Any]) -> Record:
    """The record of a row of the columns `READ`.

    Raises `StoreError` where a field holds what was never written there: the table is damaged.
    """
    try:
        return Record(
            row[1],
            row[9],
            row[26],
            _scope(row[0], *row[2:5]),
            from_micros(row[14]),
            Interval(_moment(row[15]), _moment(row[16])),
            Interval(_moment(row[17]), _moment(row[18])),
            level=row[10],
            origin=row[11],
            role=row[12],
            name=row[13],
            sources=tuple(row[23]),
            made_by=row[22],
            strength=row[20],
            trust=row[21],
            metadata={} if row[24] is None else unpack(row[24]),
            payload=None if row[25] is None else unpack(row[25]),
            expires=_moment(row[19]),
            version=row[6],
            arrival=row[5],
            opened=row[7],
            closed=row[8],
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"record {row[1]}: version {row[6]} is damaged ({error}); restore the database from a backup"
        ) from error


@lru_cache(maxsize=1024)
def _scope(tenant: str, user_id: str | None, agent_id: str | None, run_id: str | None) -> Scope:
    return Scope(tenant, user_id, agent_id, run_id)


def edge_row(edge: Edge) -> Row:
    """The columns of an edge, in the order of the statement `put_edge`."""
    return (
        edge.scope.tenant,
        edge.id,
        edge.version,
        *fields(edge.scope)[1:],
        edge.sequence,
        edge.source,
        edge.target,
        edge.type,
        _micros(edge.valid.start),
        _micros(edge.valid.end),
        _micros(edge.known.start),
        _micros(edge.known.end),
        edge.weight,
        edge.made_by,
        edge.opened,
        edge.closed,
        list(edge.sources),
        pack(dict(edge.metadata)),
    )


def edge_of(row: Row) -> Edge:
    """The edge of a row in the order of `edge_row`."""
    return Edge(
        id=row[1],
        version=row[2],
        scope=_scope(row[0], *row[3:6]),
        sequence=row[6],
        source=row[7],
        target=row[8],
        type=row[9],
        valid=Interval(_moment(row[10]), _moment(row[11])),
        known=Interval(_moment(row[12]), _moment(row[13])),
        weight=row[14],
        made_by=row[15],
        opened=row[16],
        closed=row[17],
        sources=tuple(row[18]),
        metadata=unpack(row[19]),
    )


def state_of(row: Row) -> StateRow:
    """The state of (tenant, policy, three scope fields, name, version, reads, value)."""
    return StateRow(row[1], _scope(row[0], *row[2:5]), row[5], unpack(row[8]), row[6], tuple(row[7]))


def job_row(job: Job) -> Row:
    """The columns of a job, in the order of the statement `put_job`."""
    return (
        job.scope.tenant,
        job.id,
        job.kind,
        *fields(job.scope)[1:],
        micros(job.created),
        job.policy,
        job.status,
        job.attempts,
        job.owner,
        _micros(job.until),
        _micros(job.not_before),
        job.error,
        list(job.records),
        list(job.reads),
        pack(dict(job.journal)),
        job.priority,
    )


def job_of(row: Row) -> Job:
    """The job of a row in the order of `job_row`."""
    return Job(
        id=row[1],
        kind=row[2],
        scope=_scope(row[0], *row[3:6]),
        created=from_micros(row[6]),
        policy=row[7],
        status=row[8],
        attempts=row[9],
        owner=row[10],
        until=_moment(row[11]),
        not_before=_moment(row[12]),
        error=row[13],
        records=tuple(row[14]),
        reads=tuple(row[15]),
        journal=unpack(row[16]),
        priority=row[17],
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)


def _packed(value: Mapping[str, Any]) -> str | None:
    return pack(dict(value)) if value else None
