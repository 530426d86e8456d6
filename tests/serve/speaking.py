"""The SDK's own client, over both transports, in both eras of the protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from jsonschema import Draft202012Validator
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from serve.service import ENGRAM, PATIENCE, Process, process

ERAS = ("legacy", "auto")
"""With a handshake, as clients of before 2026 connect, and without."""


@dataclass
class Spoken:
    """A service as a process, its keys by name, and its audit."""

    process: Process
    keys: dict[str, str]
    audit: Path

    def key(self, name: str, **fields: Any) -> str:
        """Make a key; its id."""
        with self.process.client() as client:
            made = client.post("/engram/v1/keys", json={"name": name, **fields}).raise_for_status().json()
        self.keys[name] = made["key"]
        return str(made["id"])

    def rest(self, method: str, path: str, **options: Any) -> Any:
        """What a route answers to the first key, which is of everything."""
        with self.process.client() as client:
            response = client.request(method, f"/engram/v1/{path}", **options).raise_for_status()
        return response.json() if response.headers["content-type"] == "application/json" else response.text

    @asynccontextmanager
    async def client(self, key: str = "all", query: str = "", era: str = "auto") -> AsyncIterator[Client]:
        """A client that shows a key."""
        headers = {"Authorization": f"Bearer {self.keys[key]}"}
        async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
            transport = streamable_http_client(f"{self.process.url}/mcp{query}", http_client=http)
            async with Client(transport, mode=era, read_timeout_seconds=PATIENCE) as client:
                yield client

    def audited(self) -> list[dict[str, Any]]:
        """The audit so far."""
        return [json.loads(line) for line in self.audit.read_text(encoding="utf-8").splitlines()]


@contextmanager
def spoken(folder: Path, *options: str) -> Iterator[Spoken]:
    """A service as a process, with an admin key for everything named `all`."""
    url, audit = f"sqlite:///{folder / 'memory.db'}", folder / "audit.jsonl"
    with process(url, "--audit", str(audit), *options) as running:
        yield Spoken(running, {"all": running.token}, audit)


@asynccontextmanager
async def started(url: str, *options: str, key: str | None = None) -> AsyncIterator[Client]:
    """A client that has started `engram mcp` on its standard input and output."""
    shown = None if key is None else {"ENGRAM_KEY": key}
    server = StdioServerParameters(command=ENGRAM, args=["mcp", url, *options], env=shown)
    async with Client(server, read_timeout_seconds=PATIENCE) as client:
        yield client


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool gives, checked against the schema that it promises; the text says the same."""
    result = await client.call_tool(tool, arguments)
    said = text_of(result)
    assert not result.is_error, said
    listed = {item.name: item for item in (await client.list_tools()).tools}
    Draft202012Validator(listed[tool].output_schema or {}).validate(result.structured_content)
    assert json.loads(said) == result.structured_content
    found: dict[str, Any] = result.structured_content
    return found


async def refused(client: Client, tool: str, arguments: Mapping[str, Any]) -> str:
    """What a tool says that did not do what it was asked."""
    result = await client.call_tool(tool, dict(arguments))
    assert result.is_error, text_of(result)
    assert result.structured_content is None
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    """The text of a result."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text
