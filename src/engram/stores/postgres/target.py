"""What a url says about a PostgreSQL store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from engram.kernel.errors import ConfigError

__all__ = ["Target", "target_of"]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_OWN = ("schema", "tenant", "pool", "wait", "pgbouncer")
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """Where a store lies: what libpq is told, the schema, and what this handle may see.

    `tenant` binds the handle to one tenant (`None`: all). `pool` is the most connections at once, `wait`
    how many seconds a call waits for a lock or for a database that is away. `prepare` is off behind a
    pooler that lends a connection for one transaction only.
    """

    conninfo: str
    place: str
    schema: str = "engram"
    tenant: str | None = None
    pool: int = 8
    wait: float = 30.0
    prepare: bool = True

    @property
    def channel(self) -> str:
        """The channel on which this store's jobs are told."""
        return f"engram_{self.schema}"


def target_of(url: str) -> Target:
    """What `postgresql://user:password@host:port/database?schema=…&tenant=…` says.

    Further parameters of the query (`sslmode`, `host`, `target_session_attrs`, …) are libpq's. Raises
    `ConfigError` for what cannot be meant.
    """
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    own = {key: value for key, value in given if key in _OWN}
    rest = urlencode([(key, value) for key, value in given if key not in _OWN])
    schema = own.get("schema", "engram")
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigError(f"url: schema={schema!r} is none; use small letters, digits and _, at most 48")
    tenant = own.get("tenant")
    if tenant is not None and not (tenant and tenant.isprintable()):
        raise ConfigError("url: tenant= names no tenant; give its name, or leave it out for all")
    host = parts.netloc.rpartition("@")[2]
    database = parts.path.strip("/")
    return Target(
        conninfo=urlunsplit(("postgresql", parts.netloc, parts.path, rest, "")),
        place=f"postgresql://{host}/{database}" + (f"?schema={schema}" if "schema" in own else ""),
        schema=schema,
        tenant=tenant,
        pool=_number(own, "pool", 8),
        wait=float(_number(own, "wait", 30)),
        prepare=own.get("pgbouncer", "false").lower() not in ("1", "true", "on", "yes"),
    )


def _number(given: dict[str, str], key: str, default: int) -> int:
    text = given.get(key, str(default))
    if not text.isdigit() or not 1 <= int(text) <= _MOST:
        raise ConfigError(f"url: {key}={text!r} is no whole number from 1 to {_MOST}")
    return int(text)
