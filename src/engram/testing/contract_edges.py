"""What a store must do with edges: versions, moments on both axes, order, and whoever follows them."""

from __future__ import annotations

from dataclasses import replace

from engram.kernel.protocols import Batch, CloseEdge, Expunge, PutEdge, SelectEdges, Store
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.testing.builders import ANA, START, a_record, day
from engram.testing.contract_records import BEN, put_one, refused

__all__ = ["EdgeContract"]


def an_edge(id: str, source: str, target: str, **fields: object) -> Edge:
    """An edge of Ana's that holds from the start on."""
    edge = Edge(id, source, target, "knows", ANA, Interval(START), Interval(START))
    return replace(edge, **fields)  # type: ignore[arg-type]


def records(store: Store, count: int) -> list[str]:
    """The ids of so many new records."""
    return [put_one(store, a_record(f"record {number}")).id for number in range(count)]


def put(store: Store, *edges: Edge) -> int:
    """Put edges in one commit; its change set."""
    return store.commit(Batch(tuple(map(PutEdge, edges)))).change_set


def succeed(store: Store, edge: Edge, at: float) -> int:
    """Put the next version of an edge, known from a day on."""
    known = replace(edge, known=Interval(day(at)))
    return store.commit(Batch((CloseEdge(edge.id, day(at), edge.version - 1), PutEdge(known)))).change_set


def names(edges: list[Edge]) -> list[tuple[str, int]]:
    """Ids and versions."""
    return [(edge.id, edge.version) for edge in edges]


