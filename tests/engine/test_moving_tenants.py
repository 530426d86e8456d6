"""A tenant moves to another database while it is used, and however often the move is broken off."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from engram.engine.identity import Guarded
from engram.engine.moving import move_tenant
from engram.kernel.errors import Conflict, InvalidInput, StoreError
from engram.kernel.protocols import (
    Batch,
    Committed,
    Expunge,
    Job,
    Put,
    PutEdge,
    PutJob,
    PutState,
    Select,
    SelectEdges,
    StateRow,
    Store,
)
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.stores import open_store
from engram.stores.ram import RamStore
from engram.stores.router import Directory, Place, RouterStore, open_router
from engram.stores.router.fence import held
from engram.stores.router.members import Members
from engram.testing.builders import START, a_record

ANA = Scope("acme", user_id="ana")
NAMES = ("one", "two", "three")


class Killed(BaseException):
    """The process is killed here."""


def killed() -> None:
    """The process is killed."""
    raise Killed


def full() -> None:
    """The disk is full."""
    raise StoreError("the disk is full")


class Process(Guarded):
    """A store as a process of its own has it; something happens at the n-th commit of all its stores."""

    def __init__(self, store: Store, fuse: list[int], event: Callable[[], None], *, after: bool) -> None:
        super().__init__(store, {})
        self._fuse, self._event, self._late = fuse, event, after

    def commit(self, batch: Batch) -> Committed:
        self._fuse[0] -= 1
        now = self._fuse[0] == 0
        if now and not self._late:
            self._event()
        done = self._store.commit(batch)
        if now and self._late:
            self._event()
        return done

    def close(self) -> None:
        """Others have it open."""


class World:
    """Stores in memory that several processes have open."""

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}

    def members(
        self, fuse: int = 0, event: Callable[[], None] | None = None, *, after: bool = False
    ) -> Members:
        """The databases, in a process that is perhaps going to be killed, or to see something else."""
        left = [fuse]

        def opened(url: str, number: int = 0) -> Store:
            store = self._stores.setdefault(url, RamStore(seed=number))
            return Process(store, left, event or killed, after=after)

        return Members(Directory(opened("directory", 9)), opened)

    def router(self) -> RouterStore:
        """A process of its own, which does not wait long."""
        return RouterStore(self.members(), patience=0.05)


@pytest.fixture
def world() -> World:
    """Two databases; the tenants `acme` and `third` live in the first, `other` in the second."""
    world = World()
    known = world.members()
    for name in NAMES:
        known.directory.add(Place(name, name))
    for tenant, name in (("acme", "one"), ("other", "two"), ("third", "one")):
        known.placed(tenant, name)
    store = RouterStore(known)
    for tenant in ("acme", "other", "third"):
        fill(store, Scope(tenant, user_id="ana"))
    return world


def fill(store: Store, scope: Scope) -> None:
    """Records with versions, an edge, a state and a job, one of each that stands on nothing."""
    ids = store.commit(
        Batch(tuple(Put(a_record(f"{scope.tenant} {n}", scope=scope), b"w") for n in range(4)))
    ).ids
    edge = Edge(f"edge {scope.tenant}", ids[0], ids[1], "knows", scope, Interval(START), Interval(START))
    store.commit(
        Batch((
            PutEdge(edge),
            PutState(StateRow("p", scope, "x", 1, 1, ids[:1])),
            PutState(StateRow("p", scope, "alone", "secret", 1)),
            PutJob(Job("", "write", scope, START)),
            Expunge(ids[3:]),
        ))
    )  # fmt: skip


def contents(store: Store, scope: Scope) -> tuple[object, ...]:
    """What a tenant has, without numbers."""
    return (
        [record.text for record in store.select(Select(scope=Scope(scope.tenant)))],
        [entry.words for entry in store.entries(scope)],
        [edge.id for edge in store.edges(SelectEdges(scope))],
        [(row.name, row.value) for row in store.states(scope)],
        [job.kind for job in store.jobs(scope)],
        [found for found in store.scopes() if found[0].tenant == scope.tenant],
    )


def nothing_left(store: Store, tenant: str) -> bool:
    """Whether a database holds nothing of a tenant."""
    pattern = Scope(tenant)
    return not (
        store.select(Select(scope=pattern, closed=True, history=True))
        or store.edges(SelectEdges(pattern, history=True))
        or store.jobs(pattern)
        or store.states(pattern)
    )


def test_a_tenant_moves_with_all_it_has(world: World) -> None:
    stale, store = world.router(), world.router()
    before = [contents(store, Scope(tenant, user_id="ana")) for tenant in ("acme", "other", "third")]
    position = stale.sequence("acme")
    record = stale.select(Select(scope=ANA))[0]
    copied = move_tenant(store.members, "acme", "two")
    assert copied is not None
    assert (copied.records, copied.jobs) == (3, 1)
    for seen in (stale, store):
        assert [contents(seen, Scope(t, user_id="ana")) for t in ("acme", "other", "third")] == before
        assert seen.sequence("acme").erasures > position.erasures
        assert seen.select(Select(ids=(record.id,)))[0].text == record.text
        assert seen.check() == []
    assert nothing_left(store.members.store("one"), "acme")
    assert held(store.members.store("one"), "acme") == "left:1"
    stale.commit(Batch((Put(a_record("after", scope=ANA)),)))
    assert len(store.select(Select(scope=ANA))) == 4
    assert nothing_left(store.members.store("one"), "acme")
    with pytest.raises(InvalidInput, match="already"):
        move_tenant(store.members, "acme", "two")
    move_tenant(store.members, "acme", "one")  # and back
    move_tenant(stale.members, "acme", "two")
    move_tenant(store.members, "acme", "one")
    assert len(stale.select(Select(scope=ANA))) == 4
    assert nothing_left(store.members.store("two"), "acme")
    assert store.check() == []


@pytest.mark.parametrize("after", [False, True])
def test_a_killed_move_loses_nothing_and_is_finished_by_the_next(after: bool, world: World) -> None:
    """Killed at every commit of a move in turn."""
    number, whole, refusals = 0, False, list[str]()
    goals = itertools.cycle(("two", "one"))
    goal, texts = next(goals), [f"acme {n}" for n in range(3)]
    while not whole:
        number += 1
        store = world.router()
        before = contents(store, ANA)
        try:
            move_tenant(world.members(number, after=after), "acme", goal)
            whole = True
        except Killed:
            pass
        assert contents(store, ANA) == before  # all is there to read, once, whatever step it was
        try:
            store.commit(Batch((Put(a_record(f"at {number}", scope=ANA)),)))
            texts.append(f"at {number}")
        except StoreError as error:
            refusals.append(str(error))
        route = store.members.directory.route("acme")
        assert route is not None
        if route.database != goal or route.left is not None:
            move_tenant(store.members, "acme", goal)
        assert [record.text for record in store.select(Select(scope=ANA))] == texts
        assert nothing_left(store.members.store("one" if goal == "two" else "two"), "acme")
        assert store.check() == []
        goal = next(goals)
    assert number > 10
    assert refusals
    assert all("is being moved" in refusal for refusal in refusals)


@pytest.mark.parametrize("after", [False, True])
def test_a_move_that_was_broken_off_is_taken_back(after: bool, world: World) -> None:
    for number in itertools.count(2):
        store = world.router()
        before = contents(store, ANA)
        with pytest.raises(Killed):
            move_tenant(world.members(number, after=after), "acme", "two")
        route = store.members.directory.route("acme")
        assert route is not None
        if route.database == "two":
            break
        with pytest.raises(Conflict, match="on its way to two"):
            move_tenant(store.members, "acme", "three")
        move_tenant(store.members, "acme", "one")
        assert contents(store, ANA) == before
        assert nothing_left(store.members.store("two"), "acme")
        store.commit(Batch((Put(a_record("on", scope=ANA)),)))
        assert store.check() == []


def test_a_move_that_fails_leaves_the_tenant_where_it_was(world: World) -> None:
    """At whichever commit the database refuses; who had been made to wait may write again."""
    store = world.router()
    for number in itertools.count(2):
        failing = world.members(number, full)
        try:
            move_tenant(failing, "acme", "two")
        except StoreError:
            route = store.members.directory.route("acme")
            assert route is not None
            if route.database == "two":
                break
            text = f"after {number}"
            store.commit(Batch((Put(a_record(text, scope=ANA)),)))
            assert store.select(Select(scope=ANA))[-1].text == text
            continue
        break
    move_tenant(store.members, "acme", "two")
    assert nothing_left(store.members.store("one"), "acme")
    assert store.check() == []


@pytest.mark.parametrize("after", [False, True])
def test_of_two_movers_one_goes_on(after: bool, world: World) -> None:
    """A mover that another overtook, at any commit, does no harm to what came since."""
    goals, number = itertools.cycle(("two", "one")), 0
    while True:
        number += 1
        store, goal = world.router(), next(goals)
        left = "one" if goal == "two" else "two"
        happened: list[str] = []

        def overtake(store: RouterStore = store, goal: str = goal, happened: list[str] = happened) -> None:
            with suppress(InvalidInput):  # it has arrived, or has not begun
                move_tenant(store.members, "acme", goal)
            store.commit(Batch((Put(a_record("meanwhile", scope=ANA)),)))
            happened.append("overtaken")

        before = len(store.select(Select(scope=ANA)))
        with suppress(Conflict):
            move_tenant(world.members(number, overtake, after=after), "acme", goal)
        if not happened:
            break
        store.commit(Batch((Put(a_record("after", scope=ANA)),)))
        assert len(store.select(Select(scope=ANA))) == before + 2
        assert nothing_left(store.members.store(left), "acme")
        assert store.check() == []
    assert number > 10


def test_writes_go_on_while_a_tenant_moves(tmp_path: Path) -> None:
    """Every acknowledged one is there once; who moves reads what it wrote, and others do not wait."""
    url = f"sqlite:///{tmp_path}/directory.db"
    directory = Directory(open_store(url))
    for name in NAMES:
        directory.add(Place(name, f"sqlite:///{tmp_path}/{name}.db"))
    directory.close()
    stop, told = threading.Event(), dict[str, list[str]]()

    def write(tenant: str) -> None:
        store, scope = open_router(f"router:{url}"), Scope(tenant, user_id="ana")
        told[tenant] = []
        while not stop.is_set():
            text = f"{tenant} {len(told[tenant])}"
            id = store.commit(Batch((Put(a_record(text, scope=scope)),))).ids[0]
            assert store.select(Select(ids=(id,)))[0].text == text
            told[tenant].append(text)
        store.close()

    router = open_router(f"router:{url}")
    for tenant, name in (("acme", "one"), ("third", "one"), ("other", "two")):
        router.members.placed(tenant, name)
    threads = [threading.Thread(target=write, args=(tenant,)) for tenant in ("acme", "third", "other")]
    for thread in threads:
        thread.start()
    for goal in ("two", "one"):
        move_tenant(router.members, "acme", goal)
    stop.set()
    for thread in threads:
        thread.join()
    for tenant, texts in told.items():
        assert texts
        assert [record.text for record in router.select(Select(scope=Scope(tenant)))] == texts
    assert router.check() == []
    router.close()
