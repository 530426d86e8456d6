"""Commits of a router: to the database of their tenant, behind its fence."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from engram.kernel.errors import Conflict, InvalidInput, StoreError
from engram.kernel.protocols import (
    Batch,
    Committed,
    Expunge,
    Op,
    Position,
    PutInfo,
    RequireInfo,
    Reserve,
    Select,
    Stage,
    Switch,
)
from engram.stores.router.directory import Route
from engram.stores.router.fence import fact, held, served
from engram.stores.router.finding import Finder
from engram.stores.router.members import Members, Owners
from engram.stores.router.naming import EVERYWHERE, SEVERABLE, named
from engram.stores.shared import check_info, not_staged

__all__ = ["PATIENCE", "Commits"]

PATIENCE = 30.0
_PAUSE = 0.02
_ALIGNED = 100


class Commits:
    """Where the operations of a batch go, and the highest numbers that this process has seen.

    What is committed next counts on from those numbers, so that a position grows with each of its commits.
    `patience` is how many seconds a commit waits while its tenant is moved.
    """

    def __init__(self, members: Members, owners: Owners, patience: float = PATIENCE) -> None:
        self._members = members
        self._owners = owners
        self._finder = Finder(members, owners)
        self._patience = patience
        self._seen = Position(0, 0)
        self._latest: str | None = None
        self._lock = threading.Lock()

    def saw(self, position: Position) -> None:
        """Count on from there."""
        with self._lock:
            seen = self._seen
            self._seen = Position(max(seen.last, position.last), max(seen.erasures, position.erasures))

    def commit(self, batch: Batch) -> Committed:
        """Apply the operations; raises as `RouterStore.commit` does."""
        self.saw(Position(*batch.above))
        try:
            return self._routed(batch.ops)
        except Conflict:
            if not self._mistaken(batch.ops):
                raise
        return self._routed(batch.ops)

    def _mistaken(self, ops: Sequence[Op]) -> bool:
        """Whether an id has been given to another tenant since this process heard of it."""
        concerned = named(ops)
        known = self._owners.of(concerned.keys)
        if not known:
            return False
        found = self._finder.tenants(concerned, fresh=True)
        return any(found.get(key, tenant) != tenant for key, tenant in known.items())

    def _routed(self, ops: Sequence[Op]) -> Committed:
        erasing = any(isinstance(op, Expunge) for op in ops)
        owners, homes = self._whose(ops, fresh=erasing)
        if len(set(homes.values())) > 1 and not erasing:
            owners, homes = self._whose(ops, fresh=True)  # perhaps an id has another tenant by now
        tenants, databases = list(homes), list(dict.fromkeys(homes.values()))
        shared = [op for op in ops if isinstance(op, EVERYWHERE)]
        for op in shared:
            if isinstance(op, PutInfo):
                check_info(op)
        if any(isinstance(op, Switch) for op in shared):
            self._see_staged(ops)
        if len(databases) > 1:
            alone = (*SEVERABLE, *EVERYWHERE, RequireInfo)
            if not all(isinstance(op, alone) for op in ops):
                raise InvalidInput(
                    f"the batch concerns the tenants {', '.join(tenants)}, whose databases differ: "
                    "commit what belongs to each by itself"
                )
            return self._severed(ops, owners, homes, shared=bool(shared))
        if not shared:
            return self._at(databases[0] if databases else self._members.names()[0], tenants, ops)
        return self._everywhere(databases, tenants, ops, shared)

    def _whose(self, ops: Sequence[Op], *, fresh: bool) -> tuple[dict[str, str], dict[str, str]]:
        """The tenants of the ids in a batch, and the databases of all tenants that it concerns."""
        concerned = named(ops)
        owners = self._finder.tenants(concerned, fresh=fresh)
        tenants = sorted(concerned.tenants | set(owners.values()))
        return owners, {tenant: self._members.placed(tenant).database for tenant in tenants}

    def _severed(
        self, ops: Sequence[Op], owners: Mapping[str, str], homes: Mapping[str, str], *, shared: bool
    ) -> Committed:
        """Apply operations that each stand alone in their databases; what concerns all, in every one."""
        change_set = 0
        for name in self._members.names() if shared else dict.fromkeys(homes.values()):
            here = [
                op for op in ops if not isinstance(op, SEVERABLE) or homes.get(owners.get(op.id, "")) == name
            ]
            tenants = [tenant for tenant, home in homes.items() if home == name]
            change_set = max(change_set, self._at(name, tenants, here).change_set)
        return Committed(change_set)

    def _everywhere(
        self, homes: Sequence[str], tenants: Sequence[str], ops: Sequence[Op], shared: Sequence[Op]
    ) -> Committed:
        """Apply what concerns every database to each; the rest of the batch goes with the first."""
        names = [name for name, _ in self._members.stores()]
        first = homes[0] if homes else names[0]
        checks = [op for op in ops if isinstance(op, RequireInfo)]
        reserving = all(isinstance(op, Reserve) for op in ops)
        for _ in range(_ALIGNED):
            self._align(names)
            above = self._seen
            done = self._at(first, tenants, ops, above)
            others = [
                self._members.store(name).commit(Batch((*checks, *shared), above)).change_set
                for name in names
                if name != first
            ]
            if not reserving or {done.change_set} >= set(others):
                break  # numbers that are reserved must be free in every database
        else:
            raise StoreError("the databases are written to too fast to reserve numbers; try again")
        self._align(names)
        return replace(done, change_set=max(done.change_set, *others, 0))

    def _align(self, names: Sequence[str]) -> None:
        """Count on from the highest numbers of all databases."""
        for name in names:
            self.saw(self._members.store(name).sequence())
        self._latest = None

    def _see_staged(self, ops: Sequence[Op]) -> None:
        """Refuse a switch that some database would refuse, before any has done it."""
        staged = {(op.id, op.version) for op in ops if isinstance(op, Stage)}
        some = Select(history=True, unstaged=True, limit=len(staged) + 1)
        stores = [store for _, store in self._members.stores()]
        if any((item.id, item.version) not in staged for store in stores for item in store.select(some)):
            every = (item for store in stores for item in store.select(replace(some, limit=None)))
            raise not_staged(min(item.id for item in every if (item.id, item.version) not in staged))

    def _at(
        self, name: str, tenants: Sequence[str], ops: Sequence[Op], above: Position | None = None
    ) -> Committed:
        """Apply operations in one database, while it serves these tenants."""
        deadline = time.monotonic() + self._patience
        served_before = False
        while True:
            routes = [self._members.placed(tenant) for tenant in tenants]
            homes = {route.database for route in routes} or {name}
            if len(homes) > 1:
                raise Conflict("a tenant of the batch was moved to another database meanwhile; try again")
            (name,) = homes
            store = self._members.store(name)
            fence = RequireInfo(tuple((fact(route.tenant), served(route.moves)) for route in routes))
            counted = above or self._above(name)
            try:
                done = store.commit(Batch((fence, *ops) if routes else tuple(ops), counted))
            except Conflict:
                stands = [held(store, route.tenant) for route in routes]
                if all(stand == served(route.moves) for route, stand in zip(routes, stands, strict=True)):
                    if served_before or not routes:
                        raise
                    served_before = True  # the tenant may have been let in since: then that was the conflict
                    continue
                served_before = False
                for route, stand in zip(routes, stands, strict=True):
                    self._look_again(route, stand, counted, deadline)
                continue
            self._latest = name
            self.saw(Position(done.change_set, 0))
            self._finder.learn(ops, done)
            return done

    def _look_again(self, route: Route, stand: str | None, above: Position, deadline: float) -> None:
        """Let a new tenant in, or wait for one that is being moved, and look up where it lives now."""
        if stand == served(route.moves):
            return
        if stand is None and route.moves == 0:
            with suppress(Conflict):  # another process was faster
                self._members.admit(route, above)
            return
        self._members.forget(route.tenant)
        if time.monotonic() > deadline:
            raise StoreError(f"tenant {route.tenant!r} is being moved to another database; try again")
        time.sleep(_PAUSE)

    def _above(self, name: str) -> Position:
        """From where the next commit counts: behind what this process has committed elsewhere."""
        latest = self._latest
        if latest is not None and latest != name:
            self.saw(self._members.store(latest).sequence())
        return self._seen
