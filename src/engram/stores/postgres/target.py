"""What a url says about a PostgreSQL store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from engram.kernel.errors import ConfigError

__all__ = ["Target", "target_of"]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_OWN = ("schema", "tenant", "pool", "wait", "pgbouncer")
_MOST = 1000
_TRUE, _FALSE = ("1", "true", "on", "yes"), ("0", "false", "off", "no")
_PORTS = re.compile(r"[0-9]*(,[0-9]*)*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a store lies: what libpq is told, the schema, and what this handle may see.

    `tenant` binds the handle to one tenant (`None`: all). `pool` is the most connections at once, `wait`
    how many seconds a call waits for a lock or for a database that is away. `pooled` says that a pooler in
    between lends a connection for one transaction only. `said` are the names of what libpq is told.
    """

    conninfo: str
    place: str
    schema: str = "engram"
    tenant: str | None = None
    pool: int = 8
    wait: float = 30.0
    pooled: bool = False
    said: frozenset[str] = frozenset()

    @property
    def channel(self) -> str:
        """The channel on which this store's jobs are told."""
        return f"engram_{self.schema}"


def target_of(url: str) -> Target:
    """What `postgresql://user:password@host:port/database?schema=…&tenant=…` says.

    Further parameters of the query (`sslmode`, `host`, `target_session_attrs`, …) are libpq's. Raises
    `ConfigError` for what cannot be meant, without a word of what may be a password.
    """
    parts = _split(url)
    given = parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True)  # + is no space to libpq
    own = {key: value for key, value in given if key in _OWN}
    rest = [(key, value) for key, value in given if key not in _OWN]
    schema = own.get("schema", "engram")
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigError(f"url: schema={schema!r} is none; use small letters, digits and _, at most 48")
    tenant = own.get("tenant")
    if tenant is not None and not (tenant and tenant.isprintable()):
        raise ConfigError("url: tenant= names no tenant; give its name, or leave it out for all")
    host = parts.netloc.rpartition("@")[2]
    place = f"postgresql://{host}/{parts.path.strip('/')}"
    conninfo = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(rest, quote_via=quote), ""))
    return Target(
        conninfo=conninfo,
        place=f"{place}?schema={schema}" if "schema" in own else place,
        schema=schema,
        tenant=tenant,
        pool=_number(own, "pool", 8),
        wait=float(_number(own, "wait", 30)),
        pooled=_switch(own, "pgbouncer"),
        said=_said(conninfo, parts, [key for key, _ in rest]),
    )


def _split(url: str) -> SplitResult:
    """The url's parts, where they are what they seem: not cut apart by signs of a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        _unreadable()
    if parts.fragment or "@" in parts.path or parts.netloc.count("@") > 1 or not url.isprintable():
        _unreadable()
    return parts


def _said(conninfo: str, parts: SplitResult, keys: list[str]) -> frozenset[str]:
    """What libpq understands of it, by name."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    for key in keys:
        if key not in known and "@" in parts.netloc and key.isidentifier():
            near = get_close_matches(key, [*known, *_OWN], 1)
            hint = f"; did you mean {near[0]}?" if near else "; docs/postgres.md lists those that there are"
            raise ConfigError(f"url: the parameter {key} is unknown{hint}")
    try:
        told = conninfo_to_dict(conninfo)
    except psycopg.Error:
        _unreadable()
    if not _PORTS.fullmatch(str(told.get("port") or "")):
        _unreadable()
    return frozenset(told)


def _unreadable() -> NoReturn:
    """Refuse a url, without quoting it: what breaks one is mostly a password."""
    raise ConfigError(
        "url: it cannot be read; write postgresql://user:password@host:5432/database, and every sign of a "
        "password but letters and digits as % and two hexadecimal digits (@ is %40), or keep it in ~/.pgpass"
    ) from None


def _switch(given: dict[str, str], key: str) -> bool:
    text = given.get(key, "false").lower()
    if text not in (*_TRUE, *_FALSE):
        raise ConfigError(f"url: {key}={text!r} is neither true nor false")
    return text in _TRUE


def _number(given: dict[str, str], key: str, default: int) -> int:
    text = given.get(key, str(default))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _MOST:
        raise ConfigError(f"url: {key}={text!r} is no whole number from 1 to {_MOST}")
    return int(text)
