"""What a memory is opened on: a store of this process, or a service."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict, Unpack

from engram.client.service import Service, is_service
from engram.config import default_url, open_core, service_key
from engram.engine.chat import Chat
from engram.engine.core import Core
from engram.kernel.chat import ChatModel
from engram.kernel.clock import Clock
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy
from engram.kernel.protocols import AskingReranker, Embedder, Reranker
from engram.kernel.schema import Schema

__all__ = ["Settings", "opened", "service_of"]


class Settings(TypedDict):
    """The settings of a store that is opened here."""

    policy: Policy | str | None
    embedder: Embedder | str | None
    model: Chat | ChatModel | str | None
    reranker: Reranker | AskingReranker | str | None
    schema: Schema | None
    durability: str
    cache_mb: int
    clock: Clock | None
    seed: int


_USUAL = Settings(
    policy=None,
    embedder=None,
    model=None,
    reranker=None,
    schema=None,
    durability="process",
    cache_mb=512,
    clock=None,
    seed=0,
)


def opened(url: str | Service | None, key: str | None, **settings: Unpack[Settings]) -> Core | Service:
    """The store at `url`, opened, or the service that answers there.

    Raises `ConfigError` where one is given what only the other has, and what `open_core` raises.
    """
    address = default_url() if url is None else url
    if isinstance(address, Service) or is_service(address):
        given = [name for name, value in settings.items() if value != _USUAL.get(name)]
        if given:
            raise ConfigError(
                f"{', '.join(given)}: a service has settings of its own, given where it is started "
                "(engram serve); leave them out here"
            )
        return service_of(address, key)
    if key is not None:
        raise ConfigError("key: a store needs none; a key is for a service, with a url such as https://host")
    return open_core(address, **settings)


def service_of(url: str | Service, key: str | None) -> Service:
    """The service, with its key. Raises `ConfigError` where there is none."""
    service = Service(url, key) if isinstance(url, str) else url
    if key is not None and service.key not in (None, key):
        raise ConfigError("key: the service has one already; give it once")
    return replace(service, key=replace(service, key=service.key or key).keyed(service_key))
