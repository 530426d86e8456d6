"""Attacks by MCP: whatever a model asks for with its key, nothing of another's comes back, nor breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ResourceTemplateReference

from engram.serve.mcp.prompts import PROMPTS
from engram.serve.mcp.tools import TOOLS
from serve.service import problem
from serve.speaking import Spoken, refused, text_of, told

MARK = "ZEBRA-42"
VICTIM = "victim-1"
EXAMPLES: dict[str, dict[str, Any]] = {
    "add_memory": {"text": "Mine."},
    "search_memories": {"query": MARK, "limit": 100},
    "get_memory": {},
    "get_memories": {"page_size": 200},
    "update_memory": {"text": "Mine now."},
    "delete_memory": {},
    "delete_all_memories": {},
    "get_context": {"query": MARK, "budget": 5000},
    "get_history": {},
    "ask_memory": {"question": f"What is the code {MARK}?"},
}


@dataclass
class Attack:
    """A service with two tenants: whom one attacks, and what the other has."""

    service: Spoken
    record: str
    before: list[str]

    def untouched(self) -> list[str]:
        """All that the victim has, as lines that do not change unless it does."""
        exported: str = self.service.rest("GET", "export", params={"tenant": "beta"})
        return sorted(exported.splitlines()[1:])


@pytest.fixture(scope="module")
def attack(talkative: Spoken) -> Attack:
    talkative.key("acme", rights="admin", tenant="acme")
    talkative.key("reader", rights="read", tenant="acme")
    talkative.key("team", rights="write", tenant="acme", users="team-*")
    talkative.key("ana", rights="write", tenant="acme", users="ana")
    said = {"messages": f"The code is {MARK}.", "tenant": "beta", "user_id": VICTIM, "agent_id": "spy"}
    record = talkative.rest("POST", "memories", json=said)["items"][0]["id"]
    for user in ("ana", "team-1", "other"):
        body = {"messages": f"{user} likes tea.", "tenant": "acme", "user_id": user}
        talkative.rest("POST", "memories", json=body)
    found = Attack(talkative, record, [])
    found.before = found.untouched()
    assert MARK in str(found.before)
    return found


def test_every_tool_and_prompt_is_attacked() -> None:
    assert EXAMPLES.keys() == TOOLS.keys()
    assert set(PROMPTS) == {"recall", "remember_conversation", "what_you_know"}


def forged(attack: Attack, tool: str) -> Iterator[dict[str, Any]]:
    """Arguments that reach for the other tenant's memory."""
    fields = TOOLS[tool].takes.model_fields
    bare = {**EXAMPLES[tool], **({"memory_id": attack.record} if "memory_id" in fields else {})}
    yield bare
    for given in (
        {"tenant": "beta"},
        {"user_id": VICTIM},
        {"tenant": "beta", "user_id": VICTIM, "agent_id": "spy"},
        {"user_id": "ana", "tenant": "beta"},
        {"agent_id": "spy"},
        {"user_id": "*"},
        {"user_id": f"ana\0{VICTIM}"},
        {"user_id": f"../../beta/{VICTIM}"},
        {"everyone": True},
        {"ids": [attack.record]},
    ):
        yield {**bare, **given}
    if "filters" in fields:
        for filters in (
            {"tenant": "beta"},
            {"or": [{"tenant": "beta"}, {"user_id": VICTIM}]},
            {"AND": [{"user_id": VICTIM}]},
            {"AND": [{"user_id": "*"}]},
            {"OR": [{"user_id": VICTIM}, {"user_id": "ana"}]},
            {"NOT": [{"user_id": "ana"}]},
        ):
            yield {**bare, "filters": filters}
            yield {**bare, "user_id": "ana", "filters": json.dumps(filters)}
    if tool == "delete_all_memories":
        yield {"user_id": VICTIM, "confirm": 1}
        yield {"tenant": "beta", "user_id": VICTIM, "confirm": 1}


def safe(said: str, attack: Attack) -> None:
    """Check that an answer gives nothing of the victim away that the question did not hold."""
    assert "The code is" not in said
    assert "Traceback" not in said
    assert "engram_" not in said
    assert attack.record not in said or "there is no record" in said


