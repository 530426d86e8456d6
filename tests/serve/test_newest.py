"""The newest records, found by a listing that begins with the oldest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from engram.engine.results import Page
from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope
from engram.serve.newest import newest

TURN = Record("", "episode", "", Scope(), datetime(2024, 1, 1, tzinfo=UTC), Interval(), Interval())


class Listing:
    """Records with these arrivals, a page at a time, as the face lists them."""

    def __init__(self, arrivals: list[int]) -> None:
        self.records = [replace(TURN, id=str(arrival), arrival=arrival) for arrival in sorted(arrivals)]
        self.pages = 0

    async def page(self, after: str | None, limit: int) -> Page:
        self.pages += 1
        found = [record for record in self.records if record.arrival > int(after or 0)]
        more = len(found) > limit
        return Page(tuple(found[:limit]), str(found[limit - 1].arrival) if more else None)


@given(st.sets(st.integers(1, 100_000), max_size=200), st.integers(1, 30))
def test_they_are_the_last_of_the_whole_listing(arrivals: set[int], most: int) -> None:
    listing = Listing(list(arrivals))
    found = asyncio.run(newest(listing.page, most))
    assert [record.arrival for record in found] == sorted(arrivals, reverse=True)[:most]


def test_few_pages_are_read_of_many_records() -> None:
    listing = Listing(list(range(1, 5_001)))
    found = asyncio.run(newest(listing.page, 20))
    assert [record.arrival for record in found] == list(range(5_000, 4_980, -1))
    assert listing.pages < 40
