"""A store over several databases: the contract, arbitrary histories, and what is between databases."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.protocols import (
    Batch,
    Committed,
    Expunge,
    Job,
    Op,
    Put,
    PutEdge,
    PutInfo,
    PutJob,
    Rebuild,
    Reserve,
    Select,
    SelectEdges,
    Stage,
    Store,
    Supersede,
    Switch,
    Waking,
)
from engram.kernel.record import Edge, Interval, Record
from engram.kernel.scope import Scope
from engram.stores import open_store
from engram.stores.ram import RamStore
from engram.stores.router import Directory, RouterStore, open_router
from engram.stores.router.members import Members
from engram.stores.sqlite import SqliteStore
from engram.testing.builders import START, a_record
from engram.testing.contract import StoreContract
from engram.testing.machine import SideBySide
from postgres import drop_schema, in_schema, own_folder, schemas, server_in
from routed import routed

_numbers = itertools.count()
FULL = bool(os.environ.get("ENGRAM_FULL"))
EXAMPLES = 40 if FULL else 3


def over_files(folder: Path) -> str:
    """A router over two SQLite files."""
    urls = [f"sqlite:///{folder}/{name}.db" for name in ("directory", "one", "two")]
    return routed(*urls)


class TestRouterOverFiles(StoreContract):
    """Two SQLite files."""

    durable = True

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[..., Store]:
        url = over_files(tmp_path)
        return lambda **options: open_store(url, **options)


@pytest.fixture(scope="module")
def databases(postgres_server: str) -> Iterator[tuple[str, str]]:
    """Two servers' urls under ENGRAM_FULL, else the shared server's twice."""
    if not FULL:
        yield postgres_server, postgres_server
        return
    second = server_in(own_folder(f"second-{os.getpid()}"))
    yield postgres_server, second.url
    second.stop()


class TestRouterOverServers(StoreContract):
    """Two PostgreSQL databases."""

    durable = True

    @pytest.fixture
    def opener(self, databases: tuple[str, str], tmp_path: Path) -> Iterator[Callable[..., Store]]:
        names = [next(schemas()) for _ in databases]
        places = [*zip(databases, names, strict=True)]
        members = [in_schema(place, name) for place, name in places]
        url = routed(f"sqlite:///{tmp_path}/directory.db", *members)
        yield lambda **options: open_store(url, **options)
        for place, name in places:
            drop_schema(place, name)


class RouterBesideRam(SideBySide):
    """A router over two databases beside one plain store; what concerns both databases is left out."""

    durable = True
    runs: ClassVar[int] = 0

    def urls(self) -> list[str]:
        """Of a directory and two databases, not there yet."""
        raise NotImplementedError

    def make(self) -> tuple[Store, Store]:
        type(self).runs += 1
        urls = self.urls()
        for url in urls:  # of the plain store's seed, so that ids are the same
            open_store(url, clock=self.clock).close()
        self.url = routed(*urls)
        router = open_router(self.url, clock=self.clock)
        for tenant, database in (("default", "db0"), ("other", "db1")):
            router.members.admit(router.members.placed(tenant, database), (0, 0))
        plain = RamStore(clock=self.clock)
        plain.commit(Batch((Reserve(1),)))  # letting a tenant in takes a number
        return router, plain

    def again(self) -> Store:
        return open_router(self.url, clock=self.clock)

    def commit(self, *ops: Op) -> Committed | None:
        both = len({scope.tenant for scope, _ in self.plain.scopes()}) > 1
        if both and any(isinstance(op, Switch | Rebuild) for op in ops):
            return None  # each database numbers what it renews by itself
        try:
            return super().commit(*ops)
        except InvalidInput:
            return None


def beside_ram(found: Callable[[], list[str]]) -> int:
    """How many histories both stores were led through."""

    class Machine(RouterBesideRam):
        def urls(self) -> list[str]:
            return found()

    machine = Machine
    run_state_machine_as_test(machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=30))
    return machine.runs


@pytest.mark.timeout(600)
def test_a_router_over_files_beside_ram(tmp_path: Path) -> None:
    runs = beside_ram(lambda: [f"sqlite:///{tmp_path}/{next(_numbers)}.db" for _ in range(3)])
    assert runs >= EXAMPLES


@pytest.mark.timeout(600)
def test_a_router_over_servers_beside_ram(databases: tuple[str, str]) -> None:
    runs = beside_ram(lambda: [in_schema(url, next(schemas())) for url in (databases[0], *databases)])
    assert runs >= EXAMPLES


@pytest.fixture
def router(tmp_path: Path) -> Iterator[RouterStore]:
    """Over two files; tenant `a` lives in the first, `b` in the second."""
    store = open_router(over_files(tmp_path))
    for tenant, database in (("a", "db0"), ("b", "db1")):
        store.members.placed(tenant, database)
    yield store
    store.close()


def put(store: Store, tenant: str, text: str = "tea", **fields: object) -> Record:
    """A new record of a tenant's."""
    record = replace(a_record(text, scope=Scope(tenant)), **fields)  # type: ignore[arg-type]
    return store.select(Select(ids=store.commit(Batch((Put(record, b"w", b"v"),))).ids))[0]


