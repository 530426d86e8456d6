"""What a url of PostgreSQL says, and what is said about it: libpq's part gets there, secrets get nowhere."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from engram.cli.app import app
from engram.engine.tenants import add_database, databases, router_at
from engram.kernel.errors import ConfigError, EngramError, StoreError
from engram.kernel.protocols import Select
from engram.stores import keeper_of, open_store
from engram.testing.builders import a_record
from engram.testing.contract_records import put_one
from postgres import SERVER

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")

MANGLED = [
    "postgresql://eve:s3cr3t@[::1/db",
    "postgresql://eve:s3[cr3t@127.0.0.1:1/db",
    "postgresql://eve:s3%zzcr3t@127.0.0.1:1/db",
    "postgresql://eve:s3cr3t#more@127.0.0.1:1/db",
    "postgresql://eve:s3/cr3t@127.0.0.1:1/db",
    "postgresql://eve:1/s3cr3t@127.0.0.1:1/db",
    "postgresql://eve:s3cr3t?more@127.0.0.1:1/db",
    "postgresql://eve:1?s3cr3t=more@127.0.0.1:1/db",
    "postgresql://eve:more@s3cr3t@127.0.0.1:1/db",
    "postgresql://eve:s3cr3t\n@127.0.0.1:1/db",
    "postgresql://eve:s3cr3t@127.0.0.1:port/db",
    "postgresql:eve:s3cr3t@127.0.0.1",
]
ELSEWHERE = [
    "postgresql://eve:s3cr3t@127.0.0.1:1/db?wait=1",
    "postgresql://127.0.0.1:1/db?user=eve&password=s3cr3t&wait=1",
    "postgresql://eve:s3cr3t@127.0.0.1:1/db?wait=1&sslmode=nonsense",
    "router:postgresql://eve:s3cr3t@127.0.0.1:1/db?wait=1",
    "router:router:postgresql://eve:s3cr3t@127.0.0.1:1/db",
]


def said(work: Callable[[], object]) -> str:
    """The whole of what is printed of an error, its causes included."""
    with pytest.raises(EngramError) as told:
        work()
    return "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize("url", [*MANGLED, *ELSEWHERE])
def test_no_part_of_a_password_is_told(url: str) -> None:
    text = said(lambda: open_store(url))
    text = text[text.index("engram.kernel.errors.") :]  # what stands above quotes this file
    assert "cr3t" not in text
    assert "s3" not in text.replace("postgres", "")


@pytest.mark.parametrize("url", MANGLED)
def test_a_url_that_is_mangled_says_how_to_write_it(url: str) -> None:
    with pytest.raises(ConfigError, match="%40"):
        open_store(url)
    with pytest.raises(ConfigError, match="%40"):
        keeper_of(url)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sslmod=require", "did you mean sslmode"),
        ("shema=x", "did you mean schema"),
        ("zzz=1", "zzz is unknown"),
        ("pool=0", "pool='0'"),
        ("wait=²", "wait='²'"),
        ("pgbouncer=maybe", "neither true nor false"),
        ("tenant=", "names no tenant"),
        ("schema=pg_x", "is none"),
    ],
)
def test_parameters_that_there_are_not(query: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_store(f"postgresql://eve@127.0.0.1:1/db?{query}")


def test_a_store_that_is_not_there_is_named_without_its_password(postgres_url: str) -> None:
    url = postgres_url + "&password=s3cr3t"
    result = CliRunner().invoke(app, ["--url", url, "stats"])
    assert result.exit_code == 1
    assert "there is no store at" in result.output
    assert "s3cr3t" not in result.output


def test_a_router_shows_its_databases_without_passwords(postgres_url: str, tmp_path: Path) -> None:
    with closing(router_at(f"router:sqlite:///{tmp_path}/directory.db")) as router:
        add_database(router, "one", postgres_url + "&password=s3cr3t")
        [shown] = databases(router)
    assert "s3cr3t" not in shown.url
    assert "***" in shown.url


@pytest.fixture
def shown(postgres_url: str) -> Callable[[str, str], str]:
    """What a setting is in the connections of a store whose url says more."""

    def ask(more: str, name: str) -> str:
        with closing(open_store(f"{postgres_url}&{more}")) as store:
            put_one(store, a_record(more))
            return str(store._database.read(lambda session: session.rows(f"SHOW {name}"))[0][0])  # type: ignore[attr-defined]

    return ask


@pytest.mark.parametrize(
    ("more", "name", "value"),
    [
        ("application_name=billing", "application_name", "billing"),
        ("wait=7", "application_name", "engram"),
        ("wait=7", "lock_timeout", "7s"),
        ("options=" + quote("-c statement_timeout=9s"), "statement_timeout", "9s"),
        ("options=-c%20work_mem%3D9MB", "work_mem", "9MB"),
    ],
)
def test_what_the_url_says_gets_to_the_server(
    shown: Callable[[str, str], str], more: str, name: str, value: str
) -> None:
    assert shown(more, name) == value


@pytest.mark.skipif(SERVER is not None, reason="the tests' own server has a Unix socket")
def test_of_several_hosts_one_that_is_away_is_passed_over(postgres_url: str) -> None:
    """As after a failover: the first host is gone, the second one takes writes."""
    socket = postgres_url.partition("host=")[2].partition("&")[0]
    url = (
        postgres_url.replace(f"host={socket}", f"host=/nowhere,{socket}") + "&target_session_attrs=read-write"
    )
    with closing(open_store(url)) as store:
        put_one(store, a_record())
        assert len(store.select(Select())) == 1


def test_a_server_that_only_reads_is_told_so_when_it_is_written_to(postgres_url: str) -> None:
    with closing(open_store(postgres_url)) as store:
        put_one(store, a_record("told"))
    only = "&options=" + quote("-c default_transaction_read_only=on")
    with closing(open_store(postgres_url + only)) as replica:
        assert [record.text for record in replica.select(Select())] == ["told"]
        with pytest.raises(ConfigError, match="target_session_attrs=read-write"):
            put_one(replica, a_record("lost"))
        assert len(replica.select(Select())) == 1


def test_an_error_is_one_line(postgres_url: str) -> None:
    """What the driver says besides, on its own account, is not printed between."""
    only = "&options=" + quote("-c default_transaction_read_only=on")
    open_store(postgres_url).close()
    command = [
        sys.executable,
        "-m",
        "engram.cli",
        "add",
        "lost",
        "--user",
        "ana",
        "--url",
        postgres_url + only,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line[:7] for line in done.stderr.splitlines()] == ["engram:"]


def test_a_statement_that_takes_too_long_is_told_with_its_setting(postgres_url: str) -> None:
    with closing(open_store(postgres_url)) as store:
        put_one(store, a_record("told"))
        limited = postgres_url + "&options=" + quote("-c statement_timeout=300")
        with closing(open_store(limited)) as other, psycopg.connect(postgres_url.rpartition("&")[0]) as link:
            link.execute(f"LOCK TABLE {postgres_url.rpartition('=')[2]}.counter")
            with pytest.raises(StoreError, match="statement_timeout"):
                put_one(other, a_record("late"))
            link.rollback()
            put_one(other, a_record("in time"))
