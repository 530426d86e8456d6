"""A state machine that drives two stores side by side: whatever one answers, the other must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from engram.kernel.clock import micros
from engram.kernel.protocols import Entry, Position, Select, SelectEdges, Store
from engram.kernel.record import Edge
from engram.kernel.scope import Scope
from engram.testing.rules import EntryRules, RecordRules, WorkRules
from engram.testing.strategies import KINDS, addresses, ends, moments, numbers, patterns

__all__ = ["SideBySide"]


class SideBySide(RecordRules, EntryRules, WorkRules):
    """Subclass it and give `make`, which opens the store under test and a plain one on the same clock.

    Every rule applies the same batch to both and compares results and refusals; the invariant compares
    what can be read. Where data outlives a handle, set `durable` and give `again`.
    """

    durable: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.other: Store | None = None
        self.copy: dict[str, Entry] = {}
        self.edges: dict[tuple[str, int], Edge] = {}
        self.followed = Position(0, 0)

    def again(self) -> Store:
        """A further handle on the data of the store under test."""
        raise NotImplementedError("give again(): a further handle on the same data")

    def teardown(self) -> None:
        """Close all handles."""
        if self.other is not None:
            self.other.close()
        super().teardown()

    @rule(
        what=st.builds(
            Select,
            scope=st.none() | patterns,
            kinds=st.sampled_from(((), ("fact",), KINDS[1:])),
            origins=st.none() | st.lists(addresses, max_size=4).map(tuple),
            made_by=st.sampled_from((None, None, None, "sum:1")),
            history=st.booleans(),
            closed=st.booleans(),
            unstaged=st.booleans(),
            expired_by=ends,
            change_set=st.none() | st.none() | numbers,
            limit=st.none() | st.integers(1, 4),
        ),
        by_time=st.booleans(),
        after=st.none() | st.tuples(moments, numbers),
        picks=st.none() | st.lists(numbers, max_size=4),
        sources=st.none() | st.none() | st.lists(numbers, max_size=2),
    )
    def select(
        self,
        what: Select,
        by_time: bool,
        after: tuple[datetime, int] | None,
        picks: Sequence[int] | None,
        sources: Sequence[int] | None,
    ) -> None:
        """Read records in any way."""
        place: int | tuple[int, int] | None = None
        if after is not None:
            place = (micros(after[0]), after[1]) if by_time else after[1]
        what = replace(
            what,
            by_time=by_time,
            after=place,
            ids=None if picks is None else tuple(self.pick(number) for number in picks),
            derived_from=None if sources is None else tuple(self.pick(number) for number in sources),
        )
        assert self.tested.select(what) == self.plain.select(what), what

    @rule(picks=st.lists(numbers, max_size=5), history=st.booleans(), closed=st.booleans())
    def select_ids(self, picks: Sequence[int], history: bool, closed: bool) -> None:
        """Read records in the order of ids."""
        what = Select(ids=tuple(self.pick(number) for number in picks), history=history, closed=closed)
        assert self.tested.select(what) == self.plain.select(what), what

    @rule(scope=patterns, limit=st.integers(1, 5), history=st.booleans(), start=numbers)
    def page_entries(self, scope: Scope, limit: int, history: bool, start: int) -> None:
        """Read index entries page by page."""
        after = start
        while True:
            page = self.tested.entries(scope, after, limit, history)
            assert page == self.plain.entries(scope, after, limit, history)
            if len(page) < limit:
                break
            after = page[-1].sequence

    @rule(scope=patterns, picks=st.none() | st.lists(numbers, max_size=3), history=st.booleans())
    def read_others(self, scope: Scope, picks: Sequence[int] | None, history: bool) -> None:
        """Read edges, states and jobs."""
        ids = None if picks is None else [self.pick(number) for number in picks]
        jobs = self.job_ids[:3]
        calls: list[Callable[[Store], object]] = [
            lambda store: store.edges(
                SelectEdges(scope, None if ids is None else tuple(ids), history=history)
            ),
            lambda store: store.states(scope),
            lambda store: store.states(scope, "sum", "x"),
            lambda store: store.jobs(scope, "write"),
            lambda store: store.jobs(ids=jobs),
            lambda store: store.scopes(scope),
        ]
        for call in calls:
            assert call(self.tested) == call(self.plain)

    @rule(
        what=st.builds(
            SelectEdges,
            scope=st.none() | patterns,
            direction=st.sampled_from(("both", "out", "in")),
            types=st.sampled_from(((), ("knows",), ("likes", "knows"))),
            makers=st.sampled_from((None, None, (None,), ("sum:1",), (None, "sum:1"))),
            change_set=st.none() | st.none() | numbers,
            history=st.booleans(),
            known_at=st.none() | moments,
            valid_at=st.none() | moments,
            lasting=st.none() | moments,
            after=st.none() | numbers | st.tuples(numbers, st.just("edge-1"), st.integers(0, 2)),
            newest=st.booleans(),
            limit=st.none() | st.integers(1, 4),
        ),
        picks=st.none() | st.lists(numbers, max_size=3),
        named=st.none() | st.none() | st.lists(numbers, max_size=3),
        grounds=st.none() | st.none() | st.lists(numbers, max_size=2),
    )
    def select_edges(
        self,
        what: SelectEdges,
        picks: Sequence[int] | None,
        named: Sequence[int] | None,
        grounds: Sequence[int] | None,
    ) -> None:
        """Read edges in any way."""
        what = replace(
            what,
            touching=None if picks is None else tuple(self.pick(number) for number in picks),
            standing_on=None if grounds is None else tuple(self.pick(number) for number in grounds),
            ids=None if named is None else tuple(f"edge-{number % 8}" for number in named),
        )
        assert self.tested.edges(what) == self.plain.edges(what), what

    @rule()
    @precondition(lambda self: self.durable)
    def reopen(self) -> None:
        """Close the store and open it again; nothing may be lost."""
        self.tested.close()
        self.tested = self.again()

    @rule()
    @precondition(lambda self: self.durable)
    def change_hands(self) -> None:
        """Go on with another handle on the same data; the two see each other's commits."""
        other = self.other or self.again()
        self.tested, self.other = other, self.tested

    @invariant()
    def same(self) -> None:
        """Both stores hold the same, and an index that follows the entries knows it too."""
        assert self.tested.sequence() == self.plain.sequence()
        assert self.tested.select(Select(history=True)) == self.plain.select(Select(history=True))
        assert self.tested.jobs() == self.plain.jobs()
        assert self.tested.scopes() == self.plain.scopes()
        facts = [store.info() for store in (self.tested, self.plain)]
        for key in ("embedder", "staged", "versions"):
            assert facts[0].get(key) == facts[1].get(key), key
        self._follow()

    def _follow(self) -> None:
        """Keep a copy of the latest entries by following the sequence, as an index does."""
        position = self.tested.sequence()
        if position.erasures != self.followed.erasures:
            self.copy, self.edges, self.followed = {}, {}, Position(0, position.erasures)
        for entry in self.tested.entries(Scope(), self.followed.last, 10_000):
            self.copy[entry.id] = entry
        for edge in self.tested.edges(SelectEdges(history=True, after=self.followed.last)):
            self.edges[edge.id, edge.version] = edge
        self.followed = position
        assert self.edges == {
            (edge.id, edge.version): edge for edge in self.plain.edges(SelectEdges(history=True))
        }
        assert self.copy == {entry.id: entry for entry in self.plain.entries(Scope(), 0, 10_000)}
