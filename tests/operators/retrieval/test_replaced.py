"""Facts come before what they have replaced, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from engram.kernel.drive import run
from engram.kernel.effects import Effect, Facts
from engram.kernel.record import Hit, Interval, Record
from engram.kernel.scope import Scope
from engram.operators.retrieval.replaced import before_replaced, inserted, stretches

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def hit(id: str, score: float, *sources: str, ended: bool = False) -> Hit:
    valid = Interval(DAY, DAY.replace(day=2) if ended else None)
    said = {"subject": "Ana", "relation": "lives_in"} if sources else {}
    kind = "fact" if sources else "episode"
    record = Record(id, kind, id, Scope(), DAY, valid, Interval(DAY), sources=sources, metadata=said)
    return Hit(record, score)


NOW, WAS = hit("now", 0.3, "t3"), hit("was", 0.0, "t1", "t2", ended=True)


def perform(effect: Effect[Any], path: str) -> Any:
    assert effect == Facts("ana", "lives_in")
    return [WAS.record, NOW.record]


def order(hits: list[Hit], facts: list[Hit]) -> list[tuple[str, float]]:
    return [(found.id, found.score) for found in run(before_replaced(hits, facts), perform)]


def test_a_fact_is_lifted_to_the_first_turn_of_what_it_replaced() -> None:
    hits = [hit("t9", 0.9), hit("t2", 0.8), hit("t1", 0.7), NOW]
    assert order(hits, [NOW]) == [("t9", 0.9), ("now", 0.8), ("t2", 0.8), ("t1", 0.7)]
    assert order(hits[:2], [NOW]) == [("t9", 0.9), ("now", 0.8), ("t2", 0.8)]


def test_a_fact_that_replaced_nothing_there_stays_where_it_is() -> None:
    assert order([hit("t9", 0.9), NOW], [NOW]) == [("t9", 0.9), ("now", 0.3)]
    assert order([hit("t3", 0.9)], [NOW]) == [("t3", 0.9)]
    assert order([NOW, hit("t1", 0.2)], [NOW]) == [("now", 0.3), ("t1", 0.2)]
    assert run(before_replaced([NOW], []), perform) == [NOW]


def test_what_is_lifted_goes_before_the_first_with_a_lower_score() -> None:
    hits = [hit("a", 0.5), hit("b", 0.9), hit("c", 0.1)]
    lifted = [replace(hit("c", 0.1), score=0.6), hit("new", 0.4)]
    found = inserted(hits, {item.id: item for item in lifted})
    assert [item.id for item in found] == ["c", "a", "b", "new"]


def test_names_may_be_any_stretch_of_four_words() -> None:
    assert stretches("Where is O'Neill, in Oslo?")[:5] == (
        *("Where", "Where is", "Where is O'Neill", "Where is O'Neill, in", "is"),
    )
    assert "O'Neill" in stretches("Where is O'Neill, in Oslo?")
    assert len(stretches("word " * 1000)) < 400
