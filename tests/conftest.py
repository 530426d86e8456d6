"""What every test gets: no network, no stray environment, the same examples on every run."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from postgres import in_schema, schemas, shared_server

ROOT = Path(__file__).resolve().parents[1]
DEVELOPMENT_DATA = ROOT.parent / "shared" / "data"
LOOPBACK = frozenset({"localhost", "ip6-localhost", "::1", "0.0.0.0", "", None})  # noqa: S104 - not bound, only compared

settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", parent=settings.get_profile("repeatable"), derandomize=False, max_examples=1000
)
settings.load_profile("repeatable")  # pytest --hypothesis-profile=explore looks further


class NetworkClosedError(RuntimeError):
    """A test that tried to leave this machine."""


def is_local(host: object) -> bool:
    """Whether a host, as given to a socket call, is this machine."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    return host in LOOPBACK or (isinstance(host, str) and host.startswith("127."))


def refuse_network(event: str, args: tuple[object, ...]) -> None:
    """An audit hook that lets sockets reach loopback only; a Unix socket's address is a path, not a tuple."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if not is_local(host):
        raise NetworkClosedError(
            f"tests use no network, and this one asked for {host!r}: serve it on 127.0.0.1"
        )


sys.addaudithook(refuse_network)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No ENGRAM_ variable or user data folder of the person who runs the tests is read or written."""
    for name in [name for name in os.environ if name.startswith("ENGRAM_")]:
        monkeypatch.delenv(name)
    home = str(tmp_path_factory.getbasetemp() / "home")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, home)


@pytest.fixture(scope="session")
def development_data() -> Path:
    """The folder of development conversations; its tests are skipped where it is not beside the checkout."""
    if not DEVELOPMENT_DATA.is_dir():
        pytest.skip("the development data is not at ../shared/data")
    return DEVELOPMENT_DATA


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The url of a PostgreSQL server that all tests share; they are skipped where there is none."""
    return shared_server(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The url of a PostgreSQL store of the test's own, not there yet."""
    import psycopg

    schema = next(schemas())
    yield in_schema(postgres_server, schema)
    with psycopg.connect(postgres_server, autocommit=True) as link:
        link.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
