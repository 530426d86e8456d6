"""How a memory grew: records by kind over known time, counted page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from engram.kernel.clock import EPOCH, from_micros
from engram.kernel.protocols import Store
from engram.kernel.scope import Scope

__all__ = ["Growth", "Span", "Unit", "growth"]

Unit = Literal["minute", "hour", "day", "week", "month", "year"]
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_COARSER: dict[str, Literal["hour", "day"]] = {"minute": "hour", "hour": "day"}
_LIMIT = 20_000
_SPANS = (
    timedelta(minutes=90),
    timedelta(days=4),
    timedelta(days=70),
    timedelta(days=500),
    timedelta(days=8 * 366),
)  # up to which minutes, hours, days, weeks and months are counted
_ORDER: tuple[Unit, ...] = ("minute", "hour", "day", "week", "month", "year")


class Span(NamedTuple):
    """One stretch of time: by kind, how many records were new in it, and how many there were at its end."""

    start: datetime
    end: datetime
    new: dict[str, int]
    held: dict[str, int]


class Growth:
    """Counts by minute, or by hour or day where that would be too many: it stays small."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._bin: Literal["minute", "hour", "day"] = "minute"
        self._new: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._net: defaultdict[tuple[int, str], int] = defaultdict(int)

    def __len__(self) -> int:
        return len(self._new) + len(self._net)

    def count(self, kind: str, start: datetime, end: datetime | None = None, *, new: bool = True) -> None:
        """One version of a record, known from `start` until `end`; `new`: the record's first one."""
        self._net[self._place(start), kind] += 1
        if new:
            self._new[self._place(start), kind] += 1
        if end is not None:
            self._net[self._place(end), kind] -= 1
        while len(self) > self._limit and self._bin in _COARSER:
            self._coarsen()

    @property
    def kinds(self) -> list[str]:
        """The kinds, those with most records first."""
        totals: defaultdict[str, int] = defaultdict(int)
        for (_, kind), count in self._new.items():
            totals[kind] += count
        return sorted(totals, key=lambda kind: (-totals[kind], kind))

    @property
    def unit(self) -> Unit:
        """What its spans are: a few dozen of them, from the first record to the last change."""
        places = [place for place, _ in self._net] or [0]
        whole = timedelta(seconds=(max(places) - min(places)) * _SECONDS[self._bin])
        fitting = sum(whole > most for most in _SPANS)
        return _ORDER[max(fitting, _ORDER.index(self._bin))]

    def spans(self) -> Iterator[Span]:
        """Span after span without a gap; nothing where nothing was counted."""
        unit = self.unit
        new = _grouped(self._new, _SECONDS[self._bin], unit)
        net = _grouped(self._net, _SECONDS[self._bin], unit)
        if not net:
            return
        start, last = min(net), max(net)
        held: defaultdict[str, int] = defaultdict(int)
        while start <= last:
            for kind, count in net.get(start, {}).items():
                held[kind] += count
            end = _next(start, unit)
            yield Span(start, end, dict(new.get(start, {})), dict(held))
            start = end

    def _place(self, moment: datetime) -> int:
        return int((moment - EPOCH).total_seconds() // _SECONDS[self._bin])

    def _coarsen(self) -> None:
        coarser = _COARSER[self._bin]
        factor = _SECONDS[coarser] // _SECONDS[self._bin]
        self._new, self._net = (_merged(counts, factor) for counts in (self._new, self._net))
        self._bin = coarser


def growth(store: Store, pattern: Scope | None, step: Callable[[int], object] = int) -> Growth:
    """Every version of the records in a scope (`None`: of all tenants); `step` is told how many came."""
    found = Growth()
    tenants = dict.fromkeys(scope.tenant for scope, _ in store.scopes(None))
    for scope in [Scope(tenant) for tenant in tenants] if pattern is None else [pattern]:
        after = 0
        while page := store.entries(scope, after=after, history=True):
            for entry in page:
                end = None if entry.known_end is None else from_micros(entry.known_end)
                found.count(entry.kind, from_micros(entry.known_start), end, new=entry.version == 1)
            step(len(page))
            after = page[-1].sequence
    return found


def _merged(counts: defaultdict[tuple[int, str], int], factor: int) -> defaultdict[tuple[int, str], int]:
    merged: defaultdict[tuple[int, str], int] = defaultdict(int)
    for (place, kind), count in counts.items():
        merged[place // factor, kind] += count
    return merged


def _grouped(
    counts: defaultdict[tuple[int, str], int], seconds: int, unit: Unit
) -> dict[datetime, defaultdict[str, int]]:
    grouped: dict[datetime, defaultdict[str, int]] = {}
    for (place, kind), count in counts.items():
        start = _begin(EPOCH + timedelta(seconds=place * seconds), unit)
        grouped.setdefault(start, defaultdict(int))[kind] += count
    return grouped


def _begin(moment: datetime, unit: Unit) -> datetime:
    """The beginning of the unit of time that the moment lies in; weeks begin on Monday."""
    if unit == "minute":
        return moment.replace(second=0, microsecond=0)
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day if unit == "day" else day.replace(day=1, month=day.month if unit == "month" else 1)


def _next(start: datetime, unit: Unit) -> datetime:
    """The beginning of the unit of time after the one that begins at `start`."""
    if unit in _SECONDS:
        return start + timedelta(seconds=_SECONDS[unit])
    if unit == "week":
        return start + timedelta(days=7)
    return _begin(start + timedelta(days=32 if unit == "month" else 366), unit)
