"""Running owed work: write and rebuild jobs of the policy, vectors of a remote embedder, pending purges."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from engram.engine import owners
from engram.engine.compile import compile_changes
from engram.engine.core import Core
from engram.engine.performer import Performer
from engram.engine.results import Item
from engram.kernel.changes import Changes
from engram.kernel.effects import Task, Under
from engram.kernel.errors import BudgetExceeded, Conflict, EngramError, ModelUnavailable, NeedsMigration
from engram.kernel.protocols import Batch, Close, EndJob, Job, Lease, Mark, Op, PutJob, Require, Select
from engram.kernel.record import Record, derived_id
from engram.kernel.scope import Scope

__all__ = ["WAIT_FOR_LANE", "Outcome", "run_job", "run_lane"]

LEASE = timedelta(seconds=300)  # longer than one question takes with all its retries
MAX_ATTEMPTS = 5
MAX_CONFLICTS = 5
WAIT_FOR_LANE = 30.0
_POLICY_JOBS = ("write", "rebuild")
_LANE_TAKEN = "another process, thread or task holds the lane"
_TOLD = 1000
_LOOK = 32


@dataclass
class Outcome:
    """What running a job came to, for a receipt; `left` says that it is still owed."""

    items: list[Item] = field(default_factory=list)
    change_set: int | None = None
    usage: dict[str, float] = field(default_factory=dict)
    left: bool = False


async def run_lane(
    core: Core, lane: Scope, until: str | None = None, patience: float = WAIT_FOR_LANE
) -> dict[str, Outcome]:
    """Run the lane's pending jobs, oldest first, up to the one with id `until`; outcomes by job id.

    A job that fails stays, with its error written down, and does not hold up those behind it. A lane
    that is worked on elsewhere is waited for, up to `patience` seconds. A job that another thread of
    this memory ran meanwhile has the outcome that it had there.
    """
    outcomes: dict[str, Outcome] = {}
    deadline = time.monotonic() + patience
    while until not in outcomes:
        job = await Task.of(_next_job, core, lane, frozenset(outcomes))
        if job is None:
            break
        outcome = await run_job(core, job)
        if outcome is not None:
            outcomes[job.id] = outcome
            if job.id != until:
                _tell(core, job.id, outcome)
        elif time.monotonic() > deadline:
            outcomes[job.id] = Outcome([Item("pending", None, reason=_LANE_TAKEN)], left=True)
        else:
            await Task.of(time.sleep, 0.02)
    if until is not None and until not in outcomes and not await Task.of(_held, core, until):
        outcomes[until] = core.told.pop(until, None) or await Task.of(_made_elsewhere, core, until)
    return outcomes


def _made_elsewhere(core: Core, id: str) -> Outcome:
    """What a job that another process or thread ran has derived, as far as that can be told."""
    found: list[Record] = []
    while len(found) % _LOOK == 0:
        ids = tuple(derived_id(id, number) for number in range(len(found), len(found) + _LOOK))
        more = core.store.select(Select(ids=ids))
        found.extend(more)
        if not more:
            break
    return Outcome([Item("stored", record.id, reason="derived by another run") for record in found])


def _tell(core: Core, id: str, outcome: Outcome) -> None:
    """Leave the outcome to whoever waits for that job in another thread of this memory."""
    core.told[id] = outcome
    while len(core.told) > _TOLD:
        core.told.pop(next(iter(core.told), ""), None)


async def run_job(core: Core, job: Job) -> Outcome | None:
    """Run one job under a lease of this run's own; `None` when its lane is taken."""
    job = replace(job, owner=owners.new())
    finished = False
    dropped = threading.Event()
    usage: dict[str, float] = {}
    try:
        if not await Task.of(_lease, core, job, dropped):
            finished = True
            gone = not await Task.of(_held, core, job.id)
            return await Task.of(_made_elsewhere, core, job.id) if gone else None
        outcome = await (_embed(core, job) if job.kind == "embed" else _policy_job(core, job, usage))
        finished = True
        return outcome
    except NeedsMigration as error:  # no fault of the job's: who opens the store as it is now can do it
        finished = True
        await Task.of(_release, core, job, None)
        return Outcome([Item("pending", None, reason=f"left to another run: {error}")], left=True)
    except EngramError as error:
        finished = True
        failed: Outcome = await Task.of(_put_back, core, job, error)
        return replace(failed, usage=usage)
    finally:
        if not finished:
            dropped.set()
            raised = sys.exc_info()[1]  # the policy's own bug surfaces; its job is parked, so it does so once
            bug = raised if isinstance(raised, Exception) else None
            _release(core, job, bug, park=bug is not None)


