"""A router's databases and the tenants in them: what `engram tenants` shows and changes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from engram.kernel.errors import ConfigError, Conflict, InvalidInput, NotFound
from engram.kernel.protocols import Batch, PutInfo, Store
from engram.kernel.show import plain_url
from engram.stores import open_store
from engram.stores.router import Place, Route, RouterStore

__all__ = ["Database", "add_database", "databases", "place_tenant", "router_at", "tenants"]

_IDENTITY = ("analyser", "embedder", "dimensions")
_NOT_MEMBERS = ("ram", "router")


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a router: where it is, without a password, and what it holds."""

    name: str
    url: str
    tenants: int
    versions: int


def router_at(url: str) -> RouterStore:
    """The router at a url. Raises `ConfigError` where that is another kind of store."""
    store = open_store(url)
    if not isinstance(store, RouterStore):
        store.close()
        raise ConfigError(
            f"{plain_url(url)!r} is no router; name one, such as router:postgresql://host/directory"
        )
    return store


def databases(router: RouterStore) -> list[Database]:
    """The databases, in the order in which they were added."""
    places = router.members.directory.places()
    homes = [route.database for route in router.members.directory.routes()]
    return [
        Database(
            place.name,
            plain_url(place.url),
            homes.count(place.name),
            int(router.members.store(place.name).info().get("versions", 0)),
        )
        for place in places.values()
    ]


def tenants(router: RouterStore, database: str | None = None) -> list[Route]:
    """Where each tenant lives, by tenant; of one database alone. Raises `NotFound` for an unknown one."""
    if database is not None:
        _known(router, database)
    return [route for route in router.members.directory.routes() if database in (None, route.database)]


def add_database(router: RouterStore, name: str, url: str) -> int:
    """Add a database, with the tenants that it holds already; gives how many those are.

    Raises `InvalidInput` for a name or url that is there and for a store that cannot be one of a router's,
    `Conflict` where it was written with another embedder, or holds a tenant who lives elsewhere.
    """
    members = router.members
    if url.partition(":")[0].lower() in _NOT_MEMBERS:
        raise InvalidInput(
            f"{plain_url(url)!r} cannot be a database of a router; name one that outlives a process"
        )
    if not name or not name.isprintable() or len(name) > 64:
        raise InvalidInput(f"database {name!r}: a name is 1 to 64 printable characters")
    places = members.directory.places()
    with closing(open_store(url, seed=len(places) + 1)) as store:
        if places:
            _agree(router, store)
        found = sorted({scope.tenant for scope, _ in store.scopes()})
        for tenant in found:
            route = members.directory.route(tenant)
            if route is not None:
                raise Conflict(
                    f"the database holds tenant {tenant!r}, who lives in {route.database}: export and import "
                    "that tenant, or forget it in one of the two"
                )
    members.directory.add(Place(name, url))
    for tenant in found:
        members.admit(members.placed(tenant, name), (0, 0))
    return len(found)


def place_tenant(router: RouterStore, tenant: str, database: str) -> Route:
    """Give a tenant that has not come yet a database. Raises `InvalidInput` for one that has."""
    _known(router, database)
    route = router.members.directory.route(tenant)
    if route is not None:
        raise InvalidInput(f"tenant {tenant!r} lives in {route.database}; engram tenants move moves it")
    return router.members.placed(tenant, database)


def _agree(router: RouterStore, store: Store) -> None:
    """See that the new database and the others have one embedder, and different ids."""
    facts, theirs = router.info(), store.info()
    for key in _IDENTITY:
        if key in facts and theirs.get(key, facts[key]) != facts[key]:
            raise Conflict(
                f"the database has {key} {theirs[key]!r}, the others {facts[key]!r}; run engram reembed on it"
            )
    for member_name, member in router.members.stores():
        if member.info()["tag"] == theirs["tag"]:
            raise InvalidInput(f"the database is {member_name}, or a copy of its files; add an empty one")
    missing = [PutInfo(key, facts[key]) for key in _IDENTITY if key in facts and key not in theirs]
    if missing:
        store.commit(Batch(tuple(missing)))


def _known(router: RouterStore, database: str) -> None:
    names = router.members.directory.places()
    if database not in names:
        raise NotFound(f"there is no database {database!r}; it may be {', '.join(names) or 'none yet'}")
