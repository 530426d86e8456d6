"""The database itself keeps tenants apart, whoever gets around the library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from engram.kernel.errors import ConfigError, Conflict, EngramError, Forbidden
from engram.kernel.protocols import (
    Batch,
    Close,
    Expunge,
    Job,
    Lease,
    Put,
    PutEdge,
    PutInfo,
    PutJob,
    PutState,
    Rebuild,
    Select,
    SelectEdges,
    StateRow,
    Store,
    Switch,
)
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.stores import open_store
from engram.stores.postgres.rows import state_key
from engram.testing.builders import START, a_record, day
from engram.testing.contract_records import put_one
from postgres import schemas

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
Link = Any
"""A connection of psycopg."""

ACME, BOLT = Scope("acme", "ana"), Scope("bolt", "ana")
TABLES = ("records", "versions", "lineage", "edges", "states", "jobs", "staged", "history", "ann")
FOUND = "SELECT DISTINCT tenant FROM {}"
PUT, RENAME = "INSERT INTO {} TABLE mine", "UPDATE {} SET id = %s"
SETTINGS = "SET search_path = {schema}; SET engram.tenant = '{tenant}'; SET engram.everyone = '{everyone}'"


class Site:
    """A store with two tenants, and roles: one for each tenant, one for all, one that nobody let in."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.schema = url.rpartition("schema=")[2]
        self.roles = {name: f"{self.schema}_{name}" for name in ("acme", "bolt", "service", "stranger")}
        self.store = open_store(url)
        self.records = {
            scope.tenant: put_one(self.store, a_record(scope.tenant, scope=scope)) for scope in (ACME, BOLT)
        }
        self.store.commit(Batch((PutInfo("embedder", "e"),)))
        for scope in (ACME, BOLT):
            id = self.records[scope.tenant].id
            edge = Edge(
                f"e-{scope.tenant}", id, id, "is", scope, Interval(START), Interval(START), sources=(id,)
            )
            job = Job(f"j-{scope.tenant}", "write", scope, START, reads=(id,), error=scope.tenant)
            state = StateRow("p", scope, "x", scope.tenant, 1, (id,))
            self.store.commit(Batch((PutEdge(edge), PutJob(job), PutState(state))))
        with self.raw() as link:
            for name, role in self.roles.items():
                link.execute(f"CREATE ROLE {role} LOGIN")
                if name != "stranger":
                    tenant = None if name == "service" else name
                    link.execute(f"SELECT {self.schema}.admit(%s, %s)", (role, tenant))

    def raw(self, role: str | None = None, tenant: str = "", everyone: str = "off") -> Link:
        """A connection that knows nothing of the library, with settings of its own making."""
        url = self.url.rpartition("&schema=")[0]
        link = psycopg.connect(url if role is None else self.as_role(url, role), autocommit=True)
        link.execute(SETTINGS.format(schema=self.schema, tenant=tenant, everyone=everyone))
        return link

    def as_role(self, url: str, role: str) -> str:
        """The url with another user."""
        return "postgresql://" + self.roles[role] + "@" + url.partition("://")[2].rpartition("@")[2]

    def opened(self, role: str, tenant: str | None = None) -> Store:
        """The library, for that role."""
        return open_store(self.as_role(self.url, role) + (f"&tenant={tenant}" if tenant else ""))

    def close(self) -> None:
        """Close the store and remove the roles."""
        self.store.close()
        with self.raw() as link:
            link.execute(f"DROP SCHEMA {self.schema} CASCADE")
            for role in self.roles.values():
                link.execute(f"DROP ROLE {role}")


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    made = Site(f"{postgres_server}&schema={next(schemas())}")
    yield made
    made.close()


def seen(link: Link) -> dict[str, set[str]]:
    """The tenants whose rows a connection finds in each table."""
    return {table: {row[0] for row in link.execute(FOUND.format(table)).fetchall()} for table in TABLES}


NOTHING: dict[str, set[str]] = {table: set() for table in TABLES}


@pytest.mark.parametrize(
    ("tenant", "everyone"),
    [("", "off"), ("bolt", "off"), ("", "on"), ("bolt", "on"), ("acme,bolt", "off"), ("%", "off")],
)
def test_a_role_of_one_tenant_finds_nothing_of_another(site: Site, tenant: str, everyone: str) -> None:
    with site.raw("acme", tenant, everyone) as link:
        assert seen(link) == NOTHING


