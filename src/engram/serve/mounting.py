"""`/mcp` of a service: what is done before the protocol's packages are loaded, which takes a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from engram.kernel.errors import InvalidInput, MissingExtra
from engram.kernel.scope import SCOPE_FIELDS
from engram.serve.doorway import Doorway
from engram.serve.guard import Guard
from engram.serve.service import Service

if TYPE_CHECKING:
    from engram.serve.mcp.endpoint import Endpoint

__all__ = ["PATH", "Mount"]

PATH = "/mcp"


@dataclass
class Mount:
    """The application at `/mcp`."""

    service: Service
    doorway: Doorway
    __name__ = "mcp"  # what the audit calls a request that was refused
    path = PATH  # what its requests are counted under

    def __post_init__(self) -> None:
        self._opening: asyncio.Task[Endpoint] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: a message of the protocol, in a POST."""
        request = Request(scope)
        guard = Guard(self.service, request.state.key, request.state.request)
        request.state.guard = guard
        self.doorway.names.check(request.headers.get("host", ""), request.headers.get("origin"))
        if request.method != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        given = _ids(request)
        endpoint = await self._opened()
        await endpoint.answer(scope, receive, send, given, guard)

    async def close(self) -> None:
        """End what runs for it."""
        if self._opening is not None and not self._failed:
            await (await self._opening).close()

    async def _opened(self) -> Endpoint:
        """The endpoint, which is made once. Raises `MissingExtra`."""
        if find_spec("mcp") is None:
            raise MissingExtra("MCP", "mcp")
        if self._opening is None or self._failed:
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    @property
    def _failed(self) -> bool:
        task = self._opening
        return task is not None and task.done() and task.exception() is not None

    async def _open(self) -> Endpoint:
        endpoint = await asyncio.to_thread(_loaded)
        return endpoint(self.service, self.doorway.fixed, self.doorway.read_only)


def _loaded() -> type[Endpoint]:
    from engram.serve.mcp.endpoint import Endpoint

    return Endpoint


def _ids(request: Request) -> dict[str, str | None]:
    """The scope ids that the address fixes. Raises `InvalidInput` for anything else in the query."""
    unknown = sorted(request.query_params.keys() - set(SCOPE_FIELDS))
    if unknown:
        raise InvalidInput(f"{unknown[0]!r:.40} is not what {PATH} takes; it takes {', '.join(SCOPE_FIELDS)}")
    return dict(request.query_params)
