"""The store `postgresql://…`, in the extra `engram[postgres]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import MissingExtra

if TYPE_CHECKING:
    from engram.stores.postgres.keeper import PostgresKeeper
    from engram.stores.postgres.store import PostgresStore

__all__ = ["keeper_of_postgres", "open_postgres"]


def open_postgres(
    url: str, *, durability: str = "process", clock: Clock = utc_now, seed: int = 0
) -> PostgresStore:
    """The store of `postgresql://user:password@host/database?schema=…&tenant=…`; made if need be.

    Raises `MissingExtra` without psycopg, `ConfigError` for what cannot be reached, `NeedsMigration` for a
    store of a newer engram.
    """
    try:
        from engram.stores.postgres.store import PostgresStore
        from engram.stores.postgres.target import target_of
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return PostgresStore(target_of(url), durability=durability, clock=clock, seed=seed)


def keeper_of_postgres(url: str) -> PostgresKeeper:
    """Who looks after the store at `url`. Raises `MissingExtra` without psycopg."""
    try:
        from engram.stores.postgres.keeper import PostgresKeeper
        from engram.stores.postgres.target import target_of
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return PostgresKeeper(target_of(url))


def _missing(error: ModuleNotFoundError) -> Exception:
    """The refusal where it is the driver that is not installed."""
    return MissingExtra("PostgreSQL", "postgres") if (error.name or "").startswith("psycopg") else error