def test_a_role_of_one_tenant_finds_its_own_alone(site: Site) -> None:
    with site.raw("acme", "acme", "on") as link:
        found = seen(link)
        assert found["records"] == found["edges"] == found["jobs"] == found["states"] == {"acme"}
        assert all(tenants <= {"acme"} for tenants in found.values())
        mine, other = (site.records[tenant].id for tenant in ("acme", "bolt"))
        ids = link.execute("SELECT id FROM records WHERE id = ANY(%s)", ([mine, other],)).fetchall()
        assert ids == [(mine,)]


def test_without_a_setting_nobody_finds_anything(site: Site) -> None:
    for role in ("acme", "service"):
        url = site.as_role(site.url.rpartition("&schema=")[0], role)
        with psycopg.connect(url, autocommit=True) as link:
            link.execute(f"SET search_path = {site.schema}")
            assert seen(link) == NOTHING


def test_a_role_for_all_finds_what_it_asks_for(site: Site) -> None:
    with site.raw("service", "bolt") as link:
        assert seen(link)["records"] == {"bolt"}
    with site.raw("service", "", "on") as link:
        assert seen(link)["records"] == {"acme", "bolt"}


def test_a_stranger_is_refused(site: Site) -> None:
    with site.raw("stranger", "acme", "on") as link, pytest.raises(psycopg.Error):
        seen(link)
    with pytest.raises(EngramError):
        site.opened("stranger").select(Select())


ESCAPES: list[Callable[[Site], str]] = [
    lambda site: "SET ROLE postgres",
    lambda site: f"SET ROLE {site.roles['bolt']}",
    lambda site: f"SET SESSION AUTHORIZATION {site.roles['bolt']}",
    lambda site: "INSERT INTO members VALUES (session_user, 'bolt')",
    lambda site: "UPDATE members SET tenant = ''",
    lambda site: "SELECT * FROM members",
    lambda site: "SELECT admit(session_user::text, 'bolt')",
    lambda site: "ALTER TABLE records DISABLE ROW LEVEL SECURITY",
    lambda site: "ALTER TABLE records NO FORCE ROW LEVEL SECURITY",
    lambda site: "CREATE POLICY mine ON records USING (true)",
    lambda site: "DROP POLICY own_tenant ON records",
    lambda site: "CREATE OR REPLACE FUNCTION sees_all() RETURNS BOOLEAN LANGUAGE sql AS 'SELECT true'",
    lambda site: "ALTER FUNCTION sees_all() OWNER TO session_user",
    lambda site: "UPDATE records SET tenant = 'bolt'",
    lambda site: (
        "INSERT INTO jobs SELECT 'bolt', 'new', kind, user_id, agent_id, run_id, created, policy, status, "
        "attempts, owner, until, not_before, error, records, reads, journal, priority FROM jobs"
    ),
    lambda site: "SET row_security = off; SELECT * FROM records",
    lambda site: "COPY records TO PROGRAM 'cat'",
    lambda site: "TRUNCATE records",
    lambda site: "UPDATE counter SET last = 0",
    lambda site: "UPDATE counter SET last = 9223372036854775807",
    lambda site: "UPDATE counter SET erasures = 9223372036854775807",
    lambda site: "INSERT INTO info VALUES ('key:mine', '{}')",
    lambda site: "INSERT INTO info VALUES ('copy:1:bolt', '{}')",
    lambda site: "INSERT INTO info VALUES ('embedder', 'me') ON CONFLICT (key) DO UPDATE SET value = 'me'",
    lambda site: "CREATE TABLE spy (x TEXT)",
]


@pytest.mark.parametrize("escape", range(len(ESCAPES)))
def test_ways_around_are_refused(site: Site, escape: int) -> None:
    with site.raw("acme", "acme", "on") as link, pytest.raises(psycopg.Error):
        link.execute(ESCAPES[escape](site))


def test_deleting_and_changing_reach_no_other_tenant(site: Site) -> None:
    with site.raw("acme", "acme", "on") as link:
        assert link.execute("DELETE FROM jobs WHERE tenant = 'bolt'").rowcount == 0
        assert link.execute("UPDATE states SET value = '0' WHERE tenant = 'bolt'").rowcount == 0
        link.execute("BEGIN; SET LOCAL engram.tenant = 'bolt'")
        assert link.execute("DELETE FROM records").rowcount == 0
        link.execute("ROLLBACK")
    assert site.store.states(BOLT)[0].value == "bolt"


