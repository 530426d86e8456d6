"""Moving a tenant from one database of a router to another, while it is used."""

from __future__ import annotations

from dataclasses import replace

from engram.engine.copying import copy_note, copy_store
from engram.engine.identity import Guarded
from engram.engine.progress import Progress
from engram.engine.results import Copied
from engram.kernel.errors import Conflict, EngramError, InvalidInput, NotFound
from engram.kernel.protocols import (
    Batch,
    Committed,
    EndJob,
    Expunge,
    Op,
    PutEdge,
    PutInfo,
    PutState,
    Select,
    SelectEdges,
    Store,
)
from engram.kernel.scope import Scope
from engram.stores.router.directory import Route
from engram.stores.router.fence import arriving, fact, frozen, has_left, held, left, served, set_fence
from engram.stores.router.members import Members

__all__ = ["move_tenant"]

_PAGE = 256
_CATCHING_UP = 3
_GONE = "engram:gone"


def move_tenant(members: Members, tenant: str, goal: str, progress: Progress | None = None) -> Copied | None:
    """Move a tenant to the database `goal`, or finish a move that was broken off.

    Gives what the copy holds, `None` where a move was only finished or taken back.

    It is copied while it is read and written, then once more while writes wait, compared, and then served
    from `goal` alone and erased where it was. Naming the database that the tenant still lives in takes a
    move back that was broken off. Raises `NotFound` for an unknown tenant or database, `InvalidInput` for a
    tenant who lives there, `Conflict` where another move of the tenant has to be finished first, and as
    `copy_store` does; the tenant then goes on being served from where it was.
    """
    if goal not in members.names():
        raise NotFound(f"there is no database {goal!r}; it may be {', '.join(members.names())}")
    members.forget(tenant)
    route = members.route(tenant)
    if route is None:
        raise NotFound(f"tenant {tenant!r} has no database yet; engram tenants place gives it one")
    if route.goal is not None and goal == route.database:
        _taken_back(members, route)
        return None
    unfinished = route.goal or (route.database if route.left is not None else None)
    if unfinished not in (None, goal):
        raise Conflict(
            f"tenant {tenant!r} is on its way to {unfinished}; engram tenants move {tenant} {unfinished} "
            "finishes that"
        )
    copied: Copied | None = None
    if route.left is None:
        if goal == route.database:
            raise InvalidInput(f"tenant {tenant!r} lives in {goal} already; name another database")
        if route.goal is None:
            route = members.directory.put(replace(route, goal=goal))
        route, copied = _copied(members, route, goal, progress)
    _finished(members, route)
    return copied


def _copied(members: Members, route: Route, goal: str, progress: Progress | None) -> tuple[Route, Copied]:
    """Copy until little is behind, then once more while writes wait; then name the new database.

    Who lets writes wait, or go on, writes the route first: whoever did that last may go on alone.
    """
    tenant, number = route.tenant, route.moves + 1
    source, target = members.store(route.database), members.store(goal)
    stand = held(target, tenant)
    if not (stand is None or stand == arriving(number) or has_left(stand)):
        raise Conflict(f"{goal} stands at {stand!r} to tenant {tenant!r}; run engram verify on the router")
    set_fence(target, tenant, arriving(number), stand)
    behind = _Behind(target, {fact(tenant): arriving(number)})
    for _ in range(_CATCHING_UP):
        if copy_store(source, behind, tenant, progress, fenced=True).behind == 0:
            break
    route = members.directory.put(route)
    set_fence(source, tenant, frozen(route.moves), served(route.moves), None)
    try:
        copied = copy_store(source, behind, tenant, progress, fenced=True, still=True)
        return members.directory.put(Route(tenant, goal, number, None, route.database, route.version)), copied
    except EngramError:
        members.directory.put(route)
        set_fence(source, tenant, served(route.moves), frozen(route.moves))
        raise


def _finished(members: Members, route: Route) -> None:
    """Let the new database serve the tenant and no other, then erase what the old one holds."""
    tenant, moves = route.tenant, route.moves
    if route.left is None:
        return
    source, target = members.store(route.left), members.store(route.database)
    set_fence(source, tenant, left(moves), frozen(moves - 1))
    set_fence(target, tenant, served(moves), arriving(moves))
    members.forget(tenant)
    _erase(source, tenant, left(moves))
    _forget_copy(source, target, tenant, served(moves))
    members.directory.put(replace(route, left=None))
    members.forget(tenant)


def _taken_back(members: Members, route: Route) -> None:
    """End a move before its switch: the tenant stays, and what was copied is erased."""
    tenant, number = route.tenant, route.moves + 1
    source, target = members.store(route.database), members.store(route.goal or "")
    route = members.directory.put(route)
    if held(target, tenant) == arriving(number):
        set_fence(target, tenant, left(number), arriving(number))
    if held(target, tenant) == left(number):
        _erase(target, tenant, left(number))
        _forget_copy(source, target, tenant, left(number))
    if held(source, tenant) == frozen(route.moves):
        set_fence(source, tenant, served(route.moves), frozen(route.moves))
    members.directory.put(replace(route, goal=None))
    members.forget(tenant)


def _forget_copy(source: Store, target: Store, tenant: str, stand: str) -> None:
    """Remove what the copy has written down about itself."""
    _Behind(target, {fact(tenant): stand}).commit(Batch((PutInfo(copy_note(source, tenant), None),)))


def _erase(store: Store, tenant: str, stand: str) -> None:
    """Destroy all that a database holds of a tenant who is not served there."""
    behind, pattern = _Behind(store, {fact(tenant): stand}), Scope(tenant)
    while page := store.select(Select(scope=pattern, closed=True, limit=_PAGE)):
        behind.commit(Batch((Expunge(tuple(record.id for record in page)),)))
    gone = Expunge((_GONE,))  # what stands on this goes with it
    ops: list[Op] = [EndJob(job.id) for job in store.jobs(pattern)]
    ops += [
        PutState(replace(row, value=None, version=row.version + 1, reads=(_GONE,)))
        for row in store.states(pattern)
    ]
    ops += [
        PutEdge(replace(edge, metadata={}, sources=(_GONE,)))
        for edge in store.edges(SelectEdges(pattern, history=True))
    ]
    if ops:
        behind.commit(Batch((*ops, gone)))
    store.purge()


class _Behind(Guarded):
    """A database that is written to only while it stands to a tenant as it should."""

    def commit(self, batch: Batch) -> Committed:
        """As the store's. Raises `Conflict` where somebody else has finished or taken back the move."""
        return self._store.commit(replace(batch, ops=(self._required, *batch.ops)))
