"""What the PostgreSQL store reads: records, index entries, states, jobs and scopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engram.kernel.protocols import Entry, Job, Position, Select, StateRow
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.stores.asked import record_conditions
from engram.stores.postgres.conditions import Conditions
from engram.stores.postgres.connection import Session
from engram.stores.postgres.queries import queries
from engram.stores.postgres.rows import READ, fields, job_of, origin_key, record_of, state_of
from engram.stores.shared import ids_alone, sortable

__all__ = ["entries", "info", "jobs", "position", "scopes", "select", "states"]

_SQL = queries("read")
_ENTRIES = queries("entries")
_COLUMNS = ", ".join(f"r.{name}" for name in READ)


def position(session: Session) -> Position:
    """The last number given out and the count of erasures."""
    return Position(*session.rows(_SQL["position"])[0])


def select(session: Session, what: Select) -> list[Record]:
    """The records or versions that `what` asks for."""
    need = _conditions(what)
    alone = ids_alone(what)
    table = "history" if what.history else "records"
    sql = _SQL["select"].format(columns=_COLUMNS, table=table, where=need.where)
    values: dict[str, Any] = dict(need.values)
    if not alone or what.history:
        sql += " " + _SQL["ordered"].format(time="r.time, " if what.by_time else "")
        values["limit"] = None if alone else what.limit
    records = list(map(record_of, session.ask((sql, values))[0]))
    if alone:
        places = {id: place for place, id in reversed(list(enumerate(what.ids or ())))}
        records.sort(key=lambda record: places[record.id])
        return records[: what.limit]
    return records


def _conditions(what: Select) -> Conditions:
    need = Conditions(_SQL)
    if what.scope is not None:
        need.records_of(what.scope)
    if what.origins is not None:
        keys = [origin_key(scope, origin) for scope, origin in what.origins]
        need("where_origins", tenants=[scope.tenant for scope, _ in what.origins], keys=keys)
    for name, values in record_conditions(what):
        need(name, **values)
    return need


def entries(session: Session, scope: Scope, after: int, limit: int, *, history: bool) -> list[Entry]:
    """One page of index entries, by sequence."""
    need = Conditions(_SQL)
    need.records_of(scope)
    values = {**need.values, "after": after, "limit": limit}
    name, tables = ("history_entries", ("records", "versions")) if history else ("entries", ("records",))
    asked = [
        (_SQL[name].format(columns=_SQL["entry_columns"], table=table, where=need.where), values)
        for table in tables
    ]
    found = [Entry._make(row) for rows in session.ask(*asked) for row in rows]
    if history:
        found.sort(key=lambda entry: entry.sequence)
    return found[:limit]


def states(session: Session, scope: Scope, policy: str | None, name: str | None) -> list[StateRow]:
    """States, by (policy, scope, name)."""
    need = Conditions(_SQL)
    if policy is None:
        need.edges_of(scope)
    else:
        tenant, user_id, agent_id, run_id = fields(scope)
        need("where_scope", tenant=tenant, user_id=user_id, agent_id=agent_id, run_id=run_id)
        need("where_policy", policy=policy)
    if name is not None:
        need("where_name", name=name)
    found = map(state_of, session.ask((_SQL["states"].format(where=need.where), need.values))[0])
    return sorted(found, key=lambda row: (row.policy, sortable(row.scope), row.name))


def jobs(session: Session, scope: Scope | None, kind: str | None, ids: Sequence[str] | None) -> list[Job]:
    """Jobs, by (created, id)."""
    need = Conditions(_SQL)
    if scope is not None:
        need.edges_of(scope)
    if kind is not None:
        need("where_kind", kind=kind)
    if ids is not None:
        need("where_ids", ids=list(ids))
    return list(map(job_of, session.ask((_SQL["jobs"].format(where=need.where), need.values))[0]))


def scopes(session: Session, pattern: Scope | None) -> list[tuple[Scope, int]]:
    """Scopes with records and their counts of open latest versions, by field."""
    need = Conditions(_SQL)
    if pattern is not None:
        need.records_of(pattern)
    rows = session.ask((_SQL["scopes"].format(where=need.where), need.values))[0]
    return sorted(((Scope(*row[:4]), row[4]) for row in rows), key=lambda item: sortable(item[0]))


def info(session: Session) -> dict[str, str]:
    """Facts that the database holds."""
    names = (_SQL["info"], _SQL["format"], _SQL["unpurged"], _ENTRIES["counts"], _SQL["bytes"])
    facts, formats, unpurged, counts, length = session.ask(*((statement, ()) for statement in names))
    found: dict[str, str] = {**dict(facts), "format": str(formats[0][0]), "bytes": str(length[0][0])}
    if unpurged[0][0]:
        found["purge"] = "pending"
    staged, versions = counts[0]
    found["versions"] = str(versions)
    if staged:
        found["staged"] = str(staged)
    return found
