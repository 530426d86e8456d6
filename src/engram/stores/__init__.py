"""Stores: transactional databases of records, versions, edges, jobs, states and index entries."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, cast

from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import ConfigError
from engram.kernel.keeping import Keeper
from engram.kernel.protocols import Store
from engram.kernel.show import plain_url

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["keeper_of", "open_store"]

GROUP = "engram.stores"
_POSTGRES = ("postgresql", "postgres")
_SERVICES = ("http", "https")
_BUILT_IN = {
    "ram": "engram.stores.ram:open_ram",
    "router": "engram.stores.router:open_router",
    "sqlite": "engram.stores.sqlite:open_sqlite",
    **dict.fromkeys(_POSTGRES, "engram.stores.postgres:open_postgres"),
}


def open_store(
    url: str | None, *, durability: str = "process", clock: Clock = utc_now, seed: int = 0
) -> Store:
    """The store at `url`: `ram:`, `sqlite:///relative/path`, `sqlite:////absolute/path`, `postgresql://…`.

    Further schemes come from installed packages, by entry points of the group `engram.stores`: the name
    is the scheme, the object a callable with this function's arguments. `durability` is `process`
    (survives `kill -9`) or `power` (survives a power cut too). `clock` and `seed` decide the ids.
    Raises `ConfigError` for what cannot be opened and `NeedsMigration` for a store of a newer version.
    """
    if durability not in ("process", "power"):
        raise ConfigError(f"durability: {durability!r} is unknown; it may be 'process' or 'power'")
    if not url or ":" not in url:
        raise ConfigError(f"url: {plain_url(url or '')!r} is no store; it may be {_known()}")
    scheme = _scheme(url)
    if (opener := _opener(scheme)) is not None:
        return cast("Store", opener(url, durability=durability, clock=clock, seed=seed))
    raise ConfigError(f"url: no store is installed for {scheme!r}; it may be {_known()}")


def keeper_of(url: str) -> Keeper | None:
    """Who looks after the store at `url`; `None` where nobody does.

    Raises `ConfigError` for a url that names no store of its kind.
    """
    scheme = _scheme(url)
    if scheme in _POSTGRES:
        from engram.stores.postgres import keeper_of_postgres

        return keeper_of_postgres(url)
    if scheme != "sqlite":
        return None
    from engram.stores.sqlite.keeper import SqliteKeeper
    from engram.stores.sqlite.store import path_of

    return SqliteKeeper(path_of(url))


def _scheme(url: str) -> str:
    """What a url begins with. Raises `ConfigError` for a service, which has a store and is none."""
    scheme = url.partition(":")[0].lower()
    if scheme in _SERVICES:
        raise ConfigError(
            f"url: {plain_url(url)} is a service, and this needs the store itself; do it where the store lies"
        )
    return scheme


@cache
def _opener(scheme: str) -> Callable[..., object] | None:
    """What opens stores of a scheme; looked up once, as going through what is installed takes 20 ms."""
    from importlib.metadata import entry_points  # 30 ms that importing this module can do without

    for entry in entry_points(group=GROUP, name=scheme) or _built_in(scheme):
        return cast("Callable[..., object]", entry.load())
    return None


def _built_in(scheme: str) -> list[EntryPoint]:
    """The built-in's own entry point, for a source tree that is on the path without being installed."""
    from importlib.metadata import EntryPoint

    return [EntryPoint(scheme, _BUILT_IN[scheme], GROUP)] if scheme in _BUILT_IN else []


def _known() -> str:
    from importlib.metadata import entry_points

    others = entry_points(group=GROUP).names - _BUILT_IN.keys()
    return ", ".join(["ram:", "sqlite:///path", "postgresql://…", *(f"{name}:…" for name in sorted(others))])
