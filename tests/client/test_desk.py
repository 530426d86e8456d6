"""What a service has besides a memory: events that go on where they broke off, owed work, keys."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from client.loopback import Loopback, loopback
from engram import AsyncMemory, Forbidden, InvalidInput, Memory, NotFound, StoreError
from engram.client import AsyncClient, Client, Service, asking
from engram.client.events import Reader
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope
from engram.testing.server import Answer, ScriptedServer, cut_off

KEY = "engram_0123456789ab_a-secret"
CHANGE = (
    'id: {place}\nevent: change\ndata: {{"event":"written","id":"{id}","version":1,"kind":"episode",'
    '"scope":{{"tenant":"default","user_id":"ana","agent_id":null,"run_id":null}}}}\n\n'
)


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


def test_the_clients_are_twins() -> None:
    def public(kind: type) -> dict[str, Any]:
        return {name: member for name, member in vars(kind).items() if name[0] != "_" and callable(member)}

    ours, theirs = public(Client), public(AsyncClient)
    assert ours.keys() == theirs.keys()
    for name, method in ours.items():
        assert inspect.signature(method).parameters == inspect.signature(theirs[name]).parameters
        assert method.__doc__ == theirs[name].__doc__


def test_changes_come_as_they_are_made(server: Loopback) -> None:
    url, key = server.serve(AsyncMemory("ram:"))
    with Memory(url, key=key) as memory, Client(url, key=key) as client:
        first = memory.add("one", user_id="ana").ids[0]
        memory.add("not hers", user_id="bo")
        [told] = islice(client.changes(after="0", user_id="ana"), 1)
        assert (told.event, told.id, told.version, told.kind) == ("written", first, 1, "episode")
        assert told.scope == Scope(user_id="ana")
        memory.edit(first, text="two")
        later = list(islice(client.changes(after=told.place, user_id="ana"), 1))
        assert [(change.id, change.version) for change in later] == [(first, 2)]
        memory.forget(first)

    async def main() -> list[Any]:
        async with AsyncClient(url, key=key) as client:
            assert (await client.health())["status"] == "ok"
            stream = client.changes(after="0", user_id="bo")
            found = [await anext(stream)]
            await stream.aclose()  # type: ignore[attr-defined]
            return found

    assert [change.event for change in asyncio.run(main())] == ["written"]


def test_a_stream_that_breaks_off_is_taken_up_where_it_was() -> None:
    start = "retry: 0\nid: 4\n\n"
    whole = Answer(start + CHANGE.format(place=5, id="a") + CHANGE.format(place=6, id="b"))
    broken = len(whole.content) - 30  # in the middle of the second one
    rest = Answer(CHANGE.format(place=6, id="b") + 'id: 7\nevent: erasure\ndata: {"note":"x"}\n\n')
    with (
        ScriptedServer([cut_off(whole, broken), rest]) as server,
        Client(Service(server.origin, KEY)) as client,
    ):
        found = list(islice(client.changes(user_id="ana"), 3))
    assert [(change.event, change.id, change.place) for change in found] == [
        ("written", "a", "5"), ("written", "b", "6"), ("erased", None, "7")
    ]  # fmt: skip
    asked = [request.headers.get("Last-Event-ID") for request in server.requests]
    assert asked == [None, "5"]


def test_a_stream_that_cannot_begin_says_why(server: Loopback) -> None:
    url, key = server.serve(AsyncMemory("ram:"), users="ana*")
    with Client(url, key=key) as client, pytest.raises(Forbidden, match="name a user_id"):
        next(client.changes())
    with Client(Service("http://127.0.0.1:9", KEY, retries=0)) as client:
        with pytest.raises(StoreError, match="cannot be reached"):
            next(client.job_events())
        with pytest.raises(TypeError, match="scope ids are"):
            client.jobs(user="ana")


def test_lines_that_are_no_event_are_passed_over() -> None:
    reader = Reader()
    lines = [": still here", "", "event: news", "data: {}", "", "foo", "retry: x", "id: 9", "data: 1", ""]
    told = [event for event in map(reader.take, lines) if event is not None]
    assert [(event.name, event.data, event.place) for event in told] == [("news", {}, None), ("", 1, "9")]


def test_owed_work_is_seen_done_and_given_up(server: Loopback) -> None:
    served = AsyncMemory("ram:")
    url, key = server.serve(served)
    core = served._bound.core
    jobs = [
        core.store.commit(
            Batch((PutJob(Job("", "embed", Scope(user_id=user), core.now(), "digest:1", status="parked")),))
        ).jobs[0]
        for user in ("ana", "bo")
    ]
    with Client(url, key=key) as client, Memory(url, key=key) as memory:
        assert [job["id"] for job in client.jobs()] == jobs
        [event] = islice(client.job_events(user_id="ana"), 1)
        assert (event.id, event.status, event.scope) == (jobs[0], "parked", Scope(user_id="ana"))
        assert client.job(jobs[0])["status"] == "parked"
        assert memory.wait(0) is False
        assert client.retry(jobs[0])["status"] == "pending"
        for job in jobs:
            assert client.drop(job)["status"] == "dropped"
        assert client.jobs(user_id="ana") == []
        assert memory.wait() is True
        for id in (jobs[0], "../keys", ""):
            with pytest.raises(NotFound):
                client.job(id)


def test_keys_are_made_turned_and_ended(server: Loopback) -> None:
    url, key = server.serve(AsyncMemory("ram:"))
    with Client(url, key=key) as client:
        made = client.create_key(name="app", rights="write", tenant="acme", users="team-*", days=1)
        turned = client.rotate_key(made["id"])
        assert turned["key"] != made["key"]
        with Memory(url, key=turned["key"]) as memory:
            memory.add("x", user_id="team-1")
        client.revoke_key(made["id"])
        states = [item["state"] for item in client.keys()]  # noqa: SIM118 - it is no mapping
        assert states == ["active", "revoked"]
        with (
            Memory(url, key=turned["key"]) as memory,
            pytest.raises(Forbidden, match="does not take this key"),
        ):
            memory.add("x", user_id="team-1")
        assert key not in repr(client)


def test_the_audit_is_for_admins(server: Loopback, tmp_path: Path) -> None:
    url, key = server.serve(AsyncMemory("ram:"), audit=tmp_path / "audit.jsonl")
    with Memory(url, key=key) as memory, Client(url, key=key) as client:
        id = memory.add("We moved to Lisbon.", user_id="ana").items[0].id
        for _ in range(3):
            memory.search("Lisbon", user_id="ana")
        memory.search("Lisbon", user_id="bo")
        lines = client.audit(user_id="ana", since="2020-01-01")
        assert [line["call"] for line in lines] == ["search", "search", "search", "add"]
        assert [line["call"] for line in client.audit(limit=3, user_id="ana", call="search")] == [
            "search"
        ] * 3
        assert [line["ids"] for line in client.audit(record=id, call="add")] == [[id]]
        assert client.audit(until="2020-01-01") == []
        with pytest.raises(InvalidInput, match="limit: expected a whole number from 1"):
            client.audit(limit=0)
        reading = client.create_key(name="app", rights="read", tenant="default", users="ana")
    with Client(url, key=reading["key"]) as client, pytest.raises(Forbidden):
        client.audit()


def test_the_audit_is_asked_for_by_pages() -> None:
    talk = asking.audit({"call": "add"}, 1500, {"user_id": "ana"})
    first = next(talk)
    assert first.params == {"user_id": "ana", "call": "add", "limit": "1000"}
    second = talk.send({"items": [{}] * 900, "next": "900"})
    assert (second.params["limit"], second.params["after"]) == ("600", "900")
    with pytest.raises(StopIteration) as ended:
        talk.send({"items": [{}] * 600, "next": "1500"})
    assert len(ended.value.value) == 1500
