"""More attacks: half characters, framing that two programs read in two ways, senders who never end."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

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
