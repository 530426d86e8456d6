"""The endpoint of a service that speaks MCP: each request is one of a key's, and no session is kept."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from engram.serve.edge import App, Receive, Send
from engram.serve.guard import Given, Guard
from engram.serve.mcp.calls import Calls, Guarded, Reach, named, reach_of
from engram.serve.mcp.server import Context, build
from engram.serve.service import Service

__all__ = ["Endpoint"]

_CALLS = "calls"


@dataclass
class Endpoint:
    """An application of the SDK's behind the edge of a service. It runs from the first request to `close`.

    `fixed` and `read_only` hold for whatever key asks. Any process of a service answers any request: nothing
    is kept between two of them, in either era of the protocol.
    """

    service: Service
    fixed: Given = field(default_factory=dict)
    read_only: bool = False

    def __post_init__(self) -> None:
        logging.getLogger("mcp").setLevel(
            logging.CRITICAL
        )  # its tracebacks and warnings repeat what was sent
        self._manager = StreamableHTTPSessionManager(
            build(_door), stateless=True, max_request_body_size=self.service.limits.body
        )
        self._app: App = self._manager.handle_request
        self._ready, self._stop = asyncio.Event(), asyncio.Event()
        self._running = asyncio.create_task(self._run())

    async def answer(self, scope: Any, receive: Receive, send: Send, given: Given, guard: Guard) -> None:
        """Answer one request of a key, whose address fixes some ids. Raises `Forbidden` for ids beyond it."""
        fixed = Reach(named(self.fixed)).within(given)
        reach = reach_of(guard.key, fixed, read_only=self.read_only)
        guard.reach(dict(reach.fixed), looked_at=True)
        scope["state"][_CALLS] = Guarded(guard, reach)
        await self._ready.wait()
        await self._app(scope, receive, send)

    async def close(self) -> None:
        """End it."""
        self._stop.set()
        await self._running

    async def _run(self) -> None:
        async with self._manager.run():
            self._ready.set()
            await self._stop.wait()


def _door(context: Context) -> Calls:
    """What the request reaches that a message came with."""
    request: Any = context.request
    calls: Calls = request.scope["state"][_CALLS]
    return calls
