"""The faces' calls as requests: what is asked is checked as in a program, before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from engram.client import values
from engram.client.call import Request, Talk
from engram.engine import answer, check, graphs, hearing, read, revise, upkeep, write
from engram.engine.ingest import check_text, drafts, id_text, json_value, whole_number
from engram.engine.results import Page, Receipt, Report
from engram.kernel.clock import parse_time, utc_now
from engram.kernel.errors import InvalidInput, NotFound
from engram.kernel.record import Hit, Record
from engram.kernel.scope import DEFAULT_TENANT, SCOPE_FIELDS, Scope
from engram.kernel.show import moment as shown
from engram.operators.answering import Answer
from engram.operators.graph.subgraph import Graph
from engram.operators.packing import Context

__all__ = ["TALKS", "UNNAMED", "Then", "moment_text", "whose"]

UNNAMED = ""
"""The tenant of a scope whose tenant the key decides."""
_PAGE = 1000
_WAITS = 20.0  # seconds that one request waits for owed work
_TENDS = 600.0
_LOOKS = 6 * 3600.0
_LONGEST_ID = 512


@dataclass(frozen=True)
class Then:
    """The time that a call asks of; neither: now. The service says which moment a search counts from."""

    valid: datetime | None = None
    known: datetime | None = None
    moment: None = None

    @property
    def params(self) -> dict[str, str]:
        """The times that are given, by name."""
        given = {"valid": self.valid, "known": self.known}
        return {name: time.isoformat() for name, time in given.items() if time is not None}

    def __str__(self) -> str:
        given = {"valid": self.valid, "known": self.known}
        return ", ".join(f"{name} {shown(time)}" for name, time in given.items() if time is not None)


def whose(scope: Scope | None) -> dict[str, str]:
    """The scope ids that a call names."""
    ids = {} if scope is None else {name: getattr(scope, name) for name in SCOPE_FIELDS}
    return {name: id for name, id in ids.items() if id}


def moment_text(value: object) -> str | None:
    """A time as it was given, in ISO 8601. Raises `InvalidInput`."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return parse_time(value)[0].isoformat()


def add(request: write.AddRequest) -> Talk[Receipt]:
    """`add`."""
    scope = replace(request.scope, tenant=request.scope.tenant or DEFAULT_TENANT)
    drafts(
        request.messages,
        scope,
        utc_now(),
        kind=request.kind,
        metadata=request.metadata,
        expires=request.expires,
    )
    body = {
        "messages": json_value(request.messages, "messages"),
        "metadata": _plain(request.metadata, "metadata"),
        "kind": request.kind,
        "infer": bool(request.infer),
        "expires": moment_text(request.expires),
        "wait": bool(request.wait),
        **whose(request.scope),
    }
    done = yield Request("POST", "/memories", body=body, changes=True, slow=_TENDS)
    return values.receipt(done)


def add_triples(
    triples: object, scope: Scope, metadata: Mapping[str, Any] | None, *, wait: bool
) -> Talk[Receipt]:
    """`add_triples`."""
    write.facts(triples)
    body = {
        "triples": json_value(triples, "triples"),
        "metadata": _plain(metadata, "metadata"),
        "wait": bool(wait),
        **whose(scope),
    }
    done = yield Request("POST", "/triples", body=body, changes=True, slow=_TENDS)
    return values.receipt(done)


def search(then: Then, request: read.SearchRequest) -> Talk[list[Hit]]:
    """`search`."""
    body = {**_question(then, request), "explain": bool(request.explain)}
    found = yield Request("POST", "/search", body=body)
    return [values.hit(item) for item in found["items"]]


def context(
    then: Then, request: read.SearchRequest, budget: int | None, count: Callable[[str], int] | None
) -> Talk[Context]:
    """`context`."""
    body = {"budget": _budget(budget, count), **_question(then, request)}
    found = yield Request("POST", "/context", body=body)
    return values.context(found)


