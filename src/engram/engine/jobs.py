"""Running owed work: write and rebuild jobs of the policy, vectors of a remote embedder."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from engram.engine.compile import compile_changes
from engram.engine.core import Core
from engram.engine.events import TRACE, Event
from engram.engine.lease import Run, held
from engram.engine.performer import Performer
from engram.engine.results import Item
from engram.engine.surviving import ends_of_edges
from engram.kernel.changes import Changes
from engram.kernel.effects import Task, Under
from engram.kernel.errors import BudgetExceeded, Conflict, EngramError, ModelUnavailable, NeedsMigration
from engram.kernel.protocols import Batch, Close, EndJob, Job, Mark, Op, Require, Select, Supersede
from engram.kernel.record import Record, derived_id
from engram.kernel.scope import Scope

__all__ = ["WAIT_FOR_LANE", "Outcome", "is_due", "is_ours", "run_job", "run_lane", "tell"]

MAX_ATTEMPTS = 5
MAX_CONFLICTS = 5
WAIT_FOR_LANE = 30.0
_POLICY_JOBS = ("write", "rebuild")
_LANE_TAKEN = "another process, thread or task holds the lane"
_TOLD = 1000
_LOOK = 32
_LOG = logging.getLogger("engram.jobs")


@dataclass
class Outcome:
    """What running a job came to, for a receipt; `left` says that it is still owed."""

    items: list[Item] = field(default_factory=list)
    change_set: int | None = None
    usage: dict[str, float] = field(default_factory=dict)
    left: bool = False

    @property
    def status(self) -> str:
        """`done`, `pending` (it is tried again later) or `parked` (it waits for somebody to look)."""
        if not self.left:
            return "done"
        return "parked" if any(item.event == "failed" for item in self.items) else "pending"


async def run_lane(
    core: Core, lane: Scope, until: str, patience: float = WAIT_FOR_LANE
) -> dict[str, Outcome]:
    """Run the lane's pending jobs in order, up to the one with id `until`; outcomes by job id.

    A job that fails stays, with its error written down, and does not hold up those behind it. A lane
    that is worked on elsewhere is waited for, up to `patience` seconds. A job that another thread of
    this memory ran meanwhile has the outcome that it had there.
    """
    outcomes: dict[str, Outcome] = {}
    deadline = time.monotonic() + patience
    while until not in outcomes:
        job = await Task.of(_next_job, core, lane, frozenset(outcomes), until)
        if job is None:
            break
        outcome = await run_job(core, job)
        if outcome is not None:
            outcomes[job.id] = outcome
            if job.id != until:
                tell(core, job.id, outcome)
        elif time.monotonic() > deadline:
            outcomes[job.id] = Outcome([Item("pending", None, reason=_LANE_TAKEN)], left=True)
        else:
            await Task.of(time.sleep, 0.02)
    if until not in outcomes and await Task.of(held, core, until) is None:
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


def tell(core: Core, id: str, outcome: Outcome) -> None:
    """Leave the outcome to whoever waits for that job in another thread of this memory."""
    core.told[id] = outcome
    while len(core.told) > _TOLD:
        core.told.pop(next(iter(core.told), ""), None)


async def run_job(core: Core, job: Job, lease: timedelta | None = None) -> Outcome | None:
    """Run one job under a lease of this run's own; `None` when it is gone or its lane is taken.

    `lease` is how long the job is kept from others without a sign of life, instead of a time that is
    longer than one question takes.
    """
    run = Run.of(core, job, lease)
    finished = False
    try:
        if not await Task.of(run.begin):
            finished = True
            return None
        began = time.monotonic()
        with core.watch.event("job", job.kind, **_about(core, job)) as event:
            outcome = await _ended(core, run, event)
            event.say(status=outcome.status, **outcome.usage)
            _log(job, outcome, event.facts.get("error"), time.monotonic() - began)
        finished = True
        return outcome
    finally:
        if finished:
            run.end()
        else:
            raised = sys.exc_info()[1]  # the policy's own bug surfaces; its job is parked, so it does so once
            bug = raised if isinstance(raised, Exception) else None
            run.drop(bug, park=bug is not None)


async def _ended(core: Core, run: Run, event: Event) -> Outcome:
    """What a job that has begun came to; one that failed is written down."""
    usage: dict[str, float] = {}
    try:
        return await (_embed(core, run) if run.job.kind == "embed" else _policy_job(core, run, usage))
    except NeedsMigration as error:  # no fault of the job's: who opens the store as it is now can do it
        await Task.of(run.give_back, None)
        return Outcome([Item("pending", None, reason=f"left to another run: {error}")], left=True)
    except EngramError as error:
        failed: Outcome = await Task.of(_put_back, run, error)
        event.say(error=type(error).__name__)
        return replace(failed, usage=usage)


def _log(job: Job, outcome: Outcome, error: object, seconds: float) -> None:
    """A line of the log for a job that was run: a warning where it is parked."""
    level = logging.WARNING if outcome.status == "parked" else logging.INFO
    if _LOG.isEnabledFor(level):
        why = f": {error}" if error else ""
        fields = {"job": job.id, "kind": job.kind, "status": outcome.status, "ms": round(1000 * seconds, 1)}
        extra = {"engram": {**fields, **({"error": error} if error else {})}}
        _LOG.log(level, "job %s (%s) is %s%s", job.id, job.kind, outcome.status, why, extra=extra)


def _about(core: Core, job: Job) -> dict[str, Any]:
    """What is said of a job to whoever watches."""
    waited = (core.now() - job.created).total_seconds()
    said = {"job": job.id, "attempts": job.attempts, "priority": job.priority, "records": len(job.records)}
    return {**said, "waited": round(waited, 3), TRACE: job.journal.get(TRACE)}


def _in_order(jobs: Iterable[Job]) -> list[Job]:
    """Jobs of one lane as they are done: by priority, then oldest first."""
    return sorted(jobs, key=lambda job: (-job.priority, job.created, job.id))


def is_ours(core: Core, job: Job) -> bool:
    """Whether it is of a kind that this memory can do: vectors, and its own policy's work."""
    return job.kind == "embed" or (job.kind in _POLICY_JOBS and job.policy == core.policy.made_by)