def _lease(core: Core, job: Job, dropped: threading.Event) -> bool:
    """Take the job, unless its lane is taken; leases whose process is gone are taken away first.

    A run that is cancelled meanwhile has `dropped` it: the lease is given back at once.
    """
    dead = [
        replace(held, owner=None, until=None)
        for held in core.store.jobs(job.scope)
        if held.owner is not None and owners.is_dead(held.owner)
    ]
    taken = Lease(job.id, job.owner or "", core.now(), core.now() + LEASE)
    try:
        core.store.commit(Batch((*(PutJob(held, if_exists=True) for held in dead), taken)))
    except Conflict:
        return False
    if dropped.is_set():
        _release(core, job, None)
    return True


def _held(core: Core, id: str) -> list[Job]:
    return core.store.jobs(ids=[id])


def _next_job(core: Core, lane: Scope, done: frozenset[str]) -> Job | None:
    now = core.now()
    for job in core.store.jobs(lane):
        ours = job.kind == "embed" or (job.kind in _POLICY_JOBS and job.policy == core.policy.made_by)
        due = job.not_before is None or job.not_before <= now
        if job.scope == lane and job.id not in done and job.status == "pending" and ours and due:
            return job
    return None


async def _policy_job(core: Core, job: Job, usage: dict[str, float]) -> Outcome:
    error: Conflict | None = None
    for _ in range(MAX_CONFLICTS):
        try:
            return await _attempt(core, job, usage)
        except Conflict as conflict:
            error = conflict
            current = await Task.of(_held, core, job.id)
            if not current:
                return Outcome([Item("failed", None, reason=f"what it was made from was erased: {conflict}")])
            if current[0].owner != job.owner:
                reason = f"left to another run, as the memory changed meanwhile: {conflict}"
                return Outcome([Item("pending", None, reason=reason)], left=True)
            job = current[0]
    raise Conflict(f"the memory changed under the job {MAX_CONFLICTS} times: {error}") from error


async def _attempt(core: Core, job: Job, usage: dict[str, float]) -> Outcome:
    """Run the policy over the job's episodes and commit its changes together with the job's end."""
    episodes: list[Record] = await Task.of(_episodes, core, job)
    performer = Performer(
        core,
        core.policy,
        job.scope,
        core.present,
        job=job.id,
        hidden=frozenset(record.id for record in episodes),
        usage=usage,
    )
    performer.journal.update(job.journal)
    performer.reads.update(record.id for record in episodes)
    performer.save = lambda: _journal(core, job, performer)
    outcome = Outcome(usage=usage)
    if episodes:
        changes = await Under(core.policy.write(episodes), core.driven(performer))
        outcome.items, outcome.change_set = await Task.of(_commit, core, job, performer, changes, episodes)
    else:
        await Task.of(core.store.commit, Batch((EndJob(job.id, job.owner),)))
    return outcome


def _episodes(core: Core, job: Job) -> list[Record]:
    records = core.store.select(Select(ids=job.records))
    return [record for record in records if record.kind == "episode"]


def _commit(
    core: Core, job: Job, performer: Performer, changes: Changes, episodes: Sequence[Record]
) -> tuple[list[Item], int | None]:
    compiled = compile_changes(
        core,
        core.policy,
        job.scope,
        changes,
        job.id,
        frozenset(performer.reads),
    )
    ops: list[Op] = [Require(tuple((record.id, record.version) for record in episodes))]
    if job.kind == "rebuild":
        ops.extend(_replaced(core, job))
    ops.extend(compiled.ops)
    ops.append(EndJob(job.id, job.owner))
    committed = core.store.commit(Batch(tuple(ops)))
    return compiled.items, committed.change_set if compiled.ops else None


