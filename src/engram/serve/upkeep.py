"""engram's own routes about the service itself: scopes, counts, owed work, keys, health."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Path, Request

from engram import __version__
from engram.kernel.clock import utc_now
from engram.serve import bodies, replies
from engram.serve.doors import (
    PROBLEMS,
    Ids,
    Json,
    Keep,
    Once,
    Page,
    Read,
    RepeatableRoute,
    Write,
    own_router,
    paged,
)
from engram.serve.problems import Busy
from engram.serve.service import Service

__all__ = ["health", "router"]

router = own_router(route_class=RepeatableRoute)
health = APIRouter(tags=["Health"], responses=PROBLEMS)
JobId = Annotated[str, Path(max_length=512, description="A job's id.")]
KeyId = Annotated[str, Path(max_length=64, description="A key's id.")]
Tags = list[str | Enum]
_JOBS: Tags = ["Jobs"]
_KEYS: Tags = ["Keys"]
_COUNTS: Tags = ["Scopes"]


@router.get("/scopes", tags=_COUNTS, response_model=replies.ScopesOut, summary="Scopes that hold records")
async def scopes(reading: Read, page: Page, ids: Ids) -> Json:
    """Every scope with records that the key reaches, with their number."""
    items, following = paged(await reading.scopes(ids), page)
    return Json({"items": items, "next": following})


@router.get("/stats", tags=_COUNTS, response_model=replies.StatsOut, summary="Counts")
async def stats(reading: Read, ids: Ids) -> Json:
    """Counts of a scope; for a key of everything that names none, of the whole store."""
    return Json(await reading.stats(ids))


@router.get("/jobs", tags=_JOBS, response_model=replies.JobsOut, summary="Owed work")
async def jobs(reading: Read, ids: Ids, page: Page) -> Json:
    """Owed jobs, oldest first."""
    items, following = paged(await reading.jobs(ids), page)
    return Json({"items": items, "next": following})


@router.post("/jobs/wait", tags=_JOBS, response_model=replies.WaitOut, summary="Wait for owed work")
async def wait(body: bodies.WaitBody, writing: Write) -> Json:
    """Answer when nothing is owed in the scope, or the time is up.

    Workers do the work; with `work` the service does, where the key may write.
    """
    return Json(await writing.wait(body.seconds, body.who, work=body.work))


@router.post("/verify", tags=_COUNTS, response_model=replies.ReportOut, summary="Prove the store")
async def verify(writing: Write) -> Json:
    """Prove every derived structure of the whole store against its records; for keys of everything."""
    return Json((await writing.verify()).to_dict())


@router.post("/repair", tags=_COUNTS, response_model=replies.ReportOut, summary="Repair the store")
async def repair(writing: Write, _once: Once) -> Json:
    """Make anew what `POST /verify` finds wrong; for keys of everything."""
    return Json((await writing.verify(mend=True)).to_dict())


@router.get("/jobs/{id}", tags=_JOBS, response_model=replies.JobOut, summary="One job")
async def job(id: JobId, reading: Read, ids: Ids) -> Json:
    """One job: what it is for, and why it failed."""
    return Json(await reading.job(id, ids))


@router.post("/jobs/{id}/retry", tags=_JOBS, response_model=replies.JobOut, summary="Try a job again")
async def retry(id: JobId, writing: Write, ids: Ids, _once: Once) -> Json:
    """Make a parked job pending again."""
    return Json(await writing.retry(id, ids))


@router.delete("/jobs/{id}", tags=_JOBS, response_model=replies.JobOut, summary="Give a job up")
async def drop(id: JobId, writing: Write, ids: Ids, _once: Once) -> Json:
    """Remove a job: its work is never done. The records stay."""
    return Json(await writing.drop(id, ids))


@router.post("/tend", tags=_JOBS, response_model=replies.ReceiptOut, summary="Tend a scope")
async def tend(body: bodies.ScopeBody, writing: Write, _once: Once) -> Json:
    """Erase what has expired, finish owed work, and let the policy tend what it made."""
    return Json((await writing.tend(body.who)).to_dict())


@router.get("/keys", tags=_KEYS, response_model=replies.KeysOut, summary="Keys")
async def keys(keeping: Keep) -> Json:
    """Every key within the reach of this one, expired and revoked ones too."""
    return Json({"items": [key.to_dict(utc_now()) for key in await keeping.all()]})


@router.post("/keys", tags=_KEYS, response_model=replies.NewKeyOut, summary="Make a key")
async def create_key(body: bodies.KeyBody, keeping: Keep) -> Json:
    """A key that reaches no further than this one. What a program shows is told this once."""
    lasts = None if body.days is None else timedelta(days=body.days)
    key, token = await keeping.create(
        name=body.name, rights=body.rights, tenant=body.tenant, users=body.users, lasts=lasts
    )
    return Json({**key.to_dict(utc_now()), "key": token})


@router.post("/keys/{id}/rotate", tags=_KEYS, response_model=replies.NewKeyOut, summary="Rotate a key")
async def rotate_key(id: KeyId, body: bodies.RotateBody, keeping: Keep) -> Json:
    """A new secret for a key; id, rights and scope stay."""
    key, token = await keeping.rotate(id, timedelta(seconds=body.grace_seconds))
    return Json({**key.to_dict(utc_now()), "key": token})


@router.delete("/keys/{id}", tags=_KEYS, response_model=replies.KeyOut, summary="Revoke a key")
async def revoke_key(id: KeyId, keeping: Keep) -> Json:
    """End a key for good."""
    return Json((await keeping.revoke(id)).to_dict(utc_now()))


@health.get("/health", response_model=replies.HealthOut, summary="Whether the process answers")
async def alive() -> Json:
    """The process is there. Needs no key."""
    return Json({"status": "ok", "version": __version__})


@health.get("/ready", response_model=replies.HealthOut, summary="Whether requests can be answered")
async def ready(request: Request) -> Json:
    """The store answers, and the service is not about to stop. Needs no key."""
    service: Service = request.app.state.service
    if service.stopping.is_set():
        raise Busy("the service is about to stop")
    await asyncio.to_thread(service.core.store.sequence)
    return Json({"status": "ok", "version": __version__})
