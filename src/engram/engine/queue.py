"""Owed work as people see it: what is pending or parked, why, and trying again or giving up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from engram.engine import owners
from engram.engine.core import Core
from engram.engine.events import TRACE
from engram.kernel.errors import Conflict, NotFound
from engram.kernel.protocols import Batch, EndJob, Job, Lease, Op, PutJob
from engram.kernel.scope import Scope

__all__ = ["Reply", "drop", "find", "owed", "replies", "retry", "state", "to_dict", "without"]

_BAD = "bad:"  # where `engram.engine.replies` keeps a question whose replies could not be used
_WITHOUT = {
    "write": "what the policy would derive from {records} is never derived",
    "rebuild": "what was derived from {records} before stays away",
    "embed": "{records} are found by their words only, until engram reembed",
    "purge": "bytes of what was erased stay in the files, until engram repair",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said for a job; `prompt` and `error` are there where it could not be used."""

    reply: str
    prompt: str | None = None
    error: str | None = None


def owed(core: Core, scope: Scope | None) -> list[Job]:
    """The jobs in `scope` (a pattern; `None`: all of them), oldest first."""
    return core.store.jobs(scope)


def find(core: Core, id: str, scope: Scope | None) -> Job:
    """One job; raises `NotFound`, also where it is another scope's."""
    for job in core.store.jobs(ids=[id]):
        if scope is None or scope.covers(job.scope):
            return job
    raise NotFound(
        f"there is no job {id!r} in this scope: it is done, or was dropped; engram jobs lists them"
    )


def state(core: Core, job: Job) -> str:
    """`running`, `pending` or `parked` (it failed, and waits for somebody to look)."""
    held = job.owner is not None and job.until is not None and job.until > core.now()
    return "running" if held and not owners.is_dead(job.owner or "") else job.status


def replies(job: Job) -> list[Reply]:
    """What models replied so far; what could not be used comes last."""
    good = [
        Reply(_text(held))
        for place, held in job.journal.items()
        if place != TRACE and not place.startswith(_BAD)
    ]
    bad = [
        held for place, held in job.journal.items() if place.startswith(_BAD) and isinstance(held, Mapping)
    ]
    return good + [Reply(_text(held), held.get("prompt"), held.get("error")) for held in bad]


def _text(held: Any) -> str:
    """A reply's text, as a journal holds it."""
    if isinstance(held, Mapping):
        return str(held.get("reply", held.get("text", dict(held))))
    return str(held)


def retry(core: Core, id: str, scope: Scope | None) -> Job:
    """Make a job pending again, now; replies that were paid for are kept, those of no use asked for anew.

    Raises `NotFound`, or `Conflict` where it is running.
    """
    job = find(core, id, scope)
    free = _free(core, job)
    again = replace(free, status="pending", attempts=0, not_before=None, error=None)
    core.store.commit(Batch((*_unless_running(core, job), PutJob(again, if_exists=True))))
    return again


def drop(core: Core, id: str, scope: Scope | None) -> Job:
    """Remove a job: its work is never done. Raises `NotFound`, or `Conflict` where it is running."""
    job = find(core, id, scope)
    _free(core, job)
    core.store.commit(Batch((*_unless_running(core, job), EndJob(job.id))))
    return job


def without(job: Job) -> str:
    """What is lost where the job is dropped, in words."""
    count = len(job.records)
    records = f"{count:,} record{'s' if count != 1 else ''}"
    return _WITHOUT.get(job.kind, "its work is never done").format(records=records)


def to_dict(core: Core, job: Job) -> dict[str, Any]:
    """A job as JSON values."""
    return {
        "id": job.id,
        "kind": job.kind,
        "status": state(core, job),
        "scope": job.scope.to_dict(),
        "created": job.created.isoformat(),
        "policy": job.policy,
        "priority": job.priority,
        "records": list(job.records),
        "attempts": job.attempts,
        "not_before": None if job.not_before is None else job.not_before.isoformat(),
        "error": job.error,
        "replies": [asdict(item) for item in replies(job)],
    }


def _free(core: Core, job: Job) -> Job:
    """The job without its lease, which nobody holds any more. Raises `Conflict` where somebody does."""
    if state(core, job) == "running":
        raise Conflict(f"job {job.id!r} is running now, in {job.owner}; wait until it has ended")
    return replace(job, owner=None, until=None)


def _unless_running(core: Core, job: Job) -> list[Op]:
    """Operations that fail with `Conflict` where a pending job was taken up meanwhile."""
    if job.status != "pending":
        return []
    now, nobody = core.now(), owners.new()
    owners.over(nobody)
    lease = Lease(job.id, nobody, now, now)
    if job.until is None or job.until <= now:
        return [lease]
    return [PutJob(replace(job, owner=None, until=None), if_exists=True), lease]  # its process is gone
