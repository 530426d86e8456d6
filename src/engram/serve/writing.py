"""What a key may change: the calls of the face, each through the guard; and keys, for admins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from engram.engine import queue
from engram.engine.ingest import Once
from engram.engine.jobs import is_ours
from engram.engine.results import Imported, Receipt, Report
from engram.engine.turns import Shift
from engram.kernel.adrive import arun
from engram.kernel.errors import Forbidden, NotFound
from engram.kernel.operations import Job
from engram.kernel.record import ONCE
from engram.kernel.scope import Scope
from engram.serve.guard import Given, Guard
from engram.serve.keys import Key
from engram.serve.reading import Reading

__all__ = ["Keeping", "Writing"]

_LOOK = 0.1
_MARGIN = timedelta(seconds=1)  # the key is made a moment after it was looked at
Options = Mapping[str, Any]


class Writing:
    """The changing calls within what a key reaches. Raises what the faces raise, and `Forbidden`."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    async def add(self, messages: object, given: Given, options: Options, once: str | None = None) -> Receipt:
        """Store messages; under an idempotency key, those without an id of their own get one made of it."""
        named = messages if once is None else _named(messages, f"{ONCE}{self.guard.key.id}:{once}")
        with self.guard.passing("add", "write", self.guard.reach(given)) as passage:
            receipt = await self.guard.service.memory.add(named, **options, **passage.ids)
            passage.saw(receipt.ids)
        return receipt

    async def add_triples(
        self, triples: list[object], given: Given, options: Options, once: str | None = None
    ) -> Receipt:
        """Store triples; under an idempotency key as `add` does."""
        named = triples if once is None else _named(triples, f"{ONCE}{self.guard.key.id}:{once}")
        with self.guard.passing("add_triples", "write", self.guard.reach(given)) as passage:
            receipt = await self.guard.service.memory.add_triples(
                cast("Sequence[object]", named), **options, **passage.ids
            )
            passage.saw(receipt.ids)
        return receipt

    async def cited(self, question: str, given: Given, options: Options) -> Receipt:
        """Tell the policy which records an answer stood on."""
        with self.guard.passing("cited", "write", self.guard.reach(given)) as passage:
            receipt = await self.guard.service.memory.cited(question, **options, **passage.ids)
            passage.saw(options["cited"])
        return receipt

    async def edit(self, id: str, given: Given, options: Options) -> Receipt:
        """Open a new version of a record."""
        with self.guard.passing("edit", "write", await self.guard.home(id, given)) as passage:
            receipt = await self.guard.service.memory.edit(id, **options, **passage.ids)
            passage.saw(receipt.ids)
        return receipt

    async def forget(
        self, ids: list[str] | None, given: Given, *, everyone: bool = False, dry_run: bool = False
    ) -> Receipt:
        """Erase records or a scope."""
        reached = self.guard.reach(given, looked_at=ids is not None)
        for id in ids or ():
            await self.guard.home(id, given)
        with self.guard.passing("forget", "write", reached) as passage:
            receipt = await self.guard.service.memory.forget(
                ids, everyone=everyone, dry_run=dry_run, **passage.ids
            )
            passage.saw(receipt.ids)
        return receipt

    async def undo(self, change_set: str, given: Given) -> Receipt:
        """Reverse a commit."""
        with self.guard.passing("undo", "write", self.guard.reach(given)) as passage:
            receipt = await self.guard.service.memory.undo(change_set, **passage.ids)
            passage.saw(receipt.ids)
        return receipt

    async def import_(self, path: Path, given: Given, options: Options) -> Imported:
        """Read a file into a scope; for a key of everything that names none, into those that it names."""
        whole = self.guard.of_everything and not any(given.values())
        with self.guard.passing("import", "write", {} if whole else self.guard.reach(given)) as passage:
            imported = await self.guard.service.memory.import_(path, **options, **passage.ids)
            passage.saw([], imported.stored)
        return imported

    async def tend(self, given: Given) -> Receipt:
        """Erase what has expired, finish owed work, and let the policy tend what it made."""
        with self.guard.passing("tend", "write", self.guard.reach(given)) as passage:
            receipt = await self.guard.service.memory.tend(**passage.ids)
            passage.saw(receipt.ids)
        return receipt

    async def retry(self, id: str, given: Given) -> dict[str, Any]:
        """Make a parked job pending again."""
        return await self._decide("retry", id, given)

    async def drop(self, id: str, given: Given) -> dict[str, Any]:
        """Give a job up."""
        return {**await self._decide("drop", id, given), "status": "dropped"}

    async def wait(self, seconds: float, given: Given, *, work: bool = False) -> dict[str, Any]:
        """Wait until nothing is owed in a scope, for at most so long.

        With `work` the service does what it can, where the key may write; else whoever does it.
        """
        guard, until = self.guard, time.monotonic() + seconds
        whole = guard.of_everything and not any(given.values())
        with guard.passing("wait", "read", {} if whole else guard.reach(given, looked_at=True)) as passage:
            lane = None if whole else passage.lane
            reached = lane is None or guard.key.covers(lane.tenant, lane.user_id)
            shift = Shift(guard.service.core, lane) if work and reached and guard.key.may("write") else None
            while True:
                if shift is not None:
                    await self._worked(shift, until)
                jobs = await self._owed(lane)
                over = guard.service.stopping.is_set() or time.monotonic() >= until
                more = any(job.status == "pending" and is_ours(guard.service.core, job) for job in jobs)
                if over or not (more or (shift is None and any(job.status == "pending" for job in jobs))):
                    break
                await asyncio.sleep(_LOOK)
        parked = sum(job.status == "parked" for job in jobs)
        return {"done": not jobs, "pending": len(jobs) - parked, "parked": parked, "more": more}

    async def verify(self, *, mend: bool = False) -> Report:
        """Prove what is derived against the records of the whole store, or (`mend`) make it anew."""
        call = "repair" if mend else "verify"
        with self.guard.passing(call, "admin", {}) as passage:
            if not self.guard.of_everything:
                raise Forbidden(f"{call} looks at the whole store: it needs a key of every tenant and user")
            memory = self.guard.service.memory
            report = await (memory.repair() if mend else memory.verify())
            passage.saw([], report.checked)
        return report

    async def _worked(self, shift: Shift, until: float) -> None:
        """Do what is due, a job at a time, until that is all or time is up."""
        core = self.guard.service.core
        while not self.guard.service.stopping.is_set():
            if await arun(shift.one(), core.performed) is None or time.monotonic() >= until:
                return

    async def _owed(self, lane: Scope | None) -> list[Job]:
        """What is owed, of what the key reaches."""
        found: list[Job] = await asyncio.to_thread(self.guard.service.core.call, queue.owed, lane)
        return [job for job in found if self.guard.key.covers(job.scope.tenant, job.scope.user_id)]

    async def _decide(self, call: str, id: str, given: Given) -> dict[str, Any]:
        core = self.guard.service.core
        with self.guard.passing(call, "write", self.guard.reach(given, looked_at=True)) as passage:
            job = await Reading(self.guard).found(id, passage.lane)
            decide = queue.retry if call == "retry" else queue.drop
            done = await asyncio.to_thread(core.call, decide, id, Scope.of(tenant=job.scope.tenant))
            passage.saw([id])
        return queue.to_dict(core, done)


