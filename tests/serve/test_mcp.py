"""MCP as clients use it: every tool, resource and prompt, over both transports."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from serve.service import ENGRAM, PATIENCE
from serve.speaking import ERAS, Spoken, refused, started, text_of, told

TOOLS = [
    "add_memory", "search_memories", "get_memory", "get_memories", "update_memory", "delete_memory",
    "delete_all_memories", "get_context", "get_history", "ask_memory",
]  # fmt: skip
READING = ["search_memories", "get_memory", "get_memories", "get_context", "get_history", "ask_memory"]
SAID = (
    {"role": "user", "content": "I moved to Lisbon in May.", "name": "Ana", "time": "2024-05-02T10:00:00Z"},
    {"role": "assistant", "content": "How is the flat?", "time": "2024-05-02T10:01:00Z"},
)


@pytest.fixture(scope="module")
def service(talkative: Spoken) -> Spoken:
    for name, rights in (("ana", "write"), ("reader", "read")):
        talkative.key(name, rights=rights, tenant="house", users="ana")
    talkative.key("team", rights="write", tenant="house", users="team-*")
    return talkative


async def use(client: Client) -> None:
    """All that a connection to one person's memory can do."""
    await every_tool(client)
    await every_resource(client)
    await every_prompt(client)
    await erase(client)


async def every_tool(client: Client) -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    added = await client.call_tool("add_memory", {"messages": list(SAID)}, progress_callback=hear)
    assert heard
    first = json.loads(text_of(added))["results"]
    assert [item["event"] for item in first] == ["stored", "stored"]
    tea = await told(client, "add_memory", text="Ana drinks green tea.", metadata={"topic": "tea"})
    found = await told(client, "search_memories", query="Where did she move?", limit=1)
    assert [item["memory"] for item in found["results"]] == ["I moved to Lisbon in May."]
    assert 0 < found["results"][0]["score"] <= 1
    filters = {"metadata.topic": "tea"}
    for form in (filters, json.dumps(filters), {"AND": [{"topic": "tea"}]}):
        assert len((await told(client, "search_memories", query="drinks", filters=form))["results"]) == 1
    past = await told(client, "search_memories", query="Lisbon", known="2020-01-01")
    assert past["results"] == []
    one = await told(client, "get_memory", memory_id=first[0]["id"])
    assert (one["name"], one["user_id"], one["created_at"]) == ("Ana", "ana", "2024-05-02T10:00:00+00:00")
    page = await told(client, "get_memories", page_size=2)
    rest = await told(client, "get_memories", page_size=2, after=page["next"])
    assert [len(page["results"]), len(rest["results"]), "next" in rest] == [2, 1, False]
    id = tea["results"][0]["id"]
    changed = await told(client, "update_memory", memory_id=id, text="Ana drinks black tea.")
    assert changed["change_set"]
    versions = (await told(client, "get_history", memory_id=id))["results"]
    assert [item["memory"] for item in versions] == ["Ana drinks green tea.", "Ana drinks black tea."]
    assert ["known_until" in item for item in versions] == [True, False]
    context = await told(client, "get_context", query="her move", budget=200)
    assert "Lisbon" in context["text"]
    assert context["tokens"] <= 200
    answer = await told(client, "ask_memory", question="Where did Ana move?")
    assert answer["kind"] == "extract"
    assert "Lisbon" in answer["text"]
    assert answer["citations"][0]["id"] == first[0]["id"]
    gone = await told(client, "delete_memory", memory_id=id)
    assert [item["event"] for item in gone["results"]] == ["erased"]
    assert "Find it with search_memories" in await refused(client, "get_memory", {"memory_id": id})


async def every_resource(client: Client) -> None:
    listed = (await client.list_resources()).resources
    assert [str(item.uri) for item in listed] == ["engram://profile", "engram://recent"]
    assert "I moved to Lisbon" in await read(client, "engram://profile")
    recent = (await read(client, "engram://recent")).splitlines()
    assert ["flat" in recent[0], "Lisbon" in recent[1], len(recent)] == [True, True, 2]
    id = recent[0].rpartition("[")[2].rstrip("]")
    assert json.loads(await read(client, f"engram://memories/{id}"))["memory"] == "How is the flat?"
    templates = (await client.list_resource_templates()).resource_templates
    assert "engram://memories/{memory_id}" in [item.uri_template for item in templates]


