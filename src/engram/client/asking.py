"""What a service has besides a memory, as requests: owed work, keys, the audit, health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from engram.client.call import Request, Talk
from engram.client.calls import moment_text
from engram.engine.ingest import whole_number
from engram.kernel.errors import NotFound
from engram.kernel.scope import SCOPE_FIELDS, Scope

__all__ = [
    "audit",
    "create_key",
    "health",
    "job",
    "job_changed",
    "jobs",
    "keys",
    "named",
    "revoke_key",
    "rotate_key",
]

_PAGE = 1000
_MOST_LINES = 1_000_000
Json = dict[str, Any]


def named(ids: Mapping[str, object]) -> dict[str, str]:
    """The scope ids that are named. Raises `TypeError` for other names, `InvalidInput` for no id."""
    for name in ids:
        if name not in SCOPE_FIELDS:
            raise TypeError(f"unexpected argument {name!r}; scope ids are {', '.join(SCOPE_FIELDS)}")
    given = {name: str(id) for name, id in ids.items() if id is not None}
    Scope.of(**given)
    return given


def jobs(ids: Mapping[str, object]) -> Talk[list[Json]]:
    """Owed jobs, oldest first."""
    found: list[Json] = []
    params, after = named(ids) | {"limit": str(_PAGE)}, None
    while True:
        page = yield Request("GET", "/jobs", params | ({"after": after} if after else {}))
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


def job(id: str, ids: Mapping[str, object]) -> Talk[Json]:
    """One job."""
    found: Json = yield Request("GET", f"/jobs/{_place(id, 'job')}", named(ids))
    return found


def job_changed(id: str, ids: Mapping[str, object], *, drop: bool) -> Talk[Json]:
    """A job that is tried again, or given up."""
    place, params = _place(id, "job"), named(ids)
    if drop:
        done: Json = yield Request("DELETE", f"/jobs/{place}", params, changes=True)
    else:
        done = yield Request("POST", f"/jobs/{place}/retry", params, changes=True)
    return done


def keys() -> Talk[list[Json]]:
    """Keys, oldest first."""
    found = yield Request("GET", "/keys")
    return list(found["items"])


def create_key(fields: Mapping[str, Any]) -> Talk[Json]:
    """A new key. It is sent once: the key of an answer that is lost cannot be told again."""
    made: Json = yield Request("POST", "/keys", body=fields, again=False)
    return made


def rotate_key(id: str, grace: float) -> Talk[Json]:
    """A key with a new secret; sent once, as `create_key`."""
    body = {"grace_seconds": grace}
    turned: Json = yield Request("POST", f"/keys/{_place(id, 'key')}/rotate", body=body, again=False)
    return turned


def revoke_key(id: str) -> Talk[Json]:
    """A key that is ended for good."""
    ended: Json = yield Request("DELETE", f"/keys/{_place(id, 'key')}")
    return ended


def audit(wanted: Mapping[str, object], limit: int, ids: Mapping[str, object]) -> Talk[list[Json]]:
    """Lines of the audit, the newest first."""
    whole_number(limit, "limit", 1, _MOST_LINES)
    given = {name: moment_text(value) for name, value in wanted.items() if value is not None}
    params = named(ids) | {name: text for name, text in given.items() if text is not None}
    found: list[Json] = []
    after = None
    while True:
        page = {"limit": str(min(limit - len(found), _PAGE))} | ({"after": after} if after else {})
        told = yield Request("GET", "/audit", params | page)
        found += told["items"]
        after = told["next"]
        if after is None or len(found) >= limit:
            return found


def health() -> Talk[Json]:
    """Whether the service can answer."""
    found: Json = yield Request("GET", "/ready", plain=True)
    return found


def _place(id: str, what: str) -> str:
    """An id in a path. Raises `NotFound` for what no id is like."""
    if id in ("", ".", "..") or "/" in id or not id.isprintable():
        raise NotFound(f"there is no {what} {id!r} in this scope")
    return quote(id, safe="~")
