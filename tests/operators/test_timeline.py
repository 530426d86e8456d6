"""Facts that arrive in any order end up where they belong."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engram.kernel.changes import Add, Change, Retire, Revise
from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.timeline import place
from engram.operators.extraction.fact import Fact

SAID = datetime(2026, 3, 10, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def lives(where: str, since: date | None = None, *, ended: bool = False) -> Fact:
    when = None if since is None else (since, since + DAY)
    return Fact("Ana", "lives_in", where, when=when, ended=ended)


def applied(known: Sequence[Record], changes: Sequence[Change]) -> list[Record]:
    """The facts after the changes, as the engine would have them."""
    facts = {record.id: record for record in known}
    for change in changes:
        if isinstance(change, Retire):
            record = facts[change.id]
            facts[change.id] = replace(record, valid=Interval(record.valid.start, change.end))
        elif isinstance(change, Revise):
            record = facts[change.id]
            metadata = record.metadata if change.metadata is None else change.metadata
            facts[change.id] = replace(
                record, metadata=metadata, sources=tuple({*record.sources, *change.sources})
            )
        elif isinstance(change, Add):
            id = str(len(facts))
            facts[id] = Record(
                id,
                "fact",
                change.text,
                Scope(user_id="ana"),
                SAID,
                valid=Interval(change.valid_start, change.valid_end),
                known=Interval(SAID),
                sources=change.sources,
                made_by="m",
                metadata=change.metadata,
            )
    return list(facts.values())


def told(*facts: Fact, single: bool | None = None) -> list[Record]:
    known: list[Record] = []
    for fact in facts:
        known = applied(known, place(fact, SAID, ("turn",), known, single=single))
    return known


def at(known: Sequence[Record], day: date) -> list[object]:
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return [record.metadata["object"] for record in known if moment in record.valid]


def test_a_later_home_ends_the_one_before() -> None:
    known = told(lives("Rome", date(2019, 5, 1)), lives("Porto", date(2023, 2, 1)))
    assert [at(known, date(year, 6, 1)) for year in (2018, 2020, 2024)] == [[], ["Rome"], ["Porto"]]


def test_an_earlier_home_that_is_told_later_lands_before() -> None:
    known = told(lives("Porto", date(2023, 2, 1)), lives("Rome", date(2019, 5, 1)))
    assert [at(known, date(year, 6, 1)) for year in (2018, 2020, 2024)] == [[], ["Rome"], ["Porto"]]


@given(st.permutations(range(7)))
def test_any_order_of_arrival_gives_the_same_timeline(order: list[int]) -> None:
    known = told(*(lives(f"city {number}", date(2010 + number, 1, 1)) for number in order))
    assert [at(known, date(2010 + year, 6, 1)) for year in range(9)] == [
        [f"city {min(year, 6)}"] for year in range(9)
    ]


def test_what_is_said_again_is_confirmed_by_its_new_source() -> None:
    known = told(lives("Porto", date(2023, 2, 1)))
    changes = place(lives("porto "), SAID, ("again",), known)
    metadata = {**known[0].metadata, "said": [[SAID.isoformat(), "again"]]}
    assert changes == [Revise(known[0].id, 1, metadata=metadata, sources=("again",), reason="said again")]


@given(st.data())
def test_values_that_come_back_hold_from_when_they_are_said_again(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.sampled_from(("Rome", "Porto", "Oslo")), min_size=1, max_size=7))
    order = data.draw(st.permutations(range(len(values))))
    known = told(*(lives(values[number], date(2010 + number, 1, 1)) for number in order))
    for number, value in enumerate(values):
        assert at(known, date(2010 + number, 6, 1)) == [value]


def test_a_time_that_is_no_time_or_of_another_source_counts_for_nothing() -> None:
    known = told(lives("Rome", date(2019, 5, 1)))
    said = [["2024-01-01T00:00:00+00:00", "erased"], ["soon", "turn"], [1], "x", ["2024-01-01", "turn"]]
    edited = [replace(known[0], metadata={**known[0].metadata, "said": said})]
    changes = place(lives("Porto", date(2023, 2, 1)), SAID, ("t",), edited)
    assert [type(change).__name__ for change in changes] == ["Add", "Retire"]


def test_likes_stand_side_by_side() -> None:
    known = told(Fact("Ana", "likes", "tea"), Fact("Ana", "likes", "coffee"))
    assert at(known, date(2026, 4, 1)) == ["tea", "coffee"]


def test_the_caller_may_say_that_one_value_holds_at_a_time() -> None:
    known = told(
        Fact("Ana", "drinks", "tea"), Fact("Ana", "drinks", "mate", when=(date(2026, 4, 1),) * 2), single=True
    )
    assert at(known, date(2026, 5, 1)) == ["mate"]


def test_what_has_ended_is_retired_with_the_reason() -> None:
    known = told(lives("Rome", date(2019, 5, 1)))
    fact = replace(lives("Rome", date(2021, 7, 1), ended=True), quote="I left Rome in July 2021")
    (change,) = place(fact, SAID, ("turn",), known)
    assert isinstance(change, Retire)
    assert change.end == datetime(2021, 7, 1, tzinfo=UTC)
    assert "I left Rome" in change.reason


def test_an_end_of_what_was_not_known_is_kept_as_past() -> None:
    known = told(lives("Leeds", ended=True))
    assert at(known, date(2020, 1, 1)) == ["Leeds"]
    assert at(known, date(2027, 1, 1)) == []


def test_another_subject_or_relation_is_never_touched() -> None:
    """`place` gets only what is of the same subject and relation; nothing else can be in its changes."""
    known = told(lives("Rome", date(2019, 5, 1)))
    touched = {
        change.id
        for change in place(lives("Porto", date(2023, 1, 1)), SAID, ("t",), known)
        if isinstance(change, Retire)
    }
    assert touched == {known[0].id}