@pytest.mark.parametrize(("key", "most"), [("acme", 24), ("team", 7), ("ana", 7), ("reader", 2)])
def test_no_tool_reaches_another_tenant(attack: Attack, key: str, most: int) -> None:
    async def talk() -> None:
        async with attack.service.client(key) as client:
            for tool in EXAMPLES:
                if key == "acme" and tool in {"delete_all_memories", "add_memory"}:
                    continue  # its own memory, which it may
                for arguments in islice(forged(attack, tool), most):
                    result = await client.call_tool(tool, arguments)
                    safe(text_of(result), attack)
                    found = result.structured_content or {}
                    assert not result.is_error or not found
                    assert attack.record not in [item.get("id") for item in found.get("results", ())]

    asyncio.run(talk())
    assert attack.untouched() == attack.before


def test_no_key_of_a_tenant_names_another_one(attack: Attack) -> None:
    async def talk() -> None:
        async with attack.service.client("acme") as client:
            for tool, example in EXAMPLES.items():
                id = {"memory_id": attack.record} if "memory_id" in TOOLS[tool].takes.model_fields else {}
                said = await refused(client, tool, {**example, **id, "tenant": "beta", "user_id": VICTIM})
                assert "tenant: this connection reaches 'acme' alone" in said

    asyncio.run(talk())


def test_a_key_of_some_users_reaches_them_alone(attack: Attack) -> None:
    async def talk() -> None:
        async with attack.service.client("acme") as client:
            ids = {
                item["user_id"]: item["id"]
                for user in ("ana", "team-1", "other")
                for item in (await told(client, "get_memories", user_id=user))["results"]
            }
        for key, own, others in (("team", "team-1", ("ana", "other")), ("ana", "ana", ("team-1", "other"))):
            async with attack.service.client(key) as client:
                assert (await told(client, "get_memory", memory_id=ids[own]))["id"] == ids[own]
                for user in others:
                    for tool in ("get_memory", "get_history", "update_memory", "delete_memory"):
                        arguments = {**EXAMPLES[tool], "memory_id": ids[user]}
                        assert "there is no record" in await refused(client, tool, arguments)
                    for tool in ("get_memories", "delete_all_memories"):
                        assert "reaches" in await refused(client, tool, {"user_id": user})
                    for uri in (f"engram://users/{user}/profile", f"engram://users/{user}/recent"):
                        with pytest.raises(MCPError, match="reaches"):
                            await client.read_resource(uri)
                    with pytest.raises(MCPError, match="there is no record"):
                        await client.read_resource(f"engram://memories/{ids[user]}")
                    with pytest.raises(MCPError, match="reaches"):
                        await client.get_prompt("what_you_know", {"user_id": user})

    asyncio.run(talk())


def test_no_resource_prompt_or_completion_reaches_another_tenant(attack: Attack) -> None:
    async def outcome(client: Client, uri: str) -> str:
        try:
            return (await client.read_resource(uri)).model_dump_json()
        except MCPError as error:
            return str(error)

    async def talk(key: str) -> None:
        async with attack.service.client(key) as client:
            for uri in (
                f"engram://users/{VICTIM}/profile",
                f"engram://users/{VICTIM}/recent",
                f"engram://users/beta%2F{VICTIM}/recent",
                f"engram://users/..%2F..%2Fbeta%2F{VICTIM}/recent",
                "engram://users/%2A/recent",
                "engram://users/%00/recent",
                "engram://agents/spy/profile",
                "engram://agents/spy/recent",
                f"engram://memories/{attack.record}",
                f"engram://users/{VICTIM}/recent?tenant=beta",
                "engram://profile",
                "file:" + "///etc/passwd",
                "engram://users/" + "x" * 5000 + "/recent",
            ):
                safe(await outcome(client, uri), attack)
            for name, needed in (("recall", {"question": MARK}), ("what_you_know", {})):
                for whose in ({}, {"user_id": VICTIM}, {"agent_id": "spy"}, {"tenant": "beta"}):
                    try:
                        said = (await client.get_prompt(name, {**needed, **whose})).model_dump_json()
                    except MCPError as error:
                        said = str(error)
                    safe(said, attack)
            for name in ("user_id", "agent_id", "tenant"):
                reference = ResourceTemplateReference(uri="engram://users/{user_id}/profile")
                known = await client.complete(reference, {"name": name, "value": ""})
                assert {VICTIM, "beta"}.isdisjoint(known.completion.values)

    for key in ("acme", "team", "ana"):
        asyncio.run(talk(key))


