"""Making the indexes of tenants with many records, as the owner of the tables, while others work."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from engram.kernel.errors import ConfigError, StoreError
from engram.stores.postgres.connection import Link
from engram.stores.postgres.queries import queries

__all__ = ["build", "drop_vectors", "index", "lacking", "pgvector"]

_LOG = logging.getLogger("engram.stores")
_SQL = queries("ann_build")
_ASK = queries("ann")
_PAGE = 2000
_LEAST = 1 << 28  # bytes of memory that making an index is given
_LINKS = 700  # bytes that a vector of a graph takes besides its own while it is made
_EFFORT, _LESS = 128, 64  # HNSW's `ef_construction`, the latter above `_MANY` records
_MANY = 300_000
_LIST = 1000  # records in a list of the inverted file that is made instead
_VECTORS = "ann_v_"
Step = Callable[[int, int | None], None]


def pgvector(link: Link) -> tuple[str | None, str | None]:
    """The schema and version of the extension in this database; the version alone where it could be made."""
    made = link.execute(_ASK["extension"]).fetchone()
    if made is not None:
        return made[0], made[1]
    there = link.execute(_ASK["installed"]).fetchone()
    return None, None if there is None else there[0]


def lacking(link: Link, least: int, tenant: str | None = None) -> list[tuple[str, int]]:
    """The tenants with more than `least` open records that lack indexes, and how many records each has.

    With `tenant` it alone is looked at.
    """
    due = link.execute(_SQL["due"], {"least": least, "tenant": tenant}).fetchall()
    whole = {row[0] for row in link.execute(_SQL["whole"]).fetchall()}
    filled = {row[0] for row in link.execute(_SQL["filled_tenants"]).fetchall()}
    return [
        (tenant, count)
        for tenant, count in due
        if tenant not in filled or not all(any(map(_starts(name), whole)) for name in _names(tenant))
    ]


def build(
    link: Link, tenant: str, step: Step | None = None, *, effort: int | None = None, graph: int | None = None
) -> int:
    """Make what a tenant's searches need; nothing that is there is made again. How many entries there are.

    The link must be the owner's, outside a transaction. `step` is told how many records are done. `effort` is
    HNSW's `ef_construction`: half of it takes half the time and misses more. With more than `graph` records,
    or where a graph would take more than half of the server's `effective_cache_size` while it is made, there
    is an inverted file instead (Jégou et al., doi:10.1109/TPAMI.2010.57), in a tenth of the time. Raises
    `ConfigError` without pgvector, `StoreError` where another process is at it.
    """
    types = _extension(link)
    row = link.execute(_SQL["dimensions"], {"tenant": tenant}).fetchone()
    if row is None:
        raise ConfigError(f"tenant {tenant!r} has no vectors yet; call again when its records have them")
    dimensions = int(row[0])
    with _alone(link):
        _clear(link, tenant, dimensions)
        with link.transaction():
            for name in ("column", "uncounted", "put", "follow", "triggers", "changes", "nearest"):
                link.execute(_SQL[name].format(types=types).encode())
        with link.transaction():
            link.execute(_SQL["settle"])  # whoever commits holds this: from now on all of them follow
            values: dict[str, object] = {"tenant": tenant, "dimensions": dimensions}
            link.execute(_SQL["forget"], values)
            link.execute(_SQL["register"], values)
        _fill(link, types, values, step)
        _index(link, types, tenant, dimensions, effort, graph)
        link.execute(_SQL["filled"], {"tenant": tenant, "dimensions": dimensions})
        link.execute(_SQL["analyze"])
    found = link.execute(_SQL["rows"], {"tenant": tenant}).fetchone()
    return int(found[0]) if found else 0


def drop_vectors(link: Link) -> None:
    """Drop the indexes over vectors, which a rewrite of the table would take minutes to make anew."""
    for (name,) in link.execute(_SQL["whole"]).fetchall():
        if name.startswith(_VECTORS):
            _drop(link, name)


def _fill(link: Link, types: str, values: dict[str, object], step: Step | None) -> None:
    """Take over the records that were there before anybody followed, page by page."""
    fill = _SQL["fill"].format(types=types)
    done, after = 0, ""
    while True:
        with link.transaction():
            standing = link.execute(_SQL["registered"], values).fetchone()
            if standing is None:
                raise StoreError(
                    f"the vectors of tenant {values['tenant']!r} were replaced meanwhile; call again"
                )
            if standing[0]:
                return
            page = link.execute(fill, {**values, "after": after, "limit": _PAGE}).fetchone()
        if page is None or not page[1]:
            return
        after, done = page[0], done + page[1]
        if step is not None:
            step(done, None)


def index(link: Link, tenant: str, above: int) -> bool:
    """Make the indexes of a tenant with more than `above` records that lacks some.

    False where it lacks none, where the login does not own the tables, where there is no pgvector to be had,
    or where making them failed, as when another process is at it: the log says why.
    """
    owner = link.execute(_SQL["owner"]).fetchone()
    if owner is None or not owner[0] or pgvector(link) == (None, None):
        return False
    if tenant not in dict(lacking(link, above, tenant)):
        return False
    try:
        build(link, tenant)
    except (ConfigError, StoreError) as error:
        kind = type(error).__name__  # its words name the tenant
        _LOG.warning("the indexes of a large tenant are not made (%s); engram doctor --fix says why", kind)
        return False
    return True


def _index(
    link: Link, types: str, tenant: str, dimensions: int, effort: int | None, graph: int | None
) -> None:
    """Make the tenant's indexes, while others write."""
    found = link.execute(_SQL["rows"], {"tenant": tenant}).fetchone()
    rows = int(found[0]) if found else 0
    room = int((link.execute(_SQL["room"]).fetchone() or (0,))[0])
    wanted = rows * (2 * dimensions + _LINKS)
    link.execute(_SQL["memory"], {"memory": f"{max(_LEAST, min(room, wanted)) >> 10}kB"})
    terms, vectors = _names(tenant)
    fits = wanted <= room if graph is None else rows <= graph
    kind = "index_vectors" if fits else "index_lists"
    for statement, name in (("index_terms", terms), (kind, f"{vectors}{dimensions}")):
        link.execute(
            sql.SQL(_SQL[statement]).format(
                name=sql.Identifier(name),
                tenant=sql.Literal(tenant),
                types=sql.Identifier(types),
                dimensions=sql.Literal(dimensions),
                effort=sql.Literal(effort or (_EFFORT if rows <= _MANY else _LESS)),
                lists=sql.Literal(max(1, rows // _LIST)),
            )
        )


def _clear(link: Link, tenant: str, dimensions: int) -> None:
    """Drop indexes that were left half made, and the tenant's over vectors of other dimensions."""
    for (name,) in link.execute(_SQL["broken"]).fetchall():
        _drop(link, name)
    vectors = _names(tenant)[1]
    for (name,) in link.execute(_SQL["whole"]).fetchall():
        if name.startswith(vectors) and name != f"{vectors}{dimensions}":
            _drop(link, name)


def _drop(link: Link, name: str) -> None:
    link.execute(sql.SQL(_SQL["drop_index"]).format(name=sql.Identifier(name)))


def _extension(link: Link) -> str:
    """The schema of pgvector, which is made where the server has it and the role may."""
    schema, version = pgvector(link)
    if schema is None and version is not None:
        try:
            link.execute(_ASK["make_extension"])
        except psycopg.errors.UniqueViolation:  # somebody else made it just now
            pass
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigError(
                "the database lacks the extension vector; have a superuser run: CREATE EXTENSION vector"
            ) from error
        schema, version = pgvector(link)
    if schema is None:
        raise ConfigError(
            "the server has no pgvector, which indexes for large tenants need: install it, then call again"
        )
    return schema


@contextmanager
def _alone(link: Link) -> Iterator[None]:
    """Be the only one who builds in this store."""
    if not (link.execute(_SQL["hold"]).fetchone() or (False,))[0]:
        raise StoreError("another process is making indexes for this store; call again when it is done")
    try:
        yield
    finally:
        link.execute(_SQL["let_go"])


def _names(tenant: str) -> tuple[str, str]:
    """The name of a tenant's index over terms, and how that of the one over vectors begins."""
    key = hashlib.blake2b(tenant.encode(), digest_size=8).hexdigest()
    return f"ann_t_{key}", f"{_VECTORS}{key}_"


def _starts(start: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(start)
