"""`/metrics`: what the service counts, for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from engram.kernel.errors import Forbidden, MissingExtra
from engram.serve.doors import PROBLEMS, guarded
from engram.serve.guard import Guard

__all__ = ["router"]

router = APIRouter(tags=["Health"], responses=PROBLEMS)
_SAMPLE = 'engram_calls_total{call="search",outcome="ok",policy="fusion"} 12.0'
_TEXT = {"text/plain": {"schema": {"type": "string"}, "example": _SAMPLE}}
_TOLD: dict[int | str, dict[str, Any]] = {200: {"description": "As Prometheus reads it", "content": _TEXT}}


@router.get("/metrics", summary="Metrics", response_class=Response, responses=_TOLD)
async def metrics(guard: Annotated[Guard, Depends(guarded)]) -> Response:
    """Counts of the whole service, for a key of every tenant and user; the right `metrics` is enough."""
    guard.require("metrics")
    if not guard.of_everything:
        raise Forbidden("metrics are those of the whole service: this needs a key of every tenant and user")
    meters = guard.service.traffic.meters
    if meters is None:
        raise MissingExtra("metrics", "serve")
    body, kind = await asyncio.to_thread(meters.exposition)
    return Response(body, media_type=kind)