def test_what_concerns_two_databases_is_refused(router: RouterStore) -> None:
    """As a batch, and as a source or an edge; nothing of it is left."""
    one, other = put(router, "a"), put(router, "b")
    edge = Edge("e", one.id, other.id, "knows", Scope("a"), Interval(START), Interval(START))
    for ops in (
        (Put(a_record(scope=Scope("a"))), Put(a_record(scope=Scope("b")))),
        (Put(a_record(scope=Scope("a"), sources=(other.id,))),),
        (Put(replace(a_record("coffee", scope=Scope("a")), id=other.id)),),
        (Expunge((one.id, other.id)),),
        (PutEdge(edge),),
        (PutJob(Job("", "write", Scope("a"), START, reads=(other.id,))),),
    ):
        with pytest.raises(InvalidInput, match="whose databases differ"):
            router.commit(Batch(ops))
    assert router.select(Select()) == [one, other]
    assert not router.edges(SelectEdges())
    assert not router.jobs()


def test_a_new_embedder_takes_all_databases_or_none(router: RouterStore) -> None:
    """Entries may be staged for tenants of several at once; the switch waits for those of each."""
    one, other = put(router, "a"), put(router, "b")
    router.commit(Batch((PutInfo("embedder", "old"), Stage(one.id, 1, b"W", b"V"))))
    erasures = [router.sequence(tenant).erasures for tenant in "ab"]
    with pytest.raises(Conflict, match=other.id):
        router.commit(Batch((Switch((("embedder", "new"),)),)))
    assert [entry.words for tenant in "ab" for entry in router.entries(Scope(tenant))] == [b"w", b"w"]
    router.commit(Batch(tuple(Stage(record.id, 1, b"W", b"V") for record in (one, other))))
    assert (router.info()["staged"], router.info()["versions"]) == ("2", "2")
    router.commit(Batch((Switch((("embedder", "new"),)),)))
    assert [entry.words for tenant in "ab" for entry in router.entries(Scope(tenant))] == [b"W", b"W"]
    assert [router.sequence(tenant).erasures for tenant in "ab"] == [number + 1 for number in erasures]
    assert router.info()["embedder"] == "new"
    assert router.check() == []


def test_a_switch_that_is_refused_names_the_record_that_a_plain_store_would(router: RouterStore) -> None:
    """The first by id of those that lack an entry, in whichever database it is."""
    for tenant, id in (("a", "later"), ("b", "earlier")):
        router.commit(Batch((Put(a_record(scope=Scope(tenant), id=id), b"w"),)))
    with pytest.raises(Conflict, match="record earlier"):
        router.commit(Batch((Switch((("embedder", "new"),)),)))


