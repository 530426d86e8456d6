"""The one border where errors of PostgreSQL and of its driver become engram's."""

from __future__ import annotations

import psycopg
from psycopg_pool import PoolTimeout

from engram.kernel.errors import ConfigError, EngramError, Forbidden, InvalidInput, NeedsMigration, StoreError

__all__ = ["again", "lost", "translation"]

_DOWN = "the database cannot be reached; see that it runs and that the url is right, then call again"
_ADVICE: tuple[tuple[str, type[EngramError], str], ...] = (
    (
        "53100",
        StoreError,
        "the database's disk is full and nothing of this call was stored; free space",
    ),
    ("53200", StoreError, "the database is out of memory; call again, or give it more"),
    ("53300", StoreError, "the database has no connection left; raise max_connections, or lower ?pool= here"),
    ("53", StoreError, "the database lacks resources; call again"),
    ("55P03", StoreError, "another process holds the store; call again, or end that process"),
    ("57014", StoreError, "the database cancelled the call; see statement_timeout, then call again"),
    ("57", StoreError, _DOWN),
    ("08", StoreError, _DOWN),
    ("28", ConfigError, "the database refused the login; see user and password of the url, and pg_hba.conf"),
    ("3D000", ConfigError, "there is no such database; make it: createdb NAME"),
    ("3F000", ConfigError, "there is no such schema; open the store once as its owner, who makes it"),
    (
        "25006",
        ConfigError,
        "a standby only reads; name the primary, or all hosts and target_session_attrs=read-write",
    ),
    (
        "42501",
        Forbidden,
        "the role may not do that; ask the store's owner for: SELECT admit(role, tenant)",
    ),
    ("42P01", NeedsMigration, "tables of the store are missing; run engram migrate as its owner"),
    ("42703", NeedsMigration, "columns of the store are missing; run engram migrate as its owner"),
    ("42883", NeedsMigration, "functions of the store are missing; run engram migrate as its owner"),
    ("22021", InvalidInput, "a text holds what the database cannot keep, such as NUL"),
    ("22P05", InvalidInput, "a text holds what the database's encoding lacks"),
    ("54", StoreError, "an id or text is too long for the database; shorten it"),
    ("XX", StoreError, "the database is damaged; restore it from a backup, or export what can be read"),
    ("58", StoreError, "the database could not read or write a file; see its log"),
)

_DENIED = (
    ("denied for database", "there is no store yet, and the role may not make it; open it once as its owner"),
    (
        'policy for table "info"',
        "a role of one tenant may not change that fact about the whole store; name the tenant, or be another",
    ),
    (
        "row-level security",
        "the role may not write what is another tenant's; name its own (tenant=, --tenant)",
    ),
)


def translation(error: psycopg.Error | OSError, place: str) -> EngramError:
    """The error that says what to do about `error`; `place` names the store without its password."""
    state = getattr(error, "sqlstate", None) or ""
    for part, advice in _DENIED if state == "42501" else ():
        if part in str(error):
            return Forbidden(f"{place}: {advice} ({_first(error)})")
    for start, kind, advice in _ADVICE:
        if state.startswith(start):
            return kind(f"{place}: {advice} ({_first(error)})")
    if isinstance(error, PoolTimeout) or (isinstance(error, psycopg.OperationalError) and not state):
        return _connecting(error, place)
    return StoreError(f"{place}: {_first(error)}; run `engram verify` to see whether the store is whole")


def lost(error: Exception) -> bool:
    """Whether the connection is gone, or the server is not ready yet, so that another attempt may do."""
    if isinstance(error, psycopg.InterfaceError | PoolTimeout):
        return True
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, psycopg.OperationalError) and (
        not state or state[:2] == "08" or state in _ENDING
    )


_ENDING = frozenset({"57P01", "57P02", "57P03"})
_AGAIN = frozenset({"40001", "40P01"})


def again(error: Exception) -> bool:
    """Whether the transaction lost against another and can be done anew."""
    return getattr(error, "sqlstate", None) in _AGAIN


def _connecting(error: psycopg.Error | OSError, place: str) -> EngramError:
    """What is behind a connection that was not made; libpq gives no code for it."""
    text = str(error)
    for part, kind, advice in (
        ("password authentication failed", ConfigError, "user or password of the url are wrong"),
        ("no password supplied", ConfigError, "the url lacks a password: postgresql://user:password@host/db"),
        (
            "does not exist",
            ConfigError,
            "there is no such user or database; make it, or mend the url",
        ),
        ("could not translate host name", ConfigError, "the host of the url is not known"),
        ("no pg_hba.conf entry", ConfigError, "the database takes no login from here; see pg_hba.conf"),
    ):
        if part in text:
            return kind(f"{place}: {advice} ({_first(error)})")
    return StoreError(f"{place}: {_DOWN} ({_first(error)})")


def _first(error: BaseException) -> str:
    """The first line of what the driver says; further ones may quote stored text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
