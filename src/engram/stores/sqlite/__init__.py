"""The store `sqlite:`."""

from engram.stores.sqlite.migrate import Migration
from engram.stores.sqlite.store import SqliteStore, open_sqlite

__all__ = ["Migration", "SqliteStore", "open_sqlite"]
