"""How a memory grew: counted right, in little memory, and drawn."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.test_plots import Picture
from engram import Memory
from engram.bench.growth import Growth, Span, growth
from engram.bench.plots_growth import draw_growth
from engram.engine.core import Core
from engram.kernel.errors import NotFound
from engram.kernel.scope import Scope

START = datetime(2026, 1, 7, 9, 30, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def grown(*days: float, kind: str = "episode") -> Growth:
    found = Growth()
    for day in days:
        found.count(kind, START + timedelta(days=day))
    return found


@pytest.mark.parametrize(
    ("days", "unit"),
    [(0.01, "minute"), (2, "hour"), (30, "day"), (300, "week"), (2000, "month"), (9000, "year")],
)
def test_spans_are_as_long_as_the_whole_wants_and_follow_each_other(days: float, unit: str) -> None:
    found = grown(0, days / 3, days)
    spans = list(found.spans())
    assert found.unit == unit
    assert 2 < len(spans) <= 100
    assert all(one.end == two.start for one, two in itertools.pairwise(spans))
    assert spans[0].start <= START < spans[0].end
    assert spans[-1].start <= START + timedelta(days=days) < spans[-1].end
    assert [span.held.get("episode") for span in (spans[0], spans[-1])] == [1, 3]
    assert sum(span.new.get("episode", 0) for span in spans) == 3


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert {span.start.weekday() for span in grown(0, 300).spans()} == {0}
    assert {span.start.day for span in grown(0, 2000).spans()} == {1}
    assert {(span.start.month, span.start.day) for span in grown(0, 9000).spans()} == {(1, 1)}


def test_a_superseded_version_is_no_new_record_and_a_retired_one_is_gone() -> None:
    found = Growth()
    edited = START + timedelta(days=10)
    found.count("fact", START, edited)
    found.count("fact", edited, new=False)
    found.count("fact", START, START + timedelta(days=20))
    spans = list(found.spans())
    assert [span.held["fact"] for span in spans] == [2] * 20 + [1]
    assert sum(sum(span.new.values()) for span in spans) == 2


@given(st.lists(st.tuples(MOMENTS, st.sampled_from(["episode", "fact"])), min_size=1, max_size=60))
def test_counting_in_little_memory_gives_the_same_totals(records: list[tuple[datetime, str]]) -> None:
    small, large = Growth(limit=8), Growth()
    for moment, kind in records:
        small.count(kind, moment)
        large.count(kind, moment)
    for found in (small, large):
        last = list(found.spans())[-1]
        assert last.held == {
            kind: sum(own == kind for _, own in records) for kind in {own for _, own in records}
        }
    one, other = list(small.spans()), list(large.spans())
    if small.unit == large.unit:
        assert one == other


def test_a_long_life_is_counted_in_few_bins() -> None:
    found = Growth()
    for minute in range(0, 60 * 24 * 900, 37):
        found.count("episode", START + timedelta(minutes=minute))
    assert len(found) < 20_000
    assert [span.held["episode"] for span in found.spans()][-1] == len(range(0, 60 * 24 * 900, 37))


@pytest.fixture(params=["ram", "sqlite"])
def core(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Core]:
    """Ana's three records, one of them edited twice, and one each of Ben and of another tenant."""
    url = "ram:" if request.param == "ram" else f"sqlite:///{tmp_path}/a.db"
    now = [START]
    memory = Memory(url, policy="rrf", clock=lambda: now[0])
    ids = memory.add(["one", "two", "three"], user_id="ana").ids
    now[0] += timedelta(days=3)
    memory.add("four", user_id="ben")
    memory.add("five", user_id="ana", tenant="elsewhere")
    for text in ("one!", "one!!"):
        now[0] += timedelta(days=1)
        memory.edit(ids[0], text=text, user_id="ana")
    yield memory._bound.core
    memory.close()


def held(spans: Iterator[Span]) -> list[int]:
    return [sum(span.held.values()) for span in spans]


def test_a_store_is_counted_version_by_version(core: Core) -> None:
    steps: list[int] = []
    found = growth(core.store, None, steps.append)
    assert held(found.spans()) == [3, 3, 3, 5, 5, 5]
    assert sum(steps) == 7
    assert [sum(span.new.values()) for span in found.spans()] == [3, 0, 0, 2, 0, 0]


def test_a_scope_is_counted_by_itself(core: Core) -> None:
    assert held(growth(core.store, Scope(user_id="ben")).spans()) == [1]
    assert held(growth(core.store, Scope()).spans())[-1] == 4
    assert held(growth(core.store, Scope("elsewhere")).spans()) == [1]
    assert held(growth(core.store, Scope(user_id="nobody")).spans()) == []


def test_the_picture_has_a_line_and_bars_a_kind(tmp_path: Path) -> None:
    found = grown(0, 1, 2, 30)
    for day in (1, 15, 15):
        found.count("fact", START + timedelta(days=day), START + timedelta(days=20))
    draw_growth(found, tmp_path / "a.svg", "user_id=ana")
    picture = Picture(tmp_path / "a.svg")
    assert picture.ids("held/") == ["held/episode", "held/fact"]
    assert len(picture.ids("new/fact/")) == 31
    assert {"episode 4", "fact 0", "new records a day", "known since (UTC)"} <= set(picture.words)
    assert picture.said("title") == "Memory over time, user_id=ana"
    assert "held at the end: 4 episode, 0 fact." in picture.said("desc")
    assert "Most new records in one day: 2, from 2026-01-08" in picture.said("desc")
    lowest = max(y for _, y in picture.points("held/episode"))
    steps = [
        round((lowest - y) / (lowest - picture.points("held/episode")[-1][1]) * 4, 2)
        for _, y in picture.points("held/episode")
    ]
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[-1] == 4
    bars = [picture.points(f"new/fact/{day}") for day in (1, 15)]
    heights = [max(y for _, y in bar) - min(y for _, y in bar) for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    draw_growth(found, tmp_path / "b.svg", "user_id=ana")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_many_kinds_are_drawn_as_the_greatest_and_the_rest(tmp_path: Path) -> None:
    found = Growth()
    for place, kind in enumerate("abcdefgh"):
        for number in range(10 - place):
            found.count(kind, START + timedelta(hours=number))
    draw_growth(found, tmp_path / "a.svg")
    picture = Picture(tmp_path / "a.svg")
    assert picture.ids("held/") == ["held/a", "held/b", "held/c", "held/d", "held/e", "held/other"]
    assert "other 12" in picture.words


def test_one_record_can_be_drawn_and_none_is_told(tmp_path: Path) -> None:
    draw_growth(grown(0), tmp_path / "a.svg")
    assert "episode 1" in Picture(tmp_path / "a.svg").words
    with pytest.raises(NotFound, match="no records to draw"):
        draw_growth(Growth(), tmp_path / "b.svg")
    assert not (tmp_path / "b.svg").exists()
