"""What all stores must decide alike: identity of content, ids, and the words of their refusals."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engram.kernel.clock import micros
from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.protocols import Job, PutInfo, PutJob, Select, StateRow
from engram.kernel.record import Interval, Record, new_id
from engram.kernel.scope import Scope

__all__ = [
    "RESERVED",
    "check_info",
    "edge_lost",
    "edge_moved",
    "fact_moved",
    "fresh_ids",
    "gone",
    "id_taken",
    "ids_alone",
    "issue_id",
    "job_lost",
    "lane_kinds",
    "moved",
    "named_statements",
    "not_staged",
    "origin_taken",
    "pack",
    "plain",
    "raised",
    "same_version",
    "script_statements",
    "sortable",
    "state_moved",
    "store_tag",
    "successor",
    "taken",
    "unpack",
    "version_moved",
    "versions_missing",
]

RESERVED = frozenset({"format", "tag", "created", "bytes", "purge", "staged", "versions"})
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def pack(value: Any) -> str:
    """JSON text of a value."""
    return _encode(value)


def unpack(text: str) -> Any:
    """The value of JSON text."""
    return json.loads(text)


def store_tag(created: datetime, seed: int) -> int:
    """40 bits that set a store's ids apart from other stores', the same for the same clock and seed."""
    digest = hashlib.blake2b(f"{seed}/{micros(created)}".encode(), digest_size=5).digest()
    return int.from_bytes(digest, "big")


def issue_id(moment: datetime, sequence: int, tag: int) -> str:
    """A new id for something that became known at `moment`."""
    return new_id(micros(moment) // 1000, sequence, tag)


def raised(before: int, now: int, above: int) -> int:
    """A count that a commit has moved from `before` to `now`, counted on from `above` where that is more."""
    return now if now == before else max(before, above) + now - before


def same_version(one: Record, other: Record) -> bool:
    """Whether two records say the same as the same version of the same id.

    What a store sets or moves without opening a version is left aside: arrival, change sets, the end of
    known time, strength and trust.
    """
    return _bare(one) == _bare(other)


def _bare(record: Record) -> Record:
    return replace(
        record,
        known=Interval(record.known.start),
        strength=1.0,
        trust=1.0,
        metadata=dict(record.metadata),
        arrival=0,
        opened=0,
        closed=None,
    )


def fresh_ids(op: PutJob, ids: Sequence[str], duplicates: Sequence[bool]) -> tuple[str, ...]:
    """What a fresh job is about: the new ones among the batch's puts so far, or among those it names."""
    places = op.fresh if isinstance(op.fresh, range) else range(len(ids))
    return tuple(ids[place] for place in places if not duplicates[place])


def origin_taken(origin: str | None, owner: str) -> Conflict:
    """The refusal of other content under an origin that `owner` has."""
    return Conflict(
        f"id {origin!r} is taken in this scope: record {owner} holds other content under it; "
        f"use another id, or edit {owner}"
    )


def id_taken(id: str) -> Conflict:
    """The refusal of other content under an id that is there."""
    return Conflict(f"id {id} is taken by a record of other content; leave new ids to the store")


def version_moved(id: str, expected: int, latest: int, *, is_open: bool) -> Conflict:
    """The refusal of an operation that read another version than the latest."""
    state = "open" if is_open else "closed"
    return Conflict(
        f"record {id} is at version {latest} ({state}), expected version {expected}; read it and try again"
    )


def gone(id: str) -> Conflict:
    """The refusal of an operation on a record that is not there."""
    return Conflict(f"record {id} is not there (any more); read again what this stands on")


def job_lost(id: str, why: str) -> Conflict:
    """The refusal of an operation on a job that is gone or another's."""
    return Conflict(f"job {id} {why}; another process has it or ended it")


def plain(value: Any) -> Any:
    """A copy of `value` as JSON gives it back: lists, dicts, text, numbers."""
    return value if value is None or isinstance(value, str | int | float) else unpack(pack(value))


def sortable(scope: Scope) -> tuple[str, str, str, str]:
    """A scope's place among scopes: by field, none first."""
    return (scope.tenant, scope.user_id or "", scope.agent_id or "", scope.run_id or "")


def ids_alone(what: Select) -> bool:
    """Whether ids are the only condition, so that their order counts."""
    return what.ids is not None and what == Select(
        ids=what.ids, history=what.history, closed=what.closed, limit=what.limit
    )


def check_info(op: PutInfo) -> None:
    """Refuse a fact that only the store may set."""
    if op.key in RESERVED:
        raise InvalidInput(f"info: {op.key!r} is the store's own; use another key")


def fact_moved(key: str, value: str | None, present: str | None) -> Conflict:
    """The refusal of a commit that stands on another fact about the store."""
    return Conflict(f"the store's {key} is {present!r}, expected {value!r}; read its facts again")


def not_staged(id: str) -> Conflict:
    """The refusal to switch to entries that are not complete."""
    return Conflict(f"record {id} has a version without a staged entry; stage it and try again")


def edge_lost(id: str) -> Conflict:
    """The refusal to end an edge that is not there or has ended."""
    return Conflict(f"edge {id} is not there or closed already; read the edges again")


def edge_moved(id: str, expected: int | None, present: int) -> Conflict:
    """The refusal to end another version of an edge than the one that was read."""
    return Conflict(f"edge {id} is at version {present}, expected {expected}; read the edges again")


def state_moved(row: StateRow, present: int) -> Conflict:
    """The refusal of a state that was written by someone else meanwhile."""
    return Conflict(
        f"state {row.name!r} of {row.policy!r} is at version {present}, expected {row.version - 1}; "
        "read it and try again"
    )


def versions_missing(id: str, version: int, present: int) -> Conflict:
    """The refusal of an imported version whose predecessors are not there."""
    return Conflict(f"record {id}: version {version} cannot follow version {present}; put them oldest first")


def moved(id: str) -> Conflict:
    """The refusal of a version in another scope or of another origin."""
    return Conflict(f"record {id}: a new version cannot change scope or id of origin; put a new record")


def successor(record: Record, version: int, change_set: int) -> Record:
    """What follows a version: the next number, known from when `record` says, open."""
    known = Interval(record.known.start)
    return replace(record, version=version + 1, known=known, opened=change_set, closed=None)


def taken(known: Record, record: Record) -> bool:
    """Whether a put under an id that is there already says the same as that record's first version."""
    same = known.same_content(record)
    return same and (known.scope, known.origin) == (record.scope, record.origin)


def lane_kinds(job: Job) -> bool:
    """Whether the job may only run while no other of its lane does."""
    return job.kind in ("write", "rebuild")


def named_statements(file: Path) -> dict[str, str]:
    """The statements of an SQL file: what follows each line `-- name: x`."""
    parts = _NAME.split(file.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


def script_statements(script: str) -> list[str]:
    """The single statements of a script that has no semicolon inside text, functions or triggers."""
    return [part.strip() for part in _COMMENT.sub("", script).split(";") if part.strip()]
