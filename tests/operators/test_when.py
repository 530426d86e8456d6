"""Days that a sentence names."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.operators.extraction.when import named_days, number

AT = date(2026, 3, 10)  # a Tuesday


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("I met her yesterday", "2026-03-09", "2026-03-10"),
        ("the day before yesterday it rained", "2026-03-08", "2026-03-09"),
        ("we married on 3 May", "2025-05-03", "2025-05-04"),
        ("we married on May 3rd, 2019", "2019-05-03", "2019-05-04"),
        ("on the 3rd of May 2021", "2021-05-03", "2021-05-04"),
        ("we married last May", "2025-05-01", "2025-06-01"),
        ("at the end of June 2024", "2024-06-01", "2024-07-01"),
        ("in early March", "2026-03-01", "2026-04-01"),
        ("since 2019", "2019-01-01", "2020-01-01"),
        ("for three years", "2023-01-01", "2024-01-01"),
        ("two months ago", "2026-01-01", "2026-02-01"),
        ("three weeks ago", "2026-02-17", "2026-02-18"),
        ("on Friday", "2026-03-06", "2026-03-07"),
        ("last Tuesday", "2026-03-03", "2026-03-04"),
        ("last week", "2026-03-02", "2026-03-09"),
        ("last weekend", "2026-03-07", "2026-03-09"),
        ("last winter", "2025-12-01", "2026-03-01"),
        ("last summer", "2025-06-01", "2025-09-01"),
        ("in the summer of 2020", "2020-06-01", "2020-09-01"),
        ("at Christmas", "2025-12-25", "2025-12-26"),
        ("2024-05-06", "2024-05-06", "2024-05-07"),
    ],
)
def test_looking_back(text: str, start: str, end: str) -> None:
    assert [(str(named.start), str(named.end)) for named in named_days(text, AT)] == [(start, end)]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("see the dentist tomorrow", "2026-03-11", "2026-03-12"),
        ("on 3 May", "2026-05-03", "2026-05-04"),
        ("in May", "2026-05-01", "2026-06-01"),
        ("on Friday", "2026-03-13", "2026-03-14"),
        ("next Tuesday", "2026-03-17", "2026-03-18"),
        ("next week", "2026-03-16", "2026-03-23"),
        ("this weekend", "2026-03-14", "2026-03-16"),
        ("in two weeks", "2026-03-24", "2026-03-25"),
        ("in two months", "2026-05-01", "2026-06-01"),
        ("next summer", "2026-06-01", "2026-09-01"),
        ("at Christmas", "2026-12-25", "2026-12-26"),
    ],
)
def test_looking_ahead(text: str, start: str, end: str) -> None:
    assert [(str(named.start), str(named.end)) for named in named_days(text, AT, ahead=True)] == [
        (start, end)
    ]


@pytest.mark.parametrize(
    "text", ["I may go", "march on", "we play on Sundays", "it costs 2019 euros", "31 June", "second to none"]
)
def test_what_names_no_day(text: str) -> None:
    assert named_days(text, AT) == []


def test_what_goes_on_says_so() -> None:
    lasting = [named_days(text, AT)[0].lasting for text in ("since 2019", "for two years", "in 2019")]
    assert lasting == [True, True, False]


@given(st.text(max_size=200), st.dates(), st.booleans())
def test_any_text_gives_stretches_in_order_and_apart(text: str, at: date, ahead: bool) -> None:
    found = named_days(text, at, ahead=ahead)
    assert all(named.start < named.end and named.first < named.last for named in found)
    assert all(one.last <= other.first for one, other in pairwise(found))


def test_numbers() -> None:
    assert [number(word) for word in ("7", "twelve", "a couple of", "many")] == [7, 12, 2, None]