@pytest.mark.parametrize("table", ["records", "versions", "edges", "states", "jobs"])
def test_an_id_of_another_tenant_cannot_be_taken(site: Site, table: str) -> None:
    """Else whoever names it would mean two, and what is erased or ended by its id might be the wrong one."""
    names = {"edges": "e-bolt", "states": state_key("p", BOLT, "x"), "jobs": "j-bolt"}
    wanted = names.get(table, site.records["bolt"].id)
    with site.raw("acme", "acme", "on") as link:
        like = "records" if table == "versions" else table
        link.execute(f"CREATE TEMP TABLE mine AS TABLE {like}")
        link.execute(RENAME.format("mine"), (wanted,))
        with pytest.raises(psycopg.Error, match="row-level security"):
            link.execute(PUT.format(table))
        if table != "versions":
            with pytest.raises(psycopg.Error, match="row-level security"):
                link.execute(RENAME.format(table), (wanted,))


def test_facts_of_all_are_neither_seen_nor_changed(site: Site) -> None:
    """Keys of the service lie there: who could write one could reach every tenant through it."""
    facts = {"key:1": "{}", "copy:1:acme": "{}", "copy:1:bolt": "{}"}
    site.store.commit(Batch(tuple(PutInfo(key, value) for key, value in facts.items())))
    with site.raw("acme", "acme", "on") as link:
        found = {key for (key,) in link.execute("SELECT key FROM info").fetchall()}
        assert found == {"created", "tag", "embedder", "copy:1:acme"}
        assert link.execute("UPDATE info SET value = 'mine' WHERE key <> 'copy:1:acme'").rowcount == 0
        assert link.execute("DELETE FROM info").rowcount == 1
    assert dict(site.store.info()).items() >= {"key:1": "{}", "embedder": "e", "copy:1:bolt": "{}"}.items()
    with closing(site.opened("service", "acme")) as store:
        assert store.info()["key:1"] == "{}"
    site.store.commit(Batch(tuple(PutInfo(key, None) for key in facts)))


def test_an_erasure_that_is_owed_stays_owed(site: Site) -> None:
    gone = put_one(site.store, a_record("gone", scope=BOLT))
    site.store.commit(Batch((Expunge((gone.id,)),)))
    with site.raw("acme", "acme", "on") as link, pytest.raises(psycopg.Error, match="one tenant"):
        link.execute("UPDATE counter SET unpurged = 0")
    assert site.store.info()["purge"] == "pending"
    assert site.store.purge()


def test_functions_of_ones_own_do_not_fool_the_counter(site: Site) -> None:
    with site.raw(None) as link:
        link.execute(f"CREATE SCHEMA {site.schema}_own AUTHORIZATION {site.roles['acme']}")
    with site.raw("acme", "acme", "on") as link:
        link.execute(f"SET search_path = {site.schema}_own, {site.schema}")
        link.execute("CREATE FUNCTION serves_all() RETURNS BOOLEAN LANGUAGE sql AS 'SELECT true'")
        with pytest.raises(psycopg.Error, match="one tenant"):
            link.execute("UPDATE counter SET last = 9223372036854775807")
        link.execute(f"DROP SCHEMA {site.schema}_own CASCADE")


def test_a_role_that_is_gone_is_dismissed_all_the_same(site: Site) -> None:
    role = f"{site.schema}_brief"
    with site.raw() as link:
        link.execute(f"CREATE ROLE {role} LOGIN")
        link.execute("SELECT admit(%s, 'acme')", (role,))
        link.execute(f"DROP OWNED BY {role}")
        link.execute(f"DROP ROLE {role}")
        link.execute("SELECT dismiss(%s)", (role,))
        left = link.execute("SELECT count(*) FROM members WHERE role = %s", (role,)).fetchone()
    assert left == (0,)


def test_tables_of_ones_own_do_not_fool_the_policies(site: Site) -> None:
    with site.raw("acme", "bolt", "on") as link:
        link.execute("CREATE TEMP TABLE members (role TEXT, tenant TEXT)")
        link.execute("INSERT INTO members VALUES (session_user, ''), (session_user, 'bolt')")
        link.execute(f"SET search_path = pg_temp, {site.schema}")
        assert seen(link) == NOTHING


