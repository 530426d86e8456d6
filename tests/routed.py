"""Routers for tests."""

from __future__ import annotations

from engram.stores import open_store
from engram.stores.router import Directory, Place

__all__ = ["routed"]


def routed(directory: str, *members: str) -> str:
    """The url of a router over these databases, whose directory is in the first."""
    store = open_store(directory)
    known = Directory(store)
    for number, member in enumerate(members):
        known.add(Place(f"db{number}", member))
    store.close()
    return f"router:{directory}"
