"""MCP at a terminal: what it says to a person who starts it, and how it is stopped."""

from __future__ import annotations

import json
import re

import httpx

from terminal.driver import CTRL_C, Terminal, drives

CTRL_D = "\x04"


@drives("mcp")
def test_it_says_what_it_waits_for_and_ends_with_its_input(terminal: Terminal) -> None:
    with terminal.but(120).talk("mcp", "--user", "ana") as talk:
        talk.until("Ctrl-C ends it")
        talk.type(CTRL_D)
    assert "a model's client starts this" in talk.seen.words
    assert "Traceback" not in talk.seen.raw


@drives("mcp")
def test_over_http_it_serves_mcp_alone(terminal: Terminal) -> None:
    with terminal.but(120).talk("mcp", "--http", "--port", "0", "--read-only") as talk:
        talk.until("audit: ")
        found = re.search(rb"(http://[\d.:]+/mcp); ", talk._bytes)
        token = re.search(rb"engram_[0-9a-f]{12}_[\w-]{43}", talk._bytes)
        assert found is not None
        assert token is not None
        shown = {
            "Authorization": f"Bearer {token[0].decode()}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-06-18",
        }
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        where = found[1].decode()
        assert "search_memories" in httpx.post(where, headers=shown, json=asked, timeout=60).text
        assert "add_memory" not in httpx.post(where, headers=shown, json=asked, timeout=60).text
        other = where.replace("/mcp", "/engram/v1/stats")
        assert httpx.get(other, headers=shown, timeout=60).status_code == 404
        talk.type(CTRL_C)
    assert talk.seen.lines[-1].endswith("stopped")


@drives("mcp")
def test_it_tells_what_a_client_has_to_start(terminal: Terminal) -> None:
    seen = terminal.but(300).run("mcp", "--agent", "guide", "--read-only", "--json")
    told = json.loads(seen.lines[0])
    assert told["command"].endswith("engram")
    assert told["args"][0] == "--url"
    assert told["args"][1].startswith("sqlite:////")
    assert told["args"][2:] == ["mcp", "--agent", "guide", "--read-only"]


@drives("mcp")
def test_an_audit_that_would_spoil_the_protocol_is_refused(terminal: Terminal) -> None:
    assert "standard output is the protocol's" in terminal.run("mcp", "--audit", "-", code=1).words