def test_a_function_in_a_condition_sees_no_other_rows(site: Site) -> None:
    with site.raw("acme", "acme", "on") as link:
        link.execute(
            "CREATE FUNCTION pg_temp.peek(x TEXT) RETURNS BOOLEAN COST 0.0000001 LANGUAGE plpgsql AS "
            "'BEGIN RAISE NOTICE ''%', x; RETURN true; END'".replace("''%'", "''%''")
        )
        heard: list[str] = []
        link.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        link.execute("SELECT * FROM records WHERE pg_temp.peek(text)").fetchall()
        assert heard == ["acme"]


def test_what_the_database_refuses_says_what_to_do(site: Site) -> None:
    with closing(site.opened("acme")) as store:
        with pytest.raises(Forbidden, match="name its own"):
            store.commit(Batch((Put(a_record("forged", scope=BOLT)),)))
        with pytest.raises(Forbidden, match="name the tenant"):
            store.commit(Batch((PutInfo("tended", "now"),)))
    with pytest.raises(Forbidden, match="open it once as its owner"):
        open_store(site.as_role(site.url, "acme") + "_not_there")


class TestTheLibraryBoundToATenant:
    """`?tenant=acme`: other tenants are not there, whatever is asked for."""

    @pytest.fixture(params=["acme", "service"])
    def store(self, site: Site, request: pytest.FixtureRequest) -> Iterator[Store]:
        opened = site.opened(request.param, "acme")
        yield opened
        opened.close()

    def test_reading(self, site: Site, store: Store) -> None:
        mine, other = site.records["acme"], site.records["bolt"]
        assert store.select(Select()) == [mine]
        assert store.select(Select(ids=(other.id, mine.id), history=True)) == [mine]
        assert store.select(Select(scope=BOLT)) == []
        assert store.entries(BOLT) == []
        assert store.edges(SelectEdges(BOLT)) == store.edges(SelectEdges(touching=(other.id,))) == []
        assert store.states(BOLT) == []
        assert store.jobs(BOLT) == store.jobs(ids=("j-bolt",)) == []
        assert store.scopes() == [(ACME, 1)]
        assert store.info()["versions"] == "1"

    def test_writing(self, site: Site, store: Store) -> None:
        other = site.records["bolt"]
        with pytest.raises(Conflict, match="not there"):
            store.commit(Batch((Close(other.id, 1, day(1)),)))
        with pytest.raises(Conflict):
            store.commit(Batch((Lease("j-bolt", "me", START, day(1)),)))
        assert store.commit(Batch((Expunge((other.id,)),))).change_set == 0
        with pytest.raises(Forbidden):
            store.commit(Batch((Put(a_record("smuggled", scope=BOLT)),)))
        for op in (Rebuild(), Switch()):
            with pytest.raises(Forbidden, match="without"):
                store.commit(Batch((op,)))
        assert site.store.select(Select(scope=BOLT)) == [other]

    def test_its_own_work_goes_on(self, site: Site, store: Store) -> None:
        record = put_one(store, a_record("mine", scope=replace(ACME, run_id="r")))
        store.commit(Batch((Expunge((record.id,)),)))
        assert store.select(Select(scope=ACME)) == [site.records["acme"]]


def test_a_role_that_is_for_one_tenant_sees_nothing_unbound(site: Site) -> None:
    store = site.opened("acme")
    assert store.select(Select()) == []
    assert store.select(Select(scope=ACME)) == [site.records["acme"]]
    store.close()


def test_the_owner_alone_rewrites_the_tables(site: Site) -> None:
    with closing(site.opened("service", "acme")) as store:
        record = put_one(store, a_record("gone", scope=ACME))
        store.commit(Batch((Expunge((record.id,)),)))
        assert not store.purge()
        assert store.info()["purge"] == "pending"
    assert site.store.purge()


def test_a_role_may_be_let_go(site: Site) -> None:
    with site.raw() as link:
        link.execute("SELECT dismiss(%s)", (site.roles["bolt"],))
    with pytest.raises((Forbidden, ConfigError)):
        site.opened("bolt", "bolt")
