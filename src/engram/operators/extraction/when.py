"""The days that a sentence names, resolved against the moment when it was said.

Unlike the dates of a question (`operators.retrieval.dates`), which only lean towards a time, a fact's dates
are kept, so they follow fixed conventions: a week runs from Monday to Monday; months, years and seasons are
those of the calendar; what has no year is the nearest one before the moment, or after it for a plan; "three
weeks ago" is that day, "three months ago" that month, "three years ago" that year. English only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

__all__ = ["NUMBERS", "Named", "named_days", "number"]

NUMBERS = {
    word: value
    for value, words in enumerate(
        (
            "zero no",
            "one a an",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        )
    )
    for word in words.split()
}
_MONTHS = {
    name[:3]: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_WEEKDAYS = {
    name: number
    for number, name in enumerate(
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    )
}
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_FEASTS = {"christmas eve": (12, 24), "christmas": (12, 25), "new year's eve": (12, 31), "new year": (1, 1)}

_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_COUNT = r"(?P<count>\d{1,3}|a couple of|a few|an?|" + "|".join(list(NUMBERS)[4:]) + "|one|two)"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_LEAD = r"(?:(?:back |again )?(?:in|on|at|by|since|from|during|until|till|for|around|about|of) )?"
_PART = r"(?:(?:the )?(?:(?:very )?(?:end|start|beginning|middle) of|early|mid|late)[ -])?(?:in )?(?:the )?"
_NEAR = r"(?P<near>last|past|previous|this|this coming|next|coming)"


@dataclass(frozen=True, slots=True)
class Named:
    """A stretch of days `[start, end)` and the characters `[first, last)` of the text that name it.

    `lasting` says that it begins something that goes on ("since 2019", "for two years").
    """

    first: int
    last: int
    start: date
    end: date
    lasting: bool = False


_Stretch = tuple[date, date]
_Resolve = Callable[[re.Match[str], date, bool], _Stretch]


def number(word: str) -> int | None:
    """A count in digits or words up to twelve; `None` where it is none."""
    word = word.strip().lower()
    if word.isdecimal():
        return int(word)
    return {"a couple of": 2, "a few": 3, "couple of": 2, "few": 3}.get(word, NUMBERS.get(word))


def _one(day: date) -> _Stretch:
    return day, day + timedelta(days=1)


def _month(year: int, month: int, months: int = 1) -> _Stretch:
    count = year * 12 + month - 1
    last = count + months
    return date(count // 12, count % 12 + 1, 1), date(last // 12, last % 12 + 1, 1)


def _year(year: int) -> _Stretch:
    return date(year, 1, 1), date(year + 1, 1, 1)


def _day_word(match: re.Match[str], at: date, ahead: bool) -> _Stretch:  # noqa: ARG001 - one shape for all
    word = match["word"].lower()
    shift = {"yesterday": -1, "last night": -1, "tomorrow": 1, "the day before yesterday": -2}
    shift["the day after tomorrow"] = 2
    return _one(at + timedelta(days=shift.get(" ".join(word.split()), 0)))


def _iso(match: re.Match[str], at: date, ahead: bool) -> _Stretch:  # noqa: ARG001 - one shape for all
    return _one(date(int(match["year"]), int(match["number"]), int(match["day"])))


def _calendar_day(match: re.Match[str], at: date, ahead: bool) -> _Stretch:
    month, day = _MONTHS[match["month"][:3].lower()], int(match["day"])
    if match["year"]:
        return _one(date(int(match["year"]), month, day))
    return _nearest(lambda year: _one(date(year, month, day)), at, ahead)


def _calendar_month(match: re.Match[str], at: date, ahead: bool) -> _Stretch:
    month = _MONTHS[match["month"][:3].lower()]
    groups = match.groupdict()
    if groups.get("year"):
        return _month(int(match["year"]), month)
    near = (groups.get("near") or "").lower()
    if near.startswith("this"):
        return _month(at.year, month)
    return _nearest(lambda year: _month(year, month), at, ahead or near == "next", again=near == "last")


def _season(match: re.Match[str], at: date, ahead: bool) -> _Stretch:
    month = _SEASONS[match["season"].lower()]
    groups = match.groupdict()
    if groups.get("year"):
        return _month(int(match["year"]), month, 3)
    near = (groups.get("near") or "").lower()
    coming = ahead or near.startswith(("this", "next", "coming"))
    return _nearest(lambda year: _month(year, month, 3), at, coming, again=near in ("last", "past"))


def _feast(match: re.Match[str], at: date, ahead: bool) -> _Stretch:
    month, day = _FEASTS[match["feast"].lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")]
    groups = match.groupdict()
    if groups.get("year"):
        return _one(date(int(match["year"]), month, day))
    return _nearest(lambda year: _one(date(year, month, day)), at, ahead or groups.get("near") == "next")


def _nearest(of: Callable[[int], _Stretch], at: date, ahead: bool, *, again: bool = False) -> _Stretch:
    """The one of this year, or of the year beside it, on the wanted side of `at`.

    `again`: the one that `at` lies in does not count ("last summer", said in August of it, is a year ago).
    """
    near = [of(year) for year in range(at.year - 2, at.year + 2)]
    if ahead:
        return next(stretch for stretch in near if stretch[1] > at)
    return next(stretch for stretch in reversed(near) if stretch[1 if again else 0] <= at)


def _weekday(match: re.Match[str], at: date, ahead: bool) -> _Stretch:
    wanted = _WEEKDAYS[match["weekday"].lower() + "day"]
    near = (match["near"] or "").lower()
    forward = (wanted - at.weekday()) % 7
    if near in ("next", "this", "coming", "this coming") or (ahead and not near):
        return _one(at + timedelta(days=forward or (0 if near == "this" else 7)))
    return _one(at - timedelta(days=(at.weekday() - wanted) % 7 or 7))


def _unit(match: re.Match[str], at: date, ahead: bool) -> _Stretch:  # noqa: ARG001 - one shape for all
    near = match["near"].lower()
    step = -1 if near in ("last", "past", "previous") else 1 if near in ("next", "coming") else 0
    monday = at - timedelta(days=at.weekday())
    match match["unit"].lower():
        case "week":
            start = monday + timedelta(weeks=step)
            return start, start + timedelta(weeks=1)
        case "weekend":
            start = monday + timedelta(days=5, weeks=step)
            return start, start + timedelta(days=2)
        case "month":
            count = at.year * 12 + at.month - 1 + step
            return _month(count // 12, count % 12 + 1)
        case _:
            return _year(at.year + step)


def _away(match: re.Match[str], at: date, ahead: bool) -> _Stretch:  # noqa: ARG001 - one shape for all
    count = number(match["count"]) or 0
    groups = match.groupdict()
    sign = 1 if groups.get("on") else -1
    match match["unit"].lower():
        case "day":
            return _one(at + timedelta(days=sign * count))
        case "week":
            return _one(at + timedelta(weeks=sign * count))
        case "month":
            months = at.year * 12 + at.month - 1 + sign * count
            return _month(months // 12, months % 12 + 1)
        case _:
            return _year(at.year + sign * count)


def _plain_year(match: re.Match[str], at: date, ahead: bool) -> _Stretch:  # noqa: ARG001 - one shape for all
    return _year(int(match["year"]))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(rf"\b{text}(?!\w)", re.IGNORECASE)


_FORMS: tuple[tuple[re.Pattern[str], _Resolve, bool], ...] = (
    (_pattern(rf"{_LEAD}{_YEAR}-(?P<number>\d\d)-(?P<day>\d\d)"), _iso, False),
    (
        _pattern(
            r"for (?:the (?:last|past) )?(?:about |over |almost |nearly )?"
            + _COUNT
            + r" (?P<unit>day|week|month|year)s?(?: now)?"
        ),
        _away,
        True,
    ),
    (_pattern(rf"{_COUNT} (?P<unit>day|week|month|year)s? ago"), _away, False),
    (_pattern(rf"(?P<on>in) (?:about )?{_COUNT} (?P<unit>day|week|month|year)s?(?:' time)?"), _away, False),
    (_pattern(rf"{_COUNT} (?P<unit>day|week|month|year)s? (?P<on>from now)"), _away, False),
    (_pattern(rf"{_LEAD}(?:the )?{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR})?"), _calendar_day, False),
    (_pattern(rf"{_LEAD}{_MONTH} (?:the )?{_DAY}(?!\d)(?:,? {_YEAR})?"), _calendar_day, False),
    (_pattern(rf"{_LEAD}{_PART}{_MONTH},? (?:of )?{_YEAR}"), _calendar_month, False),
    (_pattern(rf"(?:back )?{_NEAR} {_MONTH}"), _calendar_month, False),
    (_pattern(rf"(?:in|since|during|until|till|by|from|around|of) {_PART}{_MONTH}"), _calendar_month, False),
    (
        _pattern(rf"(?:early|mid|late|the (?:end|start|beginning|middle) of)[ -]{_MONTH}"),
        _calendar_month,
        False,
    ),
    (
        _pattern(rf"{_LEAD}{_PART}(?P<season>spring|summer|autumn|fall|winter)(?: of)? {_YEAR}"),
        _season,
        False,
    ),
    (_pattern(rf"{_NEAR} (?P<season>spring|summer|autumn|fall|winter)"), _season, False),
    (_pattern(r"(?:in|since|during) (?:the )?(?P<season>spring|summer|autumn|fall|winter)"), _season, False),
    (
        _pattern(
            rf"(?:(?:at|on|over|since|for|before|after|around) )?(?:{_NEAR} )?"
            r"(?P<feast>christmas eve|christmas|new year['\u2019]s eve|new year)(?: day)?"
            rf"(?:,? (?:of |in )?{_YEAR})?"
        ),
        _feast,
        False,
    ),
    (
        _pattern(
            rf"(?:(?:since|on|by|until|till|for|from) )?(?:{_NEAR} )?"
            r"(?<!every )(?<!each )(?P<weekday>mon|tues|wednes|thurs|fri|satur|sun)day"
            r"(?: (?:morning|afternoon|evening|night))?"
        ),
        _weekday,
        False,
    ),
    (
        _pattern(
            rf"(?:(?:since|earlier|later|over|by|until|from) )?(?:the )?{_NEAR} "
            r"(?P<unit>weekend|week|month|year)"
        ),
        _unit,
        False,
    ),
    (
        _pattern(
            r"(?:(?:since|earlier|later|by|until|from|for) )?(?P<word>the day before yesterday|the day after "
            r"tomorrow|yesterday|tomorrow|today|tonight|last night|this (?:morning|afternoon|evening))"
            r"(?: (?:morning|afternoon|evening|night))?"
        ),
        _day_word,
        False,
    ),
    (_pattern(rf"(?:back )?(?:in|since|during|from|around|until|of|by|year) {_YEAR}"), _plain_year, False),
)


def named_days(text: str, at: date, *, ahead: bool = False) -> list[Named]:
    """The stretches of days that `text` names, in their order, none inside another.

    `at` is the day of speaking; `ahead` takes what has no year or side as yet to come.
    """
    found: list[Named] = []
    for item in sorted(_all(text, at, ahead), key=lambda named: (named.first, -named.last)):
        if not found or item.first >= found[-1].last:
            found.append(item)
    return found


def _all(text: str, at: date, ahead: bool) -> Iterator[Named]:
    for pattern, resolve, lasting in _FORMS:
        for match in pattern.finditer(text):
            try:
                stretch = resolve(match, at, ahead)
            except (ValueError, OverflowError):  # 31 June, or a year outside of the calendar
                continue
            since = lasting or match.group().lower().startswith("since")
            yield Named(match.start(), match.end(), *stretch, lasting=since)
