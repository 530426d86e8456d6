"""Small things that tests of stores are built from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope

__all__ = ["ANA", "START", "Timeline", "a_record", "day"]

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The moment at which test clocks begin."""
ANA = Scope(user_id="ana")
"""The scope of test records."""


class Timeline:
    """A clock that stands still until it is told to move."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time it was told."""
        return self.now


def day(number: float) -> datetime:
    """That many days after 2026-01-01, UTC."""
    return START + timedelta(days=number)


def a_record(text: str = "tea", *, scope: Scope = ANA, time: datetime = START, **fields: Any) -> Record:
    """An episode by Ana that became known when it was said; further fields as in `Record`."""
    plain = Record("", "episode", text, scope, time, Interval(time), Interval(time), level=0)
    return replace(plain, **fields)
