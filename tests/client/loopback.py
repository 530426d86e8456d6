"""A real server on loopback, in a thread of this process, that serves any number of memories."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from engram import AsyncMemory, Memory
from engram.client import Service
from engram.client.apart import Far
from engram.engine.core import Core
from engram.kernel.scope import Scope
from engram.serve.app import build
from engram.serve.audit import Audit
from engram.serve.service import Service as Serving
from serve.service import PATIENCE, WIDE

App = Any


class Loopback:
    """Applications by the first part of the path, which is taken off."""

    def __init__(self) -> None:
        self.url = ""
        self.apps: dict[str, App] = {}
        self.memories: list[AsyncMemory] = []
        self.given: list[Memory] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Hand a request on."""
        if scope["type"] != "http":
            return
        _, name, rest = scope["path"].split("/", 2)
        raw = scope["raw_path"].split(b"/", 2)[2]
        await self.apps[name]({**scope, "path": f"/{rest}", "raw_path": b"/" + raw}, receive, send)

    def serve(
        self,
        memory: AsyncMemory,
        rights: str = "admin",
        tenant: str = "*",
        users: str = "*",
        audit: Path | None = None,
    ) -> tuple[str, str]:
        """Serve a memory: its url, and a key, of everything unless it says otherwise."""
        service = Serving(memory, Audit(audit), WIDE)
        _, token = service.keyring.store.create(rights=rights, tenant=tenant, users=users)
        name = f"m{len(self.apps)}"
        self.apps[name] = build(service)
        self.memories.append(memory)
        return f"{self.url}/{name}", token

    def opened(self, url: str = "ram:", **settings: Any) -> Memory:
        """A memory as a program has it that is served here. Its `core` is the service's, to look into."""
        served = AsyncMemory(url, **settings)
        place, token = self.serve(served)
        memory = Memory(place, key=token)
        object.__setattr__(memory._bound, "place", _Seen(Service(place, token), served._bound.core))
        self.given.append(memory)
        return memory


class _Seen(Far):
    """A service whose store a test may look into."""

    def __init__(self, service: Service, core: Core) -> None:
        super().__init__(service)
        self._core = core

    @property
    def core(self) -> Core:
        """The service's."""
        return self._core

    def scope(self, ids: Mapping[str, str]) -> Scope:
        """As a store has it, which a test may look into under this name."""
        return Scope.of(**ids)


@contextmanager
def loopback() -> Iterator[Loopback]:
    """A server that listens, until the end of the block."""
    made = Loopback()
    config = uvicorn.Config(made, port=0, lifespan="off", log_level="warning", access_log=False, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            for given in made.given:
                given.close()
            for memory in made.memories:
                memory._bound.core.close()
