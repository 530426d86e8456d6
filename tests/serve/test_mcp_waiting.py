"""MCP in the test's own process: calls that take long, are cancelled or fail, and who may ask at all."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from engram.kernel.errors import BudgetExceeded, Forbidden, StoreError
from engram.operators.answering import Answer
from engram.serve.doorway import Names
from engram.serve.mcp.calls import Calls, Reach
from engram.serve.mcp.server import build
from serve.service import PATIENCE
from serve.speaking import ERAS, refused, text_of


class Slow:
    """A memory whose answers wait until they are let go, or fail."""

    reach = Reach({"user_id": "ana"})

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked, self.go, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def ask(self, *_given: Any) -> Answer:
        self.asked.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        return Answer("In Lisbon.")

    context = ask


def served(slow: Slow) -> Any:
    return build(lambda _context: cast("Calls", slow))


@pytest.mark.parametrize("era", ERAS)
def test_who_waits_is_told_and_who_gives_up_ends_the_call(era: str) -> None:
    async def talk() -> None:
        slow, heard = Slow(), asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            assert (progress, total, message) == (0, None, "Ask the memory …")
            heard.set()

        async with Client(served(slow), mode=era) as client:
            asking = asyncio.create_task(
                client.call_tool("ask_memory", {"question": "Where?"}, progress_callback=hear)
            )
            await asyncio.wait_for(heard.wait(), PATIENCE)
            slow.go.set()
            assert "In Lisbon." in text_of(await asking)
            slow.go.clear()
            slow.asked.clear()
            given_up = asyncio.create_task(client.call_tool("ask_memory", {"question": "Where?"}))
            await asyncio.wait_for(slow.asked.wait(), PATIENCE)
            given_up.cancel()
            await asyncio.wait_for(slow.cancelled.wait(), PATIENCE)
            with pytest.raises(asyncio.CancelledError):
                await given_up

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("her secret word"), "The call itself is right"),
        (StoreError("her secret word lies on a broken disk"), "The call itself is right"),
        (BudgetExceeded("the day's tokens are spent", spent=1, limit=1), "the day's tokens are spent"),
    ],
)
def test_what_fails_is_told_without_what_it_was_about(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> None:
        slow = Slow(error)
        slow.go.set()
        async with Client(served(slow)) as client:
            told = await refused(client, "ask_memory", {"question": "Where?"})
            assert said in told
            with pytest.raises(MCPError) as caught:
                await client.read_resource("engram://profile")
            for words in (told, str(caught.value)):
                assert "secret" not in words
                assert "RuntimeError" not in words

    log = logging.getLogger("engram.serve")
    log.addHandler(caplog.handler)
    try:
        asyncio.run(talk())
    finally:
        log.removeHandler(caplog.handler)
    assert "secret" not in caplog.text
    assert isinstance(error, BudgetExceeded) or type(error).__name__ in caplog.text


def test_only_names_of_the_service_may_be_asked_for() -> None:
    here, proxied = Names(), Names(frozenset({"memory.example.com"}))
    beyond = Names(frozenset({"0.0.0.0"}), any_host=True)  # noqa: S104 - compared, not bound
    for host in ("localhost", "localhost:8765", "127.0.0.1:1", "[::1]:8765", "127.3.2.1"):
        here.check(host, None)
        here.check(host, "http://localhost:3000")
    proxied.check("memory.example.com:443", "https://memory.example.com")
    beyond.check("anything.example", None)
    for names, host, origin in (
        (here, "memory.example.com", None),
        (here, "", None),
        (here, "localhost.example.com", None),
        (here, "localhost@example.com", None),
        (here, "localhost", "https://memory.example.com"),
        (here, "localhost", "null"),
        (here, "localhost", ""),
        (proxied, "example.com", None),
        (proxied, "memory.example.com", "https://example.com"),
        (beyond, "anything.example", "http://anything.example"),
    ):
        with pytest.raises(Forbidden, match="--allow-host"):
            names.check(host, origin)
