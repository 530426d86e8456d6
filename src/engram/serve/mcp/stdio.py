"""A memory served to the one client that started this process, on its standard input and output."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, cast

import anyio
from mcp.server.stdio import stdio_server

from engram.kernel.clock import utc_now
from engram.kernel.scope import DEFAULT_TENANT, Scope
from engram.serve.audit import Audit
from engram.serve.guard import Given, Guard
from engram.serve.keys import EVERY, Key
from engram.serve.mcp.calls import Calls, Guarded, named, reach_of
from engram.serve.mcp.server import Context, build
from engram.serve.service import Service

if TYPE_CHECKING:
    from engram.aio import AsyncMemory

__all__ = ["Settings", "serve"]

_CHUNK = 1 << 16
_LONGEST_LINE = 64 << 20
_LOG = logging.getLogger("engram.serve")


@dataclass(frozen=True)
class Settings:
    """Whose memory is served, whether it may be changed, and where the audit goes (`None`: nowhere)."""

    fixed: Given
    read_only: bool = False
    audit: Path | None = None


def serve(opened: Callable[[], AsyncMemory], settings: Settings) -> None:
    """Serve a memory until the input ends, or SIGINT or SIGTERM. Raises what opening it raises."""
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # its tracebacks and warnings repeat what was sent
    asyncio.run(_serving(opened, settings))


async def _serving(opened: Callable[[], AsyncMemory], settings: Settings) -> None:
    memory = opened()
    try:
        service = Service(memory, Audit(settings.audit))
    except BaseException:
        await memory.close()
        raise
    lines = _Lines()
    server = build(_door(service, settings))
    try:
        with _told_to_stop(lines.end):
            async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (read, write):
                lines.begin()
                await server.run(read, write, server.create_initialization_options())
    finally:
        lines.end()
        await service.close()


def _door(service: Service, settings: Settings) -> Callable[[Context], Calls]:
    """What every request reaches: what the options say, as with a key for that."""
    fixed = {"tenant": DEFAULT_TENANT, **named(settings.fixed)}
    Scope.of(**fixed)
    key = Key("stdio", "stdio", "write", fixed["tenant"], EVERY, utc_now())
    reach = reach_of(key, dict(fixed), read_only=settings.read_only)
    return lambda _context: Guarded(Guard(service, key, secrets.token_hex(8)), reach)


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
