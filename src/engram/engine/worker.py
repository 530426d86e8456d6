"""A worker: does what is owed, whoever left it, until it is stopped; purges and tends besides."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engram.engine import upkeep
from engram.engine.core import Core
from engram.engine.jobs import Outcome
from engram.engine.lease import held
from engram.engine.results import Item, Receipt
from engram.engine.revise import purge
from engram.engine.turns import Done, Shift
from engram.engine.waking import Bell
from engram.kernel.drive import Perform, outcome, run
from engram.kernel.effects import Effect, Task
from engram.kernel.errors import BudgetExceeded, Conflict, EngramError, ModelError
from engram.kernel.protocols import Batch, PutInfo, RequireInfo
from engram.kernel.scope import Scope

__all__ = ["Besides", "Worker"]

_TENDED = "tended"  # when a worker last tended the store
_BUSY = 30.0  # seconds that jobs may keep a worker from the rest


class _Stopped(BaseException):
    """The worker is told to stop: whatever is in hand ends before its next effect."""


@dataclass(frozen=True)
class Besides:
    """What a worker did besides jobs: `what` is `purge`, or `tend` with the scope that was tended."""

    what: str
    receipt: Receipt
    seconds: float
    scope: Scope | None = None


@dataclass
class Worker:
    """Does owed jobs of a scope (a pattern; `None`: all), one after the other, in the calling thread.

    Any number of workers, in as many processes, share the work of one store. `poll` is how many seconds
    pass between two looks at a store where nothing is due and that cannot tell of new jobs by itself. With
    `tend_every` the store is tended when no worker has done so for that long. `lease` is how long a job is
    kept from others without a sign of life (default: longer than a model may take for one question).
    `stop`, called by a signal's handler or another thread, ends the work.
    """

    core: Core
    scope: Scope | None = None
    poll: float = 2.0
    tend_every: timedelta | None = None
    lease: timedelta | None = None
    _told: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._bell = Bell(self.core.waking)

    def stop(self) -> None:
        """End the work: a model's reply that is under way is waited for and kept, the job given back."""
        self._told.set()
        self._bell.ring()

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._told.is_set()

    def work(self, *, once: bool = False) -> Iterator[Done | Besides]:
        """Each thing that was done, when it is done: until `stop`, or (`once`) until nothing more is due.

        With `once` no job is tried twice. Raises `NeedsMigration` where the store was rewritten with
        another embedder, and `StoreError`; what else goes wrong with a job is written down with it.
        """
        around, concurrency = self.core.around, self.core.concurrency
        self.core.around = lambda perform: self._stoppable(perform if around is None else around(perform))
        try:
            yield from self._work(concurrency, once=once)
        except _Stopped:
            return
        finally:
            self._bell.close()
            self.core.around = around

    def _stoppable(self, perform: Perform) -> Perform:
        """`perform`, which begins no effect of a policy any more when the worker is told to stop."""

        def performing(effect: Effect[Any], path: str) -> Any:
            if self.stopped and not isinstance(effect, Task):
                raise _Stopped
            return perform(effect, path)

        return performing

    def _work(self, concurrency: int, *, once: bool) -> Iterator[Done | Besides]:
        shift = Shift(self.core, self.scope, self.lease)
        tried: set[str] = set()
        last = time.monotonic()
        while not self.stopped:
            done = self._job(shift, tried if once else (), concurrency)
            if done is not None:
                tried = {*tried, done.job.id} if once else tried
                yield done
            if done is None or time.monotonic() > last + _BUSY:
                yield from self._besides()
                last = time.monotonic()
            if done is None:
                if once:
                    return
                self._bell.wait(self.poll)

    def _job(self, shift: Shift, tried: set[str] | tuple[()], concurrency: int) -> Done | None:
        """Run the next job; a bug in the policy's code is told as the parked job that it left."""
        began = time.monotonic()
        done, error = outcome(lambda: run(shift.one(tried), self.core.performed, concurrency=concurrency))
        if error is None:
            return done
        job = None if shift.job is None else held(self.core, shift.job.id)
        if isinstance(error, EngramError) or job is None or job.status != "parked":
            raise error
        reason = f"parked: {type(error).__name__}: {error}"
        return Done(job, Outcome([Item("failed", None, reason=reason)], left=True), time.monotonic() - began)

    def _besides(self) -> Iterator[Besides]:
        began = time.monotonic()
        info = self.core.store.info()
        if info.get("purge") == "pending" and purge(self.core) == "done":
            yield Besides("purge", Receipt((), purge="done"), time.monotonic() - began)
        if self.tend_every is None or self.stopped:
            return
        key = _TENDED if self.scope is None else f"{_TENDED}:{_digest(self.scope)}"
        before = info.get(key)
        now = self.core.now()
        if before is not None and now < datetime.fromisoformat(before) + self.tend_every:
            return
        claim = RequireInfo(((key, before),)), PutInfo(key, now.isoformat())
        try:
            self.core.store.commit(Batch(claim))
        except Conflict:  # another worker does it
            return
        whole = False
        try:
            for scope in self._tenants():
                yield self._tend(scope)
            whole = True
        finally:
            if not whole:  # so that the next worker does
                self.core.store.commit(Batch((PutInfo(key, before),)))

    def _tenants(self) -> list[Scope]:
        if self.scope is not None:
            return [self.scope]
        return list(dict.fromkeys(Scope(found.tenant) for found, _ in self.core.store.scopes()))

    def _tend(self, scope: Scope) -> Besides:
        began = time.monotonic()
        try:
            receipt = run(upkeep.tend(self.core, scope, 0.0), self.core.performed)
        except (Conflict, ModelError, BudgetExceeded) as error:
            reason = f"{type(error).__name__}: {error}"
            receipt = Receipt((Item("failed", None, reason=reason),))
        return Besides("tend", receipt, time.monotonic() - began, scope)


def _digest(scope: Scope) -> str:
    """A name for a scope that holds no id of it."""
    return hashlib.blake2b(repr(scope.to_dict()).encode(), digest_size=8).hexdigest()