def ask(then: Then, request: answer.AskRequest) -> Talk[Answer]:
    """`ask`. It is sent under an idempotency key: a model answers it once."""
    budget = _budget(request.budget, request.count)
    least = None if request.least is None else read.unit_score(request.least)
    asked = _question(then, request.search)
    asked["question"] = asked.pop("query")
    body = {**asked, "budget": budget, "min_score": least}
    found = yield Request("POST", "/ask", body=body, changes=True, slow=_TENDS)
    return values.answer(found)


def cited(request: hearing.CitedRequest) -> Talk[Receipt]:
    """`cited`."""
    asked = _question(Then(), request.search)
    wanted = [request.cited] if isinstance(request.cited, str) else request.cited
    body = {
        "question": asked["query"],
        "cited": _ids(wanted, "cited"),
        "shown": None if request.shown is None else _ids(request.shown, "shown"),
        "at": asked["at"],
        "everyone": asked["everyone"],
        **whose(request.search.scope),
    }
    done = yield Request("POST", "/cited", body=body, changes=True, slow=_TENDS)
    return values.receipt(done)


def graph(then: Then, request: graphs.GraphRequest) -> Talk[Graph]:
    """`graph`."""
    types, kinds, about = graphs.checked(request)
    body = {
        "about": None if about is None else list(about),
        "depth": request.depth,
        "types": list(types) or None,
        "kinds": list(kinds) or None,
        "limit": request.limit,
        "everyone": bool(request.everyone),
        **then.params,
        **whose(request.scope),
    }
    found = yield Request("POST", "/graph", body=body)
    return values.graph(found)


def get(then: Then, id: str, scope: Scope) -> Talk[Record]:
    """`get`."""
    found = yield Request("GET", f"/memories/{_place(id)}", {**then.params, **whose(scope)})
    return values.record(found)


def get_all(then: Then, request: read.ListRequest) -> Talk[Page]:
    """`get_all`."""
    read.check_listing(request)
    body = {
        "filters": _plain(request.filters, "filters"),
        "after": None if request.after is None else str(request.after),
        "limit": request.limit,
        "everyone": bool(request.everyone),
        **then.params,
        **whose(request.scope),
    }
    found = yield Request("POST", "/list", body=body)
    return values.page(found)


def history(id: str, scope: Scope, known: datetime | None = None) -> Talk[list[Record]]:
    """`history`."""
    params = {**Then(known=known).params, **whose(scope)}
    found = yield Request("GET", f"/memories/{_place(id)}/history", params)
    return [values.record(item) for item in found["items"]]