def _replaced(core: Core, job: Job) -> list[Op]:
    """Ends of records that stand on the job's records alone: the rebuild makes them anew."""
    again = set(job.records)
    derived = core.store.select(Select(derived_from=job.records))
    now = core.now()
    return [
        Close(record.id, record.version, max(now, record.known.start or now))
        for record in derived
        if record.made_by == core.policy.made_by and set(record.sources) <= again
    ]


def _journal(core: Core, job: Job, performer: Performer) -> None:
    """Keep a paid reply with the job, so that a rerun does not pay twice.

    Raises `Conflict` where something that the program had read is erased: the reply may hold words of it;
    or where another run has the lane. The reply to a run that was cancelled is kept, its lease is not.
    """
    reads = tuple(sorted({*job.records, *performer.reads}))
    there = Require(tuple((id, None) for id in reads))
    now = core.now()
    kept = replace(job, journal=dict(performer.journal), reads=reads, until=now + LEASE)
    held = _held(core, job.id)
    if held and held[0].owner == job.owner:
        core.store.commit(Batch((there, EndJob(job.id, job.owner), PutJob(kept))))
    else:
        lease = Lease(job.id, job.owner or "", now, now)
        core.store.commit(
            Batch((there, lease, PutJob(replace(kept, owner=None, until=None), if_exists=True)))
        )


def _put_back(core: Core, job: Job, error: EngramError) -> Outcome:
    """Write the failure down: later again where that can help, parked for someone to look at where not."""
    waits = isinstance(error, BudgetExceeded) and error.again is not None
    again = waits or (isinstance(error, ModelUnavailable | Conflict) and job.attempts + 1 < MAX_ATTEMPTS)
    _release(core, job, error, park=not again)
    reason = f"{type(error).__name__}: {error}"
    if again:
        return Outcome([Item("pending", None, reason=f"will be tried again: {reason}")], left=True)
    return Outcome([Item("failed", None, reason=f"parked: {reason}")], left=True)


def _release(core: Core, job: Job, error: Exception | None, *, park: bool = False) -> None:
    held = next(iter(core.store.jobs(ids=[job.id])), None)
    if held is None or held.owner != job.owner:
        return
    opens = error.again if isinstance(error, BudgetExceeded) else None  # waiting for it is no failed attempt
    attempts = held.attempts + (error is not None and opens is None)
    wait = _wait(error, attempts) if error is not None and opens is None and not park else None
    freed = replace(
        held,
        owner=None,
        until=None,
        attempts=attempts,
        status="parked" if park else "pending",
        not_before=core.now() + wait if wait else opens,
        error=None if error is None else f"{type(error).__name__}: {error}",
    )
    core.store.commit(Batch((PutJob(freed, if_exists=True),)))


def _wait(error: Exception, attempts: int) -> timedelta:
    """Twice as long each time, or as long as the model's server asks for, an hour at most."""
    asked = error.retry_after if isinstance(error, ModelUnavailable) else None
    return timedelta(seconds=max(min(2.0**attempts, 300.0), min(asked or 0.0, 3600.0)))


async def _embed(core: Core, job: Job) -> Outcome:
    """Fetch the vectors that a remote embedder still owes, in small requests."""
    records: list[Record] = await Task.of(core.store.select, Select(ids=job.records))
    for first in range(0, len(records), 64):
        part = records[first : first + 64]
        entries = await Task.of(lambda part=part: core.encode(part, now=True))
        marks = [
            Mark(record.id, record.version, vector=vector or b"")
            for record, (_, vector) in zip(part, entries, strict=True)
        ]
        await Task.of(core.store.commit, Batch(tuple(marks)))
    await Task.of(core.store.commit, Batch((EndJob(job.id, job.owner),)))
    return Outcome()