class EdgeContract:
    """Edges."""

    def test_edges(self, store: Store) -> None:
        """They come back whole, by record or by scope, and end."""
        a, b, c = records(store, 3)
        edge = Edge("e1", a, b, "knows", ANA, Interval(START), Interval(START), 0.5, (c,), "m:1", {"x": [1]})
        done = store.commit(Batch((PutEdge(edge), PutEdge(replace(edge, id="e2", source=c)))))
        expected = replace(edge, opened=done.change_set, sequence=done.change_set)
        assert store.edges(SelectEdges(ANA, (a,))) == [expected]
        assert [found.id for found in store.edges(SelectEdges(Scope(), (b,)))] == ["e1", "e2"]
        assert store.edges(SelectEdges(BEN)) == []
        ended = store.commit(Batch((CloseEdge("e1", day(1)),)))
        assert [found.id for found in store.edges(SelectEdges(ANA))] == ["e2"]
        closed = store.edges(SelectEdges(ANA, (a,), history=True))[0]
        assert (closed.known.end, closed.closed) == (day(1), ended.change_set)
        assert "e1" in refused(store, CloseEdge("e1", day(2)))
        put(store, replace(edge, weight=0.25))
        assert [found.weight for found in store.edges(SelectEdges(ANA, (a,)))] == [0.25]
        assert store.check() == []

    def test_versions_of_an_edge(self, store: Store) -> None:
        """Each keeps what it said; the open one is found by id; another than expected is not ended."""
        a, b, c = records(store, 3)
        first = put(store, an_edge("e", a, b))
        then = an_edge("e", c, b, version=2, valid=Interval(START, day(3)), sources=(a,))
        second = succeed(store, then, 1)
        assert names(store.edges(SelectEdges(ids=("e", "none")))) == [("e", 2)]
        assert "version 2" in refused(store, CloseEdge("e", day(2), 1))
        every = store.edges(SelectEdges(ids=("e",), history=True))
        assert [(edge.source, edge.opened, edge.closed) for edge in every] == [
            (a, first, second),
            (c, second, None),
        ]
        assert every[0].known == Interval(START, day(1))
        assert names(store.edges(SelectEdges(change_set=first, history=True))) == [("e", 1)]
        assert names(store.edges(SelectEdges(change_set=second, history=True))) == [("e", 1), ("e", 2)]
        assert store.check() == []

    def test_which_edges(self, store: Store) -> None:
        """By direction, type, maker, and moments on either axis."""
        a, b = records(store, 2)
        put(
            store,
            an_edge("out", a, b, valid=Interval(START, day(4)), made_by="m:1"),
            an_edge("in", b, a, type="likes", valid=Interval(day(2)), made_by="n:1"),
            an_edge("loop", a, a, known=Interval(day(3))),
        )

        def found(**conditions: object) -> list[str]:
            return [edge.id for edge in store.edges(SelectEdges(ANA, **conditions))]  # type: ignore[arg-type]

        assert found(touching=(a,), direction="out") == ["loop", "out"]
        assert found(touching=(a,), direction="in") == ["in", "loop"]
        assert found(touching=(b, a)) == ["in", "loop", "out"]
        assert found(touching=()) == found(ids=()) == []
        assert found(types=("likes", "hates")) == ["in"]
        assert found(makers=(None, "m:1")) == ["loop", "out"]
        assert found(makers=("n:1",)) == ["in"]
        assert found(valid_at=day(1)) == ["loop", "out"]
        assert found(valid_at=day(4)) == ["in", "loop"]
        assert found(lasting=day(3)) == ["in", "loop", "out"]
        assert found(lasting=day(4)) == ["in", "loop"]
        assert found(known_at=day(2)) == ["in", "out"]
        store.commit(Batch((CloseEdge("out", day(5)),)))
        assert found(known_at=day(4)) == ["in", "loop", "out"]
        assert found(known_at=day(5)) == found() == ["in", "loop"]
        put(store, an_edge("grounded", b, b, sources=(a,), valid=Interval(day(9))))
        assert found(standing_on=(a, "none")) == ["grounded"]
        assert found(standing_on=(b,)) == []

    def test_pages_of_edges(self, store: Store) -> None:
        """By change set and id behind a place, or the last changed first; of some records, or of all."""
        a, b, c = records(store, 3)
        for number in range(4):
            put(store, an_edge(f"x{number}", a, b), an_edge(f"y{number}", c, a))
        every = store.edges(SelectEdges(ANA))
        assert names(every) == [(f"{name}{number}", 1) for number in range(4) for name in "xy"]
        place, read = (0, "", 0), list[Edge]()
        while page := store.edges(SelectEdges(ANA, after=place, limit=3)):
            read += page
            place = page[-1].opened, page[-1].id, page[-1].version
        assert read == every
        newest = store.edges(SelectEdges(ANA, (a,), newest=True, limit=3))
        assert [edge.id for edge in newest] == ["y3", "x3", "y2"]
        assert store.edges(SelectEdges(ANA, (c, b), "in", newest=True, limit=2)) == [every[6], every[4]]
        assert store.edges(SelectEdges(newest=True, limit=1)) == [every[-1]]

    def test_following_edges(self, store: Store) -> None:
        """Whoever reads those behind the last sequence seen knows every edge, and sees erasures by number."""
        a, b, c = records(store, 3)
        other = put_one(store, a_record("of Ben", scope=BEN)).id
        put(store, an_edge("e1", a, b), an_edge("e2", b, c), an_edge("other", other, other, scope=BEN))
        known: dict[str, Edge] = {}
        seen = 0

        def follow() -> list[tuple[str, int]]:
            nonlocal seen
            read: list[Edge] = []
            while page := store.edges(SelectEdges(ANA, history=True, after=seen, limit=2)):
                read += page
                seen = page[-1].sequence
            for edge in read:
                if edge.current:
                    known[edge.id] = edge
                else:
                    known.pop(edge.id, None)
            return names(read)

        assert follow() == [("e1", 1), ("e2", 1)]
        succeed(store, an_edge("e1", a, c, version=2), 1)
        store.commit(Batch((CloseEdge("e2", day(1)),)))
        assert follow() == [("e1", 1), ("e1", 2), ("e2", 1)]
        assert follow() == []
        assert list(known.values()) == store.edges(SelectEdges(ANA))
        assert seen <= store.sequence().last
        erasures = store.sequence().erasures
        store.commit(Batch((Expunge((c,)),)))
        assert store.sequence().erasures == erasures + 1
        assert names(store.edges(SelectEdges(ANA, history=True))) == [("e1", 1)]
        assert store.check() == []

    def test_an_edge_alone_in_its_scope(self, store: Store) -> None:
        """It stays, and its scope is none of those with records."""
        a, b = (put_one(store, a_record(scope=replace(ANA, run_id=run))).id for run in "rs")
        put(store, an_edge("e", a, b, sources=(a,)))
        gone = put_one(store, a_record("gone", scope=BEN)).id
        store.commit(Batch((Expunge((gone,)),)))
        assert names(store.edges(SelectEdges(ANA))) == [("e", 1)]
        assert [scope for scope, _ in store.scopes()] == [replace(ANA, run_id=run) for run in "rs"]
        assert store.check() == []
