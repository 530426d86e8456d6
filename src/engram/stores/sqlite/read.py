"""What the SQLite store reads: records, index entries, edges, states, jobs and scopes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

from engram.kernel.protocols import Entry, Job, Position, Select, StateRow
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.stores.asked import record_conditions
from engram.stores.shared import ids_alone, pack, sortable
from engram.stores.sqlite.queries import queries
from engram.stores.sqlite.rows import (
    SCOPE_COLUMNS,
    bound_scope,
    bound_values,
    job_of,
    record_of,
    scope_fields,
    scope_key,
    scope_pattern,
    state_of,
)

__all__ = ["entries", "info", "jobs", "position", "scopes", "select", "states"]

_SQL = queries("read")
_ENTRIES = queries("entries")
_POSITION = _SQL["position"]
_SPAN = 4  # a span of so many pages is looked through before the scope's own index is asked
_CHUNK = 5000
Bound = dict[str, Any]


def position(connection: sqlite3.Connection) -> Position:
    """The last number given out and the count of erasures."""
    last, erasures = connection.execute(_POSITION).fetchone()
    return Position(last, erasures)


def select(connection: sqlite3.Connection, what: Select) -> list[Record]:
    """The records or versions that `what` asks for."""
    conditions, bound = _conditions(what)
    where = " AND ".join(conditions) or "1"
    if what.scope is not None and what.limit and not (what.ids is not None or what.history or what.by_time):
        return _page(connection, what, where, bound)
    alone = ids_alone(what)
    time = "r.time, " if what.by_time else ""
    sql = _SQL["select"].format(table="history" if what.history else "records", where=where)
    if not alone or what.history:
        sql += " " + _SQL["ordered"].format(time=time)
        bound["limit"] = -1 if what.limit is None or alone else what.limit
    records = list(map(record_of, connection.execute(sql, bound)))
    if alone:
        places = {id: place for place, id in reversed(list(enumerate(what.ids or ())))}
        records.sort(key=lambda record: places[record.id])
        return records[: what.limit]
    return records


def _page(connection: sqlite3.Connection, what: Select, where: str, bound: Bound) -> list[Record]:
    """The first `limit` records of a scope by arrival: places from its index, rows only for those."""
    limit, pattern = what.limit or 0, scope_pattern(what.scope or Scope())
    found: list[Record] = []
    connection.execute("BEGIN")
    try:
        ids = connection.execute(_SQL["scope_ids"].format(pattern=pattern), bound).fetchall()
        single = len(ids) == 1
        places = connection.execute(
            _SQL["places_one" if single else "places"].format(pattern=pattern),
            {**bound, "only": ids[0][0] if single else None, "arrival": bound.get("arrival", 0)},
        )
        sql = _SQL["select"].format(table="records", where=f"{_SQL['where_places']} AND {where}")
        size = limit
        while len(found) < limit and (chunk := places.fetchmany(size)):
            bound.update(places=pack([place for (place,) in chunk]), limit=limit - len(found))
            found += map(record_of, connection.execute(f"{sql} " + _SQL["ordered"].format(time=""), bound))
            size = min(4 * size, _CHUNK)
        places.close()
    finally:
        connection.execute("COMMIT")
    return found


def _conditions(what: Select) -> tuple[list[str], Bound]:
    conditions: list[str] = []
    bound: Bound = {}
    if what.scope is not None:
        conditions.append(_SQL["where_scope"].format(pattern=scope_pattern(what.scope)))
        bound.update(bound_scope(what.scope))
    if what.origins is not None:
        conditions.append(_SQL["where_origins"])
        bound["origins"] = pack([(scope_key(scope), origin) for scope, origin in what.origins])
    for name, values in record_conditions(what):
        conditions.append(_SQL[name])
        bound.update(bound_values(values))
    return conditions, bound


def entries(
    connection: sqlite3.Connection, scope: Scope, after: int, limit: int, *, history: bool
) -> list[Entry]:
    """One page of index entries, by sequence.

    A page is first looked for in the next few thousand numbers of the whole store, which is the fastest
    way where the scope holds much of it; where that gives too few, the scope's index is asked.
    """
    bound: Bound = {**bound_scope(scope), "after": after, "limit": limit, "upto": after + _SPAN * limit}

    pattern = scope_pattern(scope)
    tables = ("records", "versions") if history else ("records",)

    def page(name: str) -> list[Entry]:
        found: list[Entry] = []
        for table in tables:
            found += map(Entry._make, connection.execute(_entry_sql(name, pattern, table), bound))
        return sorted(found)[:limit] if history else found

    kind = "history" if history else "entries"
    connection.execute("BEGIN")
    try:
        last = connection.execute(_POSITION).fetchone()[0]
        found = page(f"{kind}_span") if last > after else []
        return page(f"{kind}_scope") if len(found) < limit and last > bound["upto"] else found
    finally:
        connection.execute("COMMIT")


@cache
def _entry_sql(name: str, pattern: str, table: str) -> str:
    return _SQL[name].format(columns=_SQL["entry_columns"], pattern=pattern, table=table)


def states(
    connection: sqlite3.Connection, scope: Scope, policy: str | None, name: str | None
) -> list[StateRow]:
    """States, by (policy, scope, name)."""
    conditions, bound = [scope_pattern(scope)], bound_scope(scope)
    if policy is not None:
        conditions = [_SQL["where_policy"]]
        bound.update(zip(SCOPE_COLUMNS, scope_fields(scope), strict=True), policy=policy)
    if name is not None:
        conditions.append(_SQL["where_name"])
        bound["name"] = name
    sql = _SQL["states"].format(where=" AND ".join(conditions))
    found = [state_of(row) for row in connection.execute(sql, bound).fetchall()]
    return sorted(found, key=lambda row: (row.policy, sortable(row.scope), row.name))


def jobs(
    connection: sqlite3.Connection, scope: Scope | None, kind: str | None, ids: Sequence[str] | None
) -> list[Job]:
    """Jobs, by (created, id)."""
    conditions, bound = ["1"], Bound()
    if scope is not None:
        conditions.append(scope_pattern(scope))
        bound.update(bound_scope(scope))
    if kind is not None:
        conditions.append(_SQL["where_kind"])
        bound["kind"] = kind
    if ids is not None:
        conditions.append(_SQL["where_job_ids"])
        bound["ids"] = pack(list(ids))
    sql = _SQL["jobs"].format(where=" AND ".join(conditions))
    return [job_of(row) for row in connection.execute(sql, bound).fetchall()]


def scopes(connection: sqlite3.Connection, pattern: Scope | None) -> list[tuple[Scope, int]]:
    """Scopes with records and their counts of open latest versions, by field."""
    where, bound = ("1", Bound()) if pattern is None else (scope_pattern(pattern), bound_scope(pattern))
    rows = connection.execute(_SQL["scopes"].format(where=where), bound).fetchall()
    return sorted(((Scope(*row[:4]), row[4]) for row in rows), key=lambda item: sortable(item[0]))


def info(connection: sqlite3.Connection) -> dict[str, str]:
    """Facts that the database itself holds."""
    facts: dict[str, str] = dict(connection.execute(_SQL["info"]).fetchall())
    facts["format"] = str(connection.execute("PRAGMA user_version").fetchone()[0])
    if connection.execute(_SQL["unpurged"]).fetchone()[0]:
        facts["purge"] = "pending"
    staged, versions = connection.execute(_ENTRIES["counts"]).fetchone()
    facts["versions"] = str(versions)
    if staged:
        facts["staged"] = str(staged)
    return facts