async def every_prompt(client: Client) -> None:
    listed = (await client.list_prompts()).prompts
    assert [item.name for item in listed] == ["recall", "remember_conversation", "what_you_know"]
    recalled = await prompted(client, "recall", question="Where did I move?")
    assert "I moved to Lisbon" in recalled
    assert recalled.endswith("Question: Where did I move?")
    assert "add_memory" in await prompted(client, "remember_conversation")
    assert "She sails." in await prompted(client, "remember_conversation", conversation="She sails.")
    assert "I moved to Lisbon" in await prompted(client, "what_you_know")


async def erase(client: Client) -> None:
    """Everything goes in two steps; the second needs the number that the first one told."""
    dry = await told(client, "delete_all_memories")
    assert (dry["erased"], dry["count"]) == (False, 2)
    assert "nothing was erased" in await refused(client, "delete_all_memories", {"confirm": 1})
    assert len((await told(client, "get_memories"))["results"]) == 2
    assert (await told(client, "delete_all_memories", confirm=2)) == {"erased": True, "count": 2}
    assert (await told(client, "get_memories"))["results"] == []
    assert await read(client, "engram://profile") == await read(client, "engram://recent")


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def prompted(client: Client, name: str, **arguments: str) -> str:
    (message,) = (await client.get_prompt(name, arguments)).messages
    assert isinstance(message.content, TextContent)
    return message.content.text


@pytest.mark.parametrize("era", ERAS)
def test_over_http_all_of_it_works(service: Spoken, era: str) -> None:
    async def talk() -> None:
        async with service.client("ana", era=era) as client:
            await use(client)

    asyncio.run(talk())
    calls = [entry["call"] for entry in service.audited() if entry["outcome"] == "done"]
    assert {"add", "search", "get", "get_all", "newest", "context", "ask", "edit", "history", "forget"} <= {
        *calls
    }


def test_on_standard_input_and_output_all_of_it_works(tmp_path: Path) -> None:
    async def talk() -> None:
        async with started(f"sqlite:///{tmp_path}/memory.db", "--user", "ana") as client:
            await use(client)
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            for tool in listed.values():
                assert {"user_id", "tenant"}.isdisjoint(tool.input_schema["properties"])
            said = await refused(client, "search_memories", {"query": "tea", "user_id": "bo"})
            assert "reaches 'ana' alone" in said

    asyncio.run(talk())


def test_tools_are_described_for_a_model(service: Spoken) -> None:
    async def listed(key: str) -> dict[str, Any]:
        async with service.client(key) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    tools = asyncio.run(listed("team"))
    assert list(tools) == TOOLS
    for name, tool in tools.items():
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
        assert tool.input_schema["additionalProperties"] is False
        assert len(tool.description) > 60
        assert all(field.get("description") for field in tool.input_schema["properties"].values())
        assert "user_id" in tool.input_schema["properties"]
        hints = tool.annotations
        assert hints.read_only_hint is (name in READING)
        assert hints.destructive_hint is (name in {"update_memory", "delete_memory", "delete_all_memories"})
        assert hints.idempotent_hint is (name != "add_memory")
        assert hints.open_world_hint is False
    assert list(asyncio.run(listed("reader"))) == READING
    assert "tenant" in asyncio.run(listed("all"))["add_memory"].input_schema["properties"]


