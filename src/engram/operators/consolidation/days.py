"""Calendar days of a lane: their turns, and the summary that stands on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from engram.kernel.effects import Now, Read, Told, each
from engram.kernel.record import Record
from engram.kernel.scope import Scope

__all__ = [
    "DAY",
    "Day",
    "before",
    "begun",
    "daily",
    "day_of",
    "days_of",
    "midnight",
    "open_days",
    "own",
    "summaries",
]

DAY = "day"
"""The key of a daily summary's metadata that names its day, as YYYY-MM-DD."""
_ONE = timedelta(days=1)


@dataclass(frozen=True)
class Day:
    """A calendar day (UTC): its turns that hold text, oldest first, and their summary if there is one."""

    date: date
    turns: tuple[Record, ...]
    summary: Record | None = None

    @property
    def new(self) -> tuple[str, ...]:
        """The ids of the turns that the summary does not stand on."""
        known = () if self.summary is None else self.summary.sources
        return tuple(turn.id for turn in self.turns if turn.id not in set(known))


def day_of(moment: datetime) -> date:
    """The calendar day in UTC."""
    return moment.astimezone(UTC).date()


async def begun() -> date:
    """The last day of which something was told, if that is not in the future; then today."""
    today = day_of(await Now())
    last = await Told(end=midnight(today, 1), last=1)
    return day_of(last[-1][0]) if last else today


async def before(day: date) -> date | None:
    """The last day before that one of which something was told."""
    last = await Told(end=midnight(day), last=1)
    return day_of(last[-1][0]) if last else None


async def daily(dates: Iterable[date], lane: Scope) -> dict[date, Record]:
    """The summaries that these days of a lane have."""
    wanted = sorted(set(dates))
    found = await each(_summary(day, lane) for day in wanted)
    return {day: record for day, record in zip(wanted, found, strict=True) if record is not None}


async def days_of(dates: Iterable[date], lane: Scope) -> list[Day]:
    """These days of a lane, in order; those without turns are left out."""
    found = await each(_day(day, lane) for day in sorted(set(dates)))
    return [day for day in found if day.turns]


async def open_days(lane: Scope, until: date) -> list[Day]:
    """The days before `until` that have turns which no daily summary stands on."""
    covered = {id for record in await _read(await Told(kinds=("summary",))) for id in record.sources}
    told = await Told(end=midnight(until))
    days = await days_of({day_of(time) for time, id in told if id not in covered}, lane)
    return [day for day in days if day.new]


async def summaries(lane: Scope, last: int) -> list[Record]:
    """The `last` daily summaries of a lane, oldest first."""
    records = await _read(await Told(kinds=("summary",), last=last))
    return sorted(own(records, lane, DAY), key=lambda record: str(record.metadata[DAY]))


def own(records: Iterable[Record], lane: Scope, key: str) -> list[Record]:
    """The derived ones of exactly that lane whose metadata has the key."""
    return [
        record
        for record in records
        if record.made_by is not None and record.scope.lane == lane and key in record.metadata
    ]


async def _day(day: date, lane: Scope) -> Day:
    told = await Told(midnight(day), midnight(day, 1))
    turns = [record for record in await _read(told) if record.scope.lane == lane]
    return Day(day, tuple(turns), await _summary(day, lane))


async def _summary(day: date, lane: Scope) -> Record | None:
    told = await Told(midnight(day), midnight(day, 1), kinds=("summary",))
    made = own(await _read(told), lane, DAY)
    return next((record for record in made if record.metadata[DAY] == day.isoformat()), None)


async def _read(told: Sequence[tuple[datetime, str]]) -> list[Record]:
    return await Read(tuple(id for _, id in told)) if told else []


def midnight(day: date, days: int = 0) -> datetime | None:
    """When a day begins, `days` later; `None` past the end of the calendar."""
    try:
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + days * _ONE
    except OverflowError:
        return None
