"""How a service is reached: its address, the key, and how patient one is with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from engram.kernel.errors import ConfigError
from engram.kernel.show import plain_url

__all__ = ["SCHEMES", "Service", "is_service"]

SCHEMES = ("http", "https")
"""The schemes of urls that name a service, not a store."""
_LOCAL_NAMES = ("localhost",)


def is_service(url: object) -> bool:
    """Whether a url names a service that is reached over HTTP."""
    return isinstance(url, str) and url.partition("://")[0].lower() in SCHEMES and "://" in url


@dataclass(frozen=True)
class Service:
    """A service that `engram serve` runs, for `Memory(…)` in place of a store's url.

    `url` is where it answers, `https://host`, with a path where a proxy puts one before its routes. `key` is
    what `engram keys create` has printed (default: `ENGRAM_KEY`); it is never shown. A request waits
    `timeout` seconds for an answer, and 10 s at most for a connection. One that fails on the way, or that
    the service puts off, is sent again up to `retries` times, after as long as the service says, else after
    about 0.2 s, 0.4 s, 0.8 s …; it is not waited for where the service asks for more than `patience` seconds.
    `connections` are held open at most. `verify` is the path of a file of certificates to trust besides the
    system's. A key is sent over plain HTTP to this machine alone, unless `plain_http` allows it.

    Raises `ConfigError` for what cannot work.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 120.0
    retries: int = 4
    patience: float = 60.0
    connections: int = 20
    verify: str | None = None
    plain_http: bool = False

    def __post_init__(self) -> None:
        parts = _split(self.url)
        if parts.scheme == "http" and not self.plain_http and not _is_here(parts.hostname or ""):
            raise ConfigError(
                f"{plain_url(self.url)}: over plain HTTP everybody on the way could read the key and "
                "the memory; use https://, a tunnel to 127.0.0.1, or say Service(…, plain_http=True)"
            )
        if self.key is not None:
            _check_key(self.key)
        for name, least in (("timeout", 0.001), ("retries", 0), ("patience", 0), ("connections", 1)):
            _at_least(name, getattr(self, name), least)

    @property
    def address(self) -> str:
        """Scheme, host, port and path, without a slash at its end."""
        return self.url.strip().rstrip("/")

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine: then no proxy is asked."""
        return _is_here(_split(self.url).hostname or "")

    def keyed(self, default: Callable[[], str | None]) -> str:
        """The key, or the default. Raises `ConfigError` where there is none."""
        key = self.key or default()
        if not key:
            raise ConfigError(
                f"{plain_url(self.url)}: a service needs a key: give key=… or set ENGRAM_KEY; "
                "engram keys create makes one where the service runs"
            )
        _check_key(key)
        return key


def _split(url: object) -> SplitResult:
    """The parts of a url. Raises `ConfigError`, which repeats nothing that may be a secret."""
    if not isinstance(url, str):
        raise ConfigError(f"url: expected text such as https://memory.example.com, got {type(url).__name__}")
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - it is read where it is asked for
    except ValueError as error:
        raise ConfigError("url: it is no url; give one such as https://memory.example.com:8765") from error
    if parts.username is not None or parts.password is not None:
        raise ConfigError("url: it holds a name or a password; leave them out and give key=… or ENGRAM_KEY")
    if parts.query or parts.fragment:
        raise ConfigError("url: it has a query or a fragment; leave that out, and give the key as key=…")
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ConfigError(f"url: {plain_url(url):.200} is no service; it is like https://memory.example.com")
    return parts


def _is_here(host: str) -> bool:
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_key(key: object) -> None:
    if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("key: expected what engram keys create has printed, without spaces around it")


def _at_least(name: str, value: object, least: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= least:
        raise ConfigError(f"{name}: expected a number from {least} up, got {value!r:.40}")
