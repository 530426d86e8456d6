"""Attacks: whatever a key's holder asks for, nothing of another's comes back, and nothing breaks."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import engram.serve
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope
from engram.serve import app as application
from engram.serve import auditing, doors, events, mem0, metering, moving, own, upkeep
from serve.service import House, house, problem

MARK = "ZEBRA-42"
VICTIM = "victim-1"
ROUTERS = (
    own.router,
    upkeep.router,
    moving.router,
    events.router,
    mem0.router,
    metering.router,
    auditing.router,
)
OPEN = {"/health", "/ready"}


@dataclass
class Attack:
    """A service with two tenants; what the other tenant has that is not to come out."""

    house: House
    record: str
    job: str
    key: str
    before: list[str] = field(default_factory=list)

    def untouched(self) -> list[str]:
        """All that the victim has, as lines that do not change unless it does."""
        text = self.house.call("GET", "export", params={"tenant": "beta"}).text
        return sorted(text.splitlines()[1:])


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    with house(tmp_path_factory.mktemp("attack")) as served:
        for name, tenant in (("acme", "acme"), ("beta", "beta")):
            served.key(name, "admin", tenant)
        beta = served.key("spare", "admin", "beta")
        served.key("reader", "read", "acme")
        served.key("team", "write", "acme", "team-*")
        served.key("ana", "write", "acme", "ana")
        said = {"messages": f"The code is {MARK}.", "user_id": VICTIM, "agent_id": "spy", "run_id": "night"}
        record = served.told("POST", "memories", as_="beta", json=said)["items"][0]["id"]
        for user in ("ana", "team-1", "other"):
            body = {"messages": f"{user} likes tea.", "user_id": user}
            served.told("POST", "memories", as_="acme", json=body)
        core = served.service.core
        owed = Job("", "embed", Scope("beta", VICTIM), core.now(), "digest:1", (record,), error=MARK)
        made = Attack(served, record, core.store.commit(Batch((PutJob(owed),))).jobs[0], beta)
        made.before = made.untouched()
        assert MARK in str(made.before)
        yield made


def operations() -> list[tuple[str, str]]:
    """Every method and path that the application knows, from its own file."""
    schema = _schema()
    return [
        (method.upper(), path)
        for path, item in schema["paths"].items()
        for method in item
        if path not in OPEN
    ]


def _schema() -> dict[str, Any]:
    from engram import AsyncMemory
    from engram.serve.audit import Audit
    from engram.serve.service import Service

    memory = AsyncMemory("ram:")
    schema: dict[str, Any] = application.build(Service(memory, Audit(None))).openapi()
    memory._bound.core.close()
    return schema


SCHEMA = _schema()
OPERATIONS = operations()


def body_of(method: str, path: str) -> dict[str, Any] | None:
    """The example of a route's body."""
    content = SCHEMA["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return None
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    example: dict[str, Any] = SCHEMA["components"]["schemas"][name]["examples"][0]
    return dict(example)


def asked(method: str, path: str) -> set[str]:
    """The names that a route takes in the query."""
    found = SCHEMA["paths"][path][method.lower()].get("parameters", [])
    return {item["name"] for item in found if item["in"] == "query"}


def forged(attack: Attack, method: str, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests that reach for the other tenant's: by ids in the path, the query, the body, the filters."""
    ids = {"id": attack.record, "memory_id": attack.record, "kind": "user", "name": VICTIM}
    ids["id"] = attack.job if "/jobs/" in path else attack.key if "/keys/" in path else attack.record
    place = path.format(**ids)
    whose = [
        {"tenant": "beta"},
        {"user_id": VICTIM},
        {"tenant": "beta", "user_id": VICTIM, "agent_id": "spy"},
    ]
    body, names = body_of(method, path), asked(method, path)
    bare: dict[str, Any] = {} if body is None else {"json": body}
    yield place, bare
    for given in whose:
        query = {name: value for name, value in given.items() if name in names}
        yield place, {**bare, "params": query}
        if body is not None:
            yield place, {"json": {**body, **given}}
    if body is not None and "/batch/" in path:
        yield place, {"json": {"memories": [{"memory_id": attack.record, "text": "mine"}]}}
    if body is not None and path.endswith("/forget"):
        yield place, {"json": {"ids": [attack.record]}}
        yield place, {"json": {"everyone": True}}
    for filters in (
        {"tenant": "beta"},
        {"or": [{"tenant": "beta"}, {"user_id": VICTIM}]},
        {"user_id": VICTIM},
    ):
        if body is not None:
            yield place, {"json": {**body, "everyone": True, "filters": filters, "query": MARK}}
            yield place, {"json": {**body, "user_id": "*", "filters": {"OR": [filters]}}}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_of_another_tenant_is_reached(attack: Attack, method: str, path: str) -> None:
    for who, most in (("acme", 100), ("team", 6), ("ana", 6), ("reader", 2)):
        for place, options in islice(forged(attack, method, path), most):
            if "/events/" in path and "beta" not in str(options):
                continue  # a stream of one's own stays open
            response = attack.house.call(method, place, as_=who, **options)
            assert response.status_code < 500, (who, place, options, response.text)
            assert MARK not in response.text.replace(f'"query": "{MARK}"', ""), (who, place, options)
            if response.status_code < 300:
                assert attack.record not in response.text, (who, place, options)
                assert '"beta"' not in response.text, (who, place, options)
    assert attack.untouched() == attack.before


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_is_answered_without_a_key(attack: Attack, method: str, path: str) -> None:
    place = path.format(id=attack.record, memory_id=attack.record, kind="user", name=VICTIM)
    for headers in (
        {},
        {"Authorization": "Bearer engram_x_y"},
        {"Authorization": "Basic YTpi"},
        {"X-API-Key": ""},
    ):
        response = attack.house.call(method, place, as_=None, headers=headers, json=body_of(method, path))
        assert problem(response) == (401, "unauthorized")
        assert "bearer" in response.headers["www-authenticate"].lower()


CHANGING = [(m, p) for m, p in OPERATIONS if m != "GET" and p.rpartition("/v1")[2] not in (
    "/search", "/as_of", "/context", "/ask", "/graph", "/list", "/jobs/wait"
) and p not in ("/search", "/v3/memories/", "/v3/memories/search/")]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_a_key_that_may_read_changes_nothing(attack: Attack, method: str, path: str) -> None:
    """Each changing route says no before it looks for anything."""
    id = attack.house.told("GET", "memories", as_="acme", params={"everyone": True})["items"]
    place = path.format(id="x", memory_id="x", kind="user", name="ana")
    options: dict[str, Any] = {"json": body_of(method, path)} if body_of(method, path) else {}
    if "user_id" in asked(method, path):
        options["params"] = {"user_id": "ana"}
    response = attack.house.call(method, place, as_="reader", **options)
    assert response.status_code in (403, 404), response.text
    assert attack.house.told("GET", "memories", as_="acme", params={"everyone": True})["items"] == id


def test_a_key_of_some_users_reaches_them_alone(attack: Attack) -> None:
    served = attack.house
    everything = served.told("GET", "memories", as_="acme", params={"everyone": True})["items"]
    by_user = {record["scope"]["user_id"]: record["id"] for record in everything}
    if not {"ana", "team-1", "other"} <= by_user.keys():
        for user in ("ana", "team-1", "other"):
            body = {"messages": f"{user} likes tea.", "user_id": user}
            by_user[user] = served.told("POST", "memories", as_="acme", json=body)["items"][0]["id"]
    for who, own_, others in (("team", "team-1", ("ana", "other")), ("ana", "ana", ("team-1", "other"))):
        assert served.told("GET", f"memories/{by_user[own_]}", as_=who)["id"] == by_user[own_]
        for user in others:
            for path in (f"memories/{by_user[user]}", f"memories/{by_user[user]}/history"):
                assert problem(served.call("GET", path, as_=who)) == (404, "not-found")
            assert problem(served.call("GET", f"/memories/{by_user[user]}", as_=who)) == (404, "not-found")
            asked = {"query": "tea", "user_id": user}
            assert problem(served.call("POST", "search", as_=who, json=asked)) == (403, "forbidden")
            forget = {"ids": [by_user[own_], by_user[user]]}
            assert problem(served.call("POST", "forget", as_=who, json=forget)) == (404, "not-found")
        listed = served.told("GET", "scopes", as_=who)["items"]
        assert {scope["user_id"] for scope in listed} == {own_}
    assert problem(served.call("GET", "memories", as_="team", params={"everyone": True})) == (
        403,
        "forbidden",
    )
    mine = served.told("GET", "memories", as_="ana", params={"everyone": True})["items"]
    assert {record["scope"]["user_id"] for record in mine} == {"ana"}
    for method, options in (("GET", {}), ("POST", {"json": {"query": "tea", "everyone": True}})):
        path = "stats" if method == "GET" else "search"
        assert problem(served.call(method, path, as_="team", **options)) == (403, "forbidden")


def test_an_import_cannot_bring_in_what_belongs_elsewhere(attack: Attack) -> None:
    served, before = attack.house, attack.untouched()
    stolen = served.call("GET", "export", as_="beta").content
    response = served.call("POST", "import", as_="acme", params={"name": "x.jsonl"}, content=stolen)
    assert problem(response) == (403, "forbidden")
    lines = [json.loads(line) for line in stolen.decode().splitlines()]
    lines[1]["scope"]["tenant"] = "acme"
    forged = "\n".join(map(json.dumps, lines)).encode()
    again = served.call("POST", "import", as_="acme", params={"name": "x.jsonl"}, content=forged)
    assert again.status_code < 500
    assert attack.untouched() == before
    keys = served.told("GET", "keys", as_="all")["items"]
    assert "engram_" not in stolen.decode()
    assert not [key["id"] for key in keys if key["id"] in stolen.decode()]


def test_an_admin_makes_no_key_that_reaches_further_than_its_own(attack: Attack) -> None:
    served = attack.house
    served.key("lead", "admin", "acme", "team-*")
    for body in ({"tenant": "beta"}, {"tenant": "*"}, {"users": "*"}, {"users": "ana"}, {"users": "tea*"}):
        response = served.call("POST", "keys", as_="lead", json={"name": "k", "users": "team-1", **body})
        assert problem(response) == (403, "forbidden")
    made = served.told("POST", "keys", as_="lead", json={"users": "team-1", "rights": "write"})
    assert (made["tenant"], made["users"]) == ("acme", "team-1")
    assert problem(served.call("DELETE", f"keys/{attack.key}", as_="lead")) == (404, "not-found")
    listed = {key["tenant"] for key in served.told("GET", "keys", as_="lead")["items"]}
    assert listed == {"acme"}


def test_every_route_goes_through_the_guard() -> None:
    """A route that somebody adds without it is found here."""

    def calls(dependant: Dependant) -> set[object]:
        return {dependant.call}.union(*map(calls, dependant.dependencies))

    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) >= len(OPERATIONS)
    assert [route.path for route in routes if doors.guarded not in calls(route.dependant)] == []
    assert all(route.include_in_schema for route in routes)


def test_no_route_knows_the_memory_but_by_the_guard() -> None:
    """The modules of routes import neither the faces nor the store; what they import, checks first."""
    folder = Path(engram.serve.__file__).parent
    barred = (
        "engram.aio",
        "engram.memory",
        "engram.config",
        "engram.stores",
        "engram.engine.read",
        "engram.engine.write",
    )
    for module in (own, upkeep, moving, mem0):
        tree = ast.parse((folder / Path(str(module.__file__)).name).read_text(encoding="utf-8"))
        names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert [name for name in names if name.startswith(barred)] == []
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert "memory" not in attributes
        assert "_bound" not in attributes
