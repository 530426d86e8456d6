"""Time: aware UTC datetimes outside, microseconds since 1970 inside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from engram.kernel.errors import InvalidInput

__all__ = ["Clock", "from_micros", "micros", "parse_time", "utc_now"]

Clock = Callable[[], datetime]
"""What tells the time: a call without arguments that gives an aware datetime."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC of an aware datetime."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """The aware UTC datetime that lies `value` microseconds after 1970-01-01."""
    return EPOCH + timedelta(microseconds=value)


def parse_time(value: object, field: str = "time") -> tuple[datetime, bool]:
    """A moment in UTC from a datetime, a date, an ISO 8601 string or seconds since 1970.

    The flag says that no zone was given and UTC was assumed. Raises `InvalidInput` naming `field`.
    """
    moment: datetime
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone is assumed below
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            return EPOCH + timedelta(seconds=value), False
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value)
        else:
            raise TypeError(f"{type(value).__name__} is not a time")
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC), True
        return moment.astimezone(UTC), False
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(
            f"{field}: {value!r} is not a time; give ISO 8601 (2026-05-08T13:56:00Z), a datetime, "
            "or seconds since 1970"
        ) from error