def test_a_key_that_may_read_changes_nothing(attack: Attack) -> None:
    async def talk() -> None:
        async with attack.service.client("reader", "?user_id=ana") as client:
            before = (await told(client, "get_memories"))["results"]
            for tool in TOOLS.values():
                if tool.writes:
                    id = {"memory_id": before[0]["id"]} if "memory_id" in tool.takes.model_fields else {}
                    said = await refused(client, tool.name, {**EXAMPLES[tool.name], **id})
                    assert "right 'write'" in said
            assert (await told(client, "get_memories"))["results"] == before

    asyncio.run(talk())


def test_a_key_for_metrics_reads_nothing(attack: Attack) -> None:
    async def talk() -> None:
        attack.service.key("meter", rights="metrics", tenant="*")
        async with attack.service.client("meter", "?tenant=acme&user_id=ana") as client:
            for tool in TOOLS.values():
                id = {"memory_id": attack.record} if "memory_id" in tool.takes.model_fields else {}
                safe(await refused(client, tool.name, {**EXAMPLES[tool.name], **id}), attack)
            with pytest.raises(MCPError, match="right 'read'"):
                await client.read_resource("engram://recent")

    asyncio.run(talk())


def test_a_key_that_is_revoked_meanwhile_reaches_nothing_more(attack: Attack) -> None:
    async def talk() -> None:
        id = attack.service.key("brief", rights="write", tenant="acme", users="brief")
        async with attack.service.client("brief") as client:
            await told(client, "add_memory", text="Tea.")
            attack.service.rest("DELETE", f"keys/{id}")
            with pytest.raises(MCPError):
                await client.call_tool("get_memories", {})

    asyncio.run(talk())


MESSAGE = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


def post(attack: Attack, query: str = "", key: str | None = "ana", **options: Any) -> httpx.Response:
    """A request as no client of the SDK would make it."""
    shown = {} if key is None else {"Authorization": f"Bearer {attack.service.keys[key]}"}
    headers = {**HEADERS, **shown, **options.pop("headers", {})}
    options = options if "content" in options else {"json": MESSAGE, **options}
    return httpx.post(f"{attack.service.process.url}/mcp{query}", headers=headers, timeout=60, **options)


