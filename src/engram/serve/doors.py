"""What the routes share: how a request becomes guarded calls, and how values become answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer

from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import Position
from engram.kernel.scope import DEFAULT_TENANT
from engram.serve import replies
from engram.serve.guard import Guard
from engram.serve.keys import EVERY
from engram.serve.problems import KINDS, MEDIA_TYPE
from engram.serve.reading import Reading
from engram.serve.replays import Replay, checked
from engram.serve.writing import Keeping, Writing

__all__ = [
    "PREFIX",
    "PROBLEMS",
    "Ids",
    "Json",
    "Keep",
    "Once",
    "Page",
    "Past",
    "Read",
    "RepeatableRoute",
    "Write",
    "guarded",
    "known",
    "own_router",
    "paged",
]

PREFIX = "/engram/v1"
"""Where engram's own routes are."""
T = TypeVar("T")
_BEARER = HTTPBearer(auto_error=False, description="A key that engram keys create has printed.")
_HEADER = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="The same key, in a header of its own."
)
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": " / ".join(kind.title for kind in KINDS.values() if kind.status == status),
        **_PROBLEM,
    }
    for status in sorted({kind.status for kind in KINDS.values()})
}
"""Every problem that any route may answer with, from the one table.

They name their shape and have no model: FastAPI would make one for each status of each route.
"""


class Json(Response):
    """A JSON answer of values that are JSON already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes: compact, in UTF-8."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


async def guarded(
    request: Request,
    _bearer: Annotated[object, Depends(_BEARER)] = None,
    _header: Annotated[object, Depends(_HEADER)] = None,
) -> Guard:
    """The guard of a request: what its key reaches. The edge has looked the key up."""
    guard = Guard(request.app.state.service, request.state.key, request.state.request)
    request.state.guard = guard
    return guard


async def known(request: Request) -> None:
    """Raise `InvalidInput` for a name in the query that the route does not know."""
    names = _names(request.scope["route"].dependant)
    for name in request.query_params:
        if name not in names:
            told = ", ".join(sorted(names)) or "nothing"
            raise InvalidInput(f"{name!r:.40} is not what this route takes in the query; it takes {told}")


def _names(dependant: Dependant) -> set[str]:
    """The names that a route and what it depends on take from the query."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))


def own_router(**options: Any) -> APIRouter:
    """A router for routes of engram's own, as `APIRouter` takes options."""
    return APIRouter(prefix=PREFIX, dependencies=[Depends(known)], responses=PROBLEMS, **options)


async def _reading(guard: Annotated[Guard, Depends(guarded)]) -> Reading:
    return Reading(guard)


async def _writing(guard: Annotated[Guard, Depends(guarded)]) -> Writing:
    return Writing(guard)


async def _keeping(guard: Annotated[Guard, Depends(guarded)]) -> Keeping:
    return Keeping(guard)


Read = Annotated[Reading, Depends(_reading)]
Write = Annotated[Writing, Depends(_writing)]
Keep = Annotated[Keeping, Depends(_keeping)]
_Id = Annotated[str | None, Query(min_length=1, max_length=512)]


async def _ids(
    tenant: _Id = None, user_id: _Id = None, agent_id: _Id = None, run_id: _Id = None
) -> dict[str, str | None]:
    return {"tenant": tenant, "user_id": user_id, "agent_id": agent_id, "run_id": run_id}


_Moment = Annotated[str | None, Query(max_length=64, description="A time in ISO 8601.")]


async def _past(valid: _Moment = None, known: _Moment = None) -> tuple[object, object]:
    return valid, known


async def _page(
    after: Annotated[str | None, Query(max_length=64, description="A page's `next`.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> tuple[str | None, int]:
    return after, limit


Ids = Annotated[dict[str, str | None], Depends(_ids)]
"""The scope ids of a request that has no body."""
Past = Annotated[tuple[object, object], Depends(_past)]
"""The time that a request without a body asks of."""
Page = Annotated[tuple[str | None, int], Depends(_page)]
"""Where a page begins, and how much it holds."""


async def _once(
    idempotency_key: Annotated[
        str | None,
        Header(max_length=128, description="Under the same one, the first answer is given again, for a day."),
    ] = None,
) -> str | None:
    return None if idempotency_key is None else checked(idempotency_key)


Once = Annotated[str | None, Depends(_once)]
"""The request's idempotency key, which `RepeatableRoute` sees to."""


def paged(items: Sequence[T], page: tuple[str | None, int]) -> tuple[list[T], str | None]:
    """A page of what is in memory as a whole, and its `next`. Raises `InvalidInput`."""
    after, limit = page
    if after is not None and not (after.isascii() and after.isdigit() and len(after) < 16):
        raise InvalidInput(f"after: {after!r:.40} is no place in a listing; give a page's next")
    first = int(after or 0)
    more = len(items) > first + limit
    return list(items[first : first + limit]), str(first + limit) if more else None


def _depends(dependant: Dependant, call: object) -> bool:
    """Whether a route depends on a call."""
    return dependant.call is call or any(_depends(item, call) for item in dependant.dependencies)


async def _erasures(request: Request, body: bytes) -> int:
    """How often something was erased where a request reads."""
    service, tenant = request.app.state.service, request.state.key.tenant
    if tenant == EVERY:
        try:
            asked = json.loads(body)
        except ValueError:
            asked = None
        named = asked.get("tenant") if isinstance(asked, dict) else None
        tenant = named if isinstance(named, str) else DEFAULT_TENANT
    position: Position = await asyncio.to_thread(service.core.store.sequence, tenant)
    return position.erasures


class RepeatableRoute(APIRoute):
    """A route whose changing requests may be sent again under the same `Idempotency-Key`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which gives the first answer again; where the route only reads, it reads anew."""
        handle = super().get_route_handler()
        if _depends(self.dependant, _reading) and not _depends(self.dependant, _once):
            return handle
        quotes = self.response_model is replies.AnswerOut

        async def handling(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if key is None or request.method not in _CHANGING:
                return await handle(request)

            async def answer() -> Replay:
                response = await handle(request)
                return Replay(b"", response.status_code, response.media_type, bytes(response.body), 0.0)

            asked = b"\0".join(
                (request.method.encode(), str(request.url.path).encode(), request.url.query.encode())
            )
            body = await request.body()
            name = request.state.key.id, checked(key)
            if quotes:  # what it says may have been erased meanwhile: then it is asked anew
                name = name[0], f"{name[1]}\0{await _erasures(request, body)}"
            replay, again = await request.app.state.service.replays.once(name, asked + b"\0" + body, answer)
            headers: Mapping[str, str] = {"Idempotency-Replayed": "true"} if again else {}
            return Response(replay.body, replay.status, headers, replay.media_type)

        return handling