def test_arguments_that_do_not_fit_are_told_with_what_does(service: Spoken) -> None:
    async def talk() -> None:
        async with service.client("ana") as client:
            for tool, arguments, said in (
                ("search_memories", {}, "query: Field required. It takes "),
                ("search_memories", {"query": "x", "limit": 0}, "limit: "),
                ("search_memories", {"query": "x", "enable_graph": True}, "enable_graph: "),
                ("search_memories", {"query": "x", "filters": {"colour": 1}}, "colour"),
                ("search_memories", {"query": "x", "valid": "soon"}, "valid"),
                ("add_memory", {}, "give text, or messages"),
                ("add_memory", {"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
                ("update_memory", {"memory_id": "x"}, "give text, metadata or both"),
                ("get_memories", {"after": "the end"}, "after"),
            ):
                told_ = await refused(client, tool, arguments)
                assert told_.startswith(f"{tool}: "), told_
                assert said in told_
                assert "Traceback" not in told_
                assert "pydantic" not in told_
            with pytest.raises(MCPError, match="no tool 'drop_table'"):
                await client.call_tool("drop_table", {})
            with pytest.raises(MCPError, match="question is needed"):
                await client.get_prompt("recall", {})
            with pytest.raises(MCPError, match="there is no prompt"):
                await client.get_prompt("forget", {})
            with pytest.raises(MCPError, match="there is no resource"):
                await client.read_resource("engram://everything")
            with pytest.raises(MCPError, match="no such page"):
                await client.list_tools(cursor="2")

    asyncio.run(talk())


def test_a_key_of_several_says_whose_memory_is_meant(service: Spoken) -> None:
    async def talk() -> None:
        async with service.client("team") as client:
            assert "user_id" in await refused(client, "search_memories", {"query": "tea"})
            assert "user_id" in await refused(client, "delete_all_memories", {})
            await told(client, "add_memory", text="One of us sails.", user_id="team-1")
            assert (await client.list_resources()).resources == []
            assert "sails" in await read(client, "engram://users/team-1/recent")
            assert "sails" in await prompted(client, "recall", question="sails?", user_id="team-1")
            reference = ResourceTemplateReference(uri="engram://users/{user_id}/profile")
            known = await client.complete(reference, {"name": "user_id", "value": "te"})
            assert known.completion.values == ["team-1"]
        async with service.client("team", "?user_id=team-1&agent_id=helper") as client:
            await told(client, "add_memory", text="The helper knows.")
            (one,) = (await told(client, "get_memories"))["results"]
            assert (one["user_id"], one["agent_id"]) == ("team-1", "helper")
            nothing = await client.complete(PromptReference(name="recall"), {"name": "question", "value": ""})
            assert nothing.completion.values == []

    asyncio.run(talk())


def test_a_memory_that_is_a_service_is_reached_from_standard_input(service: Spoken) -> None:
    """The service's key decides, beside the options; its audit has the calls."""
    id = service.key("far", rights="write", tenant="house", users="far-*")

    async def talk() -> None:
        async with started(service.process.url, "--user", "far-1", key=service.keys["far"]) as client:
            added = await told(client, "add_memory", text="Ana moved to Lisbon.")
            found = await told(client, "search_memories", query="Where is Ana?")
            assert [item["id"] for item in found["results"]] == [added["results"][0]["id"]]
            assert "Lisbon" in await read(client, "engram://recent")
            assert "Lisbon" in (await told(client, "get_context", query="Ana"))["text"]
            assert "alone" in await refused(client, "get_memories", {"user_id": "ana"})
            assert "no record" in await refused(client, "get_memory", {"memory_id": "nothing"})
            dry = await told(client, "delete_all_memories")
            assert (await told(client, "delete_all_memories", confirm=dry["count"]))["erased"]

    asyncio.run(talk())
    mine = [entry["call"] for entry in service.audited() if entry["key"] == id]
    assert mine == ["add", "search", "get_all", "context", "get", "forget", "forget", "forget"]


@contextmanager
def speak(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`engram mcp` as a process whose lines a test writes and reads itself."""
    pipe = subprocess.PIPE
    command = [ENGRAM, "--url", url, "mcp", *options]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
BEGIN = (
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
)


def call(id: int, tool: str, **arguments: Any) -> dict[str, Any]:
    """A request to call a tool."""
    return {
        "jsonrpc": "2.0",
        "id": id,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }


def answers(
    child: subprocess.Popen[str], lines: Iterable[str | dict[str, Any]], wanted: set[int]
) -> dict[int, Any]:
    """The results by the ids of their requests, as far as they are wanted; every line has to be a message."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.writelines((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    child.stdin.flush()
    found: dict[int, Any] = {}
    while not wanted <= found.keys():
        answer = json.loads(child.stdout.readline())
        assert answer["jsonrpc"] == "2.0"
        found[answer.get("id")] = answer.get("result")
    return found


def test_standard_output_is_the_protocols_alone_and_a_signal_ends_it(tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    options = ("--agent", "guide", "--read-only", "--log", "--audit", str(audit))
    lines = (
        *BEGIN,
        "this is no message",
        "[" * 100_000,
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        call(3, "get_memories"),
        call(4, "search_memories", query="half a character: \ud800"),
        call(5, "add_memory", text="No."),
        call(6, "delete_all_memories"),
    )
    with speak(f"sqlite:///{tmp_path}/memory.db", *options) as child:
        found = answers(child, lines, {1, 2, 3, 5, 6})
        child.send_signal(signal.SIGTERM)
        rest, errors = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0
    assert found[1]["serverInfo"]["name"] == "engram"
    assert [tool["name"] for tool in found[2]["tools"]] == READING
    assert found[3]["structuredContent"] == {"results": []}
    for id in (5, 6):
        assert found[id]["isError"]
        assert "right 'write'" in found[id]["content"][0]["text"]
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
    assert "Traceback" not in errors
    noted = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    told = {(item["call"], item["outcome"], item["key"], item["scope"]["agent_id"]) for item in noted}
    assert told >= {("get_all", "done", "stdio", "guide"), ("add", "Forbidden", "stdio", "guide")}