class Keeping:
    """The calls about keys. A key reaches no key that reaches further than itself."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._keys = guard.service.keyring.store

    async def all(self) -> list[Key]:
        """The keys within its reach."""
        with self.guard.passing("keys", "admin", {}) as passage:
            found = [key for key in await asyncio.to_thread(self._keys.all) if self._within(key)]
            passage.saw(key.id for key in found)
        return found

    async def create(
        self, *, name: str, rights: str, tenant: str | None, users: str, lasts: timedelta | None
    ) -> tuple[Key, str]:
        """A new key, and its token."""
        mine = self.guard.key
        asked = tenant if tenant is not None else mine.tenant
        with self.guard.passing("keys.create", "admin", {}) as passage:
            if not mine.includes(asked, users):
                raise Forbidden(f"this key makes keys of tenant {mine.tenant!r}, users {mine.users!r} alone")
            lasts = self._at_most(lasts)
            made = await asyncio.to_thread(
                lambda: self._keys.create(name=name, rights=rights, tenant=asked, users=users, lasts=lasts)
            )
            passage.saw([made[0].id])
        await self.guard.service.keyring.refresh()
        return made

    async def rotate(self, id: str, grace: timedelta) -> tuple[Key, str]:
        """A key with a new secret, and its token."""
        with self.guard.passing("keys.rotate", "admin", {}) as passage:
            await self._mine(id)
            turned = await asyncio.to_thread(self._keys.rotate, id, grace)
            passage.saw([id])
        await self.guard.service.keyring.refresh()
        return turned

    async def revoke(self, id: str) -> Key:
        """A key that is ended for good."""
        with self.guard.passing("keys.revoke", "admin", {}) as passage:
            await self._mine(id)
            ended = await asyncio.to_thread(self._keys.revoke, id)
            passage.saw([id])
        await self.guard.service.keyring.refresh()
        return ended

    def _at_most(self, lasts: timedelta | None) -> timedelta | None:
        """How long a key lasts that this one makes: no longer than itself. Raises `Forbidden` for longer."""
        if self.guard.key.expires is None:
            return lasts
        left = self.guard.key.expires - self.guard.service.core.now() - _MARGIN
        if left <= timedelta(0) or (lasts is not None and lasts > left):
            raise Forbidden(f"this key ends in {left}, and makes no key that lasts longer; give fewer days")
        return left if lasts is None else lasts

    async def _mine(self, id: str) -> None:
        """Raise `NotFound` where a key is not within reach, as where it is not there."""
        found = [key for key in await asyncio.to_thread(self._keys.all) if key.id == id and self._within(key)]
        if not found:
            raise NotFound(f"there is no key {id!r:.40} within the reach of this one")

    def _within(self, key: Key) -> bool:
        return self.guard.key.includes(key.tenant, key.users)


def _named(messages: object, once: str) -> object:
    """The messages, stored under ids made of an idempotency key where they have none: none is added twice."""
    if not isinstance(messages, list):
        return Once(messages, once)
    return [Once(message, f"{once}:{place}") for place, message in enumerate(messages)]
