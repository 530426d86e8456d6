"""The store `router:URL`: many databases, each tenant in one of them, which the directory at URL names."""

from __future__ import annotations

from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import ConfigError
from engram.kernel.protocols import Store, Waking
from engram.kernel.show import plain_url
from engram.stores.router.directory import Directory, Place, Route
from engram.stores.router.members import Members
from engram.stores.router.store import RouterStore, WakingRouter

__all__ = ["Directory", "Place", "Route", "RouterStore", "open_router"]


def open_router(
    url: str, *, durability: str = "process", clock: Clock = utc_now, seed: int = 0
) -> RouterStore:
    """The store of `router:URL`, where URL is the store that keeps the directory.

    It keeps no records; the databases are in the directory, any stores that outlive a process. Raises
    `ConfigError` where that URL cannot be opened.
    """
    from engram.stores import open_store

    inner = url.partition(":")[2]
    if inner.partition(":")[0].lower() in ("router", ""):
        raise ConfigError(
            f"url: {plain_url(url)} names no directory; write router:postgresql://host/directory"
        )

    def opening(member: str, number: int) -> Store:
        return open_store(member, durability=durability, clock=clock, seed=seed + 1 + number)

    directory = Directory(open_store(inner, durability=durability, clock=clock, seed=seed))
    members = Members(directory, opening)
    waking = directory.places() and all(isinstance(store, Waking) for _, store in members.stores())
    return WakingRouter(members) if waking else RouterStore(members)
