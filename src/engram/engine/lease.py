"""Leases: a job belongs to one run for a time, and is given back whatever becomes of that run."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from engram.engine import owners
from engram.engine.core import Core
from engram.kernel.drive import Perform
from engram.kernel.effects import Effect
from engram.kernel.errors import BudgetExceeded, Conflict, ModelUnavailable
from engram.kernel.protocols import Batch, EndJob, Job, Lease, Op, PutJob, Require

__all__ = ["LEASE", "Run", "held", "lease_time"]

LEASE = timedelta(seconds=300)
_LONGEST = timedelta(days=1)
_LONGEST_WAIT = 300.0
_LONGEST_ASKED = 3600.0
_SPREAD = 60.0


def lease_time(core: Core) -> timedelta:
    """How long a job is kept from others: longer than one question takes with all its retries.

    Every reply renews it.
    """
    if core.chat is None:
        return LEASE
    seconds = 2 * (core.chat.timeout + core.chat.patience) + 60
    return max(LEASE, timedelta(seconds=min(seconds, _LONGEST.total_seconds())))


def held(core: Core, id: str) -> Job | None:
    """The job as it stands in the store."""
    return next(iter(core.store.jobs(ids=[id])), None)


@dataclass
class Run:
    """One run of a job, under a lease of its own.

    It may be given up (`drop`) by another thread than those that perform its effects, as when an `await`
    is cancelled: then the lease is kept until the last effect that is under way has come to its end, so
    that no other run asks a model what is being paid for.
    """

    core: Core
    job: Job
    time: timedelta
    under_way: int = 0
    dropped: Callable[[], None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, core: Core, job: Job, time: timedelta | None = None) -> Run:
        """A run that is to begin."""
        return cls(core, replace(job, owner=owners.new()), time or lease_time(core))

    @property
    def owner(self) -> str:
        """The run's name in the lease."""
        return self.job.owner or ""

    def begin(self) -> bool:
        """Take the job, unless it is gone or its lane is taken by a run that goes on."""
        if not self._take() and not (self._free_dead() and self._take()):
            return False
        if self.dropped is not None:
            self.dropped()
        return True

    def _take(self) -> bool:
        now = self.core.now()
        try:
            self.core.store.commit(Batch((Lease(self.job.id, self.owner, now, now + self.time),)))
        except Conflict:
            return False
        return True

    def _free_dead(self) -> bool:
        """Take leases of the lane away from runs that are gone; whether there were any."""
        dead = [
            PutJob(replace(other, owner=None, until=None), if_exists=True)
            for other in self.core.store.jobs(self.job.scope)
            if other.owner is not None and owners.is_dead(other.owner)
        ]
        if dead:
            self.core.store.commit(Batch(tuple(dead)))
        return bool(dead)

    def counted(self, perform: Perform) -> Perform:
        """`perform`, with what is under way counted."""

        def performing(effect: Effect[Any], path: str) -> Any:
            with self._effect():
                return perform(effect, path)

        return performing

    @contextmanager
    def _effect(self) -> Iterator[None]:
        with self.lock:
            self.under_way += 1
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1
                drop = self.dropped if not self.under_way else None
            if drop is not None:
                drop()

    def renew(self, ops: Sequence[Op] = ()) -> None:
        """Hold the job for a further time, and commit `ops` with that. Raises `Conflict` where it is lost."""
        now = self.core.now()
        self.core.store.commit(Batch((Lease(self.job.id, self.owner, now, now + self.time), *ops)))

    def journal(self, replies: dict[str, Any], reads: tuple[str, ...]) -> None:
        """Keep paid replies with the job, so that a rerun does not pay twice; the lease is renewed.

        Raises `Conflict` where something that the program had read is erased: the reply may hold words of
        it; or where another run has the lane. The reply to a run whose lease is past is kept.
        """
        now = self.core.now()
        kept = replace(self.job, journal=replies, reads=reads, until=now + self.time)
        there = Require(tuple((id, None) for id in reads))
        found = held(self.core, self.job.id)
        ours = found is not None and found.owner == self.owner
        free = replace(kept, owner=None, until=None)
        if ours and not self._ending():
            ops = (there, EndJob(self.job.id, self.owner), PutJob(kept))
            self.core.store.commit(Batch(ops))
        else:
            lease = Lease(self.job.id, self.owner, now, now)
            self.core.store.commit(Batch((there, lease, PutJob(free, if_exists=True))))

    def _ending(self) -> bool:
        with self.lock:
            return self.dropped is not None and self.under_way <= 1

    def drop(self, error: Exception | None = None, *, park: bool = False) -> None:
        """Give the job up: at once, or when what is under way has ended."""

        def give_back() -> None:
            try:
                self.give_back(error, park=park)
            finally:
                self.end()

        with self.lock:
            self.dropped = give_back
            busy = self.under_way > 0
        if not busy:
            give_back()

    def give_back(self, error: Exception | None, *, park: bool = False) -> None:
        """Write down what went wrong, if anything did; let go of the lease where it is this run's still."""
        found = held(self.core, self.job.id)
        if found is None or found.owner != self.owner:
            return
        opens = error.again if isinstance(error, BudgetExceeded) else None  # waiting is no failed attempt
        attempts = found.attempts + (error is not None and opens is None)
        wait = _wait(error, found.id, attempts) if error is not None and opens is None and not park else None
        freed = replace(
            found,
            owner=None,
            until=None,
            attempts=attempts,
            status="parked" if park else "pending",
            not_before=self.core.now() + wait if wait else opens,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )
        self.core.store.commit(Batch((PutJob(freed, if_exists=True),)))

    def end(self) -> None:
        """The run is over, whatever it has left in the store."""
        owners.over(self.owner)


def _wait(error: Exception, id: str, attempts: int) -> timedelta:
    """Twice as long each time, up to five minutes, or as long as the model's server asks for, up to an hour.

    Then up to half as long again, at most a minute, by chance from the job's id: jobs that failed together
    do not come back together.
    """
    asked = error.retry_after if isinstance(error, ModelUnavailable) else None
    least = max(min(2.0**attempts, _LONGEST_WAIT), min(asked or 0.0, _LONGEST_ASKED))
    draw = hashlib.blake2b(f"{id}/{attempts}".encode(), digest_size=4).digest()
    return timedelta(seconds=least + min(least / 2, _SPREAD) * int.from_bytes(draw, "big") / 2**32)
