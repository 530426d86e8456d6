"""A memory that is a service: the faces' calls over HTTP, and what a service has besides."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engram.client.events import Change, JobEvent
from engram.client.service import Service

if TYPE_CHECKING:
    from engram.client.adesk import AsyncClient as AsyncClient
    from engram.client.desk import Client as Client

__all__ = ["AsyncClient", "Change", "Client", "JobEvent", "Service"]

_HOMES = {"AsyncClient": "engram.client.adesk", "Client": "engram.client.desk"}


def __getattr__(name: str) -> Any:
    """Those that need the packages of `engram[client]`, loaded when they are first used."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engram.client' has no attribute {name!r}")
