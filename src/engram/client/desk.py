"""A service apart from its memory: its events, its owed work, its keys, its audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from engram.client import asking
from engram.client.call import Request
from engram.client.events import Change, JobEvent, Reader, change_of, job_event_of
from engram.client.opening import service_of
from engram.client.receiving import understood
from engram.client.refusals import BrokeOff
from engram.client.service import Service
from engram.client.wire import Wire
from engram.kernel.errors import StoreError

__all__ = ["Client"]

T = TypeVar("T")
STREAM = 30.0
"""Seconds without a sign of life, which comes every 10, after which a stream counts as broken off."""


class Client:
    """What a service has besides a memory: events, owed work, keys, the audit.

    `AsyncClient` has the same names. `url` and `key` are those of `Memory`. Scope ids (`tenant`, `user_id`,
    `agent_id`, `run_id`) are keywords; jobs, keys and lines of the audit are mappings of JSON values. Calls
    raise `Forbidden` for what the key does not reach or may not do, and `StoreError` where the service cannot
    be reached. Thread-safe.
    """

    def __init__(self, url: str | Service, *, key: str | None = None) -> None:
        self._wire = Wire(service_of(url, key))

    def __repr__(self) -> str:
        return f"<Client {self._wire.service.address}>"

    def changes(self, *, after: str | None = None, **ids: str | None) -> Iterator[Change]:
        """Every change in a scope from now on, or behind the place `after` of a change, as it comes.

        A stream that breaks off is taken up where it was: nothing is missed, and nothing comes twice. It
        ends where the caller stops; raises `StoreError` where the service stays away.
        """
        return self._events("/events/changes", asking.named(ids), Reader(after), change_of)

    def job_events(self, **ids: str | None) -> Iterator[JobEvent]:
        """What is owed in a scope, and each job that comes, changes or ends; anew where it broke off."""
        return self._events("/events/jobs", asking.named(ids), Reader(), job_event_of)

    def jobs(self, **ids: str | None) -> list[dict[str, Any]]:
        """Owed jobs of a scope, oldest first; without ids, of all that the key reaches."""
        return self._wire.say(asking.jobs(ids))

    def job(self, id: str, **ids: str | None) -> dict[str, Any]:
        """One job: what it is for, and why it failed. Raises `NotFound`."""
        return self._wire.say(asking.job(id, ids))

    def retry(self, id: str, **ids: str | None) -> dict[str, Any]:
        """Make a parked job pending again. Raises `NotFound`."""
        return self._wire.say(asking.job_changed(id, ids, drop=False))

    def drop(self, id: str, **ids: str | None) -> dict[str, Any]:
        """Give a job up: its work is never done, the records stay. Raises `NotFound`."""
        return self._wire.say(asking.job_changed(id, ids, drop=True))

    def keys(self) -> list[dict[str, Any]]:
        """Every key within the reach of this one, which has to be an admin's."""
        return self._wire.say(asking.keys())

    def create_key(
        self,
        *,
        name: str = "",
        rights: str = "read",
        tenant: str | None = None,
        users: str = "*",
        days: float | None = None,
    ) -> dict[str, Any]:
        """A new key that reaches no further than this one; its `key` is told this once."""
        fields = {"name": name, "rights": rights, "tenant": tenant, "users": users, "days": days}
        return self._wire.say(asking.create_key(fields))

    def rotate_key(self, id: str, *, grace: float = 0) -> dict[str, Any]:
        """A key with a new secret; the old one is good for `grace` seconds longer."""
        return self._wire.say(asking.rotate_key(id, grace))

    def revoke_key(self, id: str) -> dict[str, Any]:
        """A key that is ended for good."""
        return self._wire.say(asking.revoke_key(id))

    def audit(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        key: str | None = None,
        call: str | None = None,
        record: str | None = None,
        limit: int = 100,
        **ids: str | None,
    ) -> list[dict[str, Any]]:
        """Who read and changed what, in ids, the newest first, `limit` lines at most; for an admin's key.

        From `since` on and before `until`, by the id of a key, by call (`search`), about a record's id.
        """
        wanted = {"since": since, "until": until, "key": key, "call": call, "record": record}
        return self._wire.say(asking.audit(wanted, limit, ids))

    def health(self) -> dict[str, Any]:
        """The service's `status` and `version`. Raises `StoreError` where it cannot answer requests."""
        return self._wire.say(asking.health())

    def close(self) -> None:
        """Close the connections; streams that are open end."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _events(
        self, path: str, params: Mapping[str, str], reader: Reader, meaning: Callable[[Any], T | None]
    ) -> Iterator[T]:
        request = Request("GET", path, params, quiet=STREAM)
        alive: float | None = None
        while True:
            try:
                with self._wire.stream(request, reader.headers) as response:
                    for line in self._wire.lines(response):
                        alive = time.monotonic()
                        with understood(self._wire.service):
                            event = reader.take(line)
                            told = None if event is None else meaning(event)
                        if told is not None:
                            yield told
            except StoreError as error:  # a stream that was there is taken up again, as one that has ended
                away = type(error) not in (StoreError, BrokeOff) or alive is None
                if away or time.monotonic() - (alive or 0) > self._wire.service.patience + STREAM:
                    raise
            reader.cut()
            time.sleep(reader.pause)
