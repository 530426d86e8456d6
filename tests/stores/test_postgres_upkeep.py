"""Looking after a PostgreSQL store: migrations by halves, doctor, the command line, what cannot be opened."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from engram.cli.app import app
from engram.kernel.errors import ConfigError, MissingExtra, NeedsMigration, StoreError
from engram.kernel.protocols import (
    Batch,
    Expunge,
    Select,
    Store,
    Supersede,
)
from engram.kernel.record import Interval
from engram.kernel.scope import Scope
from engram.stores import keeper_of, open_store
from engram.stores.postgres.migrate import Migration, built_in
from engram.stores.postgres.store import PostgresStore
from engram.stores.postgres.target import target_of
from engram.testing.builders import a_record, day
from engram.testing.contract_records import put_one
from postgres import SERVER, in_schema, schemas

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")


LATEST = built_in()[-1].number
WIDER = Migration(
    LATEST + 1,
    f"-- Format {LATEST + 1}: moods.\n-- Readable by format {LATEST}.\n"
    "ALTER TABLE records ADD COLUMN mood TEXT; ALTER TABLE versions ADD COLUMN mood TEXT;",
)
ONLINE = Migration(
    LATEST + 2,
    f"-- Format {LATEST + 2}: an index.\n-- Readable by format {LATEST}.\n-- Online.\n"
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS records_mood ON records (tenant, mood)",
)
STRICT = Migration(
    LATEST + 3, f"-- Format {LATEST + 3}: new words.\nALTER TABLE records RENAME mood TO humour;"
)
BROKEN = Migration(LATEST + 1, "CREATE TABLE moods (mood TEXT); NONSENSE")


def opened(url: str, *steps: Migration) -> PostgresStore:
    return PostgresStore(target_of(url), migrations=[*built_in(), *steps])


@contextmanager
def raw(url: str) -> Iterator[Any]:
    base, _, schema = url.rpartition("&schema=")
    with psycopg.connect(base, autocommit=True) as link:
        link.execute(f"SET search_path = {schema}")
        yield link


class TestMigrations:
    """Numbered steps, forward only; old and new code side by side where a step allows it."""

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        with closing(open_store(postgres_url)) as store:
            put_one(store, a_record("tea"))
        return postgres_url

    def works(self, store: Store) -> None:
        """What old and new code must both be able to do."""
        record = put_one(store, a_record("works", origin=f"m-{store.sequence().last}"))
        store.commit(Batch((Supersede(replace(record, text="on", known=Interval(day(1))), 1),)))
        assert len(store.select(Select(ids=(record.id,), history=True))) == 2
        assert store.entries(Scope(), history=True)
        store.commit(Batch((Expunge((record.id,)),)))
        assert store.check() == []

    def test_old_and_new_code_work_on_a_store_that_is_half_way(self, url: str) -> None:
        with closing(open_store(url)) as old:
            with closing(opened(url, WIDER)) as new:
                for store in (old, new, old):
                    self.works(store)
                assert new.info()["format"] == str(LATEST + 1)
            with closing(opened(url, WIDER, ONLINE)) as newest:
                for store in (old, newest):
                    self.works(store)
        with closing(open_store(url)) as again:
            self.works(again)
            assert again.info()["format"] == str(LATEST + 2)

    def test_a_format_that_cannot_be_read_is_refused(self, url: str) -> None:
        opened(url, WIDER, ONLINE, STRICT).close()
        with pytest.raises(NeedsMigration, match="pip install --upgrade engram"):
            open_store(url)

    def test_a_step_that_fails_leaves_nothing(self, url: str) -> None:
        with pytest.raises(StoreError):
            opened(url, BROKEN)
        with closing(open_store(url)) as store, raw(url) as link:
            assert store.info()["format"] == str(LATEST)
            assert link.execute("SELECT to_regclass('moods')").fetchone() == (None,)
            self.works(store)

    def test_an_online_step_that_was_stopped_goes_on(self, url: str) -> None:
        opened(url, WIDER).close()
        with raw(url) as link:
            link.execute("CREATE INDEX records_mood ON records (tenant, mood)")  # done, and not written down
        with closing(opened(url, WIDER, ONLINE)) as store:
            assert store.info()["format"] == str(LATEST + 2)

    def test_many_who_open_at_once_migrate_once(self, postgres_url: str) -> None:
        errors: list[Exception] = []

        def open_it() -> None:
            try:
                opened(postgres_url, WIDER, ONLINE).close()
            except StoreError as error:
                errors.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        with raw(postgres_url) as link:
            assert link.execute("SELECT count(*) FROM formats").fetchone() == (LATEST + 2,)
            assert link.execute("SELECT count(*) FROM counter").fetchone() == (1,)

    def test_a_step_that_waits_for_a_long_reader_holds_up_nobody_else(self, url: str) -> None:
        hasty = url + "&options=-c%20statement_timeout%3D20s"
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'records'::regclass"
        migrated: list[str] = []

        def migrate() -> None:
            with closing(opened(url, WIDER)) as store:
                migrated.append(store.info()["format"])

        thread = threading.Thread(target=migrate)
        with raw(url) as reader, raw(url) as link, closing(open_store(hasty)) as store:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records")
            thread.start()
            while not link.execute(waiting).fetchone()[0]:
                time.sleep(0.01)
            assert len(store.select(Select())) == 1  # behind the step that waits
            assert migrated == []
            reader.execute("COMMIT")
            thread.join()
        assert migrated == [str(LATEST + 1)]

    @pytest.mark.skipif(SERVER is not None, reason="makes a role on the tests' own server")
    def test_who_does_not_own_the_tables_asks_for_the_owner(self, url: str) -> None:
        role = f"guest_{os.getpid()}"
        theirs = url.replace("postgres@", f"{role}@", 1)
        with raw(url) as link:
            link.execute(f"CREATE ROLE {role} LOGIN")
            link.execute("SELECT admit(%s)", (role,))
            try:
                with pytest.raises(NeedsMigration, match="engram migrate as"):
                    opened(theirs, WIDER)
                opened(url, WIDER).close()
                with closing(opened(theirs, WIDER)) as new, closing(open_store(theirs)) as old:
                    self.works(new)
                    self.works(old)
            finally:
                link.execute(f"DROP OWNED BY {role}")
                link.execute(f"DROP ROLE {role}")

    def test_a_schema_of_something_else_is_left_alone(self, postgres_server: str) -> None:
        schema = next(schemas())
        url = in_schema(postgres_server, schema)
        with psycopg.connect(postgres_server, autocommit=True) as link:
            link.execute(f"CREATE SCHEMA {schema}")
            link.execute(f"CREATE TABLE {schema}.theirs (x TEXT)")
            with pytest.raises(ConfigError, match="something else"):
                open_store(url)
            link.execute(f"DROP SCHEMA {schema} CASCADE")


class TestLookingAfterIt:
    """What `engram doctor` and `engram migrate` are told."""

    def levels(self, url: str) -> dict[str, str]:
        keeper = keeper_of(url)
        assert keeper is not None
        return {finding.check: finding.level for finding in keeper.look()}

    def test_before_and_after_it_is_made(self, postgres_url: str) -> None:
        keeper = keeper_of(postgres_url)
        assert keeper is not None
        assert not keeper.exists
        assert self.levels(postgres_url)["format"] == "ok"
        assert keeper.plan().format == 0
        open_store(postgres_url).close()
        assert keeper.exists
        plan = keeper.plan()
        assert (plan.format, plan.latest, plan.steps, plan.copied) == (LATEST, LATEST, (), 0)
        found = self.levels(postgres_url)
        assert {"server", "login", "rights", "format", "connections"} <= found.keys()
        assert "wrong" not in found.values()
        assert found["login"] == "warn"  # the tests' own login is a superuser

    def test_a_newer_format_is_told(self, postgres_url: str) -> None:
        opened(postgres_url, WIDER).close()
        assert self.levels(postgres_url)["format"] == "warn"
        opened(postgres_url, WIDER, ONLINE, STRICT).close()
        assert self.levels(postgres_url)["format"] == "wrong"

    def test_a_server_that_is_not_there(self) -> None:
        assert self.levels("postgresql://nobody@127.0.0.1:1/nothing") == {"server": "wrong"}


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda url: url.replace("/postgres?", "/nothing_like_it?"), ConfigError, "no such user or database"),
        (lambda url: url.replace("postgres@", "nobody_like_it@"), ConfigError, "no such user"),
        (lambda _: "postgresql://x@127.0.0.1:1/x", StoreError, "cannot be reached"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(
    postgres_server: str, change: Callable[[str], str], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        open_store(change(postgres_server))


def test_no_password_is_told(postgres_server: str) -> None:
    with pytest.raises(ConfigError) as told:
        open_store("postgresql://eve:hunter2@/nothing_like_it?" + urlsplit(postgres_server).query)
    assert "hunter2" not in str(told.value)


def test_without_the_driver_the_extra_is_named(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from engram.kernel.errors import MissingExtra\nfrom engram.stores import open_store\n"
        "try: open_store('postgresql:///x')\nexcept MissingExtra as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert str(MissingExtra("PostgreSQL", "postgres")) in said.stdout


class TestTheCommandLine:
    """The commands that look after a store, on this one."""

    def run(self, url: str, *arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["--url", url, *arguments])
        assert result.exit_code == code, result.output
        return result.output

    def test_from_add_to_doctor(self, postgres_url: str, tmp_path: Path) -> None:
        assert "no store" in self.run(postgres_url, "migrate", "--status")
        assert "stored" in self.run(postgres_url, "add", "My cat is called Plum.", "--user", "ada")
        assert "Plum" in self.run(postgres_url, "search", "cat", "--user", "ada")
        assert "the latest" in self.run(postgres_url, "migrate", "--status")
        assert "nothing to do" in self.run(postgres_url, "migrate", "--dry-run")
        assert "1" in self.run(postgres_url, "stats")
        assert "all agree" in self.run(postgres_url, "verify")
        assert "1 records" in self.run(postgres_url, "export", str(tmp_path / "out.jsonl"))
        assert "0 jobs done" in self.run(postgres_url, "worker", "--once")
        told = self.run(postgres_url, "doctor")
        assert "PostgreSQL" in told
        assert "wrong" not in told
        self.run(postgres_url, "forget", "--user", "ada", "--yes")
        assert "nothing that was forgotten is left" in self.run(postgres_url, "doctor")

    def test_a_server_that_is_away(self) -> None:
        url = "postgresql://nobody@127.0.0.1:1/nothing"
        assert "start the server" in self.run(url, "doctor", code=1)
        assert "cannot be reached" in self.run(url, "stats", code=1)
