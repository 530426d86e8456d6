"""More attacks: half characters, framing that two programs read in two ways, senders who never end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from engram.serve.limits import Buckets
from engram.serve.speech import spoken
from serve.service import WIDE, House, house, problem
from serve.speaking import Spoken

ANA = {"user_id": "ana"}


@pytest.mark.parametrize("bad", ["\ud800", "\0"])
def test_ids_that_no_store_can_look_for_are_refused(shared: House, bad: str) -> None:
    for method, path, body in (
        ("POST", "forget", {"ids": [bad], **ANA}),
        ("POST", "cited", {"question": "x", "cited": [bad], **ANA}),
        ("POST", "cited", {"question": "x", "cited": [], "shown": [bad], **ANA}),
        ("POST", "graph", {"about": [bad], **ANA}),
        ("POST", "graph", {"types": [bad], **ANA}),
        ("PUT", "/v1/batch/", {"memories": [{"memory_id": bad, "text": "x"}]}),
        ("DELETE", "/v1/batch/", {"memories": [{"memory_id": bad}]}),
    ):
        content = json.dumps(body).encode()
        response = shared.call(method, path, content=content, headers={"Content-Type": "application/json"})
        assert problem(response) == (422, "invalid-input"), (path, body)


@pytest.mark.parametrize(
    "filters", ["[" * 4000, '{"a":' * 800, "{1: 2}", "{(1, 2): 'x'}", "{b'user_id': 'ana'}"]
)
def test_odd_filters_in_a_query_are_refused(shared: House, filters: str) -> None:
    response = shared.call("DELETE", "/v1/memories/", params={"filters": filters})
    assert problem(response) == (422, "invalid-input")


def test_an_id_that_is_escaped_counts_as_named_twice(shared: House) -> None:
    for query in ("user_id=ana&user%5Fid=bo", "%75ser_id=ana&user_id=bo"):
        assert problem(shared.call("GET", f"stats?{query}")) == (400, "malformed")


def _said(service: Spoken, *parts: bytes) -> bytes:
    """What comes back for bytes as no client would send them, until the service closes the connection."""
    place = urlsplit(service.process.url)
    said = b""
    with socket.create_connection((place.hostname, place.port), timeout=60) as line:
        for part in parts:
            line.sendall(part)
        while found := line.recv(1 << 16):
            said += found
    return said


@pytest.mark.parametrize(
    ("version", "framing"),
    [
        (b"1.1", b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
        (b"1.1", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        (b"1.0", b"Transfer-Encoding: chunked\r\n"),
        (b"1.1", b"Transfer-Encoding: xchunked\r\n"),
        (b"1.1", b"Content-Length: 2\r\nContent-Length: 3\r\n"),
    ],
)
def test_no_second_request_hides_in_a_body(talkative: Spoken, version: bytes, framing: bytes) -> None:
    """A proxy that reads such a head otherwise would take the next one's request for a part of this one."""
    key = b"Authorization: Bearer " + talkative.process.token.encode() + b"\r\n"
    hidden = b"GET /engram/v1/keys HTTP/1.1\r\nHost: x\r\n" + key + b"\r\n"
    head = b"POST /engram/v1/search HTTP/" + version + b"\r\nHost: x\r\n" + key + framing + b"\r\n"
    said = _said(talkative, head + b"0\r\n\r\n" + hidden)
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400")


