"""A store over several databases: each tenant's memory is in one of them, which a directory names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from engram.kernel.errors import StoreError
from engram.kernel.protocols import (
    Batch,
    Committed,
    Entry,
    Job,
    Position,
    Select,
    SelectEdges,
    StateRow,
    Store,
    Waking,
)
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.stores.router import facts, merged
from engram.stores.router.commit import PATIENCE, Commits
from engram.stores.router.directory import OWNER, Route
from engram.stores.router.fence import held, serves
from engram.stores.router.members import Members, Owners
from engram.stores.router.naming import edge_key, job_key
from engram.stores.router.preselect import RoutedCandidates
from engram.stores.shared import sortable

__all__ = ["RouterStore", "WakingRouter"]

_MOVES = 40  # bits of a position's erasures that are left to the database
_PAUSE = 0.02
_PATIENCE = 10.0
T = TypeVar("T")


class RouterStore(RoutedCandidates):
    """A store over the databases that a directory names, each a store of engram's.

    A tenant's records, edges, states and jobs are in one database; a commit goes to the one of its tenant,
    as one transaction there. Facts about the store are written to every database, one after the other.
    `patience` is how many seconds a commit waits while its tenant is moved.
    """

    def __init__(self, members: Members, *, patience: float = PATIENCE) -> None:
        self.members = members
        self._owners = Owners()
        self._commits = Commits(self.members, self._owners, patience)

    def commit(self, batch: Batch) -> Committed:
        """Apply the operations in one transaction of the database that their tenant lives in.

        Raises `InvalidInput` for operations on tenants of two databases, `StoreError` where a move takes
        longer than a commit waits.
        """
        return self._commits.commit(batch)

    def select(self, what: Select) -> list[Record]:
        """Records or versions; a page over several databases may be longer by those of the same arrival."""
        if what.scope is not None:
            return self._learned(self._at(what.scope.tenant, lambda store: store.select(what)))
        ids = what.ids if what.ids is not None else what.derived_from
        tenant = None if ids is None or what.origins is not None else self._owner(ids)
        if tenant is not None:
            found = self._at(tenant, lambda store: store.select(what))
            if what.ids is None or {record.id for record in found} >= set(what.ids):
                return self._learned(found)
        pages = self._everywhere(
            lambda store, limit: store.select(merged.limited(what, limit)),
            what.limit,
            lambda record: record.scope.tenant,
        )
        return self._learned(merged.records(pages, what))

    def entries(self, scope: Scope, after: int = 0, limit: int = 5000, history: bool = False) -> list[Entry]:
        """Index entries with a sequence above `after`, by sequence."""
        found = self._at(scope.tenant, lambda store: store.entries(scope, after, limit, history))
        self._owners.learn((entry.id, scope.tenant) for entry in found)
        return found

    def sequence(self, tenant: str | None = None) -> Position:
        """Where the history of a tenant stands, or the highest of all; a move counts as an erasure."""
        if tenant is None:
            positions = [store.sequence() for _, store in self.members.stores()]
            last, erasures = max(item.last for item in positions), max(item.erasures for item in positions)
            self._commits.saw(Position(last, erasures))
            return Position(last, erasures)
        route, position = self._routed(tenant, lambda store: store.sequence(), Position(0, 0))
        self._commits.saw(position)
        moves = 0 if route is None else route.moves
        return position._replace(erasures=position.erasures + (moves << _MOVES))

    def edges(self, what: SelectEdges) -> list[Edge]:
        """Edges."""
        if what.scope is not None:
            found = self._at(what.scope.tenant, lambda store: store.edges(what))
        else:
            keys = what.touching if what.touching is not None else what.standing_on
            tenant = None if keys is None or what.ids is not None else self._owner(keys)
            if tenant is not None:
                found = self._at(tenant, lambda store: store.edges(what))
            else:
                pages = self._everywhere(
                    lambda store, limit: store.edges(merged.limited_edges(what, limit)),
                    what.limit,
                    lambda edge: edge.scope.tenant,
                )
                found = merged.edges(pages, what)
        self._owners.learn((edge_key(edge.id), edge.scope.tenant) for edge in found)
        return found

    def states(self, scope: Scope, policy: str | None = None, name: str | None = None) -> list[StateRow]:
        """States by (policy, scope, name)."""
        found = self._at(scope.tenant, lambda store: store.states(scope, policy, name))
        return [row for row in found if row.policy != OWNER]

    def jobs(
        self, scope: Scope | None = None, kind: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Jobs, oldest first."""
        if scope is not None:
            found = self._at(scope.tenant, lambda store: store.jobs(scope, kind, ids))
        else:
            pages = self._everywhere(
                lambda store, _: store.jobs(None, kind, ids), None, lambda job: job.scope.tenant
            )
            found = sorted(pages, key=lambda job: (job.created, job.id))
        self._owners.learn((job_key(job.id), job.scope.tenant) for job in found)
        return found

    def scopes(self, pattern: Scope | None = None) -> list[tuple[Scope, int]]:
        """Scopes with records, and how many latest versions are open in each."""
        if pattern is not None:
            return self._at(pattern.tenant, lambda store: store.scopes(pattern))
        found = self._everywhere(lambda store, _: store.scopes(), None, lambda item: item[0].tenant)
        return sorted(found, key=lambda item: sortable(item[0]))

    @property
    def home(self) -> Store:
        """Where facts are kept that concern no tenant and no database, such as a service's keys."""
        return self.members.directory.store

    def info(self) -> Mapping[str, str]:
        """Facts about the store: what all databases agree on, and the sums of what they count."""
        return facts.joined(self.members)

    def check(self) -> list[str]:
        """What is structurally wrong in any database, and between them."""
        return facts.problems(self.members)

    def purge(self) -> bool:
        """Make bytes of expunged content vanish from every database; False where one of them cannot now."""
        done = [store.purge() for _, store in self.members.stores()]  # each, even where one cannot
        return all(done)

    def close(self) -> None:
        """Close all databases and the directory; further calls raise `StoreError`."""
        self.members.close()

    def _owner(self, ids: Iterable[str]) -> str | None:
        """The one tenant to whom all of these ids belong, as far as this process knows."""
        wanted = set(ids)
        known = self._owners.of(wanted)
        return merged.in_one_tenant(known.values()) if len(known) == len(wanted) else None

    def _learned(self, found: list[Record]) -> list[Record]:
        self._owners.learn((record.id, record.scope.tenant) for record in found)
        return found

    def _at(self, tenant: str, work: Callable[[Store], list[T]]) -> list[T]:
        """What `work` reads in the tenant's database; nothing where the tenant has not come yet."""
        return self._routed(tenant, work, list[T]())[1]

    def _routed(self, tenant: str, work: Callable[[Store], T], empty: T) -> tuple[Route | None, T]:
        """What `work` reads, and the route; afterwards the database is asked whether it still serves it."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            route = self.members.route(tenant)
            if route is None:
                return None, empty
            store = self.members.store(route.database)
            found = work(store)
            if serves(held(store, tenant), route):
                return route, found
            self.members.forget(tenant)
            if time.monotonic() > deadline:
                raise StoreError(
                    f"tenant {tenant!r} is in no database that serves it; engram tenants move finishes a move"
                )
            time.sleep(_PAUSE)

    def _everywhere(
        self,
        work: Callable[[Store, int | None], list[T]],
        limit: int | None,
        tenant: Callable[[T], str],
    ) -> list[T]:
        """What `work` reads in all databases, of tenants in the one they live in, at one stamp of the routes.

        A tenant that is being moved may be in two.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            stamp = self.members.directory.stamp()
            routes = self.members.every_route(stamp)
            found: list[T] = []
            for name, store in self.members.stores():
                page = work(store, limit)
                kept = [item for item in page if routes.get(tenant(item)) == name]
                if limit is not None and len(page) >= limit > len(kept):
                    kept = [item for item in work(store, None) if routes.get(tenant(item)) == name]
                found += kept
            if self.members.directory.stamp() == stamp:
                return found
            if time.monotonic() > deadline:
                raise StoreError("tenants are placed and moved too fast to read all of them; try again")


class WakingRouter(RouterStore):
    """The same where every database tells of new jobs at once."""

    def watch(self, told: threading.Event) -> Callable[[], None]:
        """Have `told` set whenever anybody has put or ended jobs; what is given back ends that."""
        stores = [store for _, store in self.members.stores()]
        quiet = [store.watch(told) for store in stores if isinstance(store, Waking)]

        def end() -> None:
            for each in quiet:
                each()

        return end
