"""The application: every route behind the edge and the guard, and its OpenAPI file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from engram import __version__
from engram.kernel.errors import EngramError, Forbidden, InvalidInput, NotFound
from engram.serve import (
    auditing,
    bodies,
    events,
    mem0,
    mem0_replies,
    mem0_shapes,
    metering,
    moving,
    own,
    replies,
    upkeep,
)
from engram.serve.doors import PREFIX
from engram.serve.doorway import Doorway
from engram.serve.edge import Edge
from engram.serve.mounting import PATH, Mount
from engram.serve.problems import MEDIA_TYPE, Malformed, NotAllowed, Unknown, problem_of
from engram.serve.service import Service

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

__all__ = ["PREFIX", "build"]

_ABOUT = """A memory for LLM agents over HTTP. Every route but `/health` and `/ready` needs a key
(`Authorization: Bearer engram_…`), and reaches the memory of its tenant and users alone. Errors are
problems as RFC 9457 has them. Lists come in pages: give a page's `next` as `after`."""

_QUIET: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own spans hold paths, which hold ids; the edge makes one that does not."""


def build(service: Service, doorway: Doorway | None = None) -> FastAPI:
    """The application of a service; it closes the service when it shuts down."""
    mount = Mount(service, doorway or Doorway())
    ours = (own.router, upkeep.router, moving.router, events.router, auditing.router)
    routers = (*ours, mem0.router, upkeep.health)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await mount.close()
        await service.close()

    app = FastAPI(
        title="engram",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        telemetry=_QUIET,
    )
    app.state.service = service
    for routes in routers if not mount.doorway.alone else (upkeep.health,):
        app.router.routes.extend(routes.routes)  # as they are: including a router makes them all anew
    app.router.routes.append(Route(PATH, endpoint=mount, include_in_schema=False))
    app.router.routes.extend(metering.router.routes)
    app.add_exception_handler(EngramError, _known)
    app.add_exception_handler(RequestValidationError, _misfit)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(Edge, service=service)
    _with_examples(app)
    return app


def _with_examples(app: FastAPI) -> None:
    """Have the OpenAPI file show examples as they are: FastAPI leaves out what is null in them."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        schema = make()
        problem = replies.ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"]["ProblemOut"] = problem
        models: dict[str, Any] = {
            name: model
            for module in (replies, bodies, mem0_replies, mem0_shapes, auditing)
            for name, model in vars(module).items()
        }
        for name, shape in schema["components"]["schemas"].items():
            if "examples" in shape:
                shape["examples"] = models[name].model_config["json_schema_extra"]["examples"]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change it


async def _known(request: Request, error: Exception) -> Response:
    """An error of the tree; what the key was refused is written down. Those of the service are the edge's."""
    guard = getattr(request.state, "guard", None)
    if guard is not None and isinstance(error, Forbidden | NotFound):
        guard.refused(request.scope["endpoint"].__name__, error)
    return _sent(request, error)


async def _misfit(request: Request, error: Exception) -> Response:
    """Fields that are missing, unknown or of another kind; what they held is not repeated."""
    found: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    if any(item["type"] == "json_invalid" for item in found):
        return _sent(request, Malformed("the body is not JSON"))
    places = [{"place": ".".join(map(str, item["loc"])), "what": item["msg"]} for item in found]
    first = f"{places[0]['place']}: {places[0]['what']}" if places else "the request does not fit"
    return _sent(request, InvalidInput(first), places)


async def _http(request: Request, error: Exception) -> Response:
    """What the router itself finds: no such route, another method, a body that cannot be read."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _sent(request, Unknown(f"there is no route {request.url.path!r:.200}; see /openapi.json"))
    if status == 405:
        headers = dict((error.headers if isinstance(error, HTTPException) else None) or {})
        return _sent(request, NotAllowed(f"{request.method} is none of what this route knows"), extra=headers)
    return _sent(request, Malformed("the body cannot be read"))


def _sent(
    request: Request, error: Exception, details: Any = (), extra: Mapping[str, str] | None = None
) -> Response:
    problem = problem_of(error, request.state.request, details)
    return Response(
        problem.encoded(), problem.status, {**problem.headers, **(extra or {})}, media_type=MEDIA_TYPE
    )