def test_a_body_that_stops_coming_is_not_waited_for(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"messages": '
        await asyncio.sleep(3600)

    with house(tmp_path, limits=replace(WIDE, quiet=1)) as served:

        async def both() -> list[httpx.Response]:
            headers = {"Authorization": f"Bearer {served.tokens['all']}", "Content-Type": "application/json"}
            paths = ("/engram/v1/memories", "/engram/v1/import", "/v3/memories/add/")
            calls = [served.client.post(path, content=parts(), headers=headers) for path in paths]
            return list(await asyncio.wait_for(asyncio.gather(*calls), 60))

        assert {problem(response) for response in served.do(both())} == {(400, "malformed")}


def test_a_head_that_never_ends_is_not_waited_for() -> None:
    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def ends(port: int, *parts: bytes) -> bytes:
        """What comes after the last part, each of the others being answered first."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts[:-1]:
            writer.write(part)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        writer.write(parts[-1])
        said = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return said

    async def talk() -> list[bytes]:
        kind: Any = spoken(0.05)
        config = uvicorn.Config(answer, http=kind, log_config=None, lifespan="off", timeout_keep_alive=3600)
        config.load()
        state = ServerState()
        made = await asyncio.get_running_loop().create_server(
            lambda: kind(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        port = made.sockets[0].getsockname()[1]
        begun, whole = b"GET / HTTP/1.1\r\nHost", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        async with made:
            return [await ends(port, *parts) for parts in ((b"",), (begun,), (whole, begun))]

    assert asyncio.run(talk()) == [b"", b"", b""]


def test_a_change_set_of_others_is_as_one_that_is_not_there(shared: House) -> None:
    shared.key("acme", "write", "acme")
    theirs = shared.told("POST", "memories", json={"messages": "The code is 4711.", **ANA})["change_set"]
    told = [
        shared.told("POST", "undo", as_="acme", status=404, json={"change_set": number, **ANA})["detail"]
        for number in (theirs, "987654")
    ]
    assert told[0].replace(theirs, "987654") == told[1]


def _file(lines: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, lines)).encode()


def test_nothing_that_is_imported_stands_on_what_others_have(shared: House) -> None:
    """Else a change or an erasure of theirs would reach over here, and tell them of it."""
    shared.key("mallory", "admin", "mallory")
    theirs = shared.told("POST", "memories", json={"messages": "The code is 4711.", **ANA})["items"][0]["id"]
    shared.told("POST", "triples", json={"triples": [["Ana", "hides in", "a bunker"]], **ANA})
    shared.told("POST", "triples", as_="mallory", json={"triples": [["Bo", "lives in", "Oslo"]], **ANA})
    lines = [json.loads(line) for line in shared.call("GET", "export", as_="mallory").text.splitlines()]
    edge = next(line for line in lines if line["type"] == "edge")["id"]
    record = next(line for line in lines if line["type"] == "record" and line["kind"] == "fact")["id"]
    shared.told("POST", "forget", as_="mallory", json={"everyone": True})
    told = shared.call("GET", "export", params=ANA).text.splitlines()
    other_edge = next(line for line in map(json.loads, told) if line["type"] == "edge")["id"]

    def forged(mine: str, yours: str, *fields: str) -> bytes:
        found = json.loads(json.dumps(lines))
        for line in found:
            for name in fields:
                if line.get(name) == mine:
                    line[name] = yours
                elif line.get(name) == [mine]:
                    line[name] = [yours]
        return _file(found)

    for content, kind in (
        (forged(record, theirs, "sources"), (422, "invalid-input")),
        (forged(record, theirs, "source"), (422, "invalid-input")),
        (forged(record, theirs, "id", "source", "sources"), (409, "conflict")),
        (forged(edge, other_edge, "id"), (409, "conflict")),
    ):
        response = shared.call("POST", "import", as_="mallory", params={"name": "x.jsonl"}, content=content)
        assert problem(response) == kind, response.text
    assert shared.told("GET", "stats", as_="mallory")["records"] == 0
    fine = shared.call("POST", "import", as_="mallory", params={"name": "x.jsonl"}, content=_file(lines))
    assert fine.json()["stored"] == 3


def test_what_was_erased_is_not_said_again(served: House) -> None:
    served.told("POST", "memories", json={"messages": "My cat is called Mia.", **ANA})
    asked = {"question": "What is the cat called?", **ANA}
    found = {"query": "cat", **ANA}
    once = {"Idempotency-Key": "again"}
    first = served.call("POST", "ask", json=asked, headers=once)
    again = served.call("POST", "ask", json=asked, headers=once)
    assert "Mia" in first.text
    assert (again.text, again.headers["idempotency-replayed"]) == (first.text, "true")
    assert "Mia" in served.call("POST", "search", json=found, headers={"Idempotency-Key": "2"}).text
    served.told("POST", "forget", json=ANA)
    assert "Mia" not in served.call("POST", "ask", json=asked, headers=once).text
    assert "Mia" not in served.call("POST", "search", json=found, headers={"Idempotency-Key": "2"}).text


def test_a_key_makes_none_that_outlives_it(shared: House) -> None:
    lasts = timedelta(hours=1)
    key, shared.tokens["brief"] = shared.service.keyring.store.create(rights="admin", lasts=lasts)
    shared.do(shared.service.keyring.refresh())
    assert key.expires is not None
    made = shared.told("POST", "keys", as_="brief", json={"rights": "admin"})
    assert datetime.fromisoformat(made["expires"]) <= key.expires
    assert problem(shared.call("POST", "keys", as_="brief", json={"days": 1})) == (403, "forbidden")
    assert shared.told("POST", "keys", as_="brief", json={"days": 0.01})["expires"]


def test_who_guesses_ids_is_in_the_audit(shared: House) -> None:
    id = shared.key("guessing", "write", "acme", "team-*")
    theirs = shared.told("POST", "memories", json={"messages": "The code is 4711.", **ANA})["items"][0]["id"]
    for method, path in (("GET", "memories"), ("DELETE", "memories"), ("GET", "/v1/memories")):
        place = f"{path}/{theirs}" + ("/" if path.startswith("/") else "")
        assert shared.call(method, place, as_="guessing").status_code == 404
    told = [(line["call"], line["outcome"]) for line in shared.audited() if line["key"] == id]
    assert told == [("get", "NotFound"), ("forget_one", "NotFound"), ("get", "NotFound")]


def test_a_key_that_is_asked_for_again_is_made_once(shared: House) -> None:
    once = {"Idempotency-Key": "key-1"}
    first, again = (shared.call("POST", "keys", json={"name": "app"}, headers=once) for _ in range(2))
    assert again.json() == first.json()


def test_a_stream_says_nothing_more_once_its_key_is_revoked(talkative: Spoken) -> None:
    id = talkative.key("watching", rights="read", tenant="events")
    shown = {"Authorization": f"Bearer {talkative.keys['watching']}"}
    url = f"{talkative.process.url}/engram/v1/events/changes"
    with httpx.stream("GET", url, headers=shown, timeout=60) as stream:
        lines = stream.iter_lines()
        assert "id: " in "".join(next(lines) for _ in range(3))
        talkative.rest("DELETE", f"keys/{id}")
        talkative.rest("POST", "memories", json={"messages": "x", "tenant": "events", **ANA})
        assert [line for line in lines if line.startswith("data:")] == []


def test_who_goes_on_guessing_keeps_no_request_waiting(tmp_path: Path) -> None:
    with house(tmp_path) as served:
        served.service._failed = Buckets(1e-6, 1)
        guess = {"Authorization": f"Bearer engram_a_{'b' * 40}"}
        assert served.call("GET", "stats", as_=None, headers=guess).status_code == 401
        served.service.keyring._read = time.monotonic() + 3600  # a new key would be waited for until then
        for _ in range(3):
            asked = served.client.get("/engram/v1/stats", headers=guess)
            assert served.do(asyncio.wait_for(asked, 60)).status_code == 429
        assert served.call("GET", "stats").status_code == 200