def edit(
    id: str, scope: Scope, text: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Talk[Receipt]:
    """`edit`."""
    body = {
        "text": None if text is None else check_text(text, "text"),
        "metadata": _plain(metadata, "metadata"),
        **whose(scope),
    }
    done = yield Request("PATCH", f"/memories/{_place(id)}", body=body, changes=True)
    return values.receipt(done)


def forget(ids: Sequence[str] | None, scope: Scope, everyone: bool, dry_run: bool) -> Talk[Receipt]:
    """`forget`."""
    body = {
        "ids": None if ids is None else list(ids),
        "everyone": bool(everyone),
        "dry_run": bool(dry_run),
        **whose(scope),
    }
    done = yield Request("POST", "/forget", body=body, changes=True, slow=_TENDS)
    return values.receipt(done)


def undo(change_set: str | int, scope: Scope) -> Talk[Receipt]:
    """`undo`."""
    number = revise.number_of(change_set)
    body = {"change_set": str(number), **whose(scope)}
    done = yield Request("POST", "/undo", body=body, changes=True)
    return values.receipt(done)


def scopes(pattern: Scope | None) -> Talk[list[dict[str, Any]]]:
    """`scopes`, a page at a time."""
    found: list[dict[str, Any]] = []
    params = {"limit": str(_PAGE), **whose(pattern)}
    after: str | None = None
    while True:
        page = yield Request("GET", "/scopes", params | ({"after": after} if after else {}))
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


def stats(scope: Scope | None) -> Talk[dict[str, Any]]:
    """`stats`."""
    found = yield Request("GET", "/stats", whose(scope))
    return dict(found)


def tend(scope: Scope) -> Talk[Receipt]:
    """`tend`."""
    done = yield Request("POST", "/tend", body=whose(scope), changes=True, slow=_TENDS)
    return values.receipt(done)


def wait(timeout: float | None) -> Talk[bool]:
    """`wait`: the service does what is owed, of what the key reaches."""
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        left = _WAITS if until is None else min(_WAITS, max(0.0, until - time.monotonic()))
        state = yield Request("POST", "/jobs/wait", body={"seconds": left, "work": True}, slow=_TENDS)
        over = until is not None and time.monotonic() >= until
        if state["done"] or over or not state["more"]:
            return bool(state["done"])


def verify(progress: Callable[[int, int | None], None] | None) -> Talk[Report]:
    """`verify`; progress is told once, at its end."""
    found = yield Request("POST", "/verify", slow=_LOOKS)
    return _reported(found, progress)


def repair(progress: Callable[[int, int | None], None] | None) -> Talk[Report]:
    """`repair`; progress is told once, at its end."""
    done = yield Request("POST", "/repair", changes=True, slow=_LOOKS)
    return _reported(done, progress)


def _reported(found: Mapping[str, Any], progress: Callable[[int, int | None], None] | None) -> Report:
    report = values.report(found)
    if progress is not None:
        progress(report.checked, report.checked)
    return report


def _question(then: Then, request: read.SearchRequest) -> dict[str, Any]:
    """What every searching route takes. Raises `InvalidInput`; whether a scope is named the service sees."""
    read.checked(replace(request, everyone=True), ())
    return {
        "query": request.query,
        "k": request.k,
        "filters": _plain(request.filters, "filters"),
        "at": moment_text(request.at),
        "min_score": request.min_score,
        "everyone": bool(request.everyone),
        **then.params,
        **whose(request.scope),
    }


def _budget(budget: int | None, count: Callable[[str], int] | None) -> int | None:
    if budget is not None:
        whole_number(budget, "budget", 1, read.MAX_BUDGET)
    if count is not None:
        raise InvalidInput(
            "count: a service cannot call a function of this program; leave it out, and the "
            "service's own counter counts"
        )
    return budget


def _plain(value: Mapping[str, Any] | None, place: str) -> Any:
    return None if value is None else json_value(value, place)


def _ids(ids: object, place: str) -> list[str]:
    if not isinstance(ids, Collection) or isinstance(ids, str | bytes):
        raise InvalidInput(f"{place}: expected ids of records, got {type(ids).__name__}")
    return [id_text(id) for id in ids]


def _place(id: str) -> str:
    """A record's id in a path. Raises `NotFound` for what no record's id is like."""
    if id_text(id) in ("", ".", "..") or "/" in id or len(id) > _LONGEST_ID or not id.isprintable():
        raise NotFound(f"there is no record {id!r} in this scope")
    return quote(id, safe="~")


TALKS: Mapping[Callable[..., Any], Callable[..., Talk[Any]]] = {
    write.add: add,
    write.add_triples: add_triples,
    read.search: search,
    read.context: context,
    answer.ask: ask,
    hearing.cited: cited,
    graphs.graph: graph,
    read.get: get,
    read.get_all: get_all,
    read.history: history,
    revise.edit: edit,
    revise.forget: forget,
    revise.undo: undo,
    upkeep.scopes: scopes,
    upkeep.stats: stats,
    upkeep.tend: tend,
    upkeep.wait: wait,
    check.verify: verify,
    check.repair: repair,
}
"""What each of the engine's calls says to a service; exports and imports are in `engram.client.moving`."""
