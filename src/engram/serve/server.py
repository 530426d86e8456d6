"""Running a service: one process that answers until it is told to stop, and then ends what is under way."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from engram.kernel.errors import ConfigError, MissingExtra
from engram.serve.doorway import Doorway
from engram.serve.limits import Limits

if TYPE_CHECKING:
    import uvicorn

    from engram.aio import AsyncMemory
    from engram.serve.service import Service

__all__ = ["Settings", "serve"]

_PATIENCE = 30
_BACKLOG = 512


@dataclass(frozen=True)
class Settings:
    """Where a service listens, where its audit goes (`None`: nowhere), what it takes, and its `/mcp`.

    `patience` is how many seconds requests under way get when it is told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    audit: Path | None = None
    limits: Limits = field(default_factory=Limits)
    doorway: Doorway = field(default_factory=Doorway)
    patience: int = _PATIENCE


def serve(
    opened: Callable[[], AsyncMemory], settings: Settings, told: Callable[[str, str | None], None]
) -> None:
    """Serve a memory until SIGINT or SIGTERM.

    `told` is called when it listens, with its address, and with the first admin key where there was none
    yet: nobody can tell that again. Raises `MissingExtra` without the packages of `engram[serve]`, and
    `ConfigError` where the address is taken.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise MissingExtra("a service", "serve")
    with closing(_listening(settings.host, settings.port)) as listening:
        with _undisturbed():
            from engram.serve.audit import Audit
            from engram.serve.service import Service

            service = Service(opened(), Audit(settings.audit), settings.limits)
            first = service.keyring.store.first()
            server = _server(service, settings, lambda: told(_address(listening), first))
        _held_back(lambda: server.run([listening]))


def _server(service: Service, settings: Settings, listens: Callable[[], None]) -> uvicorn.Server:
    """A server that says when it listens, and whose streams end when it is told to stop."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                listens()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            service.stopping.set()
            super().handle_exit(sig, frame)

    return Server(_configured(service, settings))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without a search for garbage: what a start loads stays, and is not looked at later either."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _configured(service: Service, settings: Settings) -> uvicorn.Config:
    """How the server speaks HTTP."""
    import uvicorn

    from engram.serve.app import build

    return uvicorn.Config(
        build(service, settings.doorway),
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        lifespan="on",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=settings.patience,
        h11_max_incomplete_event_size=64 << 10,
    )


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _held_back(run: Callable[[], None]) -> None:
    """Run what raises the signals that stopped it again when it has ended: they say nothing new."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens, so that nobody is told of a key before it does. Raises `ConfigError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(
            family, kind, protocol
        )  # asyncio turns Nagle's delay off where it reads TCP here
    except OSError as error:
        raise ConfigError(f"--host: {host!r} is no address to listen at ({error.strerror})") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        found.close()
        raise ConfigError(f"{host} port {port} cannot be listened at ({error}); give another") from error
    found.setblocking(False)
    return found
