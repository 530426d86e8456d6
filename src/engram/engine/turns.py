"""Whose job is next, over all lanes: nobody's thousand jobs hold up another's one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from engram.engine.core import Core
from engram.engine.jobs import Outcome, is_due, is_ours, run_job, tell
from engram.kernel.effects import Task
from engram.kernel.protocols import Job
from engram.kernel.scope import Scope

__all__ = ["Done", "Shift", "Turns"]

_FRESH = 0.5
_SHARE = 20
_KNOWN = 10_000
_LEAST = 8
_MOST = 1000


@dataclass(frozen=True)
class Done:
    """A job that was run, what came of it, and how many seconds it took."""

    job: Job
    outcome: Outcome
    seconds: float

    @property
    def status(self) -> str:
        """`done`, `pending` (it is tried again later) or `parked` (it waits for somebody to look)."""
        return self.outcome.status


@dataclass
class Turns:
    """Whose turn it is.

    It is that of the tenant that has waited longest; in it, of the highest priority; there, of the lane
    (tenant, user, agent) that has waited longest; in a lane, of the oldest job.
    """

    _served: dict[object, int] = field(default_factory=dict)
    _count: int = 0

    def next(self, jobs: Iterable[Job]) -> Job | None:
        """The next of these jobs."""
        return min(jobs, key=self._rank, default=None)

    def _rank(self, job: Job) -> tuple[object, ...]:
        tenant, lane = self._served.get(job.scope.tenant, 0), self._served.get(job.scope, 0)
        return tenant, -job.priority, lane, job.created, job.id

    def served(self, job: Job) -> None:
        """That job had its turn."""
        self._count += 1
        if len(self._served) > _KNOWN:
            self._served.clear()
        self._served[job.scope.tenant] = self._served[job.scope] = self._count


@dataclass
class Shift:
    """Does jobs one after the other, of a scope (a pattern) or of all, each under a lease of its own.

    `job` is the one that was run last. What is owed is looked up again when that was half a second ago, or
    longer where looking takes long.
    """

    core: Core
    scope: Scope | None = None
    lease: timedelta | None = None
    turns: Turns = field(default_factory=Turns)
    job: Job | None = None
    _owed: dict[str, Job] = field(default_factory=dict)
    _taken: set[Scope] = field(default_factory=set)
    _until: float = 0.0

    async def one(self, tried: Container[str] = ()) -> Done | None:
        """Run the job whose turn it is; `None` where none is due but those in `tried` or done elsewhere.

        Raises `NeedsMigration` where the store was rewritten with another embedder.
        """
        looked = await Task.of(self._look_if_old)
        while True:
            job = await Task.of(self._next, tried)
            if job is None and looked:
                return None
            if job is None:
                looked = await Task.of(self._look)
                continue
            began, self.job = time.monotonic(), job
            self._owed.pop(job.id, None)
            self.turns.served(job)
            outcome = await run_job(self.core, job, self.lease)
            if outcome is not None:
                tell(self.core, job.id, outcome)
                return Done(job, outcome, time.monotonic() - began)
            self._taken.add(job.scope)

    def _look_if_old(self) -> bool:
        self.core.check_same()
        return time.monotonic() > self._until and self._look()

    def _next(self, tried: Container[str]) -> Job | None:
        return self.turns.next(
            job
            for job in self._owed.values()
            if job.id not in tried and job.scope not in self._taken and is_due(self.core, job)
        )

    def _look(self) -> bool:
        """Read what is owed; lanes that were taken may be free by now."""
        began = time.monotonic()
        jobs = self.core.store.jobs(self.scope)
        due = [job for job in jobs if is_ours(self.core, job) and is_due(self.core, job)]
        due.sort(key=lambda job: (-job.priority, job.created, job.id))
        each = max(_LEAST, _MOST // (len({job.scope for job in due}) or 1))
        lanes = Counter[Scope]()
        self._owed = {}
        for job in due:  # of a lane only the first: which is next is looked for among all of these
            lanes[job.scope] += 1
            if lanes[job.scope] <= each:
                self._owed[job.id] = job
        self._taken.clear()
        now = time.monotonic()
        self._until = now + max(_FRESH, _SHARE * (now - began))
        return True