def test_the_endpoint_takes_nothing_but_what_it_should(attack: Attack) -> None:
    assert post(attack).status_code == 200
    for bad in (None, "expired"):
        attack.service.keys["expired"] = "engram_5f0c2d9be1a4_x"
        assert problem(post(attack, key=bad)) == (401, "unauthorized")
    for headers in (
        {"Host": "evil.example"},
        {"Host": "evil.example:8765"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://[::1"},
    ):
        assert problem(post(attack, headers=headers)) == (403, "forbidden")
    assert post(attack, headers={"Host": "localhost:1", "Origin": "http://localhost:6274"}).status_code == 200
    assert problem(post(attack, "?user_id=team-1")) == (403, "forbidden")
    assert problem(post(attack, "?tenant=beta")) == (403, "forbidden")
    assert problem(post(attack, "?user_id=other", key="team")) == (403, "forbidden")
    assert problem(post(attack, "?user_id=ana&user_id=ana")) == (400, "malformed")
    assert problem(post(attack, "?agent_id=")) == (422, "invalid-input")
    assert problem(post(attack, "?everyone=1")) == (422, "invalid-input")
    assert problem(post(attack, content=b"[" * 100)) == (400, "malformed")
    assert problem(post(attack, content=b"x" * (17 << 20))) == (413, "too-large")
    for path in ("/mcp/", "/mcp/x"):
        url = f"{attack.service.process.url}{path}"
        shown = {"Authorization": f"Bearer {attack.service.keys['ana']}"}
        assert httpx.post(url, headers=shown, json=MESSAGE, timeout=60).status_code == 404
    for method in ("GET", "DELETE", "PUT", "OPTIONS"):
        shown = {"Authorization": f"Bearer {attack.service.keys['ana']}", "Origin": "http://localhost"}
        response = httpx.request(method, f"{attack.service.process.url}/mcp", headers=shown, timeout=60)
        assert problem(response) == (405, "no-method")
        assert response.headers["allow"] == "POST"
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"null", b"[]", b'"x"', b"[" * 60 + b"]" * 60, b"\xff\xfe", b'{"jsonrpc": "2.0"',
        json.dumps([MESSAGE, MESSAGE]).encode(),
        json.dumps({**MESSAGE, "id": None}).encode(),
        json.dumps({**MESSAGE, "id": {"a": 1}}).encode(),
        json.dumps({**MESSAGE, "id": "\ud800"}).encode(),
        json.dumps({**MESSAGE, "id": 10**400}).encode(),
        json.dumps({**MESSAGE, "method": "keys/list"}).encode(),
        json.dumps({**MESSAGE, "method": "tools/call", "params": {"name": "get_memories\ud800"}}).encode(),
        json.dumps({**MESSAGE, "method": "tools/call", "params": {
            "name": "add_memory", "arguments": []}}).encode(),
        json.dumps({**MESSAGE, "method": "tools/call", "params": {
            "name": "add_memory", "arguments": {"text": "\ud800"}}}).encode(),
        json.dumps({**MESSAGE, "method": "tools/call", "params": {
            "name": "add_memory", "arguments": {"text": "x", "metadata": "[" * 90_000}}}).encode(),
        json.dumps({**MESSAGE, "method": "tools/call", "params": {
            "name": "search_memories", "arguments": {"query": "x" * 200_000}}}).encode(),
        json.dumps({**MESSAGE, "method": "resources/read", "params": {"uri": "\ud800://x"}}).encode(),
    ],
)  # fmt: skip
def test_no_body_breaks_it(attack: Attack, body: bytes) -> None:
    for version in ("2025-06-18", "2026-07-28", "1999-01-01"):
        headers = {"MCP-Protocol-Version": version, "Content-Type": "application/json"}
        response = post(attack, content=body, headers=headers)
        assert response.status_code < 500, response.text
        assert "Traceback" not in response.text
        assert "likes tea" not in response.text


def test_the_audit_says_who_asked_for_what(attack: Attack) -> None:
    id = attack.service.key("watched", rights="write", tenant="acme", users="watched")

    async def talk() -> None:
        async with attack.service.client("watched") as client:
            await told(client, "add_memory", text="A secret word.")
            await told(client, "search_memories", query="a secret question")
            await refused(client, "get_memory", {"memory_id": attack.record})
            await refused(client, "get_memories", {"tenant": "beta"})
            await client.read_resource("engram://recent")
            await client.get_prompt("recall", {"question": "a secret question"})

    asyncio.run(talk())
    assert problem(post(attack, key="watched", headers={"Origin": "http://evil.example"})) == (
        403,
        "forbidden",
    )
    mine = [entry for entry in attack.service.audited() if entry["key"] == id]
    assert [(entry["call"], entry["outcome"]) for entry in mine] == [
        ("add", "done"), ("search", "done"), ("get", "NotFound"), ("get_memories", "Forbidden"),
        ("newest", "done"), ("context", "done"), ("mcp", "Forbidden"),
    ]  # fmt: skip
    assert {len(entry["request"]) for entry in mine} == {16}
    assert "secret" not in attack.service.audit.read_text(encoding="utf-8")


def test_no_module_of_mcp_knows_the_memory_but_by_the_guard() -> None:
    folder = Path(__file__).resolve().parents[2] / "src" / "engram" / "serve" / "mcp"
    for module in folder.glob("*.py"):
        text = module.read_text(encoding="utf-8")
        assert "_bound" not in text
        assert ".memory." not in text
