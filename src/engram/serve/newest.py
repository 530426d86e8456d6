"""The newest records of a scope, by a listing that begins with the oldest."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from engram.engine.results import Page
from engram.kernel.record import Record

__all__ = ["newest"]

Listing = Callable[[str | None, int], Awaitable[Page]]
"""A page of a listing: behind a place, with so many records."""


async def newest(listing: Listing, most: int) -> list[Record]:
    """At most `most` records, the one that arrived last first.

    Places are arrivals, so a place near the end is found by doubling and halving: in a scope of a million
    records with some twenty short pages.
    """
    page = await listing(None, 2 * most)
    low, high, begin = 0, 0, page
    while page.next is not None:  # there is more behind: go twice as far
        low, begin = int(page.next), page
        high = 2 * low
        page = await listing(str(high), 2 * most)
    if high and len(page.items) < most:
        begin = await _last(listing, most, low, high, begin)
    elif high:
        begin = page
    kept: deque[Record] = deque(begin.items, maxlen=most)
    while begin.next is not None:
        begin = await listing(begin.next, 2 * most)
        kept.extend(begin.items)
    return list(reversed(kept))


async def _last(listing: Listing, most: int, low: int, high: int, begin: Page) -> Page:
    """A page that little comes behind, between a place with more behind it and one with too little."""
    while high - low > 1:
        middle = (low + high) // 2
        page = await listing(str(middle), 2 * most)
        if page.next is not None:
            low, begin = middle, page
        elif len(page.items) < most:
            high = middle
        else:
            return page
    return begin
