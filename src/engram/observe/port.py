"""A port for Prometheus alone: the metrics of one process, without a key, of this machine by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from engram.kernel.errors import ConfigError
from engram.observe.meters import Meters

__all__ = ["address", "metrics_port"]

_HERE: Final = "127.0.0.1"


def address(text: str) -> tuple[str, int]:
    """Host and port of `PORT` or `HOST:PORT`; the host is this machine where none is named.

    Raises `ConfigError`.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ConfigError(f"--metrics: {text!r:.80} is no port; give one such as 9464, or HOST:PORT")
    return host.strip("[]") or _HERE, int(port)


@contextmanager
def metrics_port(meters: Meters, at: tuple[str, int]) -> Iterator[str]:
    """Answer at an address meanwhile; the value is the url. Raises `ConfigError` where it is taken."""
    from prometheus_client import start_http_server

    host, port = at
    try:
        server, thread = start_http_server(port, addr=host, registry=meters.registry)
    except OSError as error:
        raise ConfigError(f"--metrics: {host} port {port} cannot be listened at ({error})") from error
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