def test_what_does_not_agree_between_databases_is_found(router: RouterStore) -> None:
    first, second = (store for _, store in router.members.stores())
    router.commit(Batch((PutInfo("embedder", "one"),)))
    second.commit(Batch((PutInfo("embedder", None),)))
    assert "embedder" not in router.info()
    put(first, "b", "written past the router")
    put(router, "b")
    found = "; ".join(router.check())
    assert "differ in embedder" in found
    assert "db0: holds tenant 'b', who does not live there" in found
    assert [record.text for record in router.select(Select())] == ["tea"]
    assert [scope.tenant for scope, _ in router.scopes()] == ["b"]


def test_a_page_over_databases_is_not_cut_between_equal_numbers(tmp_path: Path) -> None:
    """Two processes may give the same number at the same time; whoever pages loses none of them."""
    url = over_files(tmp_path)
    stores = [open_router(url) for _ in range(2)]
    for store, tenant, database in zip(stores, "ab", ("db0", "db1"), strict=True):
        store.members.placed(tenant, database)
        for number in range(4):
            put(store, tenant, f"{tenant}{number}")
    whole, pages, after = stores[0].select(Select()), list[Record](), 0
    assert len({record.arrival for record in whole}) < len(whole) == 8
    while page := stores[0].select(Select(after=after, limit=3)):
        pages += page
        after = page[-1].arrival
    assert pages == whole
    for store in stores:
        store.close()


def test_an_id_that_was_given_to_another_tenant_is_found_again(tmp_path: Path) -> None:
    """What a process remembers of an id is what it was when it heard of it."""
    url = over_files(tmp_path)
    here, there = (open_router(url) for _ in range(2))
    for tenant, database in (("a", "db0"), ("b", "db1")):
        here.members.placed(tenant, database)
    record = put(here, "a", id="given")
    there.commit(Batch((Expunge((record.id,)),)))
    moved = put(there, "b", "coffee", id="given")
    assert here.select(Select(ids=("given",))) == [moved]
    here.commit(Batch((Supersede(replace(moved, text="water"), 1),)))
    assert [found.text for found in there.select(Select(ids=("given",)))] == ["water"]
    for store in (here, there):
        store.close()


class Overtaken(SqliteStore):
    """A store in which something happens right after its first refusal of a commit."""

    meanwhile: Callable[[], object] | None = None
    refusals = 0

    def commit(self, batch: Batch) -> Committed:
        try:
            return super().commit(batch)
        except Conflict:
            self.refusals += 1
            if self.meanwhile is not None:
                what, self.meanwhile = self.meanwhile, None
                what()
            raise


def test_two_may_be_the_first_of_a_tenant(tmp_path: Path) -> None:
    """One finds the tenant not let in yet; before it looks why, the other has let it in."""
    url = over_files(tmp_path)
    directory = Directory(open_store(url.partition(":")[2]))
    opened: list[Overtaken] = []

    def opening(url: str, number: int) -> Store:
        opened.append(Overtaken(Path(url.partition("///")[2]), seed=number))
        return opened[-1]

    with closing(RouterStore(Members(directory, opening))) as here, closing(open_router(url)) as there:
        here.members.placed("a", "db0")
        here.members.store("db0")
        opened[0].meanwhile = lambda: put(there, "a", "coffee")
        record = put(here, "a")
        assert {found.text for found in here.select(Select())} == {"tea", "coffee"}
        assert opened[0].refusals == 1
        with pytest.raises(Conflict, match="version"):
            here.commit(Batch((Supersede(record, 7),)))


def test_new_jobs_are_told_at_once_where_all_databases_tell(
    databases: tuple[str, str], tmp_path: Path
) -> None:
    members = [in_schema(url, next(schemas())) for url in databases]
    with closing(open_store(routed(f"sqlite:///{tmp_path}/directory.db", *members))) as store:
        assert isinstance(store, Waking)
        told = threading.Event()
        quiet = store.watch(told)
        store.commit(Batch((PutJob(Job("", "write", Scope("a"), START)),)))
        assert told.wait(10)
        quiet()
    for url, member in zip(databases, members, strict=True):
        drop_schema(url, member.rpartition("=")[2])
