"""Time expressions in queries: which stretch of time each names."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.kernel.clock import from_micros
from engram.operators.retrieval.dates import named_times

AT = datetime(2024, 6, 20, 15, 30, tzinfo=UTC)


def days(text: str, at: datetime = AT) -> list[str]:
    return [
        f"{from_micros(start):%Y-%m-%d} {from_micros(end):%Y-%m-%d}" for start, end in named_times(text, at)
    ]


@pytest.mark.parametrize(
    ("expression", "stretch"),
    [
        ("on 7 May 2023", "2023-05-07 2023-05-08"),
        ("on May 7th, 2023", "2023-05-07 2023-05-08"),
        ("on 2023-05-07", "2023-05-07 2023-05-08"),
        ("on the 7th of May", "2024-05-07 2024-05-08"),
        ("in May 2023", "2023-05-01 2023-06-01"),
        ("last May", "2024-05-01 2024-06-01"),
        ("in August", "2023-08-01 2023-09-01"),
        ("early March", "2024-03-01 2024-04-01"),
        ("last summer", "2024-06-01 2024-09-01"),
        ("in summer 2022", "2022-06-01 2022-09-01"),
        ("during winter of 2022", "2022-12-01 2023-03-01"),
        ("in 2022", "2022-01-01 2023-01-01"),
        ("last year", "2023-01-01 2024-01-01"),
        ("last month", "2024-05-01 2024-06-01"),
        ("yesterday", "2024-06-19 2024-06-20"),
        ("last night", "2024-06-19 2024-06-20"),
        ("this morning", "2024-06-20 2024-06-21"),
        ("two weeks ago", "2024-06-03 2024-06-10"),
        ("a couple of days ago", "2024-06-18 2024-06-19"),
        ("last weekend", "2024-06-15 2024-06-17"),
        ("last Friday", "2024-06-14 2024-06-15"),
    ],
)
def test_an_expression_names_a_stretch(expression: str, stretch: str) -> None:
    assert days(f"What did she buy {expression}?") == [stretch]


@pytest.mark.parametrize(
    "text",
    ["May I ask?", "She may march", "What did Joan say?", "call 2024 people", "I fall in love", "second day"],
)
def test_other_words_name_no_time(text: str) -> None:
    assert days(text) == []


def test_several_are_all_found() -> None:
    assert days("between May 2023 and July 2023") == ["2023-05-01 2023-06-01", "2023-07-01 2023-08-01"]


@given(st.text(max_size=80), st.datetimes(timezones=st.just(UTC), min_value=datetime(1950, 1, 1)))  # noqa: DTZ001
def test_nothing_breaks_it(text: str, at: datetime) -> None:
    for start, end in named_times(f"99999 years ago {text} 31 february", at):
        assert start < end


def test_a_query_without_a_date_loads_nothing() -> None:
    code = (
        "import sys, datetime as d\n"
        "from engram.operators.retrieval.dates import named_times\n"
        "named_times('Where does Ana live?', d.datetime.now(d.UTC))\n"
        "print('dateparser' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