def is_due(core: Core, job: Job) -> bool:
    """Whether it waits for nothing."""
    return job.status == "pending" and (job.not_before is None or job.not_before <= core.now())


def _next_job(core: Core, lane: Scope, done: frozenset[str], until: str | None) -> Job | None:
    """The lane's next job that is not done, not behind `until`; none where that one is gone."""
    waiting = _in_order(job for job in core.store.jobs(lane) if job.scope == lane)
    ids = [job.id for job in waiting]
    if until is not None:
        waiting = waiting[: ids.index(until) + 1] if until in ids else []
    for job in waiting:
        if job.id not in done and is_ours(core, job) and is_due(core, job):
            return job
    return None


async def _policy_job(core: Core, run: Run, usage: dict[str, float]) -> Outcome:
    error: Conflict | None = None
    for _ in range(MAX_CONFLICTS):
        try:
            return await _attempt(core, run, usage)
        except Conflict as conflict:
            error = conflict
            current = await Task.of(held, core, run.job.id)
            if current is None:
                return Outcome([Item("failed", None, reason=f"what it was made from was erased: {conflict}")])
            if current.owner != run.owner:
                reason = f"left to another run, as the memory changed meanwhile: {conflict}"
                return Outcome([Item("pending", None, reason=reason)], left=True)
            run.job = current
    raise Conflict(f"the memory changed under the job {MAX_CONFLICTS} times: {error}") from error


async def _attempt(core: Core, run: Run, usage: dict[str, float]) -> Outcome:
    """Run the policy over the job's episodes and commit its changes together with the job's end."""
    job = run.job
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
    performer.save = lambda: run.journal(
        dict(performer.journal), tuple(sorted({*job.records, *performer.reads}))
    )
    outcome = Outcome(usage=usage)
    if episodes:
        changes = await Under(core.policy.write(episodes), core.driven(run.counted(performer)))
        outcome.items, outcome.change_set = await Task.of(_commit, core, job, performer, changes, episodes)
    else:
        await Task.of(core.store.commit, Batch((EndJob(job.id, job.owner),)))
    return outcome


def _episodes(core: Core, job: Job) -> list[Record]:
    return [record for record in _records(core, job) if core.policy.wants(record)]


def _records(core: Core, job: Job) -> list[Record]:
    """The job's records. What is another tenant's is none: the job may be written past the library."""
    return _of_tenant(core.store.select(Select(ids=job.records)), job)


def _of_tenant(records: Iterable[Record], job: Job) -> list[Record]:
    return [record for record in records if record.scope.tenant == job.scope.tenant]


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
        again = {op.record.id for op in compiled.ops if isinstance(op, Supersede)}
        ended = [op for op in _replaced(core, job) if op.id not in again]
        ops += [*ended, *ends_of_edges(core, {op.id for op in ended})]
    ops.extend(compiled.ops)
    ops.append(EndJob(job.id, job.owner))
    committed = core.store.commit(Batch(tuple(ops)))
    return compiled.items, committed.change_set if compiled.ops else None


def _replaced(core: Core, job: Job) -> list[Close]:
    """Ends of records that stand on the job's records alone: the rebuild makes them anew, or confirms them.

    Entities stay: the policy finds them by name, and ties new edges to those that are there.
    """
    again = set(job.records)
    derived = _of_tenant(core.store.select(Select(derived_from=job.records)), job)
    now = core.now()
    return [
        Close(record.id, record.version, max(now, record.known.start or now))
        for record in derived
        if record.made_by == core.policy.made_by and record.kind != "entity" and set(record.sources) <= again
    ]


def _put_back(run: Run, error: EngramError) -> Outcome:
    """Write the failure down: later again where that can help, parked for someone to look at where not."""
    waits = isinstance(error, BudgetExceeded) and error.again is not None
    again = waits or (isinstance(error, ModelUnavailable | Conflict) and run.job.attempts + 1 < MAX_ATTEMPTS)
    run.give_back(error, park=not again)
    reason = f"{type(error).__name__}: {error}"
    if again:
        return Outcome([Item("pending", None, reason=f"will be tried again: {reason}")], left=True)
    return Outcome([Item("failed", None, reason=f"parked: {reason}")], left=True)


async def _embed(core: Core, run: Run) -> Outcome:
    """Fetch the vectors that a remote embedder still owes, in small requests."""
    records: list[Record] = await Task.of(_records, core, run.job)
    for first in range(0, len(records), 64):
        part = records[first : first + 64]
        entries = await Task.of(lambda part=part: core.encode(part, now=True))
        marks: list[Op] = [
            Mark(record.id, record.version, vector=vector or b"")
            for record, (_, vector) in zip(part, entries, strict=True)
        ]
        await Task.of(run.renew, marks)
    await Task.of(core.store.commit, Batch((EndJob(run.job.id, run.owner),)))
    return Outcome()
