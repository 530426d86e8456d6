"""A memory served to the one client that started this process, on its standard input and output."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, cast

import anyio
from mcp.server.stdio import stdio_server

from engram.client.service import is_service
from engram.kernel.clock import utc_now
from engram.kernel.errors import EngramError
from engram.kernel.scope import DEFAULT_TENANT, Scope
from engram.serve.audit import Audit
from engram.serve.guard import Given, Guard
from engram.serve.keys import EVERY, Key
from engram.serve.mcp.calls import Calls, Guarded, Reach, named, reach_of
from engram.serve.mcp.far import Far
from engram.serve.mcp.server import build
from engram.serve.service import Service

if TYPE_CHECKING:
    from engram.aio import AsyncMemory

__all__ = ["Settings", "serve"]

_CHUNK = 1 << 16
_LONGEST_LINE = 64 << 20
_LOG = logging.getLogger("engram.serve")


@dataclass(frozen=True)
class Settings:
    """Which store is served, whose memory, whether for reading only, and its audit (`None`: nowhere)."""

    url: str
    fixed: Given
    read_only: bool = False
    audit: Path | None = None


def serve(opened: Callable[[], AsyncMemory], settings: Settings, told: Callable[[], None]) -> None:
    """Serve a memory until the input ends, or SIGINT or SIGTERM; `told` is called when it listens.

    Raises what opening the memory raises.
    """
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # its tracebacks and warnings repeat what was sent
    asyncio.run(_serving(opened, settings, told))


async def _serving(opened: Callable[[], AsyncMemory], settings: Settings, told: Callable[[], None]) -> None:
    lines = _Lines()
    async with _calls(opened(), settings) as calls:
        server = build(lambda _context: calls())
        with _told_to_stop(lines.end):
            async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (read, write):
                lines.begin()
                told()
                await server.run(read, write, server.create_initialization_options())


@asynccontextmanager
async def _calls(memory: AsyncMemory, settings: Settings) -> AsyncIterator[Callable[[], Calls]]:
    """What gives each request the memory that the options say: through a guard, or at a service."""
    fixed = named(settings.fixed)
    Scope.of(**fixed)
    if is_service(settings.url):
        async with memory:
            reach = Reach(fixed, not settings.read_only)
            yield lambda: Far(memory, reach)
        return
    try:
        service = Service(memory, Audit(settings.audit))
    except EngramError:
        await memory.close()
        raise
    key = Key("stdio", "stdio", "write", fixed.get("tenant", DEFAULT_TENANT), EVERY, utc_now())
    reach = reach_of(key, fixed, read_only=settings.read_only)
    try:
        yield lambda: Guarded(Guard(service, key, secrets.token_hex(8)), reach)
    finally:
        await service.close()


class _Lines:
    """The lines of standard input, until it ends or `end` is called.

    A thread reads the bare descriptor: one that waits in Python's own reader would hold up the end of the
    process, and the SDK's reader waits until its line comes.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._come: asyncio.Queue[str | None] = asyncio.Queue()

    def begin(self) -> None:
        """Begin to read."""
        Thread(target=self._read, args=(os.dup(0),), daemon=True).start()

    def end(self) -> None:
        """Give no line that has not come yet. May be called from a signal's handler, and from any thread."""
        self._give(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        while (line := await self._come.get()) is not None:
            yield line

    def _give(self, line: str | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._come.put_nowait, line)

    def _read(self, descriptor: int) -> None:
        """Read lines, in a thread of its own; one that is too long is left out."""
        begun, skipping = bytearray(), False
        while part := _part(descriptor):
            *ends, rest = part.split(b"\n")
            for end in ends:
                if not skipping:
                    self._give((begun + end).decode("utf-8", "replace"))
                begun, skipping = bytearray(), False
            begun += rest
            if len(begun) > _LONGEST_LINE and not skipping:
                skipping = True
                _LOG.error("a message of over %d bytes is left out; send less", _LONGEST_LINE)
            if skipping:
                begun.clear()
        self._give(None)


def _part(descriptor: int) -> bytes:
    """What has come, empty at the end; an input that cannot be read has ended."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


@contextmanager
def _told_to_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGINT and SIGTERM."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
