"""Edges in arrays: they follow a store's edges, whatever comes and goes, and rank as edges read anew do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.kernel.clock import micros
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.operators.graph.walk import Walks

NOW = datetime(2026, 5, 1, tzinfo=UTC)
START = Interval(NOW - timedelta(days=10))


def edge(number: int, source: str, target: str, **more: object) -> Edge:
    """An edge that is believed."""
    plain = Edge(f"e{number}", source, target, "knows", Scope(user_id="u"), START, START, sequence=number)
    return replace(plain, **more)  # type: ignore[arg-type]


def ranked(walks: Walks, at: datetime = NOW, **asked: object) -> dict[str, float]:
    """Shares by id, for a walk from "a"."""
    return dict(walks.rank([("a", 1.0)], now=micros(at), **asked))  # type: ignore[arg-type]


def test_a_walk_goes_both_ways_and_further_is_less() -> None:
    walks = Walks()
    walks.apply([edge(1, "a", "b"), edge(2, "c", "b")])
    found = walks.rank([("a", 1.0)], now=micros(NOW))
    assert [id for id, _ in found] == ["a", "b", "c"]
    assert sum(share for _, share in found) == pytest.approx(1)
    assert len(walks) == 2


def test_a_seed_without_edges_has_its_share_and_alone_is_nothing() -> None:
    walks = Walks()
    walks.apply([edge(1, "a", "b")])
    assert walks.rank([("z", 1.0)], now=micros(NOW)) == []
    assert dict(walks.rank([("z", 1.0), ("a", 1.0)], now=micros(NOW)))["z"] == pytest.approx(1 / 3)


def test_directed_walks_do_not_turn_back() -> None:
    walks = Walks()
    walks.apply([edge(1, "a", "b"), edge(2, "c", "b")])
    assert set(ranked(walks, directed=True)) == {"a", "b"}


def test_types_and_makers_choose_edges() -> None:
    walks = Walks()
    walks.apply([edge(1, "a", "b"), edge(2, "a", "c", type="owns"), edge(3, "a", "d", made_by="me:1")])
    assert set(ranked(walks)) == {"a", "b", "c"}
    assert set(ranked(walks, types=("owns",))) == {"a", "c"}
    assert set(ranked(walks, made_by="me:1")) == {"a", "b", "c", "d"}
    assert set(ranked(walks, made_by="other:1")) == {"a", "b", "c"}


def test_what_closed_or_ended_is_walked_no_more() -> None:
    walks = Walks()
    ends = Interval(START.start, NOW + timedelta(days=1))
    walks.apply([edge(1, "a", "b"), edge(2, "a", "c"), edge(3, "a", "d", valid=ends)])
    assert set(ranked(walks)) == {"a", "b", "c", "d"}
    walks.apply([edge(4, "a", "c", id="e2", known=Interval(START.start, NOW), closed=7)])
    assert set(ranked(walks)) == {"a", "b", "d"}
    assert set(ranked(walks, NOW + timedelta(days=1))) == {"a", "b"}
    assert set(ranked(walks)) == {"a", "b", "d"}


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_no_edge(weight: float) -> None:
    walks = Walks()
    walks.apply([edge(1, "a", "b", weight=weight)])
    assert ranked(walks) == {}


Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"), st.integers(0, 9)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_following_step_by_step_is_reading_all_at_once(steps: list[Step]) -> None:
    """One edge comes a step, and an earlier one closes where the number names one; asked after each."""
    walks, held, sequence = Walks(), {}, 0
    for number, (source, target, gone) in enumerate(steps):
        sequence += 1
        held[f"e{number}"] = fresh = edge(number, source, target, sequence=sequence, weight=1.0 + gone)
        page = [fresh]
        if closing := held.get(f"e{gone}") if gone < number else None:
            sequence += 1
            closed = replace(closing, known=Interval(START.start, NOW), closed=1, sequence=sequence)
            held.pop(closing.id)
            page.append(closed)
        walks.apply(page)
        anew = Walks()
        anew.apply(held.values())
        assert ranked(walks) == pytest.approx(ranked(anew), abs=1e-9)
        assert len(walks) == len(held)
    assert walks.nbytes > 0
