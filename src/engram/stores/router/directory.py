"""The directory: which databases there are, and in which of them each tenant lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.protocols import Batch, PutState, StateRow, Store
from engram.kernel.scope import Scope

__all__ = ["Directory", "Place", "Route"]

OWNER = "engram:router"
_HOME = Scope("engram:router")
_ROUTE, _DATABASES = "route", "databases"


@dataclass(frozen=True, slots=True)
class Place:
    """A database of a router: its name there, and its url."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a tenant lives, and how often it has moved.

    While it moves, `goal` is the database that it moves to, or, once it is there, `left` the one where it
    is still to be erased. `version` counts what was written about it.
    """

    tenant: str
    database: str
    moves: int = 0
    goal: str | None = None
    left: str | None = None
    version: int = 0


class Directory:
    """What a router keeps in its own store; every change is a compare-and-swap."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def places(self) -> dict[str, Place]:
        """The databases by name, in the order in which they were added."""
        row = self._row(_HOME, _DATABASES)
        return {} if row is None else {item["name"]: Place(**item) for item in row.value}

    def add(self, place: Place) -> None:
        """Add a database. Raises `InvalidInput` where its name or url is there."""
        for known in self.places().values():
            if place.name == known.name or place.url == known.url:
                raise InvalidInput(f"database {known.name!r} is there already: use another name and url")
        self._set_places({**self.places(), place.name: place})

    def route(self, tenant: str) -> Route | None:
        """Where a tenant lives; `None` for one that has not come yet."""
        row = self._row(replace(_HOME, user_id=tenant), _ROUTE)
        return None if row is None else _route(row)

    def routes(self) -> list[Route]:
        """Every tenant's route, by tenant."""
        rows = self._store.states(_HOME)
        return [_route(row) for row in rows if (row.policy, row.name) == (OWNER, _ROUTE)]

    def stamp(self) -> object:
        """What changes whenever the directory does."""
        return self._store.sequence()

    @property
    def store(self) -> Store:
        """The store that the directory is kept in."""
        return self._store

    def info(self) -> Mapping[str, str]:
        """Facts about the directory's own store."""
        return self._store.info()

    def put(self, route: Route) -> Route:
        """Write down where a tenant lives, unless another process did meanwhile: raises `Conflict`."""
        fresh = replace(route, version=route.version + 1)
        value = {"database": fresh.database, "moves": fresh.moves, "goal": fresh.goal, "left": fresh.left}
        self._write(replace(_HOME, user_id=route.tenant), _ROUTE, value, fresh.version)
        return fresh

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def _row(self, scope: Scope, name: str) -> StateRow | None:
        return next(iter(self._store.states(scope, OWNER, name)), None)

    def _set_places(self, places: Mapping[str, Place]) -> None:
        row = self._row(_HOME, _DATABASES)
        value = [{"name": item.name, "url": item.url} for item in places.values()]
        self._write(_HOME, _DATABASES, value, 1 if row is None else row.version + 1)

    def _write(self, scope: Scope, name: str, value: Any, version: int) -> None:
        try:
            self._store.commit(Batch((PutState(StateRow(OWNER, scope, name, value, version)),)))
        except Conflict as error:
            raise Conflict("the directory was changed by another process meanwhile; try again") from error


def _route(row: StateRow) -> Route:
    return Route(row.scope.user_id or "", version=row.version, **row.value)
