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

    `patience` is how many seconds requests under way get when it is told to stop. `admin` is the admin key
    that whoever runs the service has chosen; without one, the first start makes one. `metrics` is a host and
    a port for Prometheus alone, without a key; `measured` is told its url.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    audit: Path | None = None
    limits: Limits = field(default_factory=Limits)
    doorway: Doorway = field(default_factory=Doorway)
    patience: int = _PATIENCE
    admin: str | None = field(default=None, repr=False)
    metrics: tuple[str, int] | None = None
    measured: Callable[[str], None] = print


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
            first = _first(service, settings.admin)
            server = _server(service, settings, lambda: told(_address(listening), first))
        with _measured(service, settings):
            _held_back(lambda: server.run([listening]))


@contextmanager
def _measured(service: Service, settings: Settings) -> Iterator[None]:
    """Answer Prometheus at a port of its own, where one is wanted. Raises `ConfigError`, `MissingExtra`."""
    meters = service.traffic.meters
    if settings.metrics is None:
        yield
        return
    if meters is None:
        raise MissingExtra("metrics", "serve")
    from engram.observe.port import metrics_port

    with metrics_port(meters, settings.metrics) as url:
        settings.measured(url)
        yield


def _first(service: Service, admin: str | None) -> str | None:
    """The first key, where it has just been made; the one that is chosen nobody has to be told."""
    if admin is None:
        return service.keyring.store.first()
    service.keyring.store.appoint(admin)
    return None


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
    from engram.serve.speech import spoken

    return uvicorn.Config(
        build(service, settings.doorway),
        http=spoken(settings.limits.quiet),
        access_log=False,
        log_config=None,
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
