"""The times that a query names: expressions found by a pattern, understood by `dateparser`.

`dateparser` reads "7 May 2023" or "two weeks ago" but not "last summer" or "early March"; such words are
put into forms that it reads. English only. Nothing of it is loaded until a query holds such a word.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from engram.kernel.clock import micros

__all__ = ["named_times"]

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_FULL = r"(?:january|february|april|june|july|august|september|october|november|december)"
_NUMBER = r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|a\s+couple\s+of|a\s+few)"
_BEFORE = (
    r"(?:in|on|of|by|last|this|during|since|until|till|before|after|from|around|early|late|mid|past|previous)"
)
_YEAR = r"(?:19|20)\d\d"
_SEASON = r"(?:spring|summer|autumn|fall|winter)"
_EXPRESSION = re.compile(
    rf"""\b{_YEAR}-\d\d-\d\d\b
    |\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b\.?(?:,?\s+{_YEAR}\b)?
    |\b{_MONTH}\b\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?!\d)(?:,?\s+{_YEAR}\b)?
    |\b{_MONTH}\b\.?,?\s+(?:of\s+)?{_YEAR}\b
    |\b{_BEFORE}[\s-]+{_MONTH}\b(?!\.?,?\s+(?:of\s+)?\d)
    |\b{_FULL}\b(?!\.?,?\s+(?:of\s+)?\d)
    |\b(?:last|past|previous|this)\s+{_SEASON}\b
    |\b{_SEASON}(?:\s+of)?\s+{_YEAR}\b
    |\b(?:in|of|during|since|year|by|from)\s+{_YEAR}\b
    |\b(?:today|yesterday)\b
    |\bthis\s+(?:morning|week|month|year)\b
    |\b(?:last|past|previous)\s+(?:week(?:end)?|month|year|night|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b
    |\b{_NUMBER}\s+(?:day|week|month|year)s?\s+ago\b""",
    re.IGNORECASE | re.VERBOSE,
)
_SEASON_STARTS = {"spring": "March", "summer": "June", "autumn": "September", "fall": "September"}
_REWRITES = (
    (re.compile(r"\ba\s+couple\s+of\b", re.IGNORECASE), "2"),
    (re.compile(r"\ba\s+few\b", re.IGNORECASE), "3"),
    (re.compile(r"\b(?:past|previous)\b", re.IGNORECASE), "last"),
    (re.compile(r"\blast\s+weekend\b", re.IGNORECASE), "last saturday"),
    (re.compile(r"\b(?:last\s+night)\b", re.IGNORECASE), "yesterday"),
    (re.compile(r"\bthis\s+morning\b", re.IGNORECASE), "today"),
    (re.compile(rf"^(?:{_BEFORE}|year)[\s-]+(?={_MONTH}|{_YEAR})", re.IGNORECASE), ""),
    (re.compile(r"\bof\s+", re.IGNORECASE), ""),
)


def named_times(text: str, at: datetime) -> tuple[tuple[int, int], ...]:
    """The stretches of time that a query names, half-open, in microseconds since 1970.

    `at` anchors relative expressions; a day or a month without a year is the last one before it.
    """
    return _named(text, at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None))


@lru_cache(maxsize=256)
def _named(text: str, day: datetime) -> tuple[tuple[int, int], ...]:
    found = (_stretch(match.group(), day) for match in _EXPRESSION.finditer(text))
    return tuple(
        (micros(start.replace(tzinfo=UTC)), micros(end.replace(tzinfo=UTC)))
        for start, end in (stretch for stretch in found if stretch is not None)
    )


def _stretch(expression: str, day: datetime) -> tuple[datetime, datetime] | None:
    """Start and end of one expression, or `None` where `dateparser` cannot tell."""
    season = re.search(_SEASON, expression, re.IGNORECASE)
    plain = expression
    if season:
        month = _SEASON_STARTS.get(season.group().lower(), "December")
        plain = re.sub(
            rf"(?:last|past|previous|this)\s+(?={month})", "", plain.replace(season.group(), month)
        )
    for pattern, instead in _REWRITES:
        plain = pattern.sub(instead, plain)
    try:
        read = _parser(day).get_date_data(plain.strip())
    except (ValueError, OverflowError):  # a year outside of what datetime holds
        return None
    if read.date_obj is None:
        return None
    start = read.date_obj.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if season:
        return start, _months_on(start, 3)
    if "weekend" in expression.lower():
        return start, start + timedelta(days=2)
    return _period(start, read.period)


def _period(start: datetime, period: str) -> tuple[datetime, datetime]:
    if period == "year":
        return datetime(start.year, 1, 1), datetime(start.year + 1, 1, 1)  # noqa: DTZ001 - made UTC above
    if period == "month":
        return start.replace(day=1), _months_on(start.replace(day=1), 1)
    if period == "week":
        return start - timedelta(days=3), start + timedelta(days=4)
    return start, start + timedelta(days=1)


def _months_on(start: datetime, months: int) -> datetime:
    count = start.month - 1 + months
    return start.replace(year=start.year + count // 12, month=count % 12 + 1, day=1)


@lru_cache(maxsize=16)
def _parser(day: datetime) -> Any:
    return _parser_class()(
        languages=["en"],
        settings={"RELATIVE_BASE": day, "PREFER_DATES_FROM": "past", "PREFER_DAY_OF_MONTH": "first"},
    )


@cache
def _parser_class() -> Any:
    from dateparser.date import DateDataParser  # 0.2 s, which queries without a date do not pay

    return DateDataParser
