"""The databases of a router, opened as they are needed, and where each tenant lives."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from engram.kernel.errors import ConfigError, Conflict, StoreError
from engram.kernel.protocols import Store
from engram.stores.router.directory import Directory, Place, Route
from engram.stores.router.fence import served, set_fence

__all__ = ["Members", "Owners"]

_LOOK = 60.0  # seconds for which it is known how full the databases are
_KEPT = 200_000
Open = Callable[[str, int], Store]


class Owners:
    """To which tenants ids belong: the latest that passed through this process."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def learn(self, pairs: Iterable[tuple[str, str]]) -> None:
        """These ids belong to these tenants."""
        with self._lock:
            self._tenants.update(pairs)
            while len(self._tenants) > _KEPT:
                self._tenants.popitem(last=False)

    def of(self, ids: Iterable[str]) -> dict[str, str]:
        """The tenants of those ids that are known."""
        with self._lock:
            return {id: self._tenants[id] for id in ids if id in self._tenants}

    def forget(self, ids: Iterable[str]) -> None:
        """Look these up anew the next time."""
        with self._lock:
            for id in ids:
                self._tenants.pop(id, None)


class Members:
    """The databases by name, and the routes; thread-safe."""

    def __init__(self, directory: Directory, opening: Open) -> None:
        self.directory = directory
        self._opening = opening
        self._lock = threading.RLock()
        self._places: dict[str, Place] = {}
        self._stores: dict[str, Store] = {}
        self._routes: dict[str, Route] = {}
        self._every: tuple[object, dict[str, str]] = (None, {})
        self._loads: tuple[float, dict[str, int]] = (0.0, {})
        self._closed = False

    def names(self) -> list[str]:
        """All databases, in the order in which they were added. Raises `ConfigError` where there is none."""
        with self._lock:
            if not self._places:
                self._reload()
            return list(self._places)

    def store(self, name: str) -> Store:
        """A database, opened."""
        with self._lock:
            self._alive()
            if name not in self._stores:
                if name not in self._places:
                    self._reload()
                number = list(self._places).index(name)
                self._stores[name] = self._opening(self._places[name].url, number)
            return self._stores[name]

    def stores(self) -> list[tuple[str, Store]]:
        """All databases, opened; those that were added meanwhile included."""
        with self._lock:
            self._reload()
            return [(name, self.store(name)) for name in self._places]

    def route(self, tenant: str) -> Route | None:
        """Where a tenant lives, as this process last knew; `None` for one that has not come yet."""
        route = self._routes.get(tenant)
        if route is None:
            self._alive()
            route = self.directory.route(tenant)
            if route is not None:
                self._routes[tenant] = route
        return route

    def forget(self, tenant: str) -> None:
        """Look the tenant's route up anew the next time."""
        self._routes.pop(tenant, None)

    def every_route(self, stamp: object) -> Mapping[str, str]:
        """The database of every tenant, at a stamp of the directory."""
        with self._lock:
            if self._every[0] != stamp:
                self._every = stamp, {route.tenant: route.database for route in self.directory.routes()}
            return self._every[1]

    def placed(self, tenant: str, name: str | None = None) -> Route:
        """The route of a tenant; one that is new is given a place: the one named, or the emptiest."""
        while True:
            route = self.route(tenant)
            if route is not None:
                return route
            try:
                route = self.directory.put(Route(tenant, name or self._emptiest()))
            except Conflict:  # another process was faster
                time.sleep(0.01)
                continue
            self._routes[tenant] = route
            return route

    def admit(self, route: Route, above: tuple[int, int]) -> None:
        """Let the database of a new tenant serve it. Raises `Conflict` where it has left already."""
        set_fence(self.store(route.database), route.tenant, served(route.moves), None, above=above)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            self._closed = True
            stores, self._stores = self._stores, {}
        for store in stores.values():
            store.close()
        self.directory.close()

    def _alive(self) -> None:
        if self._closed:
            raise StoreError("the store is closed; open it again")

    def _reload(self) -> None:
        self._alive()
        self._places = self.directory.places()
        if not self._places:
            raise ConfigError("the router has no database yet; engram tenants add NAME URL adds one")

    def _emptiest(self) -> str:
        """The database with the fewest versions."""
        with self._lock:
            looked, loads = self._loads
            if not loads or time.monotonic() - looked > _LOOK:
                loads = {name: int(store.info().get("versions", 0)) for name, store in self.stores()}
                self._loads = time.monotonic(), loads
            name = min(loads, key=lambda item: loads[item])
            loads[name] += 1
            return name
